//! The gain from keeping a coupon's wide columns apart, measured shortly once all rounds are over.

use std::time::Duration;

use coupon_cli::terminal;
use coupon_lab::seed_for;
use coupon_measure::stats::MIN_ROUNDS;
use coupon_report::model::{Reading, Vertical};
use coupon_seeding::SeedOptions;

use super::options::CompareOptions;
use crate::vertical::{Both, VerticalOptions, measure};

/// The time for which each of the four reads is sent to each of the two services in a round: four seconds in all.
const TURN: Duration = Duration::from_millis(100);
/// The fewest rounds that a verdict takes: this is one short look; `loadtest vertical` takes a longer one.
const ROUNDS: u32 = 5;
const CONNECTIONS: usize = 4;

/// Measures it on two services of its own, over this workload's coupons.
pub(super) fn of(options: &CompareOptions) -> Reading<Vertical> {
    if usize::try_from(options.rounds).is_ok_and(|rounds| rounds < MIN_ROUNDS) {
        return Reading::unknown(
            "a run of so few rounds has no time for it; `loadtest vertical` measures it alone",
        );
    }
    if options.contestants.is_empty() {
        return Reading::unknown("no contestant was started here; `loadtest vertical` measures it alone");
    }
    let workload = &options.load.workload;
    let how = VerticalOptions {
        duration: TURN,
        rounds: ROUNDS,
        connections: CONNECTIONS.min(options.load.connections),
        seed: options.load.seed,
        catalogue: workload.catalogue,
    };
    terminal::progress("seeding and starting two services, the one with a wide table");
    let seed = SeedOptions { seed: options.load.seed, history: 0, ..seed_for(workload) };
    let found = Both::start(&seed, &workload.catalogue).and_then(|both| {
        let found = measure(&both, &how);
        both.stop().and(found)
    });
    terminal::clear_progress();
    found.map_err(|error| format!("{error:#}")).into()
}
