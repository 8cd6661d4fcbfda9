//! libFuzzer on redaction: any document or log, which is redacted once and twice.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::redact::fuzzing::of_bytes(bytes));
