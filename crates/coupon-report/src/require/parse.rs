//! Reads a limit, and says which part of it is wrong and what could stand there.

use coupon_measure::format::list;

use super::figure::{OF_ENDPOINT, OF_SERVICE, What};
use super::{Limit, Operator};
use crate::endpoints;

/// The subjects that a limit may have.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
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
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, Malformed> {
        Self::read(text, scope).map_err(|problem| Malformed { text: text.to_owned(), problem })
    }

    fn read(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let (path, operator, bound) = split(text)?;
        let (contestant, rest) = match scope {
            Scope::Contestants(names) => whose(path, names)?,
            Scope::OneLoad => (None, path),
        };
        let (endpoint, what) = what(rest, scope)?;
        Ok(Self {
            text: text.to_owned(),
            contestant: contestant.map(str::to_owned),
            endpoint: endpoint.map(str::to_owned),
            what,
            operator,
            bound: bound_of(bound, what)?,
        })
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

fn what<'a>(path: &'a str, scope: &Scope<'_>) -> Result<(Option<&'a str>, What), String> {
    let allowed = |what: What| matches!(scope, Scope::Contestants(_)) || !what.needs_shards();
    let find = |known: &[(&str, What)], name: &str| {
        known.iter().find(|(known, what)| *known == name && allowed(*what)).map(|(_, what)| *what)
    };
    let names = |known: &[(&'static str, What)]| {
        let names: Vec<&str> =
            known.iter().filter(|(_, what)| allowed(*what)).map(|(name, _)| *name).collect();
        list(&names)
    };
    let Some((endpoint, metric)) = path.split_once('.') else {
        let unknown = || {
            let endpoint = endpoints::find(path)
                .map(|_| format!(", and those of an endpoint stand behind it, as {path}.p99"));
            format!(
                "{path:?} is no figure of a service; there are {}{}",
                names(&OF_SERVICE),
                endpoint.unwrap_or_default()
            )
        };
        return find(&OF_SERVICE, path).map(|what| (None, what)).ok_or_else(unknown);
    };
    if endpoints::find(endpoint).is_none() {
        let keys: Vec<&str> = endpoints::ENDPOINTS.iter().map(|endpoint| endpoint.key).collect();
        return Err(format!("{endpoint:?} is no endpoint; there are {}", list(&keys)));
    }
    let unknown = || format!("{metric:?} is no figure of an endpoint; there are {}", names(&OF_ENDPOINT));
    find(&OF_ENDPOINT, metric).map(|what| (Some(endpoint), what)).ok_or_else(unknown)
}

/// The bound in the unit of the figure. Only a zero needs no unit where there are several.
fn bound_of(text: &str, what: What) -> Result<f64, String> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || ".+-eE".contains(c))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    let value = value.ok_or_else(|| format!("{text:?} is no limit: give a number with its unit"))?;
    let factor = match (what.unit(), unit.trim()) {
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
