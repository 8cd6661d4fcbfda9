//! NVML's return codes, which nvml-wrapper hands on under many names.

use crate::snapshot::{Unknown, Why};
use nvml_wrapper::error::NvmlError;

/// The numeric code of an error, or `None` if the wrapper made it, and the error in words.
pub fn code_and_text(error: NvmlError) -> (Option<i64>, String) {
    if of_the_wrapper(&error) {
        return (None, error.to_string());
    }
    // Among them codes that are newer than the wrapper's list, which it calls UnexpectedVariant.
    let code = u32::from(error);
    (Some(i64::from(code)), text(code))
}

/// Whether the wrapper made the error, so that it has no code.
fn of_the_wrapper(error: &NvmlError) -> bool {
    use NvmlError as E;
    matches!(
        error,
        E::LibloadingError(_)
            | E::FailedToLoadSymbol(_)
            | E::Utf8Error(_)
            | E::NulError(_)
            | E::StringTooLong { .. }
            | E::IncorrectBits(_)
            | E::SetReleaseFailed
            | E::GetPciInfoFailed
            | E::PciInfoToCFailed
    )
}

/// The code of an error that speaks of the whole GPU, whatever was asked: 15 it is lost, 16 it requires a reset.
pub fn of_the_whole_gpu(error: &NvmlError) -> Option<i64> {
    match error {
        NvmlError::GpuLost => Some(15),
        NvmlError::ResetRequired => Some(16),
        _ => None,
    }
}

/// An unknown fact, because the call in `place` failed.
pub fn unknown(error: NvmlError, place: &str) -> Unknown {
    with_code(error, place).0
}

/// The same with the error's code, if it has one.
pub fn with_code(error: NvmlError, place: &str) -> (Unknown, Option<i64>) {
    let missing_symbol = matches!(error, NvmlError::FailedToLoadSymbol(_));
    match code_and_text(error) {
        (Some(code), text) => (Unknown::new(why(code), format!("{place}: {text} (NVML {code})")), Some(code)),
        (None, text) if missing_symbol => (Unknown::new(Why::Unsupported, format!("{place}: {text}")), None),
        (None, text) => (Unknown::new(Why::Malformed, format!("{place}: {text}")), None),
    }
}

/// The kind of obstacle that a code stands for.
pub fn why(code: i64) -> Why {
    match code {
        4 => Why::Denied,
        6 | 9 | 12 | 15 | 28 => Why::Absent,
        10 => Why::TimedOut,
        _ => Why::Unsupported,
    }
}

/// What a code means (nvml.h, nvmlReturn_t), in a few words.
fn text(code: u32) -> String {
    let text = match code {
        1 => "NVML is not initialized",
        2 => "invalid argument",
        3 => "not supported by this GPU",
        4 => "insufficient permissions",
        5 => "already initialized",
        6 => "not found",
        7 => "insufficient size",
        8 => "external power cables are not attached",
        9 => "the driver is not loaded",
        10 => "timeout",
        11 => "interrupt problem",
        12 => "a library that NVML needs is not found",
        13 => "this driver lacks the function",
        14 => "the infoROM is corrupt",
        15 => "the GPU is lost: it fell off the bus",
        16 => "the GPU requires a reset",
        17 => "GPU access blocked by the operating system",
        18 => "driver/library version mismatch",
        19 => "the GPU is in use",
        20 => "insufficient memory",
        21 => "no data",
        22 => "not available with ECC enabled",
        23 => "insufficient resources",
        24 => "frequency not supported",
        25 => "argument version mismatch",
        26 => "deprecated function",
        27 => "not ready",
        28 => "GPU not found",
        29 => "invalid state",
        30 => "reset type not supported",
        999 => "unknown error",
        _ => return format!("return code {code}"),
    };
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvml_wrapper::error::Bits;

    #[test]
    fn every_code_survives_the_wrapper() {
        for code in (1..=30).chain([999]) {
            let (back, text) = code_and_text(NvmlError::from(code));
            assert_eq!(back, Some(i64::from(code)), "{text}");
            assert!(!text.contains("return code"), "{code} has no text");
        }
    }

    #[test]
    fn what_the_wrapper_made_has_no_code() {
        assert_eq!(code_and_text(NvmlError::IncorrectBits(Bits::U32(32))).0, None);
        let error = NvmlError::FailedToLoadSymbol("undefined symbol: nvmlDeviceGetMemoryInfo_v2".into());
        let unknown = unknown(error, "nvmlDeviceGetMemoryInfo_v2 of GPU 0");
        assert_eq!(unknown.why, Why::Unsupported);
        assert!(unknown.detail.contains("undefined symbol"), "{unknown}");
    }
}
