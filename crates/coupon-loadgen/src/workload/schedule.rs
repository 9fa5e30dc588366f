//! The sequence of requests: pure, decided by a seed.

use std::fmt;
use std::time::Duration;

use coupon_core::Money;
use coupon_measure::random::Random;

use super::keys::Draw;
use super::model::{Choice, Course};
use super::{CatalogueSpec, Endpoint, Keys, Requests, RoomChoice, Trace, Workload};

/// A request, ready to be written. Ids that its endpoint does not ask for are there all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The endpoint it targets.
    pub endpoint: Endpoint,
    /// The user who asks, or who is asked about.
    pub user_id: u64,
    /// About which coupon.
    pub coupon_id: u64,
    /// The coupon's room.
    pub room_id: u64,
    /// The number of the workload's scenario that asks, from 0; 0 when it has none.
    pub scenario: u16,
    /// Its part in a checkout, if it has one.
    pub part: Option<CheckoutPart>,
}

/// The part of a request in a checkout: a grab, and the steps that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutPart {
    /// The grab, by a request of this name.
    Grab {
        /// The name.
        name: RequestName,
        /// The steps that its user takes with the result.
        course: Course,
        /// The time from an answer to the next step.
        pause: Duration,
    },
    /// A step of a result.
    Step {
        /// The result's id.
        result: i64,
        /// The steps that its user takes with it.
        course: Course,
        /// The time from the answer before.
        pause: Duration,
    },
}

/// The name of a request, by which it is known when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestName(pub u64);

impl fmt::Display for RequestName {
    /// As a request carries it to a service.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The amount of the order that a result is spent on: of hardly any two alike, and above every coupon's minimum.
#[must_use]
pub fn order_of(result: i64) -> Money {
    Money::from_cents(100_000 + result.rem_euclid(100_000))
}

impl Request {
    /// The time from the answer before to the moment at which it is due.
    #[must_use]
    pub const fn pause(&self) -> Duration {
        match self.part {
            Some(CheckoutPart::Step { pause, .. }) => pause,
            Some(CheckoutPart::Grab { .. }) | None => Duration::ZERO,
        }
    }

    /// The name under which it grabs, if it has one.
    #[must_use]
    pub const fn name(&self) -> Option<RequestName> {
        match self.part {
            Some(CheckoutPart::Grab { name, .. }) => Some(name),
            Some(CheckoutPart::Step { .. }) | None => None,
        }
    }

    /// A request of a workload without scenarios.
    #[must_use]
    pub const fn alone(endpoint: Endpoint, user_id: u64, coupon_id: u64, room_id: u64) -> Self {
        Self { endpoint, user_id, coupon_id, room_id, scenario: 0, part: None }
    }
}

/// The requests of a workload: without end, but for a trace.
#[derive(Debug, Clone)]
pub struct Schedule {
    catalogue: CatalogueSpec,
    /// The actions to choose from; their weights are summed up, so that a random number up to the last finds its
    /// action.
    choices: Vec<Choice>,
    pairs: Option<Pairs>,
    trace: Option<(Trace, usize)>,
    /// The ids that are drawn unevenly.
    skewed: Option<Skewed>,
    random: Random,
}

/// The distributions of ids that are not all alike.
#[derive(Debug, Clone)]
struct Skewed {
    users: Draw,
    /// On all rooms, on the hot ones, and on the others.
    rooms: [Draw; 3],
    coupons: Draw,
}

impl Skewed {
    fn new(keys: &Keys, catalogue: &CatalogueSpec) -> Option<Self> {
        // A workload that asks for hot rooms, or for others, has at least one.
        let over = |rooms: RoomChoice| keys.rooms.over(rooms.within(catalogue).1.max(1));
        (*keys != Keys::default()).then(|| Self {
            users: keys.users.over(catalogue.users),
            rooms: [RoomChoice::Any, RoomChoice::Hot, RoomChoice::Others].map(over),
            coupons: keys.coupons.over(catalogue.coupons_per_room),
        })
    }

