//! A thin HTTP/1.1 client: a load generator's own cost is part of every figure measured on one machine.

mod admin;
mod answer;
mod request;
mod response;
mod target;

pub use admin::{ask, get_json, get_ok, get_status, post_json, read_some};
pub(crate) use answer::{GrabAnswer, is_partial, plan_of};
pub(crate) use request::RequestWriter;
pub(crate) use response::ResponseReader;
pub use target::Target;
