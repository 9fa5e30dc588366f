//! Refuses workloads that cannot be run, naming the key as the file spells it.

use std::collections::BTreeSet;

use anyhow::ensure;

use super::{CatalogueSpec, Checkout, Endpoint, Requests, RoomChoice, Scenario, Workload};

/// The most kinds of users that a person can look at.
const MOST_SCENARIOS: usize = 1_000;
/// A week.
const MOST_HOLD_S: u32 = 604_800;

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
            let (hot, all) = (self.catalogue.hot_rooms, self.catalogue.rooms);
            ensure!(
                scenario.rooms != RoomChoice::Hot || hot > 0,
                "catalogue.hot_rooms: must be at least 1, since scenarios[{number}] asks for hot rooms"
            );
            ensure!(
                scenario.rooms != RoomChoice::Others || hot < all,
                "catalogue.hot_rooms: must be below the {all} rooms, since scenarios[{number}] asks for others"
            );
            ensure!(
                scenario.checkout.is_some() || self.hold_s() == 0 || !scenario.grabs(),
                "scenarios[{number}] ({name:?}).checkout: is missing; another scenario has one, so that all coupons are held, and \
                 whoever grabs them must name their requests"
            );
        }
        ensure!(
            scenarios.iter().any(|scenario| scenario.users > 0.0),
            "scenarios: one must have users above 0"
        );
        Ok(())
    }
}

impl CatalogueSpec {
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

impl Checkout {
    fn check(&self, at: &str) -> anyhow::Result<()> {
        for (key, weight) in [("confirm", self.confirm), ("release", self.release), ("expire", self.expire)] {
            ensure!(
                weight.is_finite() && (0.0..=1e12).contains(&weight),
                "{at}.checkout.{key}: must be 0 or more, not {weight}"
            );
        }
        let (hold_s, most) = (self.hold_s, MOST_HOLD_S);
        ensure!(hold_s <= most, "{at}.checkout.hold_s: must be 0 to {most} seconds, not {hold_s}");
        for (key, part) in [("used", self.used), ("returned", self.returned)] {
            ensure!((0.0..=1.0).contains(&part), "{at}.checkout.{key}: must be 0 to 1, not {part}");
        }
        let [shortest, longest] = self.think_s;
        ensure!(
            (0.0..=1e6).contains(&shortest) && (shortest..=1e6).contains(&longest),
            "{at}.checkout.think_s: must be the shortest and the longest time in seconds, not [{shortest}, {longest}]"
        );
        let both = self.used + self.returned;
        ensure!(
            both <= 1.0 + 1e-9,
            "{at}.checkout.returned: with used it must come to 1 at most, not {both}"
        );
        ensure!(self.sum() > 0.0, "{at}.checkout: one of confirm, release and expire must be above 0");
        Ok(())
    }
}

impl Scenario {
    fn grabs(&self) -> bool {
        self.actions.iter().any(|action| action.endpoint == Endpoint::Grab && action.weight > 0.0)
    }

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
        for (number, action) in self.actions.iter().enumerate() {
            ensure!(
                !action.endpoint.is_step(),
                "{at}.actions[{number}].do: {} follows a grab: give the scenario a checkout",
                action.endpoint.key()
            );
        }
        if let Some(checkout) = &self.checkout {
            checkout.check(at)?;
            ensure!(self.grabs(), "{at}.checkout: there must be a grab among the actions");
        }
        ensure!(
            self.actions.iter().any(|action| action.weight > 0.0),
            "{at}.actions: one must have a weight above 0"
        );
        Ok(())
    }
}
