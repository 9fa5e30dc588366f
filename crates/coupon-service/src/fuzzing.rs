//! What a fuzzer may throw bytes at. Not for anybody else: it may change at any time.

/// The `cursor` of a list.
pub fn cursor(text: &str) {
    crate::http::check_cursor(text);
}
