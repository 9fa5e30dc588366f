//! The queries that come with grabs.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use coupon_core::Timestamp;
use coupon_loadgen::workload::{Endpoint, Request, Trace, Workload};
use coupon_measure::random::Random;

use super::Recording;

/// Apart from the streams of requests, rounds and moments.
const QUERIES: u64 = 1 << 60;

/// The number of queries of each kind that come with a grab, on average.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryMix(BTreeMap<Endpoint, f64>);

impl QueryMix {
    /// Grabs alone.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The proportions of a workload.
    ///
    /// # Errors
    /// When it has no grabs, that the queries could come with.
    pub fn of(workload: &Workload) -> Result<Self> {
        let mut shares = workload.shares();
        let grabs = shares.remove(&Endpoint::Grab).unwrap_or_default();
        ensure!(grabs > 0.0, "workload {:?} has no grabs", workload.name);
        Ok(Self(shares.into_iter().map(|(endpoint, share)| (endpoint, share / grabs)).collect()))
    }

    /// Queries of each kind for one grab.
    pub fn per_grab(&self) -> impl Iterator<Item = (Endpoint, f64)> + '_ {
        self.0.iter().map(|(endpoint, number)| (*endpoint, *number))
    }

    /// Requests for one grab, the grab included.
    #[must_use]
    pub fn requests_per_grab(&self) -> f64 {
        1.0 + self.0.values().sum::<f64>()
    }

    /// The recorded grabs, each followed by its queries: about the grab's own user, coupon and room, so that they are
    /// as skewed as the grabs.
    #[must_use]
    pub fn trace(&self, recording: &Recording, speed: f64, seed: u64) -> Trace {
        let mut random = Random::new(seed, QUERIES);
        let mut due: Vec<(Endpoint, f64, f64)> =
            self.per_grab().map(|(endpoint, each)| (endpoint, each, random.unit())).collect();
        let mut requests: Vec<(Timestamp, Request)> = Vec::with_capacity(recording.rows().len());
        for row in recording.rows() {
            requests.push((row.time, row.request(Endpoint::Grab)));
            for (endpoint, each, owed) in &mut due {
                *owed += *each;
                while *owed >= 1.0 {
                    *owed -= 1.0;
                    requests.push((row.time, row.request(*endpoint)));
                }
            }
        }
        Trace::of(recording.file.clone(), &requests, Some(speed))
    }
}

#[cfg(test)]
mod tests {
    use coupon_loadgen::workload::{Requests, Schedule};

    use super::*;
    use crate::replay::{Reading, read};

    fn recording() -> Recording {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..700).map(|n| format!("u{n},r{},c,{}\n", n % 7, 1_456_665_255 + n)).collect();
        std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
        read(file.path(), &Reading::default()).unwrap()
    }

    fn requests(mix: &QueryMix) -> Vec<Request> {
        let trace = mix.trace(&recording(), 10.0, 1);
        Schedule::new(&Workload { requests: Requests::Trace(trace), ..Workload::default() }, 1).collect()
    }

    #[test]
    fn without_queries_a_trace_is_its_grabs() {
        let all = requests(&QueryMix::none());
        assert!(all.len() == 700 && all.iter().all(|request| request.endpoint == Endpoint::Grab));
    }

    #[test]
    fn queries_come_in_the_workloads_proportions_about_what_was_grabbed() {
        let workload = Workload::default();
        let mix = QueryMix::of(&workload).unwrap();
        let all = requests(&mix);
        let shares = workload.shares();
        for endpoint in [Endpoint::UserCoupons, Endpoint::RoomStats] {
            let number = all.iter().filter(|request| request.endpoint == endpoint).count() as f64;
            let wanted = 700.0 * shares[&endpoint] / shares[&Endpoint::Grab];
            assert!((number - wanted).abs() <= 1.0, "{endpoint:?}: {number}, not {wanted}");
        }
        let asked = all.len() as f64 / 700.0;
        assert!((asked - mix.requests_per_grab()).abs() < 0.02, "{asked}");
        let grab_before = |at: usize| all[..at].iter().rev().find(|r| r.endpoint == Endpoint::Grab).unwrap();
        assert!(
            (1..all.len())
                .filter(|at| all[*at].endpoint != Endpoint::Grab)
                .all(|at| all[at].user_id == grab_before(at).user_id)
        );
    }

    #[test]
    fn a_workload_without_grabs_is_refused() {
        let echo = Workload::echo(coupon_loadgen::workload::Catalogue::default());
        assert!(QueryMix::of(&echo).is_err());
    }
}
