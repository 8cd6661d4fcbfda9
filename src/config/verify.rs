//! Values of the config file that flags verify on the command line.

use super::{Config, ConfigError};
use crate::cli;
use crate::snapshot::VersionBound;
use regex::Regex;

impl Config {
    /// Verifies the values that flags verify on the command line.
    pub(super) fn verify(&self, path: &str) -> Result<(), ConfigError> {
        let wrong =
            |key: &str, problem: String| Err(ConfigError::Value { path: path.into(), key: key.into(), problem });
        if let Some(Err(problem)) = self.server.as_deref().map(cli::server_url) {
            return wrong("server", problem);
        }
        if let Some(Err(problem)) = self.timeout.as_deref().map(cli::duration) {
            return wrong("timeout", problem);
        }
        if let Some(Err(problem)) = self.sample_rate.map(|rate| cli::sample_rate(&rate.to_string())) {
            return wrong("sample_rate", problem);
        }
        if let Some(Err(problem)) = self.loader_timeout.as_deref().map(cli::duration) {
            return wrong("loader_timeout", problem);
        }
        for (key, name) in [("loader", &self.loader), ("forward", &self.forward)] {
            if let Some(Err(problem)) = name.as_deref().map(cli::callable) {
                return wrong(key, problem);
            }
        }
        if let Some(Err(problem)) = self.expect.driver.as_deref().map(VersionBound::parse) {
            return wrong("expect.driver", problem);
        }
        if self.expect.gpu_memory_gib.is_some_and(|gib| !(gib > 0.0 && gib < 1e6)) {
            return wrong("expect.gpu_memory_gib", "it must be a number of gibibytes, such as 80".into());
        }
        let request = &self.request;
        if request.path.as_ref().is_some_and(|path| !path.starts_with('/') && path.contains('/')) {
            return wrong("request.path", "it must begin with a slash, such as /asr".into());
        }
        const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH"];
        if request.method.as_ref().is_some_and(|method| !METHODS.contains(&method.as_str())) {
            return wrong("request.method", format!("it must be one of {}", METHODS.join(", ")));
        }
        if request.content_type.as_ref().is_some_and(|media| hyper::header::HeaderValue::from_str(media).is_err()) {
            return wrong("request.content_type", "it must be a media type, such as application/json".into());
        }
        for (key, time) in [("load.duration", &self.load.duration), ("load.think_time", &self.load.think_time)] {
            if let Some(Err(problem)) = time.as_deref().map(cli::duration) {
                return wrong(key, problem);
            }
        }
        if let Some(problem) = self.load.users.iter().find_map(|users| cli::users(&users.to_string()).err()) {
            return wrong("load.users", problem);
        }
        if let Some(Err(problem)) = self.load.rate.map(|rate| cli::rate(&rate.to_string())) {
            return wrong("load.rate", problem);
        }
        if self.load.rate.is_some() && self.load.think_time.is_some() {
            return wrong("load", "give rate or think_time: at a rate nobody waits for answers".into());
        }
        if self.load.max_requests == Some(0) {
            return wrong("load.max_requests", "it must be at least 1".into());
        }
        if let Some(problem) = self.load.holds.iter().find_map(|holds| cli::holds(holds).err()) {
            return wrong("load.holds", problem);
        }
        if self.request.count.is_some_and(|count| !(1..=1000).contains(&count)) {
            return wrong("request.count", "it must be between 1 and 1000".into());
        }
        if self.balance.connections.is_some_and(|count| !(1..=cli::CONNECTIONS_MAX).contains(&count)) {
            return wrong("balance.connections", format!("it must be between 1 and {}", cli::CONNECTIONS_MAX));
        }
        if self.balance.status.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return wrong("balance.status", "it must begin with a slash, such as /gpu-status".into());
        }
        if let Some(waiver) = self.waivers.iter().find(|waiver| waiver.reason.trim().is_empty()) {
            return wrong(
                "waivers",
                format!("the reason for {} is empty; those who read the report need one", waiver.id),
            );
        }
        if let Some(pattern) = &self.balance.log {
            match Regex::new(pattern) {
                Ok(pattern) if pattern.capture_names().flatten().any(|name| name == "gpu") => {}
                Ok(_) => {
                    let problem = "it must hold a group (?P<gpu>...) that catches the GPU's number";
                    return wrong("balance.log", problem.into());
                }
                Err(error) => return wrong("balance.log", format!("it is no pattern: {error}")),
            }
        }
        Ok(())
    }
}
