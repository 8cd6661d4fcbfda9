//! Two hundred secrets, of every kind, each in a sentence of its own as software writes them.

/// A secret and the sentence that holds it.
pub struct Planted {
    /// What must not be told.
    pub secret: String,
    /// What holds it.
    pub sentence: String,
}

/// Ways in which secrets stand in texts; `@` is the secret.
const SENTENCES: &[&str] = &[
    "loading with api_key=@ done",
    "HF_TOKEN=@ python serve.py",
    "request: {\"user\": \"a\", \"api_key\": \"@\"}",
    "password: @",
    "args: serve --api-key @ --port 80",
    "serve --token=@ --max-tokens 5",
    "headers {'Authorization': 'Bearer @'}",
    "authorization: Basic @",
    "pulling https://somebody:@@registry.acme.net/v2/",
    "GET https://hub.acme.net/model?revision=main&access_token=@",
    "https://blob.acme.net/m?X-Amz-Credential=k&X-Amz-Signature=@&x=1",
    "https://acct.blob.core.windows.net/m?sv=2024&sig=@",
    "AccountName=a;AccountKey=@;EndpointSuffix=core.windows.net",
    "aws_secret_access_key = @",
    "Cookie: theme=dark; session=@",
    "Set-Cookie: sid=@; Path=/; HttpOnly",
    "{\\\"client_secret\\\": \\\"@\\\"}",
    "q=%7B%22api_key%22%3A%22@%22%7D",
    "config(api_secret='@', lang='en')",
    "-----BEGIN PRIVATE KEY-----\\nMII@\\n-----END PRIVATE KEY-----\\n",
    "curl -u somebody:@ http://127.0.0.1/",
    "//registry.npmjs.org/:_authToken=@",
    "postgres://app:@@db.acme.net:5432/x",
    "machine db login app password @",
    "X-Api-Key: @",
    // Lists, and what languages write around a text.
    "Namespace(api_key=['@'], port=1)",
    "{\"api_keys\": [\"first\", \"@\"]}",
    "serve --api-key K1K2K3K4K5K6 @ --port 80",
    "password=b'@'",
    "ServerArgs { hf_token: Some(Token(\"@\")), port: 1 }",
    "headers: [(b'host', b'a'), (b'x-api-key', b'@')]",
    "[\"x-api-key\",\"@\"]",
    "map[Accept:[*/*] Authorization:[Token @] X:[y]]",
    "auth=('somebody', '@')",
    // Names and values apart.
    "{\"name\":\"DB_PASSWORD\",\"value\":\"@\"}",
    "name=HF_TOKEN value=@",
    "<password>@</password>",
    "<add key=\"ApiKey\" value=\"@\"/>",
    "HF_TOKEN -> @",
    "ENV HF_TOKEN @",
    "Incorrect API key provided: @",
    "user 'a' with password '@' denied",
    "password                      : @",
    // Other names, and programs.
    "Server=db;Uid=a;Pwd=@;",
    "login with user=a pass=@",
    "redis-server --requirepass @ --port 6379",
    "mysql -u root -p@ db",
    "redis-cli -a @ ping",
    "serve --db-pass @",
    "java -DdbPassword=@ -jar x",
    "curl --header=X-Foo:@ http://127.0.0.1/",
    "curl -b 'sid=@' http://127.0.0.1/",
    // Ends, and signs inside.
    "Cookie: a=\"b\"; sid=@",
    "Authorization: Digest username=\"a\", response=\"@\"",
    "DB_PASSWORD=ab,@ python serve.py",
    "DB_PASSWORD=ab&@ python serve.py",
    "DB_PASSWORD=$a@ python serve.py",
    "postgres://app:a/b#@@db.acme.net/x",
    "-----BEGIN RSA PRIVATE KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKB\\nMII@",
];
/// Beginnings by which makers mark their tokens; these need nothing around them.
const MARKED: &[&str] = &[
    "hf_",
    "ghp_",
    "gho_",
    "github_pat_",
    "sk-proj-",
    "xoxb-1234-",
    "AIzaSyA_0123456789",
    "glpat-",
    "npm_",
    "pypi-AgEIcHlwaS5vcmc",
    "nvapi-",
    "AKIA",
    "gsk_",
    "dckr_pat_",
    "https://hooks.slack.com/services/T0/B0/",
    "https://discord.com/api/webhooks/123/",
];

/// So many of them.
pub fn planted(count: usize) -> Vec<Planted> {
    (0..count)
        .map(|number| {
            let core = core(number);
            let kind = number % (SENTENCES.len() + MARKED.len() + 1);
            let sentence = match kind.checked_sub(SENTENCES.len()) {
                None => {
                    // `@@` is the secret and the sign behind it.
                    let (before, after) = SENTENCES[kind].split_once('@').expect("a place");
                    format!("{before}{core}{after}")
                }
                Some(marked) if marked < MARKED.len() => format!("used {}{core} for it", MARKED[marked]),
                Some(_) => format!("token eyJhbGciOiJIUzI1NiJ9.eyJ{core}.c2ln"),
            };
            Planted { secret: core, sentence }
        })
        .collect()
}

/// Twenty-four letters and digits, capital ones, which no other text has.
fn core(number: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ ((number as u64 + 1) << 17);
    let mut core = String::from("Q7");
    while core.len() < 24 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let symbol = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) % 36;
        core.push(char::from(if symbol < 10 { b'0' + symbol as u8 } else { b'A' + symbol as u8 - 10 }));
    }
    core
}
