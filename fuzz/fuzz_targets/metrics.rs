//! libFuzzer on the reader of metrics pages and what counters gain from one to the next.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gpu_doctor::probe::metrics::of_bytes(bytes));
