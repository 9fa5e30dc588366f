//! The live page and the operators' page as people see them: in a real browser, on real services.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod browser;
mod operators;
mod page;
mod server;
