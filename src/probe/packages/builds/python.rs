//! Runtimes whose Python files tell how they were built.

use super::{Built, Package, binary};
use crate::snapshot::{Unknown, Why};

/// Bytes read of such a file.
const FILE_BYTES: usize = 64 << 10;

/// torch: `torch/version.py`, written by its setup, and the list of architectures in its Python library.
pub fn torch(package: &Package) -> Built {
    const VERSION: &str = "torch/version.py";
    let text = match package.tree.read(package.site.join(VERSION), FILE_BYTES) {
        Ok(text) => text,
        Err(unknown) => return by_local_version(package, &unknown),
    };
    let shown = package.shown(VERSION);
    let version = setting(&text, "__version__").flatten().unwrap_or_else(|| package.found.version.clone());
    let built = match (setting(&text, "cuda"), setting(&text, "hip").flatten()) {
        (Some(Some(cuda)), _) => {
            let because = format!("{shown}: __version__ = '{version}', cuda = '{cuda}'");
            Built { architectures: architectures(package), ..Built::with_cuda(Ok(cuda), because) }
        }
        (Some(None), Some(hip)) => {
            Built::without_cuda(format!("{shown}: __version__ = '{version}', cuda = None, hip = '{hip}'"))
        }
        (Some(None), None) => Built::without_cuda(format!("{shown}: __version__ = '{version}', cuda = None")),
        (None, _) => by_local_version(package, &Unknown::new(Why::Malformed, format!("{shown} does not set cuda"))),
    };
    Built { version: Some(version), ..built }
}

/// What the version's local part says (PEP 440): `2.6.0+cpu`, `2.6.0+cu124`.
fn by_local_version(package: &Package, otherwise: &Unknown) -> Built {
    let version = &package.found.version;
    let because = format!("the version of the distribution is {version}");
    match version.split_once('+').map(|(_, local)| local) {
        Some("cpu") => Built::without_cuda(because),
        Some(local) => match local.strip_prefix("cu").and_then(dotted) {
            Some(cuda) => Built::with_cuda(Ok(cuda), because),
            None => Built::untold(otherwise),
        },
        None => Built::untold(otherwise),
    }
}

/// `12.4` of `124`, `11.8` of `118`.
fn dotted(digits: &str) -> Option<String> {
    let digital = (2..=4).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let (major, minor) = digits.split_at_checked(2).filter(|_| digital)?;
    Some(if minor.is_empty() { major.to_owned() } else { format!("{major}.{minor}") })
}

/// The architectures that torch was built for. It holds them as one text, from which `torch.cuda.get_arch_list()` is made.
fn architectures(package: &Package) -> Result<Vec<String>, Unknown> {
    const LIBRARY: &str = "torch/lib/libtorch_python.so";
    let constants = binary::section(package.tree, &package.site.join(LIBRARY), ".rodata")?;
    let lists = constants.split(|byte| *byte == 0).filter(|text| text.starts_with(b"sm_"));
    let longest = lists.filter_map(architecture_list).max_by_key(Vec::len);
    longest.ok_or_else(|| {
        Unknown::new(Why::Absent, format!("{}: no list of architectures was found in it", package.shown(LIBRARY)))
    })
}

/// The words of a text such as `sm_80 sm_86 sm_90a compute_90`; `None` for any other text.
pub fn architecture_list(text: &[u8]) -> Option<Vec<String>> {
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split(' ').collect();
    let is_architecture = |word: &&str| {
        let number = word.strip_prefix("sm_").or_else(|| word.strip_prefix("compute_")).unwrap_or_default();
        let digits = number.trim_end_matches(|c: char| c.is_ascii_lowercase());
        (2..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    words.iter().all(is_architecture).then(|| words.into_iter().map(str::to_owned).collect())
}

/// tensorflow: the dictionary in `build_info.py`, written by its build.
pub fn tensorflow(package: &Package) -> Built {
    const INFO: &str = "tensorflow/python/platform/build_info.py";
    let text = match package.tree.read(package.site.join(INFO), FILE_BYTES) {
        Ok(text) => text,
        Err(unknown) => return Built::untold(&unknown),
    };
    let shown = package.shown(INFO);
    match entry(&text, "is_cuda_build") {
        Some("False") => Built::without_cuda(format!("{shown}: is_cuda_build is False")),
        Some("True") => {
            let version = entry(&text, "cuda_version").map(str::to_owned);
            let untold = || Unknown::new(Why::Absent, format!("{shown} names no cuda_version"));
            Built::with_cuda(version.ok_or_else(untold), format!("{shown}: is_cuda_build is True"))
        }
        _ => Built::untold(&Unknown::new(Why::Malformed, format!("{shown} does not set is_cuda_build"))),
    }
}

/// jaxlib: CUDA comes as a plugin of its own; before jax 0.4.20 or so in the local part of jaxlib's version.
pub fn jaxlib(package: &Package) -> Built {
    let plugin = |one: &&super::Found| one.name.starts_with("jax-cuda") && one.name.ends_with("-plugin");
    if let Some(plugin) = package.all.iter().find(plugin) {
        let major = plugin.name.trim_start_matches("jax-cuda").trim_end_matches("-plugin").to_owned();
        let because = format!("the plugin {} {} is installed", plugin.name, plugin.version);
        let untold = || Unknown::new(Why::Malformed, format!("{} names no CUDA version", plugin.name));
        let digital = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        return Built::with_cuda(digital.then_some(major).ok_or_else(untold), because);
    }
    match package.found.version.split_once("+cuda") {
        Some((_, local)) => {
            let digits: String = local.chars().take_while(char::is_ascii_digit).collect();
            let untold =
                || Unknown::new(Why::Malformed, format!("jaxlib {} names no CUDA version", package.found.version));
            let version = dotted(&digits).ok_or_else(untold);
            Built::with_cuda(version, format!("the version of the distribution is {}", package.found.version))
        }
        None => {
            let folder = package.tree.outside(package.site).display().to_string();
            Built::without_cuda(format!("no jax-cuda12-plugin or jax-cuda13-plugin is in {folder}"))
        }
    }
}

/// The value of `name = value` or `name: annotation = value` at the begin of a line, the last one: `Some(None)` for
/// Python's None.
pub fn setting(text: &str, name: &str) -> Option<Option<String>> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (before, value) = rest.split_once('=')?;
        let annotation = before.trim();
        (annotation.is_empty() || annotation.starts_with(':')).then_some(())?;
        let value = value.trim();
        let unquoted = ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        match unquoted {
            Some(unquoted) if !unquoted.is_empty() => Some(Some(unquoted.to_owned())),
            None if value == "None" => Some(None),
            _ => None,
        }
    };
    text.lines().filter_map(value).next_back()
}

/// The value of `'name': value` or `('name', value)` in a dictionary, without its quotes.
pub fn entry<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let after = [format!("'{name}'"), format!("\"{name}\"")].iter().find_map(|key| text.split_once(key.as_str()))?.1;
    let value = after.trim_start().strip_prefix([':', ','])?.trim_start();
    let value = value.split([',', ')', '}', '\n']).next()?.trim().trim_matches(['\'', '"']);
    (!value.is_empty()).then_some(value)
}
