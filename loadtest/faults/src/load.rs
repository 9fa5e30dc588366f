//! The load on one service, and its weight when the fault comes.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use coupon_loadgen::http::get_json;
use coupon_loadgen::load::{Arrivals, GrabRecord, LoadSpec, Watch};
use coupon_loadgen::workload::{
    Checkout, Endpoint, Requests, RoomChoice, Scenario, ScenarioAction, Workload,
};
use coupon_service::api::AdminStats;
use serde::Serialize;

use super::customers::Customers;
use super::service::TestedService;
use super::start::CATALOGUE;

/// The time that a client waits for an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(5);
/// The limit of a load, whatever a fault does.
const LONGEST: Duration = Duration::from_secs(240);
const CONNECTIONS: usize = 64;

/// The weight of the load on a service when the fault came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LoadAtFault {
    /// Grabs a batch, on average until then.
    pub mean_batch: f64,
    /// Grabs that were sent and not answered at that moment.
    pub grabs_in_flight: usize,
}

/// The load on one service.
#[derive(Debug, Default)]
pub(super) struct ServiceLoad {
    pub(super) customers: Customers,
    watch: OnceLock<Arc<Watch>>,
    at_fault: Mutex<LoadAtFault>,
}

impl ServiceLoad {
    /// The load, and the receiver of its grants.
    pub(super) fn spec(
        &self,
        rate: f64,
        seed: u64,
        stop: &Arc<AtomicBool>,
    ) -> (LoadSpec, Receiver<GrabRecord>) {
        let (watch, granted) = Watch::new();
        let watch = Arc::clone(self.watch.get_or_init(|| watch));
        let spec = LoadSpec {
            workload: workload(),
            connections: CONNECTIONS,
            duration: LONGEST,
            seed,
            timeout: ANSWER,
            stop: Some(Arc::clone(stop)),
            watch: Some(watch),
            ..LoadSpec::new(Arrivals::Open { rate })
        };
        (spec, granted)
    }

    /// Asks every process for the mean size of its batches.
    pub(super) fn look_at_batches(&self, service: &TestedService) {
        let asked = service.processes.iter().filter(|process| process.is_running() && !process.is_paused());
        let stats = asked.filter_map(|process| {
            let target = process.target(service.name);
            get_json::<AdminStats>(&target, "/admin/stats").ok()
        });
        let (mut batches, mut grabs) = (0.0, 0.0);
        for AdminStats { batches: of, mean_batch, .. } in stats {
            batches += of as f64;
            grabs += of as f64 * mean_batch.unwrap_or_default();
        }
        self.at_fault.lock().unwrap_or_else(PoisonError::into_inner).mean_batch =
            if batches > 0.0 { grabs / batches } else { 0.0 };
    }

    /// The fault comes now.
    pub(super) fn fault_begins(&self) {
        let in_flight = self.watch.get().map_or(0, |watch| watch.grabs_in_flight());
        self.at_fault.lock().unwrap_or_else(PoisonError::into_inner).grabs_in_flight = in_flight;
    }

    pub(super) fn at_fault(&self) -> LoadAtFault {
        *self.at_fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Grabs first of all, some of them for coupons that sell out, and reads of every shard. What is grabbed in hot rooms is
/// the user's at once, and asked for without a name; customers look at it and spend it, beside the load. What is grabbed
/// elsewhere goes through a checkout.
fn workload() -> Workload {
    let scenario = |name: &str, users, rooms, actions: &[(Endpoint, f64)]| Scenario {
        name: name.to_owned(),
        users,
        think_s: [1.0, 1.0],
        rooms,
        checkout: None,
        actions: actions.iter().map(|&(endpoint, weight)| ScenarioAction { endpoint, weight }).collect(),
    };
    let shoppers = scenario("shoppers", 5.0, RoomChoice::Others, &[(Endpoint::Grab, 1.0)]);
    let requests = Requests::Scenarios(vec![
        Scenario { checkout: Some(CHECKOUT), ..shoppers },
        scenario("hot", 3.0, RoomChoice::Hot, &[(Endpoint::Grab, 1.0)]),
        scenario("reads", 1.0, RoomChoice::Any, &[(Endpoint::UserCoupons, 1.0), (Endpoint::Stock, 1.0)]),
    ]);
    Workload::of("faults".to_owned(), CATALOGUE, requests)
}

/// The steps that shoppers take with their results. The coupons' own terms say for how long they are held.
const CHECKOUT: Checkout = Checkout {
    confirm: 70.0,
    release: 20.0,
    expire: 10.0,
    used: 0.3,
    returned: 0.15,
    think_s: [0.3, 1.0],
    hold_s: 0,
};
