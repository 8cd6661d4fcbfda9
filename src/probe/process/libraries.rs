//! Which mapped files are libraries of GPU runtimes.

/// Begin (or, with a leading `*`, part) of a file's name, and the kind of library. The first that fits decides.
const KINDS: &[(&str, &str)] = &[
    ("libcuda.so", "cuda_driver"),
    ("libnvidia-ml.so", "nvml"),
    ("libcudart.so", "cudart"),
    ("libcudart-", "cudart"),
    ("libcudnn.so", "cudnn"),
    ("libcudnn_", "cudnn_part"),
    ("libcudnn-", "cudnn"),
    ("libcublasLt", "cublas_lt"),
    ("libcublas", "cublas"),
    ("libcufft", "cufft"),
    ("libcurand", "curand"),
    ("libnvrtc", "nvrtc"),
    ("libnccl", "nccl"),
    ("libnvidia-ptxjitcompiler", "ptx_jit"),
    ("libnvinfer_plugin", "tensorrt_plugin"),
    ("libnvinfer", "tensorrt"),
    ("libonnxruntime_providers_cuda", "onnxruntime_cuda_provider"),
    ("libonnxruntime_providers_tensorrt", "onnxruntime_tensorrt_provider"),
    ("libonnxruntime_providers_shared", "onnxruntime_shared_provider"),
    ("libonnxruntime.so", "onnxruntime"),
    ("libonnxruntime-", "onnxruntime"),
    ("onnxruntime_pybind11_state", "onnxruntime_python"),
    ("libtorch_cuda", "torch_cuda"),
    ("libtorch_cpu", "torch_cpu"),
    ("libc10_cuda", "torch_c10_cuda"),
    ("libctranslate2", "ctranslate2"),
    ("*xla_cuda", "jax_cuda"),
    ("libjax_common", "jaxlib"),
    ("xla_extension", "jaxlib"),
    ("libtensorflow", "tensorflow"),
    ("_pywrap_tensorflow", "tensorflow"),
    ("libggml-cuda", "ggml_cuda"),
    ("libggml-cpu", "ggml_cpu"),
    ("libllama", "llama"),
    ("libtritonserver", "triton_server"),
    ("libtriton.so", "triton"),
    ("libtriton_", "triton_backend"),
    ("libopenvino.so", "openvino"),
    ("libsherpa-onnx", "sherpa_onnx"),
    ("_sherpa_onnx", "sherpa_onnx"),
];

/// Suffix of a mapped path whose file was deleted or replaced (proc_pid_maps(5)).
const DELETED: &str = " (deleted)";

/// The path without the kernel's mark for a deleted file.
pub fn without_mark(path: &str) -> &str {
    path.strip_suffix(DELETED).unwrap_or(path)
}

/// Kind of the library at a path without mark; `None` for other files.
pub fn kind(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let fits = |begin: &str| match begin.strip_prefix('*') {
        Some(part) => name.contains(part),
        None => name.starts_with(begin),
    };
    // auditwheel puts libraries into `<package>.libs` as `libcudart-d0da41ae.so.11.8.89`, hence the kinds with a dash.
    name.contains(".so").then(|| KINDS.iter().find(|(begin, _)| fits(begin)).map(|(_, kind)| *kind)).flatten()
}

/// Whether the file is an embedded Python interpreter.
pub fn is_python(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("libpython3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolved_names_are_recognized() {
        for (name, expected) in [
            ("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01", "cuda_driver"),
            ("/v/site-packages/nvidia/cublas/lib/libcublasLt.so.12", "cublas_lt"),
            ("/v/site-packages/nvidia/cublas/lib/libcublas.so.12", "cublas"),
            ("/v/site-packages/nvidia/cudnn/lib/libcudnn.so.9", "cudnn"),
            ("/v/site-packages/nvidia/cudnn/lib/libcudnn_ops.so.9", "cudnn_part"),
            ("/v/site-packages/onnxruntime/capi/libonnxruntime.so.1.23.2", "onnxruntime"),
            ("/v/onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so", "onnxruntime_python"),
            ("/v/onnxruntime/capi/libonnxruntime_providers_shared.so", "onnxruntime_shared_provider"),
            ("/v/onnxruntime/capi/libonnxruntime_providers_cuda.so", "onnxruntime_cuda_provider"),
            ("/v/ctranslate2.libs/libctranslate2-bc15bf3f.so.4.5.0", "ctranslate2"),
            ("/v/torch/lib/libtorch_cuda.so", "torch_cuda"),
            ("/opt/tritonserver/lib/libtritonserver.so", "triton_server"),
        ] {
            assert_eq!(kind(name), Some(expected), "{name}");
        }
        assert_eq!(kind("/usr/lib/libc.so.6"), None);
        assert_eq!(kind("/data/libcuda.txt"), None);
        assert_eq!(kind(without_mark("/usr/lib/libcuda.so.535.1 (deleted)")), Some("cuda_driver"));
        assert_eq!(kind(""), None);
    }
}
