//! The model behind the requests: scenarios of users who think between their actions, over a catalogue.

use std::collections::BTreeMap;
use std::time::Duration;

use coupon_core::{ResultState, RoomCounts};
use serde::{Deserialize, Serialize};

use super::shape::Profile;
use super::{ArrivalShape, Endpoint, Keys, Trace};

/// The requests of a load, their proportions, and the users, rooms and coupons they are about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workload {
    /// The name in reports.
    pub name: String,
    /// The ids that exist.
    pub catalogue: CatalogueSpec,
    /// The distribution of requests over them.
    pub keys: Keys,
    /// The arrivals over time; the command line gives them without it.
    pub arrivals: Option<ArrivalShape>,
    /// The requests.
    pub requests: Requests,
}

/// The source of requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Requests {
    /// Users of several kinds.
    Scenarios(Vec<Scenario>),
    /// Recorded grabs, once.
    Trace(Trace),
    /// Grabs alone, of user and coupon pairs that do not repeat within users × coupons.
    DistinctGrabs {
        /// The number of pairs to leave out, because earlier rounds used them.
        skip: u64,
        /// True if they name their requests, as coupons that are held want it.
        named: bool,
    },
    /// The same bodies, sent to the echo.
    Echo,
}

/// The ids that exist: coupon c belongs to room (c − 1) / `coupons_per_room` + 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueSpec {
    /// Users are 1 to this.
    pub users: u64,
    /// Rooms are 1 to this.
    pub rooms: u64,
    /// The hot rooms are 1 to this.
    pub hot_rooms: u64,
    /// Each room has so many coupons.
    pub coupons_per_room: u64,
}

impl From<&CatalogueSpec> for RoomCounts {
    fn from(catalogue: &CatalogueSpec) -> Self {
        Self { all: catalogue.rooms, hot: catalogue.hot_rooms }
    }
}

impl Default for CatalogueSpec {
    fn default() -> Self {
        Self { users: 100_000, rooms: 100, hot_rooms: 5, coupons_per_room: 5 }
    }
}

impl CatalogueSpec {
    /// The number of coupons.
    #[must_use]
    pub const fn coupons(&self) -> u64 {
        self.rooms * self.coupons_per_room
    }

    /// The room of a coupon.
    #[must_use]
    pub const fn room_of(&self, coupon_id: u64) -> u64 {
        coupon_id.saturating_sub(1) / self.coupons_per_room + 1
    }
}

/// Users of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The number of users of this kind, relative to the other scenarios.
    pub users: f64,
    /// The shortest and the longest time between two actions of a user, in seconds.
    pub think_s: [f64; 2],
    /// The rooms that they care for, and whose coupons.
    #[serde(default)]
    pub rooms: RoomChoice,
    /// The steps that they take with their results; without it they name no requests, and leave their results alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Checkout>,
    /// The actions of its users.
    pub actions: Vec<ScenarioAction>,
}

/// The steps of results after their grab. The users' grabs name their requests; what is held is confirmed, released or left to
/// expire; what is theirs then is kept, used or handed back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkout {
    /// They pay; the weight of this, relative to the two others.
    pub confirm: f64,
    /// They give it up.
    pub release: f64,
    /// They go away.
    pub expire: f64,
    /// The part of those who pay, 0 to 1, that spends the coupon at once.
    pub used: f64,
    /// The part of them that hands it back.
    pub returned: f64,
    /// The shortest and the longest time from an answer to the next step, in seconds.
    pub think_s: [f64; 2],
    /// The seconds for which `compare` has the coupons held; 0: they are the user's at once.
    pub hold_s: u32,
}

impl Default for Checkout {
    fn default() -> Self {
        Self {
            confirm: 70.0,
            release: 20.0,
            expire: 10.0,
            used: 0.0,
            returned: 0.0,
            think_s: [1.0, 3.0],
            hold_s: 60,
        }
    }
}

impl Checkout {
    pub(super) fn sum(&self) -> f64 {
        self.confirm + self.release + self.expire
    }

    /// The course of the results of a user to whom chance gives this part of 1.
    #[must_use]
    pub fn course(&self, part: f64) -> Course {
        let paid = self.confirm / self.sum();
        let (used, returned) = (paid * self.used, paid * self.returned);
        match part {
            at if at < used => Course::Used,
            at if at < used + returned => Course::Returned,
            at if at < paid => Course::Kept,
            at if at * self.sum() < self.confirm + self.release => Course::Released,
            _ => Course::Expires,
        }
    }

    /// The time from an answer to the next step of a user to whom chance gives this part of 1.
    #[must_use]
    pub fn pause(&self, part: f64) -> Duration {
        let [shortest, longest] = self.think_s;
        Duration::try_from_secs_f64(shortest + part * (longest - shortest)).unwrap_or_default()
    }

