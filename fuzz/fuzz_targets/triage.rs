//! libFuzzer on what triage makes of a file of any form: archives, recognition, all readers, the join.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drop(gpu_doctor::probe::triage::read_bytes("file", bytes)));
