//! Changes by an operator, while several processes sell: how soon each is in force, and whether any grab was decided by what
//! was before.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use coupon_audit::GrabClaim as Acknowledged;
use coupon_core::FailReason;
use coupon_loadgen::http::{Target, ask, get_json};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_service::api::{CatalogueChanged, CouponView, GrabResponse};
use coupon_store::clock::Clock;
use serde_json::{Value, json};

use super::super::load_kind::LoadKind;
use super::super::measured::{Measured, PLENTY, Plan, What};
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Measurement, NamedFigure};

/// The rows of this module.
pub(super) const IDS: [&str; 2] = ["sale-change", "sale-names"];
const PROCESSES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// The changes of a round: of so many the slowest but one is the p99.
const CHANGES: u64 = 100;
/// The changes of names and details in a round.
const NAMES: u64 = 20;
/// The coupons of these first rooms are sold by the load, those of all others are changed: each of its grabs is granted.
const SOLD_ROOMS: u64 = 90;
/// The grabs beside them.
const BESIDE: LoadKind =
    LoadKind { service: "", what: What::Grab { rooms: SOLD_ROOMS }, connections: 64, rate: Some(1_000.0) };
/// The longest that all changes of a round may take.
const LONGEST: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn claims() -> [Claim; 2] {
    let [change, names] = IDS;
    let where_sold = "by four processes on servers that sell 1,000 a second";
    let changes = "p99 of 100 changes of a coupon's total, status or window, until the operator is answered";
    let shown = "the slowest of 20 changes of a coupon's name and details, until each process shows it";
    [
        Claim::new(change, format!("{changes}, {where_sold}"), Bound::AtMost(0.5), "s"),
        Claim::new(names, format!("{shown}, {where_sold}"), Bound::AtMost(1.0), "s"),
    ]
}

pub(super) fn measure(context: &Context) -> Result<[Measurement; 2]> {
    let plan = Plan {
        name: "changed",
        store: Store::Servers,
        catalogue: CatalogueSpec::default(),
        stock: PLENTY,
        hold_s: 0,
        settings: &[],
    };
    let mut service = Measured::start_processes(context, &plan, PROCESSES)?;
    service.round(&BESIDE.load(context.round()))?;
    let target = service.running.target.clone();
    ensure!(each(&target).count() == PROCESSES.get(), "there are {} processes", each(&target).count());
    let rounds = if context.quick { 1 } else { 3 };
    let (mut p99, mut p50, mut shown, mut problems) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        context.progress(format!("round {} of {rounds}: changes by an operator", round + 1));
        let (sample, (mut changed, named)) = service.beside(&BESIDE.load(LONGEST), || {
            let changed = Changed::all(&target, round * CHANGES..(round + 1) * CHANGES)?;
            let names = (0..NAMES).map(|number| name(&target, round * NAMES + number));
            Ok((changed, names.collect::<Result<Vec<f64>>>()?))
        })?;
        changed.seconds.sort_by(f64::total_cmp);
        p99.extend(changed.seconds.iter().rev().nth(1));
        p50.extend(changed.seconds.get(changed.seconds.len() / 2));
        shown.extend(named.into_iter().max_by(f64::total_cmp));
        changed.granted.into_iter().for_each(|(user, coupon, told)| service.claim(user, coupon, told));
        problems.extend(sample.problem.into_iter().chain(changed.problems));
    }
    problems.extend(service.finish(context)?);
    let figures = vec![NamedFigure::of("p50 of the changes", "s", &p50)];
    let [change, names] = IDS;
    Ok([
        Measurement::new(change, p99).figures(figures).problems(problems.clone()),
        Measurement::new(names, shown).problems(problems),
    ])
}

/// Each process by itself.
fn each(target: &Target) -> impl Iterator<Item = Target> {
    let alone = move |addr: &std::net::SocketAddr| Target { addr: *addr, more: Vec::new(), ..target.clone() };
    std::iter::once(&target.addr).chain(&target.more).map(alone)
}

/// The outcome of a round's changes.
#[derive(Default)]
struct Changed {
    /// From each request to its answer.
    seconds: Vec<f64>,
    /// The grants of grabs after them: user, coupon, result.
    granted: Vec<(u64, u64, Acknowledged)>,
    /// The grabs that were decided by what was before.
    problems: Vec<String>,
}

