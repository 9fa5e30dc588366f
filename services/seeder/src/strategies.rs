//! The strategies of this workspace, by name.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use coupon_core::ShardingStrategy;
use coupon_store::settings::{Sources, shown};
use hash_svc::{HashSettings, HashSharding};
use range_svc::RangeSettings;
use serde::de::DeserializeOwned;

/// The names that [`strategy`] knows.
pub const NAMES: [&str; 4] = ["hash", "range-time", "range-room", "single"];

/// The strategy of that name, over so many shards, with settings like `range.spread=2`: values are in TOML's
/// syntax, and text needs no quotes.
///
/// `single` is hash over one shard, however many are asked for: the layout of `hash-svc --shards 1`.
///
/// # Errors
/// When there is no such strategy or setting, or a setting has an impossible value; the message names it.
pub fn strategy(name: &str, shards: NonZeroU16, sets: &[String]) -> Result<Arc<dyn ShardingStrategy>> {
    configured(name, shards, Sources { flags: sets.to_vec(), ..Sources::default() })
}

/// The same, with settings from a file and the environment as well. Only flags must all be the strategy's own.
pub(crate) fn configured(
    name: &str,
    shards: NonZeroU16,
    sources: Sources,
) -> Result<Arc<dyn ShardingStrategy>> {
    match name {
        "hash" => hash(shards, &sources),
        "single" => hash(NonZeroU16::MIN, &sources),
        "range-time" => range("time", name, shards, sources),
        "range-room" => range("room", name, shards, sources),
        _ => bail!("there is no strategy {name:?}; there are: {}", NAMES.join(", ")),
    }
}

fn hash(shards: NonZeroU16, sources: &Sources) -> Result<Arc<dyn ShardingStrategy>> {
    let settings: HashSettings = section("hash", sources)?;
    Ok(Arc::new(HashSharding::from_settings(&settings, shards)))
}

fn range(by: &str, name: &str, shards: NonZeroU16, sources: Sources) -> Result<Arc<dyn ShardingStrategy>> {
    let service_defaults = format!("range.by = {by:?}");
    let chosen = Sources { service_defaults: service_defaults.clone(), ..Sources::default() };
    let chosen: RangeSettings = section("range", &chosen)?;
    let settings: RangeSettings = section("range", &Sources { service_defaults, ..sources })?;
    ensure!(settings.by == chosen.by, "range.by contradicts the strategy {name}: leave it out");
    Ok(settings.strategy(shards)?)
}

/// Reads the settings of one section. Each flag is tried alone as well, so that an error can name it.
fn section<T: DeserializeOwned>(section: &str, sources: &Sources) -> Result<T> {
    for set in &sources.flags {
        let (key, _) =
            set.split_once('=').with_context(|| format!("--set {}: write it as key=value", shown(set)))?;
        let field = key.trim().strip_prefix(section).and_then(|rest| rest.strip_prefix('.'));
        ensure!(
            field.is_some(),
            "--set {}: this strategy has no such setting; its settings begin with \"{section}.\"",
            shown(set)
        );
        let alone = Sources { flags: vec![set.clone()], ..Sources::default() };
        alone.read_section::<T>(section).with_context(|| format!("--set {}", shown(set)))?;
    }
    Ok(sources.read_section(section)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str, sets: &[&str]) -> Result<String> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        strategy(name, NonZeroU16::new(4).unwrap(), &sets).map(|strategy| strategy.layout())
    }

    fn error(name: &str, sets: &[&str]) -> String {
        format!("{:#}", layout(name, sets).unwrap_err())
    }

    #[test]
    fn every_name_makes_a_strategy() {
        for name in NAMES {
            let made = strategy(name, NonZeroU16::new(4).unwrap(), &[]).unwrap();
            let expected = if name == "single" { "hash" } else { name };
            assert_eq!(made.name(), expected);
            assert_eq!(made.shard_count().get(), if name == "single" { 1 } else { 4 });
        }
        assert!(error("jump", &[]).contains("range-time"));
    }

    #[test]
    fn settings_reach_the_strategy() {
        assert!(layout("hash", &["hash.mix=modulo"]).unwrap().contains("mix modulo"));
        let spread = layout("range-time", &["range.spread=2", "range.bucket=hour"]).unwrap();
        assert!(spread.contains("spread 2") && spread.contains("UTC hour"), "{spread}");
        let split = layout("range-room", &["range.boundaries=[1, 2, 3]"]).unwrap();
        assert!(split.contains("1, 2, 3"), "{split}");
        assert!(layout("range-room", &["range.by=room"]).is_ok());
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (name, set) in [
            ("hash", "range.spread=2"),
            ("hash", "hash.mixture=xxh3"),
            ("hash", "hash.mix=md5"),
            ("range-time", "range.spread=0"),
            ("range-time", "range.spread=lots"),
            ("range-room", "range.boundaries=[2]"),
            ("range-time", "range.by=room"),
            ("range-time", "grab.batch_max=1"),
            ("range-time", "range.spread=9"),
        ] {
            let (error, key) = (error(name, &[set]), set.split('=').next().unwrap());
            assert!(error.contains(key), "{set}: {error}");
        }
        assert!(error("hash", &["hash.mix"]).contains("key=value"));
    }
}
