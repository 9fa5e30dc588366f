//! The order of contestants by one metric.

use coupon_measure::format;

use crate::model::{Call, Contestant, Metric, Place, Report};

/// The certainty of advice when nothing could be judged.
pub(super) const NO_VERDICT: &str = "no verdict";

/// Candidates by one metric: those that lead, those that are behind, and the rest.
pub(super) struct Standing<'a> {
    /// The metric.
    pub(super) metric: Metric,
    /// Candidates that were shown to beat another, and that hold their own; the best median first, with their medians.
    pub(super) leading: Vec<(&'a str, f64)>,
    /// Those that another beats, best median first.
    pub(super) beaten: Vec<(&'a str, f64)>,
    /// The others: none was shown to be better, and yet they do not lead. All of them, where none was shown to beat another.
    pub(super) apart: Vec<(&'a str, f64)>,
    /// Those that hold their own: no other beats them, nothing bars them, and their median is no worse than that of any that is
    /// behind. Some lead, and the rest were not shown to beat any other.
    holding: Vec<&'a str>,
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
        let beats = |name: &str| verdicts.iter().any(|v| v.better.as_deref() == Some(name));
        let (beaten, rest): (Vec<_>, Vec<_>) = medians.iter().copied().partition(|(name, _)| loses(name));
        let best_behind = beaten.first().map(|(_, median)| *median);
        let holds = |(name, median): &(&str, f64)| {
            !report.is_barred(name) && best_behind.is_none_or(|behind| no_worse(*median, behind))
        };
        let holding: Vec<&str> = rest.iter().filter(|one| holds(one)).map(|(name, _)| *name).collect();
        let (leading, apart) = rest.into_iter().partition(|(name, _)| holding.contains(name) && beats(name));
        let sure = verdicts.iter().filter_map(|v| v.ratio.as_ref()).fold(None, |sure, ratio| {
            let (n, level) = sure.unwrap_or((ratio.n, ratio.level));
            Some((n.min(ratio.n), level.min(ratio.level)))
        });
        let reason = |contestant: &&'a Contestant| contestant.summary(metric)?.reason.as_deref();
        let missing = if medians.is_empty() { candidates.iter().find_map(reason) } else { None };
        let comparisons = verdicts.iter().map(|v| v.comparisons).max().unwrap_or(0);
        Self { metric: metric.clone(), leading, beaten, apart, holding, sure, comparisons, missing }
    }

    /// True when any candidate is better than another.
    pub(super) fn differs(&self) -> bool {
        !self.leading.is_empty()
    }

    /// True when there was anything to compare, with enough rounds.
    pub(super) fn judged(&self) -> bool {
        self.sure.is_some()
    }

    /// All of them, those that lead first, with their medians.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &(&'a str, f64)> {
        self.leading.iter().chain(&self.apart).chain(&self.beaten)
    }

    /// A candidate's place.
    pub(super) fn place(&self, report: &Report, name: &str) -> Place {
        let among = |of: &[(&str, f64)]| of.iter().any(|(candidate, _)| *candidate == name);
        match (self.differs(), report.is_barred(name)) {
            (true, _) if among(&self.beaten) => Place::Behind,
            (_, true) => Place::Barred,
            (true, false) if among(&self.leading) => Place::Leads,
            (true, false) => Place::NotTold,
            (false, false) => Place::Equal,
        }
    }

    /// The names of those that lead.
    pub(super) fn leaders(&self) -> Vec<String> {
        self.leading.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// True when it leads and every other is behind.
    pub(super) fn is_first_alone(&self) -> bool {
        self.leading.len() == 1 && self.apart.is_empty()
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

/// The contestants that several metrics choose.
pub(super) struct Chosen<'s, 'a> {
    /// The metric that chooses them: they lead by it.
    pub(super) by: &'s Standing<'a>,
    /// Their names.
    pub(super) names: Vec<String>,
    /// True when they hold their own by every other metric too.
    pub(super) agreed: bool,
}

impl<'s, 'a> Chosen<'s, 'a> {
    /// Those that hold their own by each metric that tells candidates apart, and lead by one of them, the first before
    /// the others. A metric by which none is left that held its own by those before it is passed over, and then they do
    /// not agree. None where no metric tells candidates apart.
    pub(super) fn of(standings: &[&'s Standing<'a>]) -> Option<Self> {
        let decisive: Vec<&Standing<'_>> = standings.iter().copied().filter(|of| of.differs()).collect();
        let (first, others) = decisive.split_first()?;
        let mut left = first.holding.clone();
        let mut agreed = true;
        for other in others {
            let both: Vec<&str> = left.iter().copied().filter(|name| other.holding.contains(name)).collect();
            agreed &= !both.is_empty();
            left = if both.is_empty() { left } else { both };
        }
        let leaders = |of: &Standing<'_>| -> Vec<String> {
            of.leaders().into_iter().filter(|name| left.contains(&name.as_str())).collect()
        };
        let chosen = decisive.iter().map(|of| (*of, leaders(of))).find(|(_, names)| !names.is_empty());
        Some(match chosen {
            Some((by, names)) => Self { by, names, agreed },
            None => Self { by: *first, names: first.leaders(), agreed: false },
        })
    }
}
