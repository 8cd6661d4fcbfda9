//! What the container lacks, hides or forbids.

use super::Basis;
use crate::snapshot::{ContainerLibrary, Fact, Facts, ServerProcess, Unknown, Why, room};

room! {
    /// What the container comes to.
    pub struct Container {
        /// Whether what listens is a program that only hands requests on: nginx, Envoy, HAProxy.
        pub server_is_proxy: bool,
        /// Whether the driver's nodes in the container may not be opened by its processes.
        pub gpu_nodes_forbidden: bool,
        /// Whether the container has libnvidia-ml and no libcuda.
        pub container_lacks_libcuda: bool,
        /// Whether NVIDIA_DRIVER_CAPABILITIES is set and lets no CUDA into the container.
        pub capabilities_lack_compute: bool,
        /// The image's own driver library that hides the one put into the container, which is the kernel driver's; empty if none.
        pub image_driver_library: String,
        /// What speaks for too small a `/dev/shm`: `said` (the server's log), `full`, `needed` (64 MiB, and a program that is
        /// known to need more) or `none`.
        pub shm_shortage: String,
        /// Share of the periods in which the CPU limit stopped the server, percent; 0 without a limit.
        pub cpu_throttled_percent: f64,
        /// When those periods were: while requests ran, or since the control group was made.
        pub cpu_throttled_when: String,
    }
}

impl Container {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let throttling = throttling(facts);
        Self {
            server_is_proxy: Fact::Known(server_is_proxy(facts)),
            gpu_nodes_forbidden: gpu_nodes_forbidden(facts).into(),
            container_lacks_libcuda: lacks_libcuda(facts).into(),
            capabilities_lack_compute: capabilities_lack_compute(facts),
            image_driver_library: image_driver_library(facts).into(),
            shm_shortage: shm_shortage(facts).map(str::to_owned).into(),
            cpu_throttled_percent: throttling.as_ref().map(|(share, _)| *share).map_err(Unknown::clone).into(),
            cpu_throttled_when: throttling.map(|(_, when)| when.to_owned()).into(),
        }
    }
}

/// Programs that hand requests on to another server.
const PROXIES: &[&str] = &["nginx", "envoy", "haproxy", "traefik", "caddy", "httpd", "apache2"];
/// Docker's and Kubernetes' default size of `/dev/shm`, bytes.
const SHM_DEFAULT_BYTES: u64 = 64 << 20;
/// From here on `/dev/shm` is not what a log complains of, bytes.
const SHM_AMPLE_BYTES: u64 = 1 << 30;
/// Use of `/dev/shm` from which on it counts as full, percent.
const SHM_FULL_PERCENT: u64 = 80;
/// Periods (of 100 ms, as a rule) from which on their share tells something: in the window, and since the start, where
/// the loading of the model, which uses every core, must not decide.
const WINDOW_PERIODS: u64 = 5;
const TOTAL_PERIODS: u64 = 600;
/// Options for the number of processes that share one model.
const PARALLEL: &[&str] =
    &["--tensor-parallel-size", "-tp", "--tp", "--tp-size", "--pipeline-parallel-size", "-pp", "--num-shard"];

/// Whether what listens only hands requests on, so that the model runs elsewhere.
fn server_is_proxy(facts: &Facts) -> bool {
    let name =
        |text: &String| text.split_whitespace().next().and_then(|word| word.rsplit('/').next()).map(str::to_owned);
    let proxy = |process: &ServerProcess| {
        let names = [process.executable.known().and_then(name), process.command.known().and_then(name)];
        names.into_iter().flatten().any(|name| PROXIES.contains(&name.trim_end_matches(':')))
    };
    facts.process.processes.known().and_then(|processes| processes.first()).is_some_and(proxy)
}

