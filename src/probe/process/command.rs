//! A command line without its secrets.

use crate::secret::{MASK, is_in_flag, masked as masked_text};

/// Longest command line kept, characters.
const LENGTH_MAX: usize = 4096;

/// The arguments as one shell line, with values that look like secrets replaced by `***`.
pub fn masked(arguments: &[String]) -> String {
    let words = mask_words(arguments.iter().map(String::as_str));
    let line = match shlex::try_join(words.iter().map(String::as_str)) {
        Ok(line) => line,
        Err(_) => words.join(" "),
    };
    line.chars().take(LENGTH_MAX).collect()
}

fn mask_words<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut masked = Vec::new();
    let mut value_is_secret = false;
    for word in words {
        let is_flag = word.starts_with('-') && word.len() > 1;
        // A secret may begin with one dash; two make the next flag.
        if std::mem::take(&mut value_is_secret) && !word.starts_with("--") {
            masked.push(MASK.to_owned());
            continue;
        }
        value_is_secret = is_flag && !word.contains('=') && is_in_flag(word);
        masked.push(mask_word(word));
    }
    masked
}

/// One argument, on its own: `NAME=value`, a URL, a header, a token, or a whole command for a shell.
fn mask_word(word: &str) -> String {
    if let Some((name, value)) = word.split_once('=')
        && !name.contains(char::is_whitespace)
        && !name.contains("://")
        && is_in_flag(name)
        && !value.is_empty()
    {
        return format!("{name}={MASK}");
    }
    masked_text(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(arguments: &[&str]) -> String {
        masked(&arguments.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_masked() {
        for arguments in [
            &["vllm", "serve", "--api-key", "S3cret"][..],
            &["vllm", "serve", "--api-key=S3cret"],
            &["env", "OPENAI_API_KEY=S3cret", "python"],
            &["x", "--hf-token", "S3cret", "--port", "1"],
            &["x", "--authToken", "S3cret"],
            &["x", "postgres://user:S3cret@db/x"],
            &["x", "redis://:S3cret@db"],
            &["x", "https://h/x?api_key=S3cret&a=1"],
            &["curl", "-H", "Authorization: Bearer S3cret"],
            &["sh", "-c", "python app.py --api-key S3cret --port 1"],
            &["sh", "-c", "HF_TOKEN=S3cret exec python app.py"],
            &["sh", "-c", "python app.py --password 'a S3cret b'"],
            &["x", "--ssl-keyfile-password", "S3cret"],
            &["x", "hf_S3cretS3cretS3cret"],
        ] {
            let line = line(arguments);
            assert!(!line.contains("S3cret") && line.contains("***"), "{line}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for arguments in [
            &["python", "-m", "uvicorn", "app:app", "--port", "8000"][..],
            &["vllm", "serve", "m", "--max-tokens", "512", "--tokenizer", "t", "--tokenizer=t"],
            &["x", "--config=/etc/x.yaml", "http://h:1/x?a=b"],
        ] {
            let line = line(arguments);
            assert!(!line.contains("***"), "{line}");
            assert_eq!(shlex::split(&line).unwrap(), arguments);
        }
    }

    proptest! {
        #[test]
        fn any_arguments_give_a_bounded_line(arguments in prop::collection::vec(".{0,40}", 0..8)) {
            prop_assert!(masked(&arguments).chars().count() <= LENGTH_MAX);
        }

        #[test]
        fn the_value_of_a_secret_flag_never_shows(
            secret in "[A-Za-z0-9]{12,24}", flag in "--(api-key|hf_token|db-password|client[-._:/]secret)", joined: bool,
            before in prop::collection::vec("[a-z/.-]{0,10}", 0..3),
        ) {
            let mut arguments = before;
            match joined {
                true => arguments.push(format!("{flag}={secret}")),
                false => arguments.extend([flag, secret.clone()]),
            }
            prop_assert!(!masked(&arguments).contains(&secret));
        }
    }
}