    /// The steps, and how many there are for one grab that is held.
    #[must_use]
    pub fn steps(&self) -> [(Endpoint, f64); 4] {
        let paid = self.confirm / self.sum();
        [
            (Endpoint::Confirm, paid),
            (Endpoint::Release, self.release / self.sum()),
            (Endpoint::Use, paid * self.used),
            (Endpoint::Return, paid * self.returned),
        ]
    }
}

/// The course that a result takes after its grab, as far as its user decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Course {
    /// Confirmed.
    Kept,
    /// Confirmed and spent.
    Used,
    /// Confirmed and handed back.
    Returned,
    /// Given up while it is held.
    Released,
    /// Left alone.
    Expires,
}

impl Course {
    /// The step that follows as soon as the result is in that state, if one does.
    #[must_use]
    pub const fn step(self, state: ResultState) -> Option<Endpoint> {
        match (state, self) {
            (ResultState::Held, Self::Kept | Self::Used | Self::Returned) => Some(Endpoint::Confirm),
            (ResultState::Held, Self::Released) => Some(Endpoint::Release),
            (ResultState::Owned, Self::Used) => Some(Endpoint::Use),
            (ResultState::Owned, Self::Returned) => Some(Endpoint::Return),
            _ => None,
        }
    }
}

impl Scenario {
    /// Requests a second, relative to the other scenarios.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let [shortest, longest] = self.think_s;
        self.users / f64::midpoint(shortest, longest)
    }

    /// True if one of its actions, or what follows from it, targets that endpoint.
    #[must_use]
    pub fn asks(&self, endpoint: Endpoint) -> bool {
        let actions = self.actions.iter().map(|action| (action.endpoint, action.weight));
        let steps = self.checkout.iter().flat_map(Checkout::steps).filter(|(_, each)| *each > 0.0);
        actions.chain(steps).any(|(asked, _)| asked == endpoint)
    }
}

/// The rooms that a scenario is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomChoice {
    /// Every room alike.
    #[default]
    Any,
    /// The hot ones alone.
    Hot,
    /// All but the hot ones.
    Others,
}

impl RoomChoice {
    /// The word that files and reports use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Hot => "hot",
            Self::Others => "others",
        }
    }

    /// The rooms that come before the first of them, and how many they are.
    pub(super) const fn within(self, catalogue: &CatalogueSpec) -> (u64, u64) {
        match self {
            Self::Any => (0, catalogue.rooms),
            Self::Hot => (0, catalogue.hot_rooms),
            Self::Others => (catalogue.hot_rooms, catalogue.rooms.saturating_sub(catalogue.hot_rooms)),
        }
    }
}

/// One of the things users do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioAction {
    /// The endpoint it targets.
    #[serde(rename = "do")]
    pub endpoint: Endpoint,
    /// Its frequency, relative to the scenario's other actions.
    pub weight: f64,
}

impl Default for Workload {
    /// The built-in workload, which [`super::BUILT_IN`] spells out as a file.
    fn default() -> Self {
        let scenario = |name: &str, users, think_s, rooms, actions: &[(Endpoint, f64)]| Scenario {
            name: name.to_owned(),
            users,
            think_s,
            rooms,
            checkout: None,
            actions: actions.iter().map(|&(endpoint, weight)| ScenarioAction { endpoint, weight }).collect(),
        };
        let normal = [(Endpoint::Grab, 10.0), (Endpoint::UserCoupons, 3.0), (Endpoint::Stock, 1.0)];
        let hot = [(Endpoint::Grab, 10.0), (Endpoint::RoomStats, 2.0)];
        let cross = [(Endpoint::RoomOrders, 5.0), (Endpoint::Recent, 3.0), (Endpoint::Global, 2.0)];
        let admin = [(Endpoint::AdminStats, 1.0), (Endpoint::ShardsStatus, 1.0)];
        let requests = Requests::Scenarios(vec![
            scenario("normal", 5.0, [0.1, 0.5], RoomChoice::Any, &normal),
            scenario("hot room", 3.0, [0.05, 0.2], RoomChoice::Hot, &hot),
            scenario("cross-shard", 1.0, [1.0, 3.0], RoomChoice::Any, &cross),
            scenario("admin", 1.0, [5.0, 10.0], RoomChoice::Any, &admin),
        ]);
        Self::of("flash sale".to_owned(), CatalogueSpec::default(), requests)
    }
}

impl Workload {
    /// Requests about all ids alike, arriving as the command line says.
    #[must_use]
    pub fn of(name: String, catalogue: CatalogueSpec, requests: Requests) -> Self {
        Self { name, catalogue, keys: Keys::default(), arrivals: None, requests }
    }

    /// Requests a second that one of the scenarios' users makes, on average over all kinds; 0 without scenarios.
    #[must_use]
    pub fn rate_per_user(&self) -> f64 {
        let Requests::Scenarios(scenarios) = &self.requests else { return 0.0 };
        let users: f64 = scenarios.iter().map(|scenario| scenario.users).sum();
        scenarios.iter().map(Scenario::rate).sum::<f64>() / users
    }

