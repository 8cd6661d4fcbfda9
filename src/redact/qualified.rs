//! Qualified names of machines, `gpu17.acme.de`, which nothing but their form gives away, and what is told from them: names
//! of files, modules and attributes of Python, packages of Java, versions, layers of a model.

use super::public::is_public;
use std::ops::Range;

/// Ends of names of machines. Countries whose end is one of files or of code are left out: `.py`, `.sh`, `.md`, `.to`.
const ENDS: &[&str] = &[
    "com",
    "net",
    "org",
    "edu",
    "gov",
    "info",
    "biz",
    "cloud",
    "dev",
    "app",
    "tech",
    "io",
    "ai",
    "co",
    "eu",
    "de",
    "fr",
    "nl",
    "at",
    "ch",
    "uk",
    "ca",
    "au",
    "jp",
    "cn",
    "kr",
    "ru",
    "br",
    "es",
    "se",
    "dk",
    "fi",
    "cz",
    "gr",
    "ie",
    "it",
    "be",
    "no",
    "nz",
    "sg",
    "hk",
    "tw",
    "za",
    "mx",
    "ar",
    "cl",
    "tr",
    "il",
    "ua",
    "ro",
    "sk",
    "hu",
    "bg",
    "hr",
    "lt",
    "lv",
    "lu",
    "pl",
    "pt",
    "us",
    "in",
    "local",
    "localdomain",
    "internal",
    "intern",
    "intra",
    "intranet",
    "lan",
    "corp",
    "home",
    "private",
    "cluster",
    "test",
];
/// Of these, those that are also words of code, so that two words joined by a dot are not enough.
const CODE_ENDS: &[&str] = &[
    "net", "info", "app", "dev", "cloud", "io", "ai", "co", "at", "es", "it", "be", "no", "se", "us", "in", "ar", "pl",
    "pt", "ca", "hr", "home", "local", "internal", "private", "cluster", "test",
];
/// Where a chain of attributes or a package begins.
const CODE: &[&str] = &[
    "self",
    "cls",
    "args",
    "opts",
    "options",
    "settings",
    "config",
    "cfg",
    "conf",
    "kwargs",
    "params",
    "request",
    "req",
    "response",
    "app",
    "model",
    "models",
    "module",
    "modules",
    "client",
    "encoder",
    "decoder",
    "net",
    "server",
    "os",
    "sys",
    "http",
    "url",
    "parsed",
    "env",
    "torch",
    "torchvision",
    "torchaudio",
    "tensorflow",
    "tf",
    "keras",
    "transformers",
    "diffusers",
    "accelerate",
    "numpy",
    "np",
    "scipy",
    "pandas",
    "skimage",
    "sklearn",
    "vllm",
    "sglang",
    "ray",
    "google",
    "nvidia",
    "onnx",
    "onnxruntime",
    "ort",
    "jax",
    "flax",
    "paddle",
    "gradio",
    "fastapi",
    "starlette",
    "uvicorn",
    "hypercorn",
    "gunicorn",
    "asyncio",
    "aiohttp",
    "httpx",
    "requests",
    "urllib3",
    "java",
    "javax",
    "com",
    "org",
    "io",
    "dev",
    "ai",
    "feature",
    "service",
    "container",
    "process",
];

/// Whether the name may be such a chain: `args.host`, `torch.nn.net`.
pub fn begins_as_code(name: &str) -> bool {
    name.split_once('.').is_some_and(|(first, _)| CODE.contains(&first.to_ascii_lowercase().as_str()))
}

