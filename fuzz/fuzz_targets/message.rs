//! Messages of a shard's queue.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| coupon_servers::fuzzing::message(body));
