//! libFuzzer on what is made of an OpenAPI document: the request to each operation.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::probe::service::requests::of_bytes(bytes));
