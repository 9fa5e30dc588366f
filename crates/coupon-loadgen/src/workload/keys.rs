//! The users, rooms and coupons that requests are about: all alike, or some of them more.

use anyhow::ensure;
use coupon_measure::random::Random;
use coupon_measure::zipf::Zipf;
use serde::{Deserialize, Serialize};

use super::CatalogueSpec;

/// The distribution of requests over ids. Rooms are drawn within those of the scenario, coupons within the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// On users 1 to `catalogue.users`.
    pub users: Skew,
    /// On rooms 1 to `catalogue.rooms`, or to `catalogue.hot_rooms` where a scenario is about hot rooms.
    pub rooms: Skew,
    /// On the coupons of a room, the first to the last.
    pub coupons: Skew,
}

/// The unevenness: the low ids have the most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw", rename_all = "snake_case")]
pub enum Skew {
    /// All alike.
    #[default]
    Uniform,
    /// Id k as often as k to the power of minus this.
    Zipf(f64),
    /// Ids 1 to `hot` have this share of all, evenly, and all ids have the rest, evenly.
    Hot {
        /// The number of hot ids.
        hot: u64,
        /// Their share, 0 to 1; of the rest they have their part as well.
        share: f64,
    },
}

/// The form in files: `{ zipf = 1.1 }`, or `{ hot = 100, share = 0.8 }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    zipf: Option<f64>,
    hot: Option<u64>,
    share: Option<f64>,
}

impl TryFrom<Raw> for Skew {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        match raw {
            Raw { zipf: Some(exponent), hot: None, share: None } => Ok(Self::Zipf(exponent)),
            Raw { zipf: None, hot: Some(hot), share: Some(share) } => Ok(Self::Hot { hot, share }),
            _ => Err("give either zipf, or hot and share"),
        }
    }
}

impl Keys {
    pub(super) fn check(&self, catalogue: &CatalogueSpec) -> anyhow::Result<()> {
        for (key, skew, ids) in [
            ("users", self.users, catalogue.users),
            ("rooms", self.rooms, catalogue.rooms),
            ("coupons", self.coupons, catalogue.coupons_per_room),
        ] {
            skew.check(&format!("keys.{key}"), ids)?;
        }
        Ok(())
    }
}

impl Skew {
    fn check(self, at: &str, ids: u64) -> anyhow::Result<()> {
        match self {
            Self::Uniform => {}
            Self::Zipf(exponent) => {
                ensure!((0.01..=10.0).contains(&exponent), "{at}.zipf: must be 0.01 to 10, not {exponent}");
            }
            Self::Hot { hot, share } => {
                ensure!(
                    (1..=ids).contains(&hot),
                    "{at}.hot: must be 1 to {ids}, as many as there are, not {hot}"
                );
                ensure!((0.0..=1.0).contains(&share), "{at}.share: must be 0 to 1, not {share}");
            }
        }
        Ok(())
    }

    /// Draws from 1 to `ids`.
    pub(super) fn over(self, ids: u64) -> Draw {
        match self {
            Self::Uniform => Draw::Uniform(ids),
            Self::Zipf(exponent) => Draw::Zipf(Zipf::new(ids, exponent)),
            Self::Hot { hot, share } => Draw::Hot { hot: hot.min(ids), share, ids },
        }
    }
}

/// A skew over so many ids.
#[derive(Debug, Clone)]
pub(super) enum Draw {
    Uniform(u64),
    Zipf(Zipf),
    Hot { hot: u64, share: f64, ids: u64 },
}

impl Draw {
    pub(super) fn next(&self, random: &mut Random) -> u64 {
        match self {
            Self::Uniform(ids) => 1 + random.below(*ids),
            Self::Zipf(zipf) => zipf.sample(random),
            Self::Hot { hot, share, ids } => {
                let among = if random.unit() < *share { *hot } else { *ids };
                1 + random.below(among)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(skew: Skew, ids: u64, first: u64) -> f64 {
        let (draw, mut random) = (skew.over(ids), Random::new(1, 0));
        let drawn: Vec<u64> = (0..50_000).map(|_| draw.next(&mut random)).collect();
        assert!(drawn.iter().all(|id| (1..=ids).contains(id)));
        drawn.iter().filter(|id| **id <= first).count() as f64 / drawn.len() as f64
    }

    #[test]
    fn ids_come_as_often_as_their_skew_says() {
        assert!((share(Skew::Uniform, 100, 10) - 0.1).abs() < 0.01);
        // 1, 1/2, 1/3, 1/4 of 25/12.
        assert!((share(Skew::Zipf(1.0), 4, 1) - 0.48).abs() < 0.01);
        // Eight tenths, and a tenth of the rest.
        assert!((share(Skew::Hot { hot: 10, share: 0.8 }, 100, 10) - 0.82).abs() < 0.01);
    }

    #[test]
    fn a_skew_is_of_one_kind() {
        let read = toml::from_str::<Keys>;
        let keys = read("users = { zipf = 1.1 }\nrooms = { hot = 2, share = 0.5 }").unwrap();
        assert_eq!((keys.users, keys.rooms), (Skew::Zipf(1.1), Skew::Hot { hot: 2, share: 0.5 }));
        for text in
            ["users = { zipf = 1.1, hot = 2 }", "users = { hot = 2 }", "users = {}", "users = { zip = 1 }"]
        {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("users"), "{error}");
        }
    }
}
