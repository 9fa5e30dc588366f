//! The queries that come with grabs.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use coupon_core::GrabTerms;
use coupon_core::Timestamp;
use coupon_loadgen::workload::{Checkout, CheckoutPart, Endpoint, Request, RequestName, Trace, Workload};
use coupon_measure::random::Random;

use super::Recording;

/// The stream of queries, apart from those of requests, rounds and moments.
const QUERIES: u64 = 1 << 60;

/// The number of queries and updates of each kind that come with a grab, on average.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryMix {
    per_grab: BTreeMap<Endpoint, f64>,
    /// The steps that its users take with their results, if they take any.
    checkout: Option<Checkout>,
}

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
        let per_grab = shares.into_iter().map(|(endpoint, share)| (endpoint, share / grabs)).collect();
        Ok(Self { checkout: checkout(&per_grab, workload), per_grab })
    }

    /// Queries and updates of each kind for one grab.
    pub fn per_grab(&self) -> impl Iterator<Item = (Endpoint, f64)> + '_ {
        self.per_grab.iter().map(|(endpoint, number)| (*endpoint, *number))
    }

    /// The terms of coupons on which its updates are possible.
    #[must_use]
    pub fn terms(&self) -> GrabTerms {
        let Some(Checkout { hold_s, returned, .. }) = self.checkout else { return GrabTerms::default() };
        GrabTerms { hold_s, returnable: returned > 0.0, ..GrabTerms::default() }
    }

    /// Requests for one grab, the grab included.
    #[must_use]
    pub fn requests_per_grab(&self) -> f64 {
        1.0 + self.per_grab.values().sum::<f64>()
    }

    /// The recorded grabs, each followed by its queries: about the grab's own user, coupon and room, so that they are
    /// as skewed as the grabs; and the recorded queries. Updates follow what is answered, as in any checkout.
    #[must_use]
    pub fn trace(&self, recording: &Recording, speed: f64, seed: u64) -> Trace {
        let mut random = Random::new(seed, QUERIES);
        let queries = self.per_grab().filter(|(endpoint, _)| !endpoint.is_step());
        let mut due: Vec<(Endpoint, f64, f64)> =
            queries.map(|(endpoint, each)| (endpoint, each, random.unit())).collect();
        let mut requests: Vec<(Timestamp, Request)> = Vec::with_capacity(recording.rows().len());
        for row in recording.rows() {
            let part = self.checkout.map(|checkout| CheckoutPart::Grab {
                name: RequestName(random.next_u64()),
                course: checkout.course(random.unit()),
                pause: checkout.pause(random.unit()),
            });
            requests.push((row.time, Request { part, ..row.request(Endpoint::Grab) }));
            for (endpoint, each, owed) in &mut due {
                *owed += *each;
                while *owed >= 1.0 {
                    *owed -= 1.0;
                    requests.push((row.time, row.request(*endpoint)));
                }
            }
        }
        if !recording.asked().is_empty() {
            let asked = recording.asked().iter().map(|(endpoint, row)| (row.time, row.request(*endpoint)));
            requests.extend(asked);
            requests.sort_by_key(|(time, _)| *time);
        }
        Trace::of(recording.file.clone(), &requests, Some(speed))
    }
}

/// The checkout of one grab, of which so many updates come.
fn checkout(per_grab: &BTreeMap<Endpoint, f64>, workload: &Workload) -> Option<Checkout> {
    let each = |endpoint| per_grab.get(&endpoint).copied().unwrap_or(0.0);
    let [confirm, release] = [Endpoint::Confirm, Endpoint::Release].map(each);
    let of_confirmed =
        |endpoint| if confirm > 0.0 { (each(endpoint) / confirm).clamp(0.0, 1.0) } else { 0.0 };
    let checkout = Checkout {
        confirm,
        release,
        expire: (1.0 - confirm - release).max(0.0),
        used: of_confirmed(Endpoint::Use),
        returned: of_confirmed(Endpoint::Return),
        think_s: workload.checkouts().next()?.think_s,
        hold_s: workload.hold_s(),
    };
    per_grab.keys().any(|endpoint| endpoint.is_step()).then_some(checkout)
}

#[cfg(test)]
mod tests {
    use coupon_loadgen::workload::{Course, Requests, Schedule};

    use super::*;
    use crate::replay::{ReadOptions, read};

    fn recording() -> Recording {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines: String = (0..700).map(|n| format!("u{n},r{},c,{}\n", n % 7, 1_456_665_255 + n)).collect();
        std::fs::write(file.path(), format!("user_id,room_id,coupon_id,grab_time\n{lines}")).unwrap();
        read(file.path(), &ReadOptions::default()).unwrap()
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
    fn updates_follow_the_grabs_as_in_the_workloads_checkout() {
        let mut workload = Workload::default();
        let Requests::Scenarios(scenarios) = &mut workload.requests else { panic!() };
        for scenario in &mut scenarios[..2] {
            scenario.checkout = Some(Checkout { used: 0.5, returned: 0.25, ..Checkout::default() });
        }
        let mix = QueryMix::of(&workload).unwrap();
        assert_eq!(mix.terms(), GrabTerms { hold_s: 60, returnable: true, ..GrabTerms::default() });
        let all = requests(&mix);
        assert!(all.iter().all(|request| !request.endpoint.is_step()));
        let courses: Vec<Course> = all
            .iter()
            .filter_map(|request| match request.part? {
                CheckoutPart::Grab { course, .. } => Some(course),
                CheckoutPart::Step { .. } => None,
            })
            .collect();
        assert_eq!(courses.len(), 700, "every grab names its request");
        for (course, part) in [(Course::Used, 0.35), (Course::Returned, 0.175), (Course::Released, 0.2)] {
            let found = courses.iter().filter(|of| **of == course).count() as f64 / 700.0;
            assert!((found - part).abs() < 0.06, "{course:?}: {found}, not {part}");
        }
        let updates: f64 = mix.per_grab().filter(|(of, _)| of.is_step()).map(|(_, each)| each).sum();
        assert!((updates - (0.7 + 0.2 + 0.35 + 0.175)).abs() < 1e-9, "{updates}");
        assert_eq!(QueryMix::of(&Workload::default()).unwrap().terms(), GrabTerms::default());
    }

    #[test]
    fn a_workload_without_grabs_is_refused() {
        let echo = Workload::echo(coupon_loadgen::workload::CatalogueSpec::default());
        assert!(QueryMix::of(&echo).is_err());
    }
}
