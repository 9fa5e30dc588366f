//! Limits on one client's use of the service, so that others get their share.

mod connections;
mod users;

pub(crate) use connections::Connections;
pub use users::UserLimit;
