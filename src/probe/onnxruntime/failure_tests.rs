use super::*;
use proptest::prelude::*;

fn kind(error: &str) -> String {
    of(error, Around::default()).kind
}

#[test]
fn codes_of_cuda_are_told_with_their_call() {
    let error = "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1 ; hostname=- ; \
        file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=282 ; \
        expr=cudaSetDevice(info_.device_id);";
    let failure = of(error, Around::default());
    assert_eq!((failure.kind.as_str(), failure.code), ("driver_too_old", Fact::Known(35)));
    assert_eq!((failure.library.as_str(), failure.call.as_str()), ("CUDA", "cudaSetDevice(info_.device_id)"));
    assert_eq!(failure.says, "CUDA driver version is insufficient for CUDA runtime version");
    for driver in [("none", "no_driver"), ("stub", "stub_driver"), ("driver", "driver_too_old"), ("", "driver_too_old")]
    {
        assert_eq!(of(error, Around { cuda_driver: driver.0, ..Around::default() }).kind, driver.1);
    }
    for (code, expected) in [
        (2, "out_of_memory"),
        (46, "busy"),
        (100, "no_device"),
        (101, "invalid_device"),
        (209, "no_kernel_image"),
        (802, "not_ready"),
        (803, "driver_mismatch"),
        (804, "compat"),
        (999, "unknown_error"),
        (719, "cuda_error"),
    ] {
        let failure = of(&error.replace("35", &code.to_string()), Around::default());
        assert_eq!((failure.kind.as_str(), failure.code), (expected, Fact::Known(code)));
        assert!(!failure.fix.is_empty());
    }
}

#[test]
fn other_libraries_may_give_a_name_instead_of_a_code() {
    let words = "CUBLAS failure CUBLAS_STATUS_NOT_INITIALIZED: the library was not initialized ; GPU=0 ; hostname=- ; \
        file=x ; line=1 ; expr=cublasCreate(&cublas_handle_); ";
    let failure = of(words, Around::default());
    assert_eq!((failure.kind.as_str(), failure.library.as_str()), ("cublas", "CUBLAS"));
    assert!(failure.code.known().is_none() && failure.says.contains("CUBLAS_STATUS_NOT_INITIALIZED"));
    assert_eq!(kind(&words.replace("NOT_INITIALIZED", "ALLOC_FAILED")), "out_of_memory");
    let cudnn = of(
        "CUDNN failure 1001: CUDNN_STATUS_NOT_INITIALIZED ; GPU=0 ; hostname=- ; expr=cudnnCreate(&h);",
        Around::default(),
    );
    assert_eq!((cudnn.kind.as_str(), cudnn.code, cudnn.call.as_str()), ("cudnn", Fact::Known(1001), "cudnnCreate(&h)"));
}

#[test]
fn what_could_not_be_opened_is_told_by_its_name() {
    let error = |file: &str, what: &str| {
        format!("Failed to load library /s/capi/libonnxruntime_providers_cuda.so with error: {file}: {what}")
    };
    let absent = "cannot open shared object file: No such file or directory";
    for (file, expected) in [
        ("libcublasLt.so.12", "library_missing"),
        ("libcudnn.so.9", "cudnn_missing"),
        ("libcuda.so.1", "no_driver"),
        ("/s/capi/libonnxruntime_providers_cuda.so", "provider_missing"),
        ("libonnxruntime_providers_shared.so", "providers_shared_missing"),
    ] {
        assert_eq!(kind(&error(file, absent)), expected, "{file}");
    }
    assert_eq!(kind(&error("/usr/lib/libcufft.so.11", "file too short")), "library_invalid");
    assert_eq!(
        kind(&error("/usr/lib/libcudnn_graph.so.9", "undefined symbol: cudnnX, version libcudnn_graph.so.9")),
        "symbol_missing"
    );
    let other = ["libcublasLt.so.11".to_string(), "libcublas.so.12".into()];
    let around = Around { other_majors: &other, ..Around::default() };
    assert_eq!(of(&error("libcublasLt.so.12", absent), around).kind, "wrong_major");
    assert_eq!(of(&error("libcublas.so.12", absent), around).kind, "library_missing");
    let shared = format!(
        "Failed to load library libonnxruntime_providers_shared.so with error: libonnxruntime_providers_shared.so: {absent}"
    );
    assert_eq!(kind(&shared), "providers_shared_missing");
}

#[test]
fn the_rest_is_told_by_its_words() {
    assert_eq!(kind(""), "none");
    assert_eq!(kind("CUDA execution provider is not enabled in this build."), "cpu_build");
    let python = "UserWarning: Specified provider 'CUDAExecutionProvider' is not in available provider names.Available";
    assert_eq!(kind(python), "cpu_build");
    let unavailable = "cuDNN is unavailable or disabled for CUDA Execution Provider: dlopen failed for libcudnn.so";
    assert_eq!(kind(unavailable), "cudnn_missing");
    assert_eq!(kind("Failed to allocate memory for requested buffer of size 1048576"), "out_of_memory");
    assert_eq!(kind("Available memory of 0 is smaller than requested bytes of 256"), "out_of_memory");
    assert_eq!(kind("something new"), "other");
    assert_eq!(crash("segmentation fault in registration").kind, "crash_at_load");
}

proptest! {
    #[test]
    fn any_words_are_survived(words in "(CUDA|CUBLAS|X) failure .{0,200}", file in "\\PC{0,60}") {
        let found = of(&words, Around::default());
        prop_assert!(!found.kind.is_empty() && found.says.len() <= TEXT_LIMIT_BYTES);
        let _ = of(&format!("Failed to load library {file} with error: {file}: {words}"), Around::default());
    }
}
