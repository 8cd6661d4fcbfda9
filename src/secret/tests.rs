//! What is masked, and what must not be.

use super::*;

fn learnt(text: &str) -> (String, Vec<String>) {
    let mut learnt = Vec::new();
    let masked = masked_learning(text, &mut |secret| learnt.push(secret.to_owned())).into_owned();
    (masked, learnt)
}

#[test]
fn harmless_words_stay() {
    for text in [
        "failed to negotiate HTTP/1.1",
        "\"GET / HTTP/1.1\" 200 OK",
        "running basic cuda12.4 check",
        "missing key: encoder.layer.0.attention",
        "{\"key\": \"decoder.block.12.attn\"}",
        "unexpected key: decoder_block_12_attention_weight",
        "cache key: 9f86d081884c",
        "primary key: 12ab34cd56ef, sort key: 77aa88bb99cc",
        "max_tokens=5 token_count: 3 tokenizer=whisper/large-v3",
        "PWD=/home/x",
        "pass 3 of 4",
        "key: value",
        "eos_token=</s> pad token: x1y2z3w4v5",
        "model: Systran/faster-whisper-large-v3",
    ] {
        assert_eq!(learnt(text), (text.to_owned(), Vec::new()));
    }
}

#[test]
fn schemes_of_authorization_are_told_from_words() {
    for (text, gone) in [
        ("sent Basic YW5uYTpTdXJ2MTIz to it", "sent Basic *** to it"),
        ("Bearer abc.def-ghi1", "Bearer ***"),
        ("Proxy-Authorization: Negotiate YIIabc1", "Proxy-Authorization: ***"),
        ("www-authenticate NTLM TlRMTVNTUAABAAAAl4II4gAAAAAAAAAAAAAAAAAAAAAGAbEdAAAADw==", "www-authenticate NTLM ***"),
    ] {
        assert_eq!(masked(text), gone);
    }
}

#[test]
fn a_bare_key_is_masked_and_not_looked_for_elsewhere() {
    assert_eq!(learnt("key: 9f86d081884c"), ("key: ***".into(), Vec::new()));
    assert_eq!(learnt("token=Zx81/qqP0rr").1, Vec::<String>::new());
    assert_eq!(learnt("token=Zx81qqP0rr").1, ["Zx81qqP0rr"]);
    assert_eq!(learnt("api_key: wJalrXUt/FEMI7").1, ["wJalrXUt/FEMI7"]);
}
