//! Cursors of lists.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| coupon_service::fuzzing::cursor(text));
