//! libFuzzer on the reader of safetensors.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::probe::model::fuzzing::safetensors(bytes));