impl Changed {
    fn all(target: &Target, numbers: std::ops::Range<u64>) -> Result<Self> {
        let mut all = Self::default();
        for number in numbers {
            let (coupon, change, refused) = step(number)?;
            all.seconds.push(patch(target, coupon, &change)?);
            // A user of its own for each grab: none has any of these coupons yet.
            for (process, user) in each(target).zip(number * 10 + 1..) {
                all.grab(&process, user, coupon, refused)
                    .with_context(|| format!("a grab of coupon {coupon} after {change}"))?;
            }
        }
        Ok(all)
    }

    /// Grabs once, and takes note of what was decided otherwise than the change says.
    fn grab(&mut self, process: &Target, user: u64, coupon: u64, refused: Option<FailReason>) -> Result<()> {
        let body = json!({ "user_id": user, "coupon_id": coupon }).to_string();
        let (status, answer) = ask(process, "POST", "/api/coupon/grab", body.as_bytes(), PATIENCE)?;
        ensure!(status == 200, "it was answered {status}: {}", String::from_utf8_lossy(&answer));
        let told: GrabResponse = serde_json::from_slice(&answer)?;
        if let Some(id) = told.result_id.filter(|_| told.grab_status == 1) {
            self.granted.push((user, coupon, Acknowledged::Granted(id.parse()?)));
        }
        let wanted = refused.map(FailReason::as_str);
        if told.fail_reason.as_deref() != wanted {
            let word = |reason: Option<&str>| reason.unwrap_or("granted").to_owned();
            let (was, right) = (word(told.fail_reason.as_deref()), word(wanted));
            self.problems
                .push(format!("a grab of coupon {coupon} was decided {was}, not {right}, after a change"));
        }
        Ok(())
    }
}

/// A change by its number: the coupon, what it is, and why a grab after it is refused, if it is.
fn step(number: u64) -> Result<(u64, Value, Option<FailReason>)> {
    let now = Clock::system().now();
    let at = |after_ms: i64| now.plus_millis(after_ms).to_string();
    let steps = [
        (json!({ "total_stock": PLENTY + 1 }), None),
        (json!({ "status": 0 }), Some(FailReason::InvalidTime)),
        (json!({ "status": 1 }), None),
        (json!({ "end_time": at(-1_000) }), Some(FailReason::InvalidTime)),
        (json!({ "end_time": at(86_400_000) }), None),
        (json!({ "total_stock": 0 }), Some(FailReason::OutOfStock)),
        (json!({ "total_stock": PLENTY }), None),
    ];
    let CatalogueSpec { rooms, coupons_per_room, .. } = CatalogueSpec::default();
    let (of_coupon, kind) = (number / steps.len() as u64, usize::try_from(number)? % steps.len());
    let coupon = SOLD_ROOMS * coupons_per_room + 1 + of_coupon % ((rooms - SOLD_ROOMS) * coupons_per_room);
    let (change, refused) = steps.into_iter().nth(kind).context("a step")?;
    Ok((coupon, change, refused))
}

/// Changes a coupon; returns the seconds until every process was known to go by it.
fn patch(target: &Target, coupon: u64, change: &Value) -> Result<f64> {
    let path = format!("/admin/coupons/{coupon}");
    let began = Instant::now();
    let (status, answer) = ask(target, "PATCH", &path, change.to_string().as_bytes(), PATIENCE)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status == 200, "PATCH {path} answered {status}: {}", String::from_utf8_lossy(&answer));
    let CatalogueChanged { changed, gate, unconfirmed, .. } =
        serde_json::from_slice(&answer).context("the answer to a change")?;
    ensure!(changed && gate, "PATCH {path} with {change}: changed {changed}, enforced {gate}");
    ensure!(unconfirmed.is_empty(), "PATCH {path}: {} had not confirmed", unconfirmed.join(", "));
    Ok(seconds)
}

/// Changes a coupon's name and details; returns the seconds until every process shows both.
fn name(target: &Target, number: u64) -> Result<f64> {
    let (coupon, name) = (1 + number, format!("renamed {number}"));
    let change = json!({ "coupon_name": name, "details": { "description": name } });
    let began = Instant::now();
    patch(target, coupon, &change)?;
    for process in each(target) {
        loop {
            let shown: CouponView = get_json(&process, &format!("/api/coupon/{coupon}?details=true"))?;
            let described = shown.details.is_some_and(|details| details.description == name);
            if shown.coupon_name == name && described {
                break;
            }
            if began.elapsed() > PATIENCE {
                bail!("{} does not show coupon {coupon} as it was changed", process.addr);
            }
        }
    }
    Ok(began.elapsed().as_secs_f64())
}
