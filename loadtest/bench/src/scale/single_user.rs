//! One user after the other asks a service, over one connection.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use coupon_loadgen::http::{Target, get_json};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_measure::random::Random;
use coupon_service::api::{AdminStats, ResultPage};
use hdrhistogram::Histogram;

use crate::client::Client;

/// The stream of random numbers that users, rooms and results are drawn from.
const STREAM: u64 = 0x5ca1e;
/// Questions before those that count: they open files and fill caches.
const WARM_UP: u32 = 10;
/// Users whose results are asked for one by one.
const SAMPLED: u32 = 50;

/// The question that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// A user's coupons.
    User,
    /// A room's latest orders, so many.
    Room(u32),
    /// The latest orders of so many hours.
    Recent(u32),
    /// Sums over everything, from what is kept.
    Kept,
    /// One result, by its id.
    Result,
}

/// The figures of asking many times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// CPU microseconds of the service a question, where the system reports them.
    pub(super) cpu_us: Option<f64>,
}

/// The client that asks.
pub(super) struct Asker {
    target: Target,
    client: Client,
    random: Random,
    catalogue: CatalogueSpec,
    results: Vec<String>,
}

impl Asker {
    /// A client that has read some results of users drawn at random.
    pub(super) fn new(target: &Target, catalogue: CatalogueSpec, seed: u64) -> Result<Self> {
        let (client, random) = (Client::connect(target)?, Random::new(seed, STREAM));
        let mut asker = Self { target: target.clone(), client, random, catalogue, results: Vec::new() };
        for _ in 0..SAMPLED {
            let path = asker.path(Ask::User)?;
            let page: ResultPage = serde_json::from_slice(asker.client.get(&path)?.1)?;
            asker.results.extend(page.items.into_iter().map(|item| item.result_id));
        }
        Ok(asker)
    }

    /// Asks so many times, of another user or room each time.
    pub(super) fn ask(&mut self, ask: Ask, times: u32) -> Result<Asked> {
        for _ in 0..WARM_UP {
            self.once(ask)?;
        }
        let mut took = Histogram::<u64>::new(3)?;
        let before = self.stats()?.cpu_seconds;
        for _ in 0..times {
            took.record(u64::try_from(self.once(ask)?.as_nanos())?)?;
        }
        let after = self.stats()?.cpu_seconds;
        let ms = |quantile: f64| took.value_at_quantile(quantile) as f64 / 1e6;
        let cpu_us = before.zip(after).map(|(before, after)| (after - before) * 1e6 / f64::from(times));
        Ok(Asked { p50_ms: ms(0.5), p99_ms: ms(0.99), cpu_us })
    }

    /// The service's own statistics.
    pub(super) fn stats(&self) -> Result<AdminStats> {
        get_json(&self.target, "/admin/stats")
    }

    fn once(&mut self, ask: Ask) -> Result<Duration> {
        let path = self.path(ask)?;
        Ok(self.client.get(&path)?.0)
    }

    fn path(&mut self, ask: Ask) -> Result<String> {
        Ok(match ask {
            Ask::User => format!("/api/user/{}/coupons", self.random.below(self.catalogue.users) + 1),
            Ask::Room(limit) => {
                let room = self.random.below(self.catalogue.rooms) + 1;
                format!("/api/room/{room}/orders?limit={limit}")
            }
            Ask::Recent(hours) => format!("/api/orders/recent?hours={hours}"),
            Ask::Kept => "/api/statistics/global?exact=false".to_owned(),
            Ask::Result => {
                ensure!(!self.results.is_empty(), "{SAMPLED} users have no results");
                let at = usize::try_from(self.random.below(self.results.len() as u64))?;
                format!("/api/result/{}", self.results.get(at).context("it is below their number")?)
            }
        })
    }
}
