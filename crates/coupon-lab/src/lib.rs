//! Deployments under test: services started on data of their own, settled, audited, and stopped on every path.

pub mod acks;
mod child;
pub mod conditions;
mod deployment;
#[cfg(feature = "servers")]
mod drivers;
#[cfg(not(feature = "servers"))]
#[path = "without_drivers.rs"]
mod drivers;
pub mod growth;
mod interrupt;
mod names;
mod prepared;
mod process;
mod programs;
mod rabbitmq_version;
mod server_process;
mod servers;
pub mod settle;
pub mod wait;

pub use deployment::{Deployment, Setup};
pub use drivers::namespace_of;
pub use interrupt::{INTERRUPTED_CODE, end_load_on_interrupt, forget_folder, register_folder};
pub use interrupt::{stop_services_on_interrupt, wait_if_interrupted};
pub use names::all_different;
pub use prepared::{Prepared, seed_for, seed_of};
pub use process::{ServiceCommand, ServiceProcess};
pub use programs::{built, program};
pub use servers::{SharedServers, Used};