    /// Requests a second on average over so long a time, if it says so itself.
    #[must_use]
    pub fn mean_rate(&self, over: Duration) -> Option<f64> {
        let profile = Profile::new(self.arrivals.as_ref()?, self.rate_per_user());
        Some(profile.until(over.as_secs_f64()) / over.as_secs_f64())
    }

    /// Grabs alone, of pairs that do not repeat within users × coupons, leaving out the first `skip`.
    #[must_use]
    pub fn distinct_grabs(catalogue: CatalogueSpec, skip: u64) -> Self {
        Self::of("grabs".to_owned(), catalogue, Requests::DistinctGrabs { skip, named: false })
    }

    /// The same, by requests with names, and left alone afterwards.
    #[must_use]
    pub fn distinct_named_grabs(catalogue: CatalogueSpec, skip: u64) -> Self {
        Self::of("named grabs".to_owned(), catalogue, Requests::DistinctGrabs { skip, named: true })
    }

    /// The bodies of grabs, sent to the echo.
    #[must_use]
    pub fn echo(catalogue: CatalogueSpec) -> Self {
        Self::of("echo".to_owned(), catalogue, Requests::Echo)
    }

    /// The recorded grabs, if that is what it sends.
    #[must_use]
    pub const fn trace(&self) -> Option<&Trace> {
        match &self.requests {
            Requests::Trace(trace) => Some(trace),
            Requests::Scenarios(_) | Requests::DistinctGrabs { .. } | Requests::Echo => None,
        }
    }

    /// Each endpoint's part of all requests, if every grab of a checkout is held; they sum to 1.
    #[must_use]
    pub fn shares(&self) -> BTreeMap<Endpoint, f64> {
        let mut shares = BTreeMap::new();
        for Choice { endpoint, weight, checkout, .. } in self.choices() {
            *shares.entry(endpoint).or_insert(0.0) += weight;
            for (step, each) in checkout.iter().flat_map(Checkout::steps).filter(|(_, each)| *each > 0.0) {
                *shares.entry(step).or_insert(0.0) += weight * each;
            }
        }
        let total: f64 = shares.values().sum();
        shares.values_mut().for_each(|share| *share /= total);
        shares
    }

    /// The seconds for which its coupons must be held, the longest of its checkouts'; 0 without any.
    #[must_use]
    pub fn hold_s(&self) -> u32 {
        self.checkouts().map(|checkout| checkout.hold_s).max().unwrap_or(0)
    }

    /// The checkouts of its scenarios.
    pub fn checkouts(&self) -> impl Iterator<Item = Checkout> + '_ {
        let scenarios = match &self.requests {
            Requests::Scenarios(scenarios) => scenarios.as_slice(),
            Requests::Trace(_) | Requests::DistinctGrabs { .. } | Requests::Echo => &[],
        };
        scenarios.iter().filter_map(|scenario| scenario.checkout)
    }

    /// True if some of its users hand back what is theirs, so that the coupons must allow it.
    #[must_use]
    pub fn returns(&self) -> bool {
        self.checkouts().any(|checkout| checkout.returned > 0.0)
    }

    /// The names of its scenarios, in the order of their numbers; none when it has no scenarios.
    pub fn scenario_names(&self) -> impl Iterator<Item = &str> {
        let scenarios = match &self.requests {
            Requests::Scenarios(scenarios) => scenarios.as_slice(),
            Requests::Trace(_) | Requests::DistinctGrabs { .. } | Requests::Echo => &[],
        };
        scenarios.iter().map(|scenario| scenario.name.as_str())
    }

    /// Every action of every scenario, and how often it comes.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let only = |endpoint| {
            vec![Choice { endpoint, rooms: RoomChoice::Any, scenario: 0, checkout: None, weight: 1.0 }]
        };
        let scenarios = match &self.requests {
            Requests::Scenarios(scenarios) => scenarios,
            Requests::Trace(_) | Requests::DistinctGrabs { .. } => return only(Endpoint::Grab),
            Requests::Echo => return only(Endpoint::Echo),
        };
        let actions = scenarios.iter().zip(0..).flat_map(|(scenario, number)| {
            let total: f64 = scenario.actions.iter().map(|action| action.weight).sum();
            let rate = scenario.rate();
            scenario.actions.iter().map(move |action| Choice {
                endpoint: action.endpoint,
                rooms: scenario.rooms,
                scenario: number,
                checkout: scenario.checkout.filter(|_| action.endpoint == Endpoint::Grab),
                weight: rate * action.weight / total,
            })
        });
        actions.filter(|choice| choice.weight > 0.0).collect()
    }
}

/// One of the things that are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) endpoint: Endpoint,
    pub(super) rooms: RoomChoice,
    /// The number of the scenario that asks, from 0.
    pub(super) scenario: u16,
    /// The steps that follow its grabs.
    pub(super) checkout: Option<Checkout>,
    /// Its frequency, relative to the others.
    pub(super) weight: f64,
}
