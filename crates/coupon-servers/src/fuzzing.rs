//! The functions that a fuzzer calls. For no other use: they may change at any time.

/// A message of a shard's queue.
pub fn message(body: &[u8]) {
    crate::broker::check(body);
}
