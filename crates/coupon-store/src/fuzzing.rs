//! What a fuzzer may throw bytes at. Not for anybody else: it may change at any time.

/// A message of a shard's queue.
pub fn message(body: &[u8]) {
    crate::servers::check_message(body);
}
