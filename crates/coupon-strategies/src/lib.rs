//! The strategies of this workspace: one row each in [`REGISTER`], from which every program that lists them is fed.
//!
//! The services hold the strategies; this crate holds their names, the settings that a name stands for, the variants
//! that can be added to it, and the way back from a layout line to a strategy. A third strategy is one row more.

mod family;
mod register;
mod rows;
mod spec;

pub use range_svc::RoomRanges;

pub use family::{Baseline, Family, RoomSettings, SettingValue, Variant, VariantRole};
pub use register::Register;
pub use rows::REGISTER;
pub use spec::{Fit, Spec};

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::Result;
use coupon_core::ShardingStrategy;

/// The strategy of that name, over so many shards, with settings like `range.spread=2`: values are in TOML's
/// syntax, and text needs no quotes.
///
/// # Errors
/// When there is no such strategy or setting, or a setting has an impossible value; the message names it.
pub fn strategy(name: &str, shards: NonZeroU16, sets: &[String]) -> Result<Arc<dyn ShardingStrategy>> {
    REGISTER.family(name)?.strategy(shards, sets)
}

/// The strategy whose rows are laid out as that line says, with whatever settings, if it is one of this workspace's.
#[must_use]
pub fn strategy_of_layout(layout: &str, shards: NonZeroU16) -> Option<Arc<dyn ShardingStrategy>> {
    REGISTER.strategy_of_layout(layout, shards)
}