/// Whether it is written like a name with its domain, and its end is one of a domain.
pub fn is_qualified(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    let even = |label: &&str| {
        let of = |letters: fn(&u8) -> bool| label.bytes().any(|b| letters(&b));
        let mixed = of(u8::is_ascii_uppercase) && of(u8::is_ascii_lowercase);
        !label.is_empty() && label.len() < 64 && !label.starts_with('-') && !label.ends_with('-') && !mixed
    };
    let [_, inner @ .., end] = labels.as_slice() else { return false };
    let domain = inner.last().unwrap_or(&labels[0]);
    name.len() < 254
        && labels.iter().all(even)
        && ENDS.contains(&end.to_ascii_lowercase().as_str())
        && domain.len() > 1
        && domain.as_bytes()[0].is_ascii_alphabetic()
        && !inner.iter().any(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

/// Where names with their domain stand.
pub fn each(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !part(bytes[at]) {
            at += 1;
            continue;
        }
        let (mut start, mut dots) = (at, 0);
        while at < bytes.len() && part(bytes[at]) {
            dots += usize::from(bytes[at] == b'.');
            at += 1;
        }
        // Few words have a dot inside.
        if dots == 0 || at - start < 4 {
            continue;
        }
        let end = start + text[start..at].trim_end_matches(['.', '-']).len();
        let domain = bytes[start] == b'.';
        start += usize::from(domain);
        if start < end && stands_alone(bytes, start, end, domain) && is_name(text, start, end, domain) {
            found.push(start..end);
        }
    }
    found
}

/// Whether what is around it leaves it a name of its own.
fn stands_alone(text: &[u8], start: usize, end: usize, domain: bool) -> bool {
    let before = start.checked_sub(1 + usize::from(domain)).map(|at| text[at]);
    let slash = before == Some(b'/') && start > 1 && text[start - 2] == b'/';
    let joined = |b: u8| b >= 0x80 || matches!(b, b'_' | b'\\' | b'$' | b'%' | b'~' | b'#' | b'+' | b'{');
    // `.acme.de`, `*.acme.de`: a list of domains.
    let listed = !domain || before.is_some_and(|b| matches!(b, b'*' | b',' | b'='));
    let after = text.get(end).copied();
    let more = |b: u8| b >= 0x80 || matches!(b, b'_' | b'(' | b'[' | b'=' | b'{' | b'*');
    !slash && listed && !before.is_some_and(joined) && !after.is_some_and(more)
}

fn is_name(text: &str, start: usize, end: usize, domain: bool) -> bool {
    let name = &text[start..end];
    if !is_qualified(name) || is_public(name) {
        return false;
    }
    let bytes = text.as_bytes();
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let of_code = CODE_ENDS.contains(&last.as_str());
    let rest = &bytes[end..];
    let digits = rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let colon = rest.first() == Some(&b':');
    // `acme.de:8000`, and not `main.rs:12:5`.
    let port = colon
        && (2..=5).contains(&digits)
        && !rest.get(1 + digits).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_')
        && !(rest.get(1 + digits) == Some(&b':') && rest.get(2 + digits).is_some_and(u8::is_ascii_digit));
    let inside = start > 0 && matches!(bytes[start - 1], b'/' | b'-');
    let path = rest.first() == Some(&b'/') && rest.get(1).is_some_and(u8::is_ascii_alphanumeric) && !inside;
    // `app.server.app:create`: an attribute of a module.
    let attribute = colon && rest.get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if begins_as_code(name) && (of_code || name.starts_with(|c: char| c.is_ascii_lowercase()) && !port && !path) {
        let public_end = !of_code && !matches!(name.split('.').next(), Some("com" | "org" | "java" | "javax"));
        return port && digits > 3 || path && !of_code || public_end && !attribute && name.matches('.').count() > 1;
    }
    match name.matches('.').count() {
        0 => false,
        1 => (port && !(of_code && digits < 4)) || path || domain && !of_code,
        _ => !(attribute && of_code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_their_domain_are_told_from_files_modules_and_versions() {
        for (text, name) in [
            ("Connected to gpu17.acme.de (", "gpu17.acme.de"),
            ("redis.acme.de:6379", "redis.acme.de"),
            ("acme.de:6379 is down", "acme.de"),
            ("pull registry.acme.de/team/image:tag", "registry.acme.de"),
            ("acme.io/team/image:tag", "acme.io"),
            ("open /etc/live/gpu.acme.de/fullchain.pem", "gpu.acme.de"),
            ("GPU17.ACME.DE is up", "GPU17.ACME.DE"),
            ("it is gpu17.acme.de.", "gpu17.acme.de"),
            ("asr.internal.acme.com: connection refused", "asr.internal.acme.com"),
            ("NO_PROXY=localhost,.acme.de", "acme.de"),
            ("app.acme.de is down", "app.acme.de"),
        ] {
            let found: Vec<&str> = each(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, [name], "{text}");
        }
        for text in [
            "model.onnx libcudart.so.12 whisper.de.onnx config.prod.yaml a.tar.gz",
            "torch.nn.functional torch.cuda.is_available transformers.models.whisper scipy.io:112",
            "tensorflow.python.lib.io org.apache.commons.io com.acme.ai self.model.net(x) args.host model.decoder.net",
            "apps.kubernetes.io nvidia.com/gpu app.kubernetes.io/name cloud.google.com/gke helm.sh/chart",
            "/encoder/layers.0/ff.net/MatMul layers.0.ff.net.0.proj h.0.mlp.net",
            "2.1.0.dev 0.4.1a0.dev torch-2.1.0.dev 12.4.5.8 v1.2.3 1.io",
            "main.py:12 server.app:57 acme.server.app:create main.rs:12:5 logging.info:12 e.g. foo",
            "docker.io/library/x nvcr.io/nvidia/x quay.io/x huggingface.co/x and/or foo.bar",
            "vllm.engine.async_llm_engine host.name=1 k8s.pod.name service.name",
        ] {
            let found: Vec<&str> = each(text).into_iter().map(|range| &text[range]).collect();
            assert!(found.is_empty(), "{found:?} in {text}");
        }
    }
}
