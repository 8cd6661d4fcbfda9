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

#[test]
fn a_value_goes_however_it_is_written_behind_its_name() {
    for (text, gone) in [
        // Lists, and what languages write around a text.
        ("api_key=['Zx81qqP0rr'] ok", "api_key=['***'] ok"),
        ("{'api_key': ['Zx81qqP0rr', 'Zx81qqP0rs'], 'lang': 'en'}", "{'api_key': ['***', '***'], 'lang': 'en'}"),
        ("{\"api_keys\": [\n  \"Zx81qqP0rr\",\n  \"short\"\n]}", "{\"api_keys\": [\n  \"***\",\n  \"***\"\n]}"),
        ("serve --api-key Zx81qqP0rrAA Zx81qqP0rrBB --port 80", "serve --api-key *** *** --port 80"),
        ("serve --api-key Zx81qqP0rr acme/whisper-3 x", "serve --api-key *** acme/whisper-3 x"),
        ("password=b'hunter'", "password=b'***'"),
        (
            "Config { api_key: Some(\"hunter\"), lang: Some(\"en\") }",
            "Config { api_key: Some(\"***\"), lang: Some(\"en\") }",
        ),
        ("api_key=SecretStr('hunter')", "api_key=SecretStr('***')"),
        // Pairs of a name and a value.
        ("[(b'x-api-key', b'Zx81qqP0rr'), (b'host', b'a')]", "[(b'x-api-key', b'***'), (b'host', b'a')]"),
        ("[\"x-api-key\",\"Zx81qqP0rr\"]", "[\"x-api-key\",\"***\"]"),
        ("{\"name\":\"DB_PASSWORD\",\"value\":\"hunter\"}", "{\"name\":\"DB_PASSWORD\",\"value\":\"***\"}"),
        ("- name: DB_PASSWORD\n  value: hunter\n", "- name: DB_PASSWORD\n  value: ***\n"),
        ("<add key=\"ApiKey\" value=\"hunter\"/>", "<add key=\"ApiKey\" value=\"***\"/>"),
        ("<password>two words</password>", "<password>***</password>"),
        // Other names.
        ("Server=db;Uid=a;Pwd=hunter;", "Server=db;Uid=a;Pwd=***;"),
        ("user=a pass=Zx81qqP0rr", "user=a pass=***"),
        ("PASS=hunter22 x", "PASS=*** x"),
        ("redis-server --requirepass hunter --port 1", "redis-server --requirepass *** --port 1"),
        ("serve --db-pass hunter", "serve --db-pass ***"),
        (
            "curl --header=X-Foo:hunter -H 'X-Odd: two words' -H 'Accept: a/b' u",
            "curl --header=X-Foo:*** -H 'X-Odd: ***' -H 'Accept: a/b' u",
        ),
        ("curl -b 'sid=hunter' u", "curl -b '***' u"),
        ("password            = hunter", "password            = ***"),
        // Ends.
        ("Cookie: a=\"b\"; sid=hunter", "Cookie: ***"),
        ("Authorization: Digest username=\"x\", response=\"hunter\"\nx", "Authorization: ***\nx"),
        (
            "{\"h\": \"Authorization: Digest username=\\\"x\\\", response=\\\"hunter\\\"\", \"x\": 1}",
            "{\"h\": \"Authorization: ***\", \"x\": 1}",
        ),
        ("DB_PASSWORD=ab,c&d)e x", "DB_PASSWORD=*** x"),
        ("DB_PASSWORD=ab,LANG=en", "DB_PASSWORD=***,LANG=en"),
        ("Config(password=ab, lang='en')", "Config(password=***, lang='en')"),
        ("password=ab,cd x", "password=*** x"),
        ("a: 1\npassword: two words # of it\nlang: en", "a: 1\npassword: *** # of it\nlang: en"),
        ("DB_PASSWORD=$ecr3t x", "DB_PASSWORD=*** x"),
        ("password=(ab", "password=(***"),
        // Passwords of URLs with what ends other parts.
        ("postgres://app:p/a#s?s@db/x", "postgres://***@db/x"),
        ("https://app:p/as@h/x", "https://***@h/x"),
    ] {
        assert_eq!(masked(text), gone);
        assert_eq!(masked(gone), gone, "again");
    }
}

#[test]
fn what_only_looks_like_it_stays() {
    for text in [
        "missing fields: ['api_key', 'lang', 'text']",
        "['api_key', 'lang']",
        "(\"key\", \"value\")",
        "\"loc\": [\"header\", \"x-api-key\"], \"msg\": \"Field required\"",
        "api_key: Optional[str] = None",
        "api_key = os.environ[\"HF_TOKEN\"]",
        "export HF_TOKEN=$HF_TOKEN",
        "HF_TOKEN=${HF_TOKEN:?}",
        "tests: pass=12 fail=0",
        "forward_pass=12.5ms",
        "--bypass cache",
        "password: required",
        "PWD=/srv pwd: somewhere",
        "http://h:8000/users?mail=a@b.example",
        "token: [CLS]",
        "tokens: [50257, 50258]",
        "value=5",
    ] {
        assert_eq!(learnt(text), (text.to_owned(), Vec::new()));
    }
}