    fn next(&self, random: &mut Random, rooms: RoomChoice, catalogue: &CatalogueSpec) -> (u64, u64) {
        let user = self.users.next(random);
        let [any, hot, others] = &self.rooms;
        let draw = match rooms {
            RoomChoice::Any => any,
            RoomChoice::Hot => hot,
            RoomChoice::Others => others,
        };
        let before = rooms.within(catalogue).0 + draw.next(random) - 1;
        (user, before * catalogue.coupons_per_room + self.coupons.next(random))
    }
}

impl Schedule {
    /// The same seed gives the same requests, at every rate.
    #[must_use]
    pub fn new(workload: &Workload, seed: u64) -> Self {
        let mut sum = 0.0;
        let choices = workload.choices().into_iter().map(|choice| {
            sum += choice.weight;
            Choice { weight: sum, ..choice }
        });
        let pairs = match workload.requests {
            Requests::DistinctGrabs { skip, named } => Some(Pairs::new(&workload.catalogue, skip, named)),
            Requests::Scenarios(_) | Requests::Echo | Requests::Trace(_) => None,
        };
        let trace = workload.trace().map(|trace| (trace.clone(), 0));
        Self {
            catalogue: workload.catalogue,
            choices: choices.collect(),
            pairs,
            trace,
            skewed: Skewed::new(&workload.keys, &workload.catalogue),
            random: Random::new(seed, 1),
        }
    }

    /// A user and a coupon.
    fn draw(&mut self, rooms: RoomChoice) -> (u64, u64) {
        let catalogue = self.catalogue;
        if let Some(skewed) = &self.skewed {
            return skewed.next(&mut self.random, rooms, &catalogue);
        }
        let user_id = 1 + self.random.below(catalogue.users);
        let (before, among) = rooms.within(&catalogue);
        let coupon = self.random.below(among * catalogue.coupons_per_room);
        (user_id, 1 + before * catalogue.coupons_per_room + coupon)
    }

    /// Nothing only from a workload that asks nothing, which is none.
    fn choose(&mut self) -> Option<Choice> {
        let total = self.choices.last().map_or(0.0, |choice| choice.weight);
        let at = self.random.unit() * total;
        self.choices.iter().find(|choice| at < choice.weight).or(self.choices.last()).copied()
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
            let name = RequestName(pairs.number);
            let part = pairs.named.then_some(CheckoutPart::Grab {
                name,
                course: Course::Expires,
                pause: Duration::ZERO,
            });
            let (user_id, coupon_id) = pairs.next();
            let room_id = catalogue.room_of(coupon_id);
            return Some(Request { part, ..Request::alone(Endpoint::Grab, user_id, coupon_id, room_id) });
        }
        let Choice { endpoint, rooms, scenario, checkout, .. } = self.choose()?;
        let (user_id, coupon_id) = self.draw(rooms);
        let room_id = catalogue.room_of(coupon_id);
        let part = checkout.map(|checkout| CheckoutPart::Grab {
            name: RequestName(self.random.next_u64()),
            course: checkout.course(self.random.unit()),
            pause: checkout.pause(self.random.unit()),
        });
        Some(Request { endpoint, user_id, coupon_id, room_id, scenario, part })
    }
}

/// Walks through all user and coupon pairs, neighbours far apart: ids in sequence would flatter every index.
#[derive(Debug, Clone)]
struct Pairs {
    users: u64,
    coupons: u64,
    stride: u64,
    number: u64,
    named: bool,
}

