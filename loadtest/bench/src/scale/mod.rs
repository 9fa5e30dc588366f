//! The growth of costs with the shards, with the tables that a result may lie in, and with the results.
//!
//! On files: a database server for every shard would measure how many processes two cores can keep apart, and ten
//! million rows are there in a minute. All services of a curve are up at once and have a turn in each round, so that
//! a machine that drifts does so for all points alike.
//!
//! - `service` starts one for a point of a curve, `single_user` asks it, `curve_points` collects what the rounds came to.
//! - `shards`, `tables` and `rows` are sections of the benchmark.

mod curve_points;
mod rows;
mod service;
mod shards;
mod single_user;
mod tables;

use super::section::Section;

/// The sections in the order in which they run.
pub(super) fn sections() -> Vec<Section> {
    vec![shards::SECTION, tables::SECTION, rows::SECTION]
}
