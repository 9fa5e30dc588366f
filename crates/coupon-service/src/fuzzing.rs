//! Entry points for a fuzzer, and for no other use: they may change at any time.

/// The `cursor` of a list.
pub fn cursor(text: &str) {
    crate::http::check_cursor(text);
}
