//! The order of contestants by one metric.

use coupon_measure::format;

use crate::model::{Call, Contestant, Metric, Report};

/// The certainty of advice when nothing could be judged.
pub(super) const NO_VERDICT: &str = "no verdict";

/// Candidates by one metric, parted into those that no other beats and the rest.
pub(super) struct Standing<'a> {
    /// Candidates that no other candidate beats, best median first, with their medians.
    pub(super) unbeaten: Vec<(&'a str, f64)>,
    /// The others, best median first.
    pub(super) beaten: Vec<(&'a str, f64)>,
    /// The fewest rounds behind any of the verdicts, and their lowest level; none without verdicts.
    pub(super) sure: Option<(usize, f64)>,
    /// The reason why there are no figures, where no candidate has any.
    pub(super) missing: Option<&'a str>,
}

impl<'a> Standing<'a> {
    /// Orders candidates; those without a figure are left out.
    pub(super) fn of(report: &'a Report, candidates: &[&'a Contestant], metric: &Metric) -> Self {
        let mut medians: Vec<(&str, f64)> =
            candidates.iter().filter_map(|c| Some((c.name.as_str(), c.median(metric)?))).collect();
        medians.sort_by(
            |(_, one), (_, other)| {
                if metric.more_is_better() { other.total_cmp(one) } else { one.total_cmp(other) }
            },
        );
        let among = |name: &str| medians.iter().any(|(candidate, _)| *candidate == name);
        let verdicts: Vec<_> = report
            .verdicts
            .iter()
            .filter(|v| v.metric == *metric && v.call != Call::TooFewRounds && among(&v.a) && among(&v.b))
            .collect();
        let loses = |name: &str| verdicts.iter().any(|v| v.worse.as_deref() == Some(name));
        let (beaten, unbeaten) = medians.iter().copied().partition(|(name, _)| loses(name));
        let sure = verdicts.iter().filter_map(|v| v.ratio.as_ref()).fold(None, |sure, ratio| {
            let (n, level) = sure.unwrap_or((ratio.n, ratio.level));
            Some((n.min(ratio.n), level.min(ratio.level)))
        });
        let reason = |contestant: &&'a Contestant| contestant.summary(metric)?.reason.as_deref();
        let missing = if medians.is_empty() { candidates.iter().find_map(reason) } else { None };
        Self { unbeaten, beaten, sure, missing }
    }

    /// True when any candidate is better than another.
    pub(super) fn differs(&self) -> bool {
        !self.beaten.is_empty()
    }

    /// True when there was anything to compare, with enough rounds.
    pub(super) fn judged(&self) -> bool {
        self.sure.is_some()
    }

    /// The names of those that no other beats.
    pub(super) fn leaders(&self) -> Vec<String> {
        self.unbeaten.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// `hash (1.2 ms), range (1.3 ms) and …`.
    pub(super) fn shown(of: &[(&str, f64)], unit: &str) -> String {
        let shown: Vec<String> = of
            .iter()
            .map(|(name, median)| match unit {
                "" => format!("{name} ({})", format::plain(*median)),
                "/s" => format!("{name} ({}/s)", format::number(*median)),
                _ => format!("{name} ({} {unit})", format::number(*median)),
            })
            .collect();
        format::list(&shown)
    }

    /// The lowest and the highest median, with the unit: `1.2 to 1.3 ms`.
    pub(super) fn range(&self, unit: &str) -> String {
        let all = || self.unbeaten.iter().chain(&self.beaten).map(|(_, median)| *median);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
        let (low, high) = (format::number(low), format::number(high));
        let space = if unit.is_empty() || unit.starts_with('/') { "" } else { " " };
        if low == high { format!("{low}{space}{unit}") } else { format!("{low} to {high}{space}{unit}") }
    }

    /// The certainty of the verdicts.
    pub(super) fn certainty(&self) -> String {
        match self.sure {
            Some((n, level)) => format::sure(n, level),
            None => NO_VERDICT.into(),
        }
    }
}
