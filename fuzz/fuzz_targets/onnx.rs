//! libFuzzer on the reader of onnx.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::probe::model::fuzzing::onnx(bytes));
