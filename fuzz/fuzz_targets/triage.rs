//! libFuzzer on the readers of files for triage.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    gpu_doctor::probe::triage::read_bytes("file", bytes);
});
