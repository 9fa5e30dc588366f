//! Refuses workloads that cannot be run, naming the key as the file spells it.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{Catalogue, Requests, Rooms, Scenario, Workload};

/// More kinds of users than a person can look at.
const MOST_SCENARIOS: usize = 1_000;

impl Workload {
    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// Names the key and what it must be.
    pub fn check(&self) -> anyhow::Result<()> {
        self.catalogue.check()?;
        self.keys.check(&self.catalogue)?;
        if let Some(shape) = &self.arrivals {
            ensure!(self.trace().is_none(), "arrivals: a trace has moments of its own; leave them out");
            shape.check(matches!(self.requests, Requests::Scenarios(_)))?;
        }
        let Requests::Scenarios(scenarios) = &self.requests else { return Ok(()) };
        let (count, most) = (scenarios.len(), MOST_SCENARIOS);
        ensure!((1..=most).contains(&count), "scenarios: there must be 1 to {most}, not {count}");
        let mut names = BTreeSet::new();
        for (number, scenario) in scenarios.iter().enumerate() {
            let name = scenario.name.as_str();
            ensure!(
                !name.trim().is_empty() && names.insert(name),
                "scenarios[{number}].name: figures are told by it, so it must not be empty or used twice, as {name:?} is"
            );
            scenario.check(&format!("scenarios[{number}] ({:?})", scenario.name))?;
            ensure!(
                scenario.rooms == Rooms::Any || self.catalogue.hot_rooms > 0,
                "catalogue.hot_rooms: must be at least 1, since scenarios[{number}] asks for hot rooms"
            );
        }
        ensure!(
            scenarios.iter().any(|scenario| scenario.users > 0.0),
            "scenarios: one must have users above 0"
        );
        Ok(())
    }
}

impl Catalogue {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, value, most) in [
            ("users", self.users, 1_000_000_000),
            ("rooms", self.rooms, 10_000_000),
            ("coupons_per_room", self.coupons_per_room, 10_000),
        ] {
            ensure!((1..=most).contains(&value), "catalogue.{key}: must be 1 to {most}, not {value}");
        }
        let Self { rooms, hot_rooms, .. } = self;
        ensure!(
            hot_rooms <= rooms,
            "catalogue.hot_rooms: must be at most the {rooms} rooms, not {hot_rooms}"
        );
        Ok(())
    }
}

impl Scenario {
    fn check(&self, at: &str) -> anyhow::Result<()> {
        let amount = |value: f64| value.is_finite() && (0.0..=1e12).contains(&value);
        ensure!(amount(self.users), "{at}.users: must be 0 or more, not {}", self.users);
        let [shortest, longest] = self.think_s;
        ensure!(
            amount(shortest) && amount(longest) && shortest <= longest && longest >= 0.001,
            "{at}.think_s: must be the shortest and the longest time in seconds, the longest at least 0.001, \
             not [{shortest}, {longest}]"
        );
        ensure!(!self.actions.is_empty(), "{at}.actions: there must be at least one");
        for (number, action) in self.actions.iter().enumerate() {
            let weight = action.weight;
            ensure!(amount(weight), "{at}.actions[{number}].weight: must be 0 or more, not {weight}");
        }
        ensure!(
            self.actions.iter().any(|action| action.weight > 0.0),
            "{at}.actions: one must have a weight above 0"
        );
        Ok(())
    }
}