impl Pairs {
    fn new(catalogue: &CatalogueSpec, skip: u64, named: bool) -> Self {
        let users = catalogue.users;
        // Without a common factor, a stride visits every user before it visits one again.
        let golden = (users as f64 * 0.618_033_988_75) as u64;
        let stride = (golden.max(1)..=users.max(1)).find(|stride| gcd(*stride, users) == 1).unwrap_or(1);
        Self { users, coupons: catalogue.coupons(), stride, number: skip, named }
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::workload::{Checkout, Skew};

    fn share(requests: &[Request], wanted: impl Fn(&Request) -> bool) -> f64 {
        requests.iter().filter(|request| wanted(request)).count() as f64 / requests.len() as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_requests() {
        let take = |seed| Schedule::new(&Workload::default(), seed).take(10_000).collect::<Vec<_>>();
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
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
    fn a_request_says_which_scenario_asks_it() {
        let workload = Workload::default();
        let names: Vec<&str> = workload.scenario_names().collect();
        let all: Vec<_> = Schedule::new(&workload, 5).take(50_000).collect();
        let asked = |name: &str, endpoint| {
            let by = |request: &Request| names[usize::from(request.scenario)] == name;
            share(&all, |request| by(request) && request.endpoint == endpoint)
        };
        assert!((0.0..0.001).contains(&asked("hot room", Endpoint::UserCoupons)));
        // 24 and 16.7 of 41.3 requests, 10 in 12 and 10 in 14 of them grabs.
        assert!((0.47..0.50).contains(&asked("hot room", Endpoint::Grab)));
        assert!((0.28..0.30).contains(&asked("normal", Endpoint::Grab)));
        assert!(
            all.iter()
                .all(|r| r.endpoint != Endpoint::Recent || names[usize::from(r.scenario)] == "cross-shard")
        );
    }

    #[test]
    fn what_is_held_ends_as_its_scenario_says_and_other_grabs_are_the_same_as_without() {
        let mut workload = Workload::default();
        let plain: Vec<_> = Schedule::new(&workload, 6).take(1_000).collect();
        assert!(plain.iter().all(|request| request.part.is_none()));
        let Requests::Scenarios(scenarios) = &mut workload.requests else { panic!() };
        scenarios[0].checkout = Some(Checkout { used: 0.3, returned: 0.2, ..Checkout::default() });
        let all: Vec<_> = Schedule::new(&workload, 6).take(100_000).collect();
        assert_eq!(all, Schedule::new(&workload, 6).take(100_000).collect::<Vec<_>>());
        let held: Vec<_> = all.iter().filter_map(|request| Some((request, request.part?))).collect();
        assert!(held.iter().all(|(request, _)| (request.endpoint, request.scenario) == (Endpoint::Grab, 0)));
        let share = |wanted: Course| {
            let count = held
                .iter()
                .filter(|(_, part)| matches!(part, CheckoutPart::Grab { course, .. } if *course == wanted));
            count.count() as f64 / held.len() as f64
        };
        for (course, part) in [
            (Course::Kept, 0.35),
            (Course::Used, 0.21),
            (Course::Returned, 0.14),
            (Course::Released, 0.2),
            (Course::Expires, 0.1),
        ] {
            let found = share(course);
            assert!((found - part).abs() < 0.02, "{course:?}: {found}, not {part}");
        }
        let names: HashSet<_> = held.iter().map(|(_, part)| format!("{part:?}")).collect();
        assert_eq!(names.len(), held.len(), "a request is named twice");
        let shares = workload.shares();
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!((shares[&Endpoint::Confirm] / shares[&Endpoint::Release] - 3.5).abs() < 1e-9);
        assert!((shares[&Endpoint::Use] / shares[&Endpoint::Confirm] - 0.3).abs() < 1e-9);
        assert!((shares[&Endpoint::Return] / shares[&Endpoint::Confirm] - 0.2).abs() < 1e-9);
    }

    #[test]
    fn every_id_is_one_of_the_catalogue() {
        let catalogue = CatalogueSpec { users: 7, rooms: 3, hot_rooms: 1, coupons_per_room: 2 };
        let workload = Workload { catalogue, ..Workload::default() };
        let all: Vec<_> = Schedule::new(&workload, 3).take(5_000).collect();
        assert!(all.iter().all(|r| (1..=7).contains(&r.user_id) && (1..=6).contains(&r.coupon_id)));
        assert!(all.iter().all(|r| r.room_id == (r.coupon_id - 1) / 2 + 1));
        assert!(all.iter().all(|r| r.endpoint != Endpoint::RoomStats || r.room_id == 1));
    }

    #[test]
    fn skewed_keys_decide_who_and_where_and_hot_scenarios_stay_in_hot_rooms() {
        let keys = Keys {
            rooms: Skew::Hot { hot: 1, share: 0.5 },
            users: Skew::Zipf(1.0),
            coupons: Skew::Zipf(9.0),
        };
        let workload = Workload { keys, ..Workload::default() };
        let all: Vec<_> = Schedule::new(&workload, 3).take(50_000).collect();
        assert!(all.iter().all(|r| (1..=100_000).contains(&r.user_id) && (1..=500).contains(&r.coupon_id)));
        assert!(all.iter().all(|r| r.endpoint != Endpoint::RoomStats || r.room_id <= 5));
        assert!(share(&all, |request| request.room_id == 1) > 0.5);
        // The first of twelve natural logarithms, nearly, and nearly every room's first coupon.
        assert!((0.07..0.1).contains(&share(&all, |request| request.user_id == 1)));
        assert!(share(&all, |request| request.coupon_id % 5 == 1) > 0.99);
    }

    #[test]
    fn distinct_grabs_use_every_pair_once_and_go_on_where_they_stopped() {
        let catalogue = CatalogueSpec { users: 60, rooms: 7, hot_rooms: 1, coupons_per_room: 2 };
        let grabs = |skip, count| Schedule::new(&Workload::distinct_grabs(catalogue, skip), 1).take(count);
        let pairs: HashSet<_> = grabs(0, 840).map(|r| (r.user_id, r.coupon_id)).collect();
        assert_eq!(pairs.len(), 60 * 14);
        let (first, rest): (Vec<_>, Vec<_>) = (grabs(0, 840).collect(), grabs(100, 740).collect());
        assert_eq!(first[100..], rest);
    }
}