/// Whether the container's device rules keep its processes from opening the driver's nodes that are in it.
///
/// Rules of version 1 can be read; those of version 2 meet only who is inside, so from outside nothing is asked.
fn gpu_nodes_forbidden(facts: &Facts) -> Result<bool, Unknown> {
    let container = &facts.container;
    if let (Some(rules), Some([_, ..])) =
        (container.device_rules.known(), container.device_nodes.known().map(Vec::as_slice))
    {
        return Ok(!rules.iter().any(|rule| allows_nvidia(rule)));
    }
    if container.device_nodes.known().is_some_and(Vec::is_empty) {
        return Ok(false);
    }
    if container.doctor_inside.known() != Some(&true) {
        let detail = "whether a container may open its nodes shows inside it only: run gpu-doctor there (docker exec)";
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let (opens, control) = (&facts.device_nodes.opens, &facts.nvml.control_node_open);
    let refused = opens.known().is_some_and(|opens| {
        opens.iter().any(|open| open.path.starts_with("/dev/nvidia") && open.result.known().is_some_and(is_eperm))
    });
    if refused || control.known().is_some_and(is_eperm) {
        return Ok(true);
    }
    // One of the two witnesses is enough: the control node is refused together with the others.
    control.read().map(|_| false).or_else(|unknown| opens.read().map(|_| false).map_err(|_| unknown))
}

fn is_eperm(result: &String) -> bool {
    result == "EPERM"
}

/// Whether a rule of `devices.list` lets the driver's character devices (major number 195) be opened.
fn allows_nvidia(rule: &str) -> bool {
    let mut words = rule.split_whitespace();
    let mut word = || words.next().unwrap_or_default();
    let (kind, numbers, access) = (word(), word(), word());
    // `m` is to make nodes, which every container may; it opens none.
    let opens = access.contains('r') && access.contains('w');
    opens && (kind == "a" || (kind == "c" && (numbers.starts_with("195:") || numbers.starts_with("*:"))))
}

/// Whether libnvidia-ml is in the container and libcuda is not: then nvidia-smi works, and no CUDA program does.
fn lacks_libcuda(facts: &Facts) -> Result<bool, Unknown> {
    if facts.process.gpu_libraries.known().is_some_and(|libraries| libraries.contains_key("cuda_driver")) {
        return Ok(false);
    }
    let libraries = facts.container.driver_libraries.read()?;
    let has = |soname: &str| libraries.iter().any(|library| library.soname == soname && library.size_bytes > 0);
    Ok(has("libnvidia-ml.so.1") && !has("libcuda.so.1"))
}

/// Whether the variable names capabilities and neither `compute` nor `all`. Empty stands for the default, which has it.
fn capabilities_lack_compute(facts: &Facts) -> Fact<bool> {
    facts.container.runtime_variables.as_ref().map(|variables| {
        variables.get("NVIDIA_DRIVER_CAPABILITIES").is_some_and(|value| {
            let mut words = value.split(',').map(str::trim);
            !value.trim().is_empty() && !words.any(|word| word == "compute" || word == "all")
        })
    })
}

/// The image's library that the linker comes to before the one that was put into the container. Those of CUDA's forward
/// compatibility, and the toolkit's stubs, are causes of their own.
fn image_driver_library(facts: &Facts) -> Result<String, Unknown> {
    let libraries = facts.container.driver_libraries.read()?;
    let apart = |library: &ContainerLibrary| library.path.contains("/compat/") || library.path.contains("/stubs/");
    for first in libraries.iter().filter(|library| library.first && !apart(library)) {
        let Some(version) = first.version.known() else { continue };
        let others = libraries.iter().filter(|other| other.soname == first.soname && other.version.known().is_some());
        let mut others = others.filter(|other| other.version.known() != Some(version)).peekable();
        if others.peek().is_none() || *first.injected.read()? {
            continue;
        }
        // Where the kernel's version cannot be read, what the engine put there stands for it.
        let kernel = facts.host.driver_version.known();
        let is_kernels = |library: &ContainerLibrary| kernel.is_none() || library.version.known() == kernel;
        if kernel != Some(version) && others.any(|other| other.injected.known() == Some(&true) && is_kernels(other)) {
            return Ok(first.path.clone());
        }
    }
    Ok(String::new())
}

/// What speaks for too small a `/dev/shm`.
fn shm_shortage(facts: &Facts) -> Result<&'static str, Unknown> {
    let size = &facts.container.shm_size_bytes;
    let sayings = facts.server_log.sayings.known();
    let said = sayings.is_some_and(|sayings| sayings.iter().any(|saying| saying.id == "shm-too-small"));
    if said {
        // A larger one since then has cured what an old line says.
        return Ok(if size.known() >= Some(&SHM_AMPLE_BYTES) { "none" } else { "said" });
    }
    if let (Some(size), Some(used)) = (size.known(), facts.container.shm_used_bytes.known())
        && size <= &SHM_DEFAULT_BYTES
        && used.saturating_mul(100) >= size.saturating_mul(SHM_FULL_PERCENT)
    {
        return Ok("full");
    }
    let Some(size) = size.known() else {
        let detail = "whether /dev/shm is too small for the server is judged only where its size can be read";
        return Err(Unknown::new(Why::NotAsked, detail));
    };
    if size > &SHM_DEFAULT_BYTES {
        return Ok("none");
    }
    let needs = |process: &ServerProcess| process.command.known().is_some_and(|command| needs_shm(command));
    if facts.process.processes.known().is_some_and(|processes| processes.iter().any(needs)) {
        return Ok("needed");
    }
    match facts.server_log.sayings.reason() {
        // A log that was to be read and could not be.
        Some(unknown) if unknown.why != Why::NotAsked => Err(unknown.clone()),
        _ => Ok("none"),
    }
}

