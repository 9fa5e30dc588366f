//! The same over the databases of servers.

mod archive;
mod copy;
mod databases;
mod gates;
mod rebuild;
mod room_index;
mod seed;
mod verify;

pub use archive::archive_servers;
pub(crate) use copy::{into_servers, of_servers};
pub use coupon_audit::Differences;
pub use coupon_servers::rebuild::Rebuilt;
pub use gates::{RefilledGates, change_gates};
pub use rebuild::rebuild_servers;
pub(crate) use room_index::{build, drop_index};
pub use seed::seed_servers;
pub use verify::{audited, verify_servers};
