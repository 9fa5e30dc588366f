//! The live page as people see it: in a real browser, on real services.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod browser;
mod page;
mod server;
