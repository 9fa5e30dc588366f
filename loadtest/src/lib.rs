//! The load tester: puts services under the same load, checks that they kept their promises, says what it found.
//!
//! - [`coupon_loadgen`] decides *which* requests come *when*, sends them and measures the answers.
//! - [`coupon_lab`] starts the services to be compared, [`coupon_audit`] holds what clients were told against what is stored;
//!   [`compare`] lets them take turns. [`replay`] reads traces that somebody else recorded. [`mod@bench`] holds one service against what the machine allows, [`vertical`] compares two
//!   ways to read a coupon.
//! - [`serve`] shows contestants side by side while they are under load; [`explain`] says where a grab goes, and why.
//! - [`faults`] breaks servers and services under load, and audits what is left.
//! - [`coupon_measure::stats`] decides whether a difference is one, [`coupon_report`] writes it down, [`simulate`] needs no service at all. [`advise`] says
//!   which strategy a trace calls for.
//! - [`cmd`] has a module for each subcommand.

pub mod advise;
pub mod bench;
pub mod cli;
pub mod cmd;
pub mod compare;
pub mod explain;
pub mod faults;
pub mod measured;
pub mod replay;
pub mod serve;
pub mod simulate;
pub mod vertical;
