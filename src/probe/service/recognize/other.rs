//! Servers that serve no model: the port next to the right one.

use super::family::{Recognized, Signs, Suspicion, likely_or};
use super::questions::{Questions, text};

/// Possible of whatever has no schema.
pub fn suspected(signs: &Signs) -> Suspicion {
    likely_or(signs.header("server").starts_with("TornadoServer"), signs.undescribed())
}

/// Looks at headers, at the page in front, and last for metrics.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let of = |kind, by: String| Some(Recognized { kind, by, lack: Some(lack(kind).into()), ..Recognized::default() });
    let front = questions.ok("/").map(|reply| text(&reply)).unwrap_or_default();
    let tornado = signs.header("server").starts_with("TornadoServer");
    if tornado && (front.contains("Jupyter") || signs.says("Jupyter")) {
        return of("jupyter", "header server: TornadoServer, and a page of Jupyter".into());
    }
    if tornado && front.contains("Streamlit") {
        return of("streamlit", "GET /: a page of Streamlit".into());
    }
    let pages: &[(&str, &[&str])] = &[
        ("prometheus", &["<title>Prometheus Time Series"]),
        ("grafana", &["<title>Grafana</title>"]),
        ("ray-dashboard", &["<title>Ray Dashboard</title>"]),
        ("tensorboard", &["<title>TensorBoard</title>"]),
        ("mlflow", &["<title>MLflow</title>"]),
        ("nginx-page", &["<title>Welcome to nginx!</title>"]),
        ("dcgm-exporter", &["GPU Exporter", "DCGM"]),
    ];
    for (kind, marks) in pages {
        if let Some(mark) = marks.iter().find(|mark| front.contains(**mark)) {
            return of(kind, format!("GET /: {mark}"));
        }
    }
    let metrics = questions.ok("/metrics").map(|reply| text(&reply))?;
    let starts = |start: &str| metrics.lines().any(|line| line.starts_with(start));
    // A server of models has such a page beside other paths, which were asked for before.
    let kind = match () {
        () if starts("nv_inference_") || starts("nv_cpu_") || starts("nv_gpu_") || starts("nv_pinned_") => {
            "triton-metrics"
        }
        () if starts("DCGM_FI_") => "dcgm-exporter",
        () if starts("node_cpu_seconds_total") => "node-exporter",
        () if starts("ray_node_") || starts("ray_serve_") => "ray-metrics",
        () if starts("ts_inference_") => "torchserve-metrics",
        () => return None,
    };
    let line = metrics.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    of(kind, format!("GET /metrics: {}", line.chars().take(80).collect::<String>()))
}

/// Why there is nothing to try.
fn lack(kind: &str) -> &'static str {
    match kind {
        "triton-metrics" | "ray-metrics" | "torchserve-metrics" => "it is a port of metrics, and takes no requests",
        _ => "it serves no model",
    }
}
