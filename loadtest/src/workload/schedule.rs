//! The sequence of requests and the moments they are due, both decided by a seed alone.

use std::time::Duration;

use super::{Catalogue, Endpoint, Requests, Rooms, Trace, Workload};
use crate::random::Random;

/// A request, ready to be written. Ids that its endpoint does not ask for are there all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub endpoint: Endpoint,
    /// Who asks, or about whom.
    pub user_id: u64,
    /// About which coupon.
    pub coupon_id: u64,
    /// The coupon's room.
    pub room_id: u64,
}

/// The requests of a workload: without end, but for a trace.
#[derive(Debug, Clone)]
pub struct Schedule {
    catalogue: Catalogue,
    /// Weights summed up, so that a random number up to the last finds its action.
    choices: Vec<(f64, Endpoint, Rooms)>,
    pairs: Option<Pairs>,
    trace: Option<(Trace, usize)>,
    random: Random,
}

impl Schedule {
    /// The same seed gives the same requests, at every rate.
    #[must_use]
    pub fn new(workload: &Workload, seed: u64) -> Self {
        let mut sum = 0.0;
        let choices = workload.weights().into_iter().map(|(endpoint, rooms, weight)| {
            sum += weight;
            (sum, endpoint, rooms)
        });
        let pairs = match workload.requests {
            Requests::DistinctGrabs { skip } => Some(Pairs::new(&workload.catalogue, skip)),
            Requests::Scenarios(_) | Requests::Echo | Requests::Trace(_) => None,
        };
        let trace = workload.trace().map(|trace| (trace.clone(), 0));
        Self {
            catalogue: workload.catalogue,
            choices: choices.collect(),
            pairs,
            trace,
            random: Random::new(seed, 1),
        }
    }

    fn choose(&mut self) -> (Endpoint, Rooms) {
        let total = self.choices.last().map_or(0.0, |(sum, ..)| *sum);
        let at = self.random.unit() * total;
        let choice = self.choices.iter().find(|(sum, ..)| at < *sum).or(self.choices.last());
        choice.map_or((Endpoint::Grab, Rooms::Any), |&(_, endpoint, rooms)| (endpoint, rooms))
    }
}

impl Iterator for Schedule {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let catalogue = self.catalogue;
        if let Some((trace, number)) = &mut self.trace {
            *number += 1;
            return trace.request(*number - 1);
        }
        if let Some(pairs) = &mut self.pairs {
            let (user_id, coupon_id) = pairs.next();
            let room_id = catalogue.room_of(coupon_id);
            return Some(Request { endpoint: Endpoint::Grab, user_id, coupon_id, room_id });
        }
        let (endpoint, rooms) = self.choose();
        let user_id = 1 + self.random.below(catalogue.users);
        let last_room = match rooms {
            Rooms::Any => catalogue.rooms,
            Rooms::Hot => catalogue.hot_rooms,
        };
        let coupon_id = 1 + self.random.below(last_room * catalogue.coupons_per_room);
        Some(Request { endpoint, user_id, coupon_id, room_id: catalogue.room_of(coupon_id) })
    }
}

/// Walks through all user and coupon pairs, neighbours far apart: ids in sequence would flatter every index.
#[derive(Debug, Clone)]
struct Pairs {
    users: u64,
    coupons: u64,
    stride: u64,
    number: u64,
}

impl Pairs {
    fn new(catalogue: &Catalogue, skip: u64) -> Self {
        let users = catalogue.users;
        // Without a common factor, a stride visits every user before it visits one again.
        let golden = (users as f64 * 0.618_033_988_75) as u64;
        let stride = (golden.max(1)..=users.max(1)).find(|stride| gcd(*stride, users) == 1).unwrap_or(1);
        Self { users, coupons: catalogue.coupons(), stride, number: skip }
    }

