//! Stands in for data sets on servers in a program that was built for files alone: each command refuses, by name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use coupon_audit::Data;
use coupon_core::catalogue_change::Operator;
use coupon_core::{CouponResult, Day, Placement, ShardingStrategy, Timestamp};
use coupon_store::BuiltWithout;
use coupon_store::carried::{CarriedRow, CarriedTable};
use coupon_store::clock::Clock;
use coupon_store::settings::ServersSettings;

use crate::archive::ArchiveReport;
use crate::copy::ends::{Indexed, Opening, Origin, Source, Target};
use crate::{Progress, SeedOptions, SeedReport};

/// The differences between a gate and its shards: there never are any.
#[derive(Debug)]
pub struct Differences(Infallible);

/// The changes that main had forgotten: there never are any.
#[derive(Debug)]
pub struct Rebuilt(Infallible);

/// What a change of the gates came to: there never is one.
#[derive(Debug)]
pub struct RefilledGates(Infallible);

/// Refuses.
///
/// # Errors
/// Always.
pub fn seed_servers(
    _: &ServersSettings,
    _: &dyn ShardingStrategy,
    _: &SeedOptions,
    _: bool,
    _: &mut dyn Progress,
) -> Result<SeedReport> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(crate) fn build(_: &ServersSettings, _: Option<&str>, _: &mut dyn FnMut(u64, u64)) -> Result<()> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(crate) fn drop_index(_: &ServersSettings, _: Option<&str>) -> Result<()> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn archive_servers(
    _: &ServersSettings,
    _: Option<&str>,
    _: Day,
    _: &Operator,
    _: Timestamp,
    _: &mut dyn Progress,
) -> Result<ArchiveReport> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn verify_servers(_: &ServersSettings, _: Option<&str>, _: Timestamp) -> Result<Differences> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn rebuild_servers(_: &ServersSettings, _: Option<&str>, _: bool, _: Timestamp) -> Result<Rebuilt> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn change_gates(
    _: &ServersSettings,
    _: Option<&str>,
    _: &dyn Fn(&str) -> Result<Arc<dyn ShardingStrategy>>,
    _: &Clock,
) -> Result<RefilledGates> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn audited(_: &ServersSettings, _: &str) -> Result<Data> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(crate) fn of_servers(_: &ServersSettings, _: Option<&str>) -> Result<Origin> {
    bail!(BuiltWithout::SERVERS)
}

/// Refuses.
pub(crate) fn into_servers(
    _: &ServersSettings,
    _: &dyn ShardingStrategy,
    _: &Origin,
    _: bool,
) -> Result<Nothing> {
    bail!(BuiltWithout::SERVERS)
}

/// The databases that become a copy: there never are any.
pub(crate) struct Nothing(Infallible);

impl Target for Nothing {
    type Indexed = Self;

    fn place(&self) -> String {
        match self.0 {}
    }

    fn notes(&mut self) -> Result<BTreeMap<String, String>> {
        match self.0 {}
    }

    fn carried(&mut self, _: &CarriedTable, _: &[CarriedRow]) -> Result<()> {
        match self.0 {}
    }

    fn results(&mut self, _: Vec<(Placement, CouponResult)>) -> Result<()> {
        match self.0 {}
    }

    fn settle(&mut self, _: &str, _: &str) -> Result<()> {
        match self.0 {}
    }

    fn index(self, _: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        match self.0 {}
    }
}

impl Indexed for Nothing {
    fn reader(&self) -> Result<Box<dyn Source>> {
        match self.0 {}
    }

    fn room_index(self, _: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        match self.0 {}
    }

    fn open(self, _: &Opening) -> Result<()> {
        match self.0 {}
    }
}

impl Differences {
    /// Their number.
    #[must_use]
    pub const fn count(&self) -> usize {
        match self.0 {}
    }
}

impl Rebuilt {
    /// True if main's books are what the shards' rows are.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        match self.0 {}
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl fmt::Display for RefilledGates {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}
