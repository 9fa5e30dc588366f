//! Stands in for the reader of databases in a program that was built for files alone: it is refused, by name.

use anyhow::{Result, bail};
use coupon_store::BuiltWithout;

/// The address of a table in the user's database, which cannot be read here.
#[derive(Debug)]
pub enum Address {}

impl Address {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn new(_: &str, _: Option<String>) -> Result<Self> {
        bail!(BuiltWithout::SERVERS)
    }
}
