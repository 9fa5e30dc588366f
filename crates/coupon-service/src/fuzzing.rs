//! What a fuzzer may throw bytes at. Not for anybody else: it may change at any time.

/// A message of a shard's queue.
pub fn message(body: &[u8]) {
    crate::backend::servers::check_message(body);
}

/// The `cursor` of a list.
pub fn cursor(text: &str) {
    crate::http::check_cursor(text);
}
