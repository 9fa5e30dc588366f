//! The sentences on a pair of reads, whatever came out.

use coupon_measure::stats::{Estimate, Judgement, MIN_ROUNDS};

use super::Compared;

/// The gain of two tables without details, their cost with them, and how much of the small answer's lead is its size.
pub(super) fn of(
    name: &str,
    narrow: Option<&Compared>,
    wide: Option<&Compared>,
    size: Option<&Estimate>,
) -> String {
    let Some((narrow, wide)) = narrow.zip(wide).filter(|(narrow, _)| narrow.rate.p.is_some()) else {
        return format!("Under {MIN_ROUNDS} rounds there is no verdict on {name}.");
    };
    let reading = format!("reading {name} without its details");
    let without = gain(narrow, &reading, &format!("no difference was shown in {reading}"));
    let with = gain(wide, "with them it", "with them none was shown");
    format!("From two tables instead of one wide one, {without}; {with}.{}", share(narrow, size))
}

/// The gain of two tables. Answers a second decide or, where they are lost in the noise, the median latency.
fn gain(of: &Compared, what: &str, none: &str) -> String {
    match (&of.rate.judgement, &of.p50.judgement) {
        (Judgement::More(ratio), _) => {
            format!("{what} is answered {:.2} times as often a second: that pays", ratio.median)
        }
        (Judgement::Less(ratio), _) => {
            format!("{what} is answered {:.2} times as often a second: that costs", ratio.median)
        }
        (_, Judgement::Less(ratio)) => {
            format!("{what} takes {:.2} times as long at the median: that pays", ratio.median)
        }
        (_, Judgement::More(ratio)) => {
            format!("{what} takes {:.2} times as long at the median: that costs", ratio.median)
        }
        (Judgement::NoDifference(ratio), _) => {
            format!("{none} ({:.2} to {:.2} times the answers a second)", ratio.low, ratio.high)
        }
        (Judgement::TooFewRounds(_), _) => format!("{what}: too few rounds"),
    }
}

/// The part that the tables have in the small answer's lead over the large one.
fn share(narrow: &Compared, size: Option<&Estimate>) -> String {
    let (Some(size), Some(gain)) = (size, narrow.rate.judgement.ratio()) else { return String::new() };
    let size = size.median;
    let part = match &narrow.rate.judgement {
        Judgement::More(_) => {
            format!("{:.2} of that is the tables, the rest is the answer's size", gain.median)
        }
        _ => "that is the answer's size, and no gain of the tables was shown".to_owned(),
    };
    format!(" Without details it is answered {size:.2} times as often as with them; {part}.")
}
