//! Changes by an operator, while several processes sell.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coupon_loadgen::http::{Target, ask};
use coupon_loadgen::workload::CatalogueSpec;
use serde::Deserialize;
use serde_json::json;

use super::super::load_kind::LoadKind;
use super::super::measured::{Measured, PLENTY, Plan, What};
use crate::context::{Context, Store};
use crate::model::{Bound, Claim, Measurement, NamedFigure};

pub(super) const ID: &str = "sale-change";
const PROCESSES: NonZeroUsize = NonZeroUsize::new(4).unwrap();
/// Of so many changes the slowest but one is the p99.
const CHANGES: u32 = 100;
/// The grabs beside them.
const BESIDE: LoadKind =
    LoadKind { service: "", what: What::Grab { rooms: 100 }, connections: 64, rate: Some(1_000.0) };
/// The longest that all changes of a round may take.
const LONGEST: Duration = Duration::from_secs(300);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn claim() -> Claim {
    Claim::new(
        ID,
        "p99 of 100 changes of a coupon's total, until the operator is answered, by four processes on servers that sell 1,000 a \
         second",
        Bound::AtMost(0.5),
        "s",
    )
}

/// What an operator is answered, as far as it matters here.
#[derive(Deserialize)]
struct Answer {
    /// Processes that may not know of it yet.
    unconfirmed: Vec<String>,
}

pub(super) fn measure(context: &Context) -> Result<Measurement> {
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
    let rounds = if context.quick { 1 } else { 3 };
    let (mut p99, mut p50, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        context.progress(format!("round {} of {rounds}: changes by an operator", round + 1));
        let (sample, mut seconds) = service.beside(&BESIDE.load(LONGEST), || {
            (0..CHANGES).map(|number| change(&target, round * CHANGES + number)).collect::<Result<Vec<f64>>>()
        })?;
        seconds.sort_by(f64::total_cmp);
        p99.extend(seconds.iter().rev().nth(1));
        p50.extend(seconds.get(seconds.len() / 2));
        problems.extend(sample.problem);
    }
    problems.extend(service.finish(context)?);
    let figures = vec![NamedFigure::of("p50 of the changes", "s", &p50)];
    Ok(Measurement::new(ID, p99).figures(figures).problems(problems))
}

/// Raises the total of a coupon; returns the seconds until every process was known to sell by it.
fn change(target: &Target, number: u32) -> Result<f64> {
    let coupon = 1 + u64::from(number) % CatalogueSpec::default().coupons();
    let (path, total) = (format!("/admin/coupons/{coupon}"), PLENTY + 1 + number);
    let body = json!({ "total_stock": total }).to_string();
    let began = Instant::now();
    let (status, answer) = ask(target, "PATCH", &path, body.as_bytes(), PATIENCE)?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status == 200, "PATCH {path} answered {status}: {}", String::from_utf8_lossy(&answer));
    let Answer { unconfirmed } = serde_json::from_slice(&answer).context("the answer to a change")?;
    ensure!(unconfirmed.is_empty(), "PATCH {path}: {} had not confirmed", unconfirmed.join(", "));
    Ok(seconds)
}
