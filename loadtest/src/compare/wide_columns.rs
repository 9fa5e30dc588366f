//! The gain from keeping a coupon's wide columns apart, measured shortly once all rounds are over.

use std::time::Duration;

use coupon_measure::stats::MIN_ROUNDS;
use coupon_report::model::{Reading, Vertical};

use super::CompareOptions;
use super::round::Entrant;
use crate::vertical;

/// The time for which each of the four reads is sent in a round: with the warm-up, four seconds in all.
const TURN: Duration = Duration::from_millis(150);
/// The fewest rounds that a verdict takes: this is one short look; `loadtest vertical` takes a longer one.
const ROUNDS: u32 = 5;
const CONNECTIONS: usize = 4;

/// Measures it on the first contestant that was started here. Coupons live in the main database, so that it does not
/// matter which; a target is left alone, since its catalogue is unknown.
pub(super) fn of(options: &CompareOptions, entrants: &[Entrant]) -> Reading<Vertical> {
    if usize::try_from(options.rounds).is_ok_and(|rounds| rounds < MIN_ROUNDS) {
        return Reading::unknown(
            "a run of so few rounds has no time for it; `loadtest vertical` measures it alone",
        );
    }
    let Some(entrant) = entrants.first().filter(|_| !options.contestants.is_empty()) else {
        return Reading::unknown(
            "no contestant was started here; `loadtest vertical --target URL` measures a service",
        );
    };
    let how = vertical::VerticalOptions {
        duration: TURN,
        rounds: ROUNDS,
        connections: CONNECTIONS.min(options.load.connections),
        seed: options.load.seed,
        catalogue: options.load.workload.catalogue,
    };
    vertical::measure(&entrant.running().target, &how).map_err(|error| format!("{error:#}")).into()
}
