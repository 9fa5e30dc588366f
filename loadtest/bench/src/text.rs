//! Figures and verdicts as text, for the terminal and the document alike.

use coupon_measure::format::number;

use super::model::{Bound, Claim, RoundSpread, Standing};

/// `0.61 (0.58–0.65, n 5)`, `3.50 s (3.40–3.60, n 5)`.
pub(super) fn spread(spread: &RoundSpread, unit: &str) -> String {
    let RoundSpread { median, min, max, n } = spread;
    let median = with_unit(&number(*median), unit);
    if *n == 1 {
        return format!("{median} (n 1)");
    }
    format!("{median} ({}–{}, n {n})", number(*min), number(*max))
}

/// `≥ 0.65×`.
pub(super) fn target(claim: &Claim) -> String {
    let (sign, value) = match claim.target {
        Bound::AtLeast(least) => ("≥", least),
        Bound::AtMost(most) => ("≤", most),
        Bound::Free => return "—".to_owned(),
    };
    format!("{sign} {}", with_unit(&number(value), &claim.unit))
}

/// `0.65×`, `12 ms`.
pub(super) fn with_unit(value: &str, unit: &str) -> String {
    match unit {
        "" => value.to_owned(),
        "×" | "/s" => format!("{value}{unit}"),
        _ => format!("{value} {unit}"),
    }
}

/// In one or two words.
pub(super) const fn standing(standing: &Standing) -> &'static str {
    match standing {
        Standing::Reached => "reached",
        Standing::Missed => "missed",
        Standing::NoTarget => "no target",
        Standing::NotValid => "not valid",
        Standing::NotRun(_) => "not run",
    }
}
