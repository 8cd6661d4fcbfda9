//! Which proxy stands between, by the option or by the environment.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// Variables that name a proxy, by the scheme of what is asked for; both writings are in use.
const FOR_HTTP: &[&str] = &["http_proxy", "HTTP_PROXY"];
const FOR_HTTPS: &[&str] = &["https_proxy", "HTTPS_PROXY"];
const FOR_ALL: &[&str] = &["all_proxy", "ALL_PROXY"];
const EXCEPT: &[&str] = &["no_proxy", "NO_PROXY"];

/// A proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Proxy {
    /// Its address.
    pub url: Url,
    /// `Proxy-Authorization`.
    pub authorization: Option<String>,
    /// `--proxy`, or the variable.
    pub from: String,
}

impl Proxy {
    /// The address without credentials.
    pub fn shown(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }
}

/// What stands between, and what does not although it is named.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Between {
    pub proxy: Option<Proxy>,
    /// A proxy of the environment that would concern the server and is not used: the variable, and what it names.
    pub unused: Option<(String, String)>,
}

/// Chooses the proxy. `asked` is the option: a URL, or `env`.
///
/// # Errors
/// What is wrong with the proxy that is to be used.
pub fn choose(
    server: &Url,
    asked: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Between, String> {
    match asked {
        Some("env") => {
            let named = named(server, environment);
            let proxy =
                named.map(|(from, text)| read(&text, from.clone()).map_err(|e| format!("{from}: {e}"))).transpose()?;
            Ok(Between { proxy, unused: None })
        }
        Some(text) => {
            let proxy = read(text, "--proxy".into()).map_err(|error| format!("--proxy: {error}"))?;
            Ok(Between { proxy: Some(proxy), unused: None })
        }
        None => {
            let unused = named(server, environment).map(|(from, text)| {
                let shown = read(&text, from.clone()).map_or_else(|_| "a proxy".into(), |proxy| proxy.shown());
                (from, shown)
            });
            Ok(Between { proxy: None, unused })
        }
    }
}

/// The variable that names a proxy for this server, and its value.
fn named(server: &Url, environment: impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let first = |names: &[&'static str]| {
        names.iter().find_map(|name| Some((*name, environment(name).filter(|value| !value.trim().is_empty())?)))
    };
    let own = if server.scheme() == "https" { FOR_HTTPS } else { FOR_HTTP };
    let (from, value) = first(own).or_else(|| first(FOR_ALL))?;
    let except = first(EXCEPT).map(|(_, value)| value).unwrap_or_default();
    let matcher = Matcher::builder().all(value.clone()).no(except).build();
    let target = server.as_str().parse().ok()?;
    matcher.intercept(&target).map(|_| (from.to_owned(), value))
}

/// Accepts the address of a proxy.
fn read(text: &str, from: String) -> Result<Proxy, String> {
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let mut url = Url::parse(full.trim()).map_err(|error| format!("{error}; write it as http://HOST:PORT"))?;
    match (url.scheme(), url.host_str()) {
        ("http", Some(_)) => {}
        ("http", None) => return Err("it names no host; write it as http://HOST:PORT".into()),
        (scheme, _) => return Err(format!("a proxy of the kind {scheme} is not supported; http is")),
    }
    let user = (!url.username().is_empty() || url.password().is_some()).then(|| {
        let plain = |text: &str| percent_decoded(text);
        format!("{}:{}", plain(url.username()), plain(url.password().unwrap_or_default()))
    });
    let authorization = user.map(|user| format!("Basic {}", crate::probe::service::message::base64(user.as_bytes())));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_path("/");
    url.set_query(None);
    url.set_fragment(None);
    Ok(Proxy { url, authorization, from })
}

fn percent_decoded(text: &str) -> String {
    // A form's reader knows percent signs; its plus signs are spaces, which a URL's user has as %20.
    let written = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(written.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chosen(server: &str, asked: Option<&str>, variables: &[(&str, &str)]) -> Result<Between, String> {
        let value = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
        choose(&server.parse().unwrap(), asked, value)
    }

    #[test]
    fn a_proxy_of_the_environment_is_used_only_when_asked_for() {
        let variables = [("HTTPS_PROXY", "http://bob:S3CRET%21@proxy:3128"), ("NO_PROXY", "inner.example,10.0.0.0/8")];
        let used = chosen("https://h.example/", Some("env"), &variables).unwrap().proxy.unwrap();
        assert_eq!((used.shown().as_str(), used.from.as_str()), ("http://proxy:3128", "HTTPS_PROXY"));
        assert_eq!(used.authorization.as_deref(), Some("Basic Ym9iOlMzQ1JFVCE="));
        let unused = chosen("https://h.example/", None, &variables).unwrap();
        assert_eq!(unused, Between { proxy: None, unused: Some(("HTTPS_PROXY".into(), "http://proxy:3128".into())) });
        for spared in ["http://h.example/", "https://a.inner.example/", "https://10.1.2.3:8000/"] {
            assert_eq!(chosen(spared, None, &variables).unwrap(), Between::default(), "{spared}");
        }
        let all = chosen("http://127.0.0.1:8000/", None, &[("ALL_PROXY", "socks5://u:S3CRET@p:1")]).unwrap();
        assert_eq!(all.unused, Some(("ALL_PROXY".into(), "a proxy".into())));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        for text in ["socks5://u:S3CRET@p:1", "http://u:S3CRET@p:99999", "http://"] {
            let error = chosen("http://h/", Some(text), &[]).unwrap_err();
            assert!(error.starts_with("--proxy: ") && !error.contains("S3CRET"), "{error}");
        }
        let plain = chosen("http://h/", Some("proxy:3128"), &[]).unwrap().proxy.unwrap();
        assert_eq!((plain.shown().as_str(), plain.from.as_str()), ("http://proxy:3128", "--proxy"));
    }

    proptest! {
        #[test]
        fn any_variable_is_read_without_a_panic(text in ".{0,60}", except in ".{0,60}") {
            let variables = [("http_proxy", text.as_str()), ("no_proxy", except.as_str())];
            let _ = chosen("http://127.0.0.1:8000/", Some("env"), &variables);
        }
    }
}
