//! Holds that are due at once, while grabs go on.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use coupon_core::Timestamp;
use coupon_store::clock::Clock;

use super::super::load_kind::LoadKind;
use super::super::measured::{Measured, What};
use super::shards::Shards;
use crate::context::{Context, Store};
use crate::model::{Measurement, NamedFigure};

const HOLDS: u64 = 100_000;
/// The kind of grabs beside them, and the one that makes the holds.
const BESIDE: LoadKind =
    LoadKind { service: "", what: What::GrabNamed { rooms: 100 }, connections: 64, rate: Some(1_000.0) };
const FILL: LoadKind = LoadKind::closed(What::GrabNamed { rooms: 100 }, 256);
/// The time from the moment that the holds are set to expire, within which the service is started anew and its grabs
/// are measured without.
const LEAD: Duration = Duration::from_secs(20);
/// Grabs begin so much earlier than the holds are due.
const EARLIER: Duration = Duration::from_millis(500);
/// Holds that have not expired by then make the round not valid.
const LONGEST: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// One round: its holds, and what became of them and of the grabs beside.
struct Expiry {
    holds: u64,
    seconds: f64,
    calm_ms: f64,
    busy_ms: f64,
    problems: Vec<String>,
}

impl Expiry {
    /// The holds that expired in a second.
    fn per_s(&self) -> f64 {
        self.holds as f64 / self.seconds
    }
}

/// Lets holds of that service expire, and stops it.
pub(super) fn measure(context: &Context, store: Store, mut service: Measured) -> Result<Vec<Measurement>> {
    let rounds = if context.quick { 1 } else { 3 };
    let each: Vec<Expiry> = (1..=rounds)
        .map(|round| {
            context
                .progress(format!("round {round} of {rounds}: holds that are due {}", super::place(store)));
            expire(context, &mut service)
        })
        .collect::<Result<_>>()?;
    let audit = service.finish(context)?;
    let problems: Vec<String> = each.iter().flat_map(|round| round.problems.clone()).chain(audit).collect();
    let of = |value: fn(&Expiry) -> f64| each.iter().map(value).collect::<Vec<f64>>();
    let figures = vec![
        NamedFigure::of("holds", "", &of(|round| round.holds as f64)),
        NamedFigure::of("expired", "/s", &of(Expiry::per_s)),
        NamedFigure::of("p99 of grabs before", "ms", &of(|round| round.calm_ms)),
        NamedFigure::of("p99 of grabs meanwhile", "ms", &of(|round| round.busy_ms)),
    ];
    let name = store.name();
    Ok(vec![
        // A round has some more of them: those of the last load that made them.
        Measurement::new(format!("sale-expiry-{name}"), of(|round| HOLDS as f64 / round.per_s()))
            .figures(figures)
            .problems(problems.clone()),
        Measurement::new(format!("sale-expiry-p99-{name}"), of(|round| round.busy_ms / round.calm_ms))
            .problems(problems),
    ])
}

fn now() -> Timestamp {
    Clock::system().now()
}

fn expire(context: &Context, service: &mut Measured) -> Result<Expiry> {
    let before = service.grabbed();
    while service.grabbed() < before + HOLDS {
        service.round(&FILL.load(context.round()))?;
    }
    let shards = Shards::of(&service.running)?;
    // A service asks when the next is due once it has stored something that is, or when it starts.
    let due = now().plus_millis(LEAD.as_millis().try_into()?);
    let holds = shards.have_all_due(due)?;
    ensure!(holds >= HOLDS, "{holds} results are held, not {HOLDS}");
    service.running.restart().context("with holds that are due soon")?;
    service.round(&BESIDE.load(context.round() / 3))?;
    let calm = service.round(&BESIDE.load(context.round()))?;
    let left = due.millis() - now().millis() - i64::try_from(EARLIER.as_millis())?;
    let left = u64::try_from(left).context("the holds were due before the grabs without were measured")?;
    std::thread::sleep(Duration::from_millis(left));
    let (busy, seconds) = service.beside(&BESIDE.load(LONGEST), move || until_expired(&shards, due))?;
    service.running.drain()?;
    let problems = [&calm.problem, &busy.problem].into_iter().flatten().cloned().collect();
    Ok(Expiry { holds, seconds, calm_ms: calm.p99_ms, busy_ms: busy.p99_ms, problems })
}

/// The seconds from the moment that all holds are due until none of them is left.
fn until_expired(shards: &Shards, due: Timestamp) -> Result<f64> {
    let wait = u64::try_from(due.millis() - now().millis()).unwrap_or(0);
    std::thread::sleep(Duration::from_millis(wait));
    let began = Instant::now();
    while shards.any_until(due)? {
        ensure!(began.elapsed() < LONGEST, "holds that are due are left after {} s", LONGEST.as_secs());
        std::thread::sleep(LOOK);
    }
    Ok(began.elapsed().as_secs_f64())
}
