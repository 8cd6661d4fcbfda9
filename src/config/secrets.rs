//! Secrets: the config file names where they are, never holds them.

use super::LIMIT_BYTES;
use crate::regular_file;
use base64::Engine as _;
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// Who the doctor is to the server. The secret itself stands in the environment or a file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with bearer_env, bearer_file or basic_env")]
pub struct Auth {
    /// The environment variable that holds the bearer token.
    pub bearer_env: Option<String>,
    /// The file whose first line is the bearer token.
    pub bearer_file: Option<PathBuf>,
    /// The environment variable that holds `user:password`.
    pub basic_env: Option<String>,
}

/// Where the value of a header comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with env: VARIABLE or file: PATH")]
pub struct Secret {
    /// Name of an environment variable.
    pub env: Option<String>,
    /// A file whose first line is the value.
    pub file: Option<PathBuf>,
    /// Text put before the value: `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

impl Auth {
    /// The value of the header `authorization`, with the secret fetched; `None` if none is named.
    ///
    /// # Errors
    /// What cannot be fetched, without its value.
    pub fn fetch(&self) -> Result<Option<String>, String> {
        let secret = |env: &Option<String>, file: &Option<PathBuf>| {
            let value = Secret { env: env.clone(), file: file.clone(), prefix: String::new() }.fetch()?;
            match value.is_empty() {
                true => Err("it is empty".to_owned()),
                false => Ok(value),
            }
        };
        let value = match (&self.bearer_env, &self.bearer_file, &self.basic_env) {
            (None, None, None) => return Ok(None),
            (env, file, None) if env.is_none() || file.is_none() => format!("Bearer {}", secret(env, file)?),
            (None, None, basic) => {
                let user = secret(basic, &None)?;
                if !user.contains(':') {
                    return Err("it must hold user:password".into());
                }
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
            }
            _ => return Err("give one of bearer_env, bearer_file and basic_env".into()),
        };
        hyper::header::HeaderValue::from_str(&value)
            .map_err(|_| "the value holds a line end or another control character".to_owned())?;
        Ok(Some(value))
    }
}

impl Secret {
    /// The value, with the prefix.
    ///
    /// # Errors
    /// What cannot be fetched, without its value.
    pub(super) fn fetch(&self) -> Result<String, String> {
        let value = match (&self.env, &self.file) {
            (Some(name), None) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            (None, Some(file)) => regular_file::read_text(file, LIMIT_BYTES)
                .map_err(|error| format!("the file {} cannot be read: {error}", file.display()))?
                .lines()
                .next()
                .unwrap_or_default()
                .to_string(),
            _ => return Err("give either \"env\" (a variable's name) or \"file\" (a path)".into()),
        };
        Ok(format!("{}{}", self.prefix, value.trim()))
    }
}
