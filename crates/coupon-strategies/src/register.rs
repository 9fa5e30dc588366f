//! All rows together: found by name, by layout, or by program.

use std::num::NonZeroU16;
use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_core::ShardingStrategy;
use coupon_service::AnyProgram;

use crate::{Baseline, Family, Variant, VariantRole};

/// Strategies, the variants that every one of them has, and what they are held against.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// The strategies, in the order of tables.
    pub families: &'static [Family],
    /// Those whose shards an engine has, which not every machine can have: in no list of names, and known by theirs.
    pub engines: &'static [Family],
    /// The designs that most teams run: in no comparison unless they are named.
    pub baselines: &'static [Baseline],
    /// Variants of any strategy: settings of services, which place no rows.
    pub everywhere: &'static [Variant],
}

impl Register {
    /// The names of all strategies.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.families.iter().map(|family| family.name)
    }

    /// Every strategy, those included whose shards an engine has.
    pub fn all(self) -> impl Iterator<Item = &'static Family> {
        self.families.iter().chain(self.engines)
    }

    /// True of a strategy whose shards an engine has.
    #[must_use]
    pub fn is_engines(self, family: &Family) -> bool {
        self.engines.iter().any(|engine| engine.name == family.name)
    }

    /// The strategies that spread rows over shards which are run by hand.
    pub fn sharded(self) -> impl Iterator<Item = &'static Family> {
        self.families.iter().filter(|family| family.is_sharded())
    }

    /// The strategy of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those that there are.
    pub fn family(self, name: &str) -> Result<&'static Family> {
        self.all().find(|family| family.name == name).with_context(|| {
            format!(
                "there is no strategy {name:?}; there are: {}",
                self.names().collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// Every name that stands for something by itself, for help and errors; more variants can be added to each.
    #[must_use]
    pub fn known(self) -> Vec<String> {
        let plain = self.names().map(str::to_owned);
        let own = self.families.iter().flat_map(|family| family.names().skip(1));
        let shared = self.everywhere.iter().flat_map(move |variant| {
            self.sharded().map(move |family| format!("{}+{}", family.name, variant.name))
        });
        let baselines = self.baselines.iter().map(|baseline| baseline.name.to_owned());
        plain.chain(own).chain(shared).chain(baselines).collect()
    }

    /// The contestants of a comparison that names none: every strategy, and a cure for each hotspot.
    #[must_use]
    pub fn compared(self) -> Vec<String> {
        let plain = self.names().map(str::to_owned);
        let chosen = self.families.iter().flat_map(|family| {
            let variants = family.variants.iter().filter(|variant| variant.role == VariantRole::Chosen);
            variants.map(move |variant| format!("{}+{}", family.name, variant.name))
        });
        plain.chain(chosen).collect()
    }

    /// The names of the cures for a plain strategy's hotspot.
    #[must_use]
    pub fn cures(self, name: &str) -> Vec<String> {
        self.family(name).map(|family| family.cures().collect()).unwrap_or_default()
    }

    /// The first strategy of each service.
    #[must_use]
    pub fn of_each_program(self) -> Vec<&'static Family> {
        let mut first: Vec<&'static Family> = Vec::new();
        for family in self.families {
            if first.iter().all(|other| other.program.name() != family.program.name()) {
                first.push(family);
            }
        }
        first
    }

    /// The names of the services.
    pub fn programs(self) -> impl Iterator<Item = &'static str> {
        self.of_each_program().into_iter().map(|family| family.program.name())
    }

    /// The service of that name.
    #[must_use]
    pub fn program(self, name: &str) -> Option<&'static dyn AnyProgram> {
        self.all().map(|family| family.program).find(|program| program.name() == name)
    }

    /// The strategy whose rows are laid out as that line says, with whatever settings, if it is one of these.
    #[must_use]
    pub fn strategy_of_layout(self, layout: &str, shards: NonZeroU16) -> Option<Arc<dyn ShardingStrategy>> {
        self.all().find_map(|family| family.strategy_of_layout(layout, shards))
    }

    /// Every baseline with what it is, for help texts.
    #[must_use]
    pub fn baselines_described(self) -> String {
        let described = |baseline: &Baseline| format!("{} ({})", baseline.name, baseline.about);
        self.baselines.iter().map(described).collect::<Vec<_>>().join(", ")
    }

    /// Every strategy and variant with its effect, for help texts.
    #[must_use]
    pub fn described(self) -> String {
        let name = |family: &Family| match family.shards {
            Some(NonZeroU16::MIN) => format!("{} (one shard)", family.name),
            Some(shards) => format!("{} ({shards} shards)", family.name),
            None => family.name.to_owned(),
        };
        let names: Vec<String> = self.families.iter().map(name).collect();
        let mut variants: Vec<String> = Vec::new();
        for variant in self.families.iter().flat_map(|family| family.variants).chain(self.everywhere) {
            let variant = format!("+{} ({})", variant.name, variant.about);
            if !variants.contains(&variant) {
                variants.push(variant);
            }
        }
        let last = variants.pop().unwrap_or_default();
        format!("{}; with {} or {last} where they apply", names.join(", "), variants.join(", "))
    }
}
