//! libFuzzer on the reader of gguf.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::probe::model::fuzzing::gguf(bytes));
