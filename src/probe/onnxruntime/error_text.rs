//! onnxruntime's error texts without what tells nothing about the cause: C++ signatures and the machine's name.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// Longest text that is kept, bytes.
const TEXT_LIMIT_BYTES: usize = 4096;

/// `CUDA failure 35: ... ; GPU=-1 ; hostname=... ; file=... ; line=282 ; expr=...;`, behind the signature of `CudaCall`.
static FAILURE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)\b(?:CUDA|CUBLAS|CUDNN|CUFFT|CURAND) failure \S.*"));
/// `/onnxruntime_src/.../provider_bridge_ort.cc:1844 onnxruntime::Provider& ...::Get() [ONNXRuntimeError] : 1 : FAIL : `.
static PLACE: LazyLock<Regex> = LazyLock::new(|| regex(r"^/\S+:\d+ [^\n]*?\[ONNXRuntimeError\] : \d+ : \w+ : "));
static HOSTNAME: LazyLock<Regex> = LazyLock::new(|| regex(r"\bhostname=\S+"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a constant pattern")
}

/// The words that name the cause. Texts of another form stay as they are.
pub fn cause(text: &str) -> String {
    let text = text.trim();
    let text = FAILURE.find(text).map_or(text, |found| found.as_str());
    let text = PLACE.replace(text, "");
    let text = HOSTNAME.replace_all(&text, |_: &Captures<'_>| "hostname=-");
    text[..text.floor_char_boundary(TEXT_LIMIT_BYTES)].trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_and_the_machine_s_name_are_left_out() {
        let driver = "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 std::conditional_t<THRW, void, \
            onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError] CUDA \
            failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=db7.example ; \
            file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=282 ; \
            expr=cudaSetDevice(info_.device_id); \n";
        assert_eq!(
            cause(driver),
            "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=- ; \
             file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=282 ; \
             expr=cudaSetDevice(info_.device_id);"
        );
        let library = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1844 onnxruntime::Provider& \
            onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library \
            libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared object file";
        assert_eq!(
            cause(library),
            "Failed to load library libonnxruntime_providers_cuda.so with error: libcublasLt.so.12: cannot open shared \
             object file"
        );
    }

    #[test]
    fn other_texts_stay() {
        let text = "CUDA execution provider is not enabled in this build.";
        assert_eq!(cause(text), text);
        assert_eq!(cause(&"é".repeat(5000)).len(), 4096);
    }
}
