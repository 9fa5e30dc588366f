//! Makes a plan that breaks a promise as small as it goes.

use crate::plan::SeededSchedule;
use crate::schedule::play;

/// The smallest plan that is found to break a promise still, by leaving out one fault or wish after the other.
#[must_use]
pub fn shrink(plan: &SeededSchedule) -> SeededSchedule {
    let mut smallest = plan.clone();
    loop {
        let before = smallest.faults.len() + smallest.wishes.len();
        smallest = without_each(
            smallest,
            |plan| plan.faults.len(),
            |plan, at| {
                plan.faults.remove(at);
            },
        );
        smallest = without_each(
            smallest,
            |plan| plan.wishes.len(),
            |plan, at| {
                plan.wishes.remove(at);
            },
        );
        if smallest.faults.len() + smallest.wishes.len() == before {
            return smallest;
        }
    }
}

fn without_each(
    mut plan: SeededSchedule,
    count: fn(&SeededSchedule) -> usize,
    remove: fn(&mut SeededSchedule, usize),
) -> SeededSchedule {
    for at in (0..count(&plan)).rev() {
        let mut less = plan.clone();
        remove(&mut less, at);
        if !play(&less, false).broken.is_empty() {
            plan = less;
        }
    }
    plan
}
