//! The report of a run: one contestant, which is the service as it was found, and one round.

use coupon_loadgen::http::Target;
use coupon_loadgen::load::{LoadSpec, Outcome};
use coupon_report::model::{Contestant, Meta, Reading, Report, Round};
use coupon_report::require::{self, Limit};

use crate::heat::KeyHeat;
use crate::measured;

pub(super) fn of(
    target: &Target,
    spec: &LoadSpec,
    date: String,
    outcome: &Outcome,
    limits: &[Limit],
) -> Report {
    let name = target.url("");
    let round = Round {
        audit: Reading::unknown("a run makes no audit; `loadtest audit` does, with what --acks wrote"),
        ..measured::round(0, 0, spec, outcome)
    };
    let meta = Meta {
        title: format!("Load on {name}"),
        unaudited: true,
        warnings: interrupted(spec, outcome).into_iter().collect(),
        ..measured::meta(spec, &spec.workload.name, date)
    };
    let mut keys = KeyHeat::default();
    keys.add(&outcome.grabs);
    let contestant = Contestant { name, rounds: vec![round], heat: keys.heat(), ..Contestant::default() };
    let mut report = Report::new(meta, vec![contestant]);
    coupon_report::summarise(&mut report);
    report.requirements = require::check(limits, &report);
    report
}

/// A run that was cut short says so.
fn interrupted(spec: &LoadSpec, outcome: &Outcome) -> Option<String> {
    let (elapsed, duration) = (outcome.elapsed.as_secs_f64(), spec.duration.as_secs_f64());
    spec.is_stopped().then(|| {
        format!("Interrupted after {elapsed:.1} of {duration} s: these figures are of that part alone.")
    })
}