    fn next(&mut self) -> (u64, u64) {
        let (lap, at) = (self.number / self.users, self.number % self.users);
        self.number += 1;
        let user = (u128::from(at) * u128::from(self.stride) % u128::from(self.users)) as u64;
        (user + 1, (at + lap) % self.coupons + 1)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The moments at which requests are due, counted from the start: a Poisson process without end, or those of a trace.
#[derive(Debug, Clone)]
pub struct ArrivalTimes {
    rate: f64,
    pace: Pace,
}

#[derive(Debug, Clone)]
enum Pace {
    Poisson { at: f64, random: Random },
    Traced { trace: Trace, number: usize },
}

impl ArrivalTimes {
    /// `rate` requests a second on average; the same seed gives the same moments.
    #[must_use]
    pub fn new(workload: &Workload, rate: f64, seed: u64) -> Self {
        let pace = match workload.trace() {
            Some(trace) => Pace::Traced { trace: trace.clone(), number: 0 },
            None => Pace::Poisson { at: 0.0, random: Random::new(seed, 2) },
        };
        Self { rate, pace }
    }
}

impl Iterator for ArrivalTimes {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match &mut self.pace {
            Pace::Poisson { at, random } => {
                *at += random.exponential() / self.rate;
                Some(Duration::try_from_secs_f64(*at).unwrap_or(Duration::MAX))
            }
            Pace::Traced { trace, number } => {
                *number += 1;
                trace.moment(*number - 1, self.rate)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn share(requests: &[Request], wanted: impl Fn(&Request) -> bool) -> f64 {
        requests.iter().filter(|request| wanted(request)).count() as f64 / requests.len() as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_requests_and_moments() {
        let take = |seed| Schedule::new(&Workload::default(), seed).take(10_000).collect::<Vec<_>>();
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        let moments =
            |seed| ArrivalTimes::new(&Workload::default(), 500.0, seed).take(10_000).collect::<Vec<_>>();
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
    }

    #[test]
    fn seventy_two_percent_of_grabs_hit_the_first_twenty_five_rooms() {
        let all: Vec<_> = Schedule::new(&Workload::default(), 1).take(200_000).collect();
        let grabs: Vec<_> =
            all.iter().copied().filter(|request| request.endpoint == Endpoint::Grab).collect();
        let first = share(&grabs, |request| request.room_id <= 25);
        assert!((0.71..0.73).contains(&first), "{first}");
        let hot = share(&grabs, |request| request.room_id <= 5);
        assert!((0.635..0.655).contains(&hot), "20 of 31.9 and a twentieth of the rest, not {hot}");
    }

    #[test]
    fn requests_come_in_the_proportions_of_rates_and_weights() {
        let workload = Workload::default();
        let all: Vec<_> = Schedule::new(&workload, 2).take(300_000).collect();
        // 5 users every 0.3 s, 3 every 0.125 s, 1 every 2 s, 1 every 7.5 s.
        let (normal, hot, cross, admin) = (5.0 / 0.3, 3.0 / 0.125, 0.5, 1.0 / 7.5);
        let total = normal + hot + cross + admin;
        for (endpoint, rate) in [
            (Endpoint::Grab, normal * 10.0 / 14.0 + hot * 10.0 / 12.0),
            (Endpoint::UserCoupons, normal * 3.0 / 14.0),
            (Endpoint::RoomStats, hot * 2.0 / 12.0),
            (Endpoint::RoomOrders, cross * 0.5),
            (Endpoint::AdminStats, admin * 0.5),
        ] {
            let (wanted, got) = (rate / total, share(&all, |request| request.endpoint == endpoint));
            assert!((got / wanted - 1.0).abs() < 0.15, "{endpoint:?}: {got}, not {wanted}");
            assert!((workload.shares()[&endpoint] - wanted).abs() < 1e-9);
        }
    }

    #[test]
    fn every_id_is_one_of_the_catalogue() {
        let catalogue = Catalogue { users: 7, rooms: 3, hot_rooms: 1, coupons_per_room: 2 };
        let workload = Workload { catalogue, ..Workload::default() };
        let all: Vec<_> = Schedule::new(&workload, 3).take(5_000).collect();
        assert!(all.iter().all(|r| (1..=7).contains(&r.user_id) && (1..=6).contains(&r.coupon_id)));
        assert!(all.iter().all(|r| r.room_id == (r.coupon_id - 1) / 2 + 1));
        assert!(all.iter().all(|r| r.endpoint != Endpoint::RoomStats || r.room_id == 1));
    }

    #[test]
    fn distinct_grabs_use_every_pair_once_and_go_on_where_they_stopped() {
        let catalogue = Catalogue { users: 60, rooms: 7, hot_rooms: 1, coupons_per_room: 2 };
        let grabs = |skip, count| Schedule::new(&Workload::distinct_grabs(catalogue, skip), 1).take(count);
        let pairs: HashSet<_> = grabs(0, 840).map(|r| (r.user_id, r.coupon_id)).collect();
        assert_eq!(pairs.len(), 60 * 14);
        let (first, rest): (Vec<_>, Vec<_>) = (grabs(0, 840).collect(), grabs(100, 740).collect());
        assert_eq!(first[100..], rest);
    }

    #[test]
    fn arrivals_come_at_the_rate_and_scatter_as_a_poisson_process_does() {
        let mut counts = vec![0_u32; 1_000];
        let arrivals = ArrivalTimes::new(&Workload::default(), 100.0, 4);
        for at in arrivals.take_while(|at| *at < Duration::from_secs(1_000)) {
            counts[at.as_secs() as usize] += 1;
        }
        let mean = f64::from(counts.iter().sum::<u32>()) / 1_000.0;
        let variance = counts.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>() / 999.0;
        assert!((98.0..102.0).contains(&mean), "{mean}");
        assert!((85.0..115.0).contains(&variance), "a Poisson count's variance is its mean, not {variance}");
    }
}