/// Whether a command is a Triton model in Python, or a model over several GPUs: both talk through shared memory.
fn needs_shm(command: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let over_several = words.iter().enumerate().any(|(at, word)| {
        let (option, value) = word.split_once('=').unwrap_or((word, words.get(at + 1).copied().unwrap_or_default()));
        PARALLEL.contains(&option) && value.parse::<u64>().is_ok_and(|number| number > 1)
    });
    over_several || words.first().is_some_and(|program| program.ends_with("triton_python_backend_stub"))
}

/// The share of throttled periods in percent, and when they were.
///
/// Where the control groups do not show at all, nothing is asked: a warning that cannot be judged casts no doubt.
fn throttling(facts: &Facts) -> Result<(f64, &'static str), Unknown> {
    let (container, execution) = (&facts.container, &facts.execution);
    let limited = container.cpu_limited.read().map_err(|unknown| Unknown::new(Why::NotAsked, unknown.detail))?;
    if !limited {
        return Ok((0.0, "without a CPU limit"));
    }
    let share = |throttled: u64, periods: u64| 100.0 * throttled as f64 / periods as f64;
    if let (Some(periods), Some(throttled)) = (execution.cpu_periods.known(), execution.cpu_throttled_periods.known())
        && *periods >= WINDOW_PERIODS
    {
        return Ok((share(*throttled, *periods), "while requests ran"));
    }
    let (periods, throttled) = (*container.cpu_periods.read()?, *container.cpu_throttled_periods.read()?);
    if periods < TOTAL_PERIODS {
        let detail = format!("the CPU limit has counted {periods} periods so far, too few to judge by");
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    Ok((share(throttled, periods), "since the control group was made"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_that_share_memory_are_told_from_others() {
        for command in [
            "vllm serve m --tensor-parallel-size 2",
            "vllm serve m -tp=8",
            "python -m sglang.launch_server --tp 4",
            "/opt/tritonserver/backends/python/triton_python_backend_stub /models/m/1/model.py triton_python_backend_shm_region_1",
        ] {
            assert!(needs_shm(command), "{command}");
        }
        for command in [
            "uvicorn app:app --workers 4",
            "vllm serve m --tensor-parallel-size 1",
            "vllm serve m --tensor-parallel-size",
            "vllm serve m -tp=many",
            "cat triton_python_backend_stub",
            "",
        ] {
            assert!(!needs_shm(command), "{command}");
        }
    }

    #[test]
    fn device_rules_are_read_as_the_kernel_writes_them() {
        for rule in ["a *:* rwm", "c 195:* rw", "c 195:255 rwm", "c *:* rwm"] {
            assert!(allows_nvidia(rule), "{rule}");
        }
        for rule in ["c 1:3 rwm", "b 195:* rw", "c 1950:* rw", "c", ""] {
            assert!(!allows_nvidia(rule), "{rule}");
        }
        // Every container may make nodes; that is not to open them.
        assert!(!allows_nvidia("c *:* m"));
    }

    proptest! {
        #[test]
        fn any_words_are_judged(command in "(.|\n){0,200}", rule in "[a-c]? ?[0-9*:]{0,9} ?[rwm]{0,3}") {
            let _ = needs_shm(&command);
            prop_assert!(!allows_nvidia(&rule) || rule.contains('a') || rule.contains('c'));
        }
    }
}
