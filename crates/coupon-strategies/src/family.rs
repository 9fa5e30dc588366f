//! One row of the register, and the strategies that can be made from it.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use coupon_core::{LayoutPattern, ShardingStrategy};
use coupon_service::AnyProgram;
use coupon_store::settings::{Sources, shown};

/// A strategy, with everything that programs other than its service need of it.
#[derive(Debug)]
pub struct Family {
    /// The name on command lines and in reports.
    pub name: &'static str,
    /// The place of a result, in a phrase for help texts: `by hash of the user`.
    pub place: &'static str,
    /// The service that has it.
    pub program: &'static dyn AnyProgram,
    /// The setting of the service's section, and its value, that choose this strategy where the service has several.
    pub choice: Option<(&'static str, &'static str)>,
    /// The number of shards, where it is always the same.
    pub shards: Option<NonZeroU16>,
    /// The patterns of the lines that describe its layouts.
    pub layouts: &'static [LayoutPattern],
    /// The settings of rooms, where they decide the place of a row.
    pub rooms: Option<RoomSettings>,
    /// The variants that can be added to its name alone.
    pub variants: &'static [Variant],
    /// Variants, joined by `+`, that are worth a simulation together.
    pub combined: &'static [&'static str],
}

/// A design that most teams run: no strategy, but settings of a service on the one shard of another row.
#[derive(Debug)]
pub struct Baseline {
    /// The name on command lines and in reports.
    pub name: &'static str,
    /// Its description, as a part of a sentence for reports and help texts.
    pub about: &'static str,
    /// The row of the strategy that its one shard has.
    pub family: &'static Family,
    /// The settings, as `key=value`.
    pub settings: &'static [&'static str],
}

/// The full names of the settings of rooms.
#[derive(Debug, Clone, Copy)]
pub struct RoomSettings {
    /// The number of rooms for which tables are made ahead.
    pub count: &'static str,
    /// The number of rooms in a range.
    pub width: &'static str,
    /// The first room of each range.
    pub starts: &'static str,
}

/// Something that can be added to the name of a strategy with `+`, and stands for a setting.
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// The name after the `+`.
    pub name: &'static str,
    /// The effect, in a few words for help texts.
    pub about: &'static str,
    /// The setting, by its full name.
    pub setting: &'static str,
    /// The setting's value.
    pub value: SettingValue,
    /// The reason for it.
    pub role: VariantRole,
}

/// The value that a variant gives its setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingValue {
    /// Always the same.
    Fixed(&'static str),
    /// The number of shards that a range is spread over.
    Spread,
    /// The first room of each range, chosen so that hot rooms are apart.
    Starts,
}

/// The reason for a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariantRole {
    /// Another choice, not better for every workload.
    Option,
    /// A cure for the hotspot of the plain strategy.
    Cure,
    /// The cure that takes part in a comparison unless other contestants are named.
    Chosen,
}

impl Family {
    /// True when it spreads rows over more than one shard, if there are more.
    #[must_use]
    pub fn is_sharded(&self) -> bool {
        self.shards.is_none_or(|shards| shards > NonZeroU16::MIN)
    }

    /// The number of shards that it has where others have so many.
    #[must_use]
    pub fn shards(&self, others: NonZeroU16) -> NonZeroU16 {
        self.shards.unwrap_or(others)
    }

    /// The full name of a setting of its section.
    #[must_use]
    pub fn key(&self, setting: &str) -> String {
        format!("{}.{setting}", self.program.section())
    }

    /// The setting that chooses this strategy, as `key=value`, where its service has several.
    #[must_use]
    pub fn chosen_by(&self) -> Option<String> {
        self.choice.map(|(key, value)| format!("{}={value}", self.key(key)))
    }

    /// The full names of the settings that decide where its rows live, or which tables there are.
    pub fn settings(&self) -> impl Iterator<Item = String> {
        let of_layouts = self.layouts.iter().flat_map(|layout| layout.names()).map(|name| self.key(name));
        of_layouts.chain(self.rooms.map(|rooms| rooms.count.to_owned()))
    }

    /// The variant that gives its setting such a value.
    #[must_use]
    pub fn variant(&self, value: SettingValue) -> Option<&'static Variant> {
        self.variants.iter().find(|variant| variant.value == value)
    }

    /// The plain name, and the name with each of its variants.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let variants = self.variants.iter().map(|variant| format!("{}+{}", self.name, variant.name));
        std::iter::once(self.name.to_owned()).chain(variants)
    }

    /// The same, and the names with several variants.
    pub fn simulated_names(&self) -> impl Iterator<Item = String> {
        self.names().chain(self.combined.iter().map(|variants| format!("{}+{variants}", self.name)))
    }

    /// The names of its cures.
    pub fn cures(&self) -> impl Iterator<Item = String> {
        let cures = self.variants.iter().filter(|variant| variant.role != VariantRole::Option);
        cures.map(|variant| format!("{}+{}", self.name, variant.name))
    }

    /// The strategy over so many shards, with settings like `range.spread=2`.
    ///
    /// # Errors
    /// When there is no such setting, or it has an impossible value; the message names it.
    pub fn strategy(&self, shards: NonZeroU16, sets: &[String]) -> Result<Arc<dyn ShardingStrategy>> {
        self.configured(shards, Sources { flags: sets.to_vec(), ..Sources::default() })
    }

    /// The same, with settings from a file and the environment as well. Only flags must all be the strategy's own.
    ///
    /// # Errors
    /// When a flag is no setting of it, or any setting has an impossible value; the message names it.
    pub fn configured(&self, shards: NonZeroU16, sources: Sources) -> Result<Arc<dyn ShardingStrategy>> {
        sources.flags.iter().try_for_each(|set| self.check(sources.flag(), set))?;
        let chosen = self.choice.map(|(key, value)| format!("{} = {value:?}", self.key(key)));
        let sources = Sources { service_defaults: chosen.unwrap_or_default(), ..sources };
        let strategy = self.program.strategy(&sources, self.shards(shards))?;
        if let Some((key, _)) = self.choice {
            let (name, key) = (self.name, self.key(key));
            ensure!(strategy.name() == name, "{key} contradicts the strategy {name}: leave it out");
        }
        Ok(strategy)
    }

    /// Tries a flag alone, so that an error can name it.
    fn check(&self, flag: &str, set: &str) -> Result<()> {
        let given = || format!("{flag} {}", shown(set));
        let (key, _) = set.split_once('=').with_context(|| format!("{}: write it as key=value", given()))?;
        let section = self.program.section();
        let field = key.trim().strip_prefix(section).and_then(|rest| rest.strip_prefix('.'));
        ensure!(
            field.is_some(),
            "{}: this strategy has no such setting; its settings begin with \"{section}.\"",
            given()
        );
        let alone = Sources { flags: vec![set.to_owned()], ..Sources::default() };
        self.program.check(&alone).with_context(given)
    }

    /// The strategy that has this layout over so many shards, if it is one of this family.
    pub(crate) fn strategy_of_layout(
        &self,
        layout: &str,
        shards: NonZeroU16,
    ) -> Option<Arc<dyn ShardingStrategy>> {
        let choice = self.choice.map(|(key, value)| format!("{key}={value}"));
        let strategy = self.program.of_layout(self.layouts, choice.as_slice(), layout)?;
        (strategy.shard_count() == shards && shards == self.shards(shards)).then_some(strategy)
    }
}
