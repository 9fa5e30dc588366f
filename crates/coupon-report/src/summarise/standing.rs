//! The order of contestants by one metric.

use coupon_measure::format;

use crate::model::{Call, Contestant, Metric, Place, Report};

/// The certainty of advice when nothing could be judged.
pub(super) const NO_VERDICT: &str = "no verdict";

/// Candidates by one metric: those that lead, those that are behind, and the rest.
pub(super) struct Standing<'a> {
    /// The metric.
    pub(super) metric: Metric,
    /// Candidates that no other beats, that nothing bars, and whose median is no worse than that of any who is behind; the best
    /// median first, with their medians.
    pub(super) unbeaten: Vec<(&'a str, f64)>,
    /// Those that another beats, best median first.
    pub(super) beaten: Vec<(&'a str, f64)>,
    /// The others: none was shown to be better, and yet they do not lead.
    pub(super) apart: Vec<(&'a str, f64)>,
    /// The fewest rounds behind any of the verdicts, and their lowest level; none without verdicts.
    pub(super) sure: Option<(usize, f64)>,
    /// The most comparisons that a verdict was corrected for.
    pub(super) comparisons: usize,
    /// The reason why there are no figures, where no candidate has any.
    pub(super) missing: Option<&'a str>,
}

impl<'a> Standing<'a> {
    /// Orders candidates; those without a figure are left out.
    pub(super) fn of(report: &'a Report, candidates: &[&'a Contestant], metric: &Metric) -> Self {
        let mut medians: Vec<(&str, f64)> =
            candidates.iter().filter_map(|c| Some((c.name.as_str(), c.median(metric)?))).collect();
        let no_worse =
            |one: f64, other: f64| if metric.more_is_better() { one >= other } else { one <= other };
        medians.sort_by(
            |(_, one), (_, other)| {
                if metric.more_is_better() { other.total_cmp(one) } else { one.total_cmp(other) }
            },
        );
        let among = |name: &str| medians.iter().any(|(candidate, _)| *candidate == name);
        let judged = |call| !matches!(call, Call::TooFewRounds | Call::Withheld);
        let verdicts: Vec<_> = report
            .verdicts
            .iter()
            .filter(|v| v.metric == *metric && judged(v.call) && among(&v.a) && among(&v.b))
            .collect();
        let loses = |name: &str| verdicts.iter().any(|v| v.worse.as_deref() == Some(name));
        let (beaten, rest): (Vec<_>, Vec<_>) = medians.iter().copied().partition(|(name, _)| loses(name));
        let best_behind = beaten.first().map(|(_, median)| *median);
        let leads = |(name, median): &(&str, f64)| {
            !report.is_barred(name) && best_behind.is_none_or(|behind| no_worse(*median, behind))
        };
        let (unbeaten, apart) = rest.into_iter().partition(leads);
        let sure = verdicts.iter().filter_map(|v| v.ratio.as_ref()).fold(None, |sure, ratio| {
            let (n, level) = sure.unwrap_or((ratio.n, ratio.level));
            Some((n.min(ratio.n), level.min(ratio.level)))
        });
        let reason = |contestant: &&'a Contestant| contestant.summary(metric)?.reason.as_deref();
        let missing = if medians.is_empty() { candidates.iter().find_map(reason) } else { None };
        let comparisons = verdicts.iter().map(|v| v.comparisons).max().unwrap_or(0);
        Self { metric: metric.clone(), unbeaten, beaten, apart, sure, comparisons, missing }
    }

    /// True when any candidate is better than another.
    pub(super) fn differs(&self) -> bool {
        !self.beaten.is_empty() && !self.unbeaten.is_empty()
    }

    /// True when there was anything to compare, with enough rounds.
    pub(super) fn judged(&self) -> bool {
        self.sure.is_some()
    }

    /// All of them, those that lead first, with their medians.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &(&'a str, f64)> {
        self.unbeaten.iter().chain(&self.apart).chain(&self.beaten)
    }

    /// A candidate's place.
    pub(super) fn place(&self, report: &Report, name: &str) -> Place {
        let among = |of: &[(&str, f64)]| of.iter().any(|(candidate, _)| *candidate == name);
        match (self.differs(), report.is_barred(name)) {
            (true, _) if among(&self.beaten) => Place::Behind,
            (_, true) => Place::Barred,
            (true, false) if among(&self.unbeaten) => Place::Leads,
            (true, false) => Place::NotTold,
            (false, false) => Place::Equal,
        }
    }

    /// The names of those that lead.
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
        let all = || self.in_order().map(|(_, median)| *median);
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
