//! Reads a limit, and says which part of it is wrong and what could stand there.

use coupon_measure::Endpoint;
use coupon_measure::format::list;

use super::{Limit, Operator};
use crate::model::{GRAB_OUTCOMES, Metric};

/// The subjects that a limit may have.
#[derive(Debug, Clone, Copy)]
pub enum LimitSubject<'a> {
    /// Figures of these contestants: each limit begins with one of their names, or with `all`.
    Contestants(&'a [&'a str]),
    /// Figures that a load on a single service has.
    OneLoad,
}

/// A limit that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {problem}")]
pub struct Malformed {
    text: String,
    problem: String,
}

/// Stands for every contestant.
const ALL: &str = "all";

/// The longer ones first, so that `<=` is not taken for `<`.
const OPERATORS: [(&str, Operator); 4] =
    [("<=", Operator::AtMost), (">=", Operator::AtLeast), ("<", Operator::Below), (">", Operator::Above)];

impl Limit {
    /// Reads a limit such as `hash.grab.p99<20ms`.
    ///
    /// # Errors
    /// [`Malformed`], which names the part that is wrong and the choices there are.
    pub fn parse(text: &str, scope: &LimitSubject<'_>) -> Result<Self, Malformed> {
        Self::read(text, scope).map_err(|problem| Malformed { text: text.to_owned(), problem })
    }

    fn read(text: &str, scope: &LimitSubject<'_>) -> Result<Self, String> {
        let (path, operator, bound) = split(text)?;
        let (contestant, rest) = match scope {
            LimitSubject::Contestants(names) => whose(path, names)?,
            LimitSubject::OneLoad => (None, path),
        };
        let metric = metric(rest, scope)?;
        let bound = bound_of(bound, metric.unit())?;
        Ok(Self { text: text.to_owned(), contestant: contestant.map(str::to_owned), metric, operator, bound })
    }
}

fn split(text: &str) -> Result<(&str, Operator, &str), String> {
    let at = text.find(['<', '>']).ok_or_else(|| {
        "it compares with nothing: put <, <=, > or >= between the figure and its limit".to_owned()
    })?;
    let (path, rest) = text.split_at(at);
    let found = OPERATORS.iter().find_map(|(sign, operator)| Some((*operator, rest.strip_prefix(sign)?)));
    let (operator, bound) = found.ok_or("it compares with nothing")?;
    Ok((path.trim(), operator, bound.trim()))
}

/// Splits a contestant's name off the path. A name may hold dots; the longest that fits is meant.
fn whose<'a>(path: &'a str, names: &[&'a str]) -> Result<(Option<&'a str>, &'a str), String> {
    let of = |name: &'a str| Some((name, path.strip_prefix(name)?.strip_prefix('.')?));
    let named = names.iter().filter_map(|name| of(name)).max_by_key(|(name, _)| name.len());
    match (named, path.strip_prefix(ALL).and_then(|rest| rest.strip_prefix('.'))) {
        (Some((name, rest)), _) => Ok((Some(name), rest)),
        (None, Some(rest)) => Ok((None, rest)),
        (None, None) => {
            let name = path.split('.').next().unwrap_or_default();
            Err(format!("{name:?} takes no part; it can begin with {} or {ALL}", list(names)))
        }
    }
}

fn metric(path: &str, scope: &LimitSubject<'_>) -> Result<Metric, String> {
    let Some((key, name)) = path.split_once('.') else {
        let behind = Endpoint::of_key(path)
            .map(|_| format!(", and those of an endpoint stand behind it, as {path}.p99"))
            .unwrap_or_default();
        return find(Metric::of_service().into(), path, scope)
            .map_err(|names| format!("{path:?} is no figure of a service; there are {names}{behind}"));
    };
    if Endpoint::of_key(key).is_none() {
        let keys = Endpoint::ALL.map(Endpoint::key);
        return Err(format!("{key:?} is no endpoint; there are {}", list(&keys)));
    }
    let grabs = key == Endpoint::Grab.key();
    if let Some((outcome, name)) =
        name.split_once('.').filter(|(outcome, _)| grabs && GRAB_OUTCOMES.contains(outcome))
    {
        return find(Metric::of_outcome(outcome), name, scope)
            .map_err(|names| format!("{name:?} is no figure of an outcome; there are {names}"));
    }
    let outcomes = if grabs {
        format!("; or of one outcome, as grab.granted.p99: {}", list(&GRAB_OUTCOMES))
    } else {
        String::new()
    };
    find(Metric::of_endpoint(key), name, scope)
        .map_err(|names| format!("{name:?} is no figure of an endpoint; there are {names}{outcomes}"))
}

/// The metric of that spelling; or else a list of the spellings that there are.
fn find(metrics: Vec<Metric>, name: &str, scope: &LimitSubject<'_>) -> Result<Metric, String> {
    let has = |metric: &Metric| matches!(scope, LimitSubject::Contestants(_)) || !metric.needs_shards();
    let metrics: Vec<Metric> = metrics.into_iter().filter(has).collect();
    let spellings: Vec<&str> = metrics.iter().flat_map(Metric::limits).copied().collect();
    metrics.into_iter().find(|metric| metric.limits().contains(&name)).ok_or_else(|| list(&spellings))
}

/// The bound in the unit of the figure. Only a zero needs no unit where there are several.
fn bound_of(text: &str, unit_of_figure: &str) -> Result<f64, String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".+-eE".contains(c))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    let value = value.ok_or_else(|| format!("{text:?} is no limit: give a number with its unit"))?;
    let factor = match (unit_of_figure, unit.trim()) {
        ("ms", "us" | "µs") => 1e-3,
        ("ms", "ms") | ("%", "%") | ("/s", "/s" | "") | ("", "") => 1.0,
        ("ms", "s") => 1e3,
        ("ms" | "%", "") if value == 0.0 => 1.0,
        (kind, unit) => {
            let units = match kind {
                "ms" => "us, ms or s",
                "%" => "%",
                "/s" => "/s or none",
                _ => "none",
            };
            let given = if unit.is_empty() { "no unit".to_owned() } else { format!("the unit {unit:?}") };
            return Err(format!("{text:?} has {given}; this figure takes {units}"));
        }
    };
    Ok(value * factor)
}
