//! Copies of data sets into others, judged by the auditor, and by a service that goes on selling from the copy.

mod cut_short;
mod refused;
pub(crate) mod sale;
pub(crate) mod site;
mod whole;
