//! The load tester's command line: puts services under the same load, checks that they kept their promises, says what
//! it found.
//!
//! - [`coupon_loadgen`] decides *which* requests come *when*, sends them and measures the answers; [`measured`] makes
//!   rounds of them.
//! - [`coupon_lab`] starts the services to be compared, [`coupon_audit`] holds clients' answers against what is
//!   stored; [`compare`] lets the contestants take turns. [`replay`] reads traces that were recorded elsewhere,
//!   from whatever [`source`] they come.
//!   [`vertical`] compares two ways to read a coupon.
//! - [`serve`] shows contestants side by side while they are under load; [`explain`] says where a grab goes, and why.
//! - [`coupon_measure::stats`] decides whether a difference is one, [`coupon_report`] writes it down, [`simulate`]
//!   and [`mod@size`] need no service at all. [`advise`] says which strategy a trace calls for.
//! - [`cmd`] has a module for each subcommand. The benchmark and the fault matrix are programs of their own beside
//!   this one.

pub mod advise;
pub mod cli;
pub mod cmd;
pub mod compare;
pub mod explain;
mod heat;
pub mod measured;
pub mod replay;
pub mod serve;
pub mod simulate;
pub mod size;
pub mod source;
pub mod vertical;
