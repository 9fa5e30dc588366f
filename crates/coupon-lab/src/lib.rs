//! The services to be compared: started on data of their own, stopped on every path.

pub mod acks;
pub mod conditions;
mod interrupt;
mod launch;
mod names;
mod process;
mod rabbitmq_version;
mod reads;
mod running;
mod server_process;
mod servers;

pub use interrupt::{INTERRUPTED_CODE, end_load_on_interrupt, forget_folder, register_folder};
pub use interrupt::{stop_services_on_interrupt, wait_if_interrupted};
pub use names::all_different;
pub use process::Service;
pub use process::program;
pub use reads::reads;
pub use running::{Running, Setup};
pub use servers::data_of;
pub use servers::{Site, Used};
