//! The form of the page: read, held against the possible values, and made the options of a comparison.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use coupon_lab::{Setup, all_different};
use coupon_loadgen::load::{Arrivals, LoadSpec};
use coupon_loadgen::workload::{Requests, Scenario, Workload};
use coupon_seeding::SeedOptions;
use coupon_strategies::{REGISTER, Spec};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::compare::{Options, Wanted};

/// A number of the form, with what it may be.
#[derive(Debug, Serialize)]
pub(super) struct Number {
    name: &'static str,
    default: f64,
    least: f64,
    most: f64,
    /// True when it is a whole number.
    whole: bool,
}

const fn number(name: &'static str, default: f64, range: (f64, f64), whole: bool) -> Number {
    Number { name, default, least: range.0, most: range.1, whole }
}

const USERS: Number = number("users", 100_000.0, (1.0, 10_000_000.0), true);
/// More than a service takes is worth a look; much more would only fill memory.
const RATE: Number = number("rate", 1_000.0, (1.0, 20_000.0), false);
/// A run ends by itself, and soon: it is there to be watched.
const SECONDS: Number = number("seconds", 30.0, (1.0, 120.0), false);
const SHARDS: Number = number("shards", 4.0, (1.0, 16.0), true);
const HISTORY: Number = number("history", 0.0, (0.0, 1_000_000.0), true);
/// Users of a scenario, relative to the others.
const PART: Number = number("mix", 0.0, (0.0, 1_000.0), false);

/// All of them have the machine at once.
const CONTESTANTS: RangeInclusive<usize> = 1..=4;

/// The contestants that the page opens with: a strategy of each service.
fn chosen() -> Vec<String> {
    let families = REGISTER.of_each_program().into_iter().take(*CONTESTANTS.end());
    families.map(|family| family.name.to_owned()).collect()
}

/// An error in the form, and the field it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Wrong {
    /// The field; none when it is about the whole.
    pub(super) field: Option<String>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), message: message.into() }
    }
}

/// The values that the form may hold, for the page to show.
#[derive(Debug, Serialize)]
pub(super) struct Choices {
    contestants: Vec<String>,
    chosen: Vec<String>,
    most_contestants: usize,
    numbers: [Number; 5],
    mix: Vec<Part>,
    most_part: f64,
    backend: &'static str,
}

#[derive(Debug, Serialize)]
struct Part {
    name: String,
    users: f64,
}

impl Choices {
    pub(super) fn new(on_servers: bool) -> Self {
        let part = |scenario: Scenario| Part { name: scenario.name, users: scenario.users };
        Self {
            contestants: REGISTER.known(),
            chosen: chosen(),
            most_contestants: *CONTESTANTS.end(),
            numbers: [USERS, RATE, SECONDS, SHARDS, HISTORY],
            mix: scenarios(Workload::default()).into_iter().map(part).collect(),
            most_part: PART.most,
            backend: if on_servers { "servers" } else { "embedded" },
        }
    }
}

/// Reads a form. What it leaves out is as the page has it at first.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(super) fn read(body: &[u8], on_servers: bool) -> Result<Options, Vec<Wrong>> {
    let mut form = Form::parse(body).map_err(|wrong| vec![wrong])?;
    let numbers = [USERS, RATE, SECONDS, SHARDS, HISTORY].map(|number| form.number(&number));
    let mix = form.mix();
    let names = form.names();
    form.refuse_the_rest();
    let [users, rate, seconds, shards, history] = numbers;
    let mut workload = Workload::default();
    workload.catalogue.users = users as u64;
    workload.requests = Requests::Scenarios(mix);
    let shards = shards_of(shards);
    let mut contestants = Vec::new();
    for name in &names {
        match Spec::parse(name, shards, &workload.catalogue) {
            Ok(spec) => contestants.push(spec),
            Err(error) => form.wrong.push(Wrong::field("contestants", format!("{error:#}"))),
        }
    }
    let seed = seed(&workload, history as u64);
    if let (true, Err(error)) = (form.wrong.is_empty(), seed.check()) {
        form.wrong.push(Wrong::field(error.flag, error.to_string()));
    }
    if !form.wrong.is_empty() {
        return Err(form.wrong);
    }
    let load = LoadSpec {
        duration: Duration::from_secs_f64(seconds),
        stop: Some(Arc::new(AtomicBool::new(false))),
        workload,
        ..LoadSpec::new(Arrivals::Open { rate })
    };
    Ok(options(contestants, load, seed, on_servers))
}

fn options(contestants: Vec<Spec>, load: LoadSpec, seed: SeedOptions, on_servers: bool) -> Options {
    Options {
        notes: Vec::new(),
        limits: Vec::new(),
        contestants,
        targets: Vec::new(),
        setup: Setup::embedded(seed),
        servers: if on_servers { Wanted::Private } else { Wanted::None },
        shard_cpu: None,
        rounds: 1,
        workload: called(&load.workload),
        load,
        out: PathBuf::new(),
    }
}

fn seed(workload: &Workload, history: u64) -> SeedOptions {
    let catalogue = workload.catalogue;
    SeedOptions {
        users: catalogue.users,
        rooms: catalogue.rooms,
        hot_rooms: catalogue.hot_rooms,
        coupons_per_room: catalogue.coupons_per_room,
        history,
        ..SeedOptions::default()
    }
}

/// The workload's name, with its mix where that is not the built-in one.
fn called(workload: &Workload) -> String {
    if workload.requests == Workload::default().requests {
        return workload.name.clone();
    }
    let parts = scenarios(workload.clone()).into_iter().map(|part| format!("{} {}", part.name, part.users));
    format!("{} with other users ({})", workload.name, parts.collect::<Vec<_>>().join(", "))
}

fn scenarios(workload: Workload) -> Vec<Scenario> {
    match workload.requests {
        Requests::Scenarios(scenarios) => scenarios,
        Requests::Trace(_) | Requests::DistinctGrabs { .. } | Requests::Echo => Vec::new(),
    }
}

pub(super) fn shards_of(shards: f64) -> NonZeroU16 {
    NonZeroU16::new(shards as u16).unwrap_or(NonZeroU16::MIN)
}

/// The fields that have not been read yet, and what was wrong with the others.
pub(super) struct Form {
    fields: Map<String, Value>,
    pub(super) wrong: Vec<Wrong>,
}

impl Form {
    fn parse(body: &[u8]) -> Result<Self, Wrong> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let fields = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let field = (path != "." && path != "?").then_some(path);
            Wrong { field, message: format!("it is no JSON that can be read: {}", error.inner()) }
        })?;
        Ok(Self { fields, wrong: Vec::new() })
    }

    /// Of fields that are all text.
    pub(super) fn of_text(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        let fields = fields.into_iter().map(|(name, text)| (name, Value::String(text)));
        Self { fields: fields.collect(), wrong: Vec::new() }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name)
    }

    /// A number; what is no number of its range is noted as wrong.
    pub(super) fn number(&mut self, number: &Number) -> f64 {
        let value = self.take(number.name);
        self.checked(number.name, value, number)
    }

    /// The number of shards.
    pub(super) fn shards(&mut self) -> NonZeroU16 {
        shards_of(self.number(&SHARDS))
    }

    fn checked(&mut self, field: &str, value: Option<Value>, number: &Number) -> f64 {
        let given = match &value {
            None => return number.default,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(value) => value.as_f64(),
        };
        let allowed = |given: &f64| {
            (number.least..=number.most).contains(given) && (!number.whole || given.fract() == 0.0)
        };
        given.filter(allowed).unwrap_or_else(|| {
            let what = if number.whole { "a whole number" } else { "a number" };
            let given = value.unwrap_or_default();
            let (least, most) = (number.least, number.most);
            self.wrong
                .push(Wrong::field(field, format!("must be {what} from {least} to {most}, not {given}")));
            number.default
        })
    }

    /// The built-in scenarios, with users as the form has them.
    fn mix(&mut self) -> Vec<Scenario> {
        let mut mix = scenarios(Workload::default());
        let mut given = match self.take("mix") {
            None => return mix,
            Some(Value::Object(given)) => given,
            Some(other) => {
                let message = format!("must be an object of scenarios and their users, not {other}");
                self.wrong.push(Wrong::field("mix", message));
                return mix;
            }
        };
        for scenario in &mut mix {
            let field = format!("mix.{}", scenario.name);
            let value = given.remove(&scenario.name);
            scenario.users = self.checked(&field, value, &Number { default: scenario.users, ..PART });
        }
        for name in given.keys() {
            self.wrong.push(Wrong::field(&format!("mix.{name}"), "there is no such scenario"));
        }
        if mix.iter().all(|scenario| scenario.users == 0.0) {
            self.wrong.push(Wrong::field("mix", "at least one scenario must have users"));
        }
        mix
    }

    /// The contestants' names, as JSON or with commas between them.
    pub(super) fn names(&mut self) -> Vec<String> {
        let names: Option<Vec<String>> = match self.take("contestants") {
            None => return chosen(),
            Some(Value::String(text)) => {
                Some(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
            }
            Some(other) => serde_json::from_value(other).ok(),
        };
        let Some(names) = names else {
            self.wrong.push(Wrong::field("contestants", "must be a list of names"));
            return Vec::new();
        };
        let (least, most) = (CONTESTANTS.start(), CONTESTANTS.end());
        if !CONTESTANTS.contains(&names.len()) {
            let message = format!("choose {least} to {most} of them, not {}", names.len());
            self.wrong.push(Wrong::field("contestants", message));
        }
        if let Err(error) = all_different(names.iter().map(String::as_str)) {
            self.wrong.push(Wrong::field("contestants", error.to_string()));
        }
        names
    }

    /// An unknown field may be a misspelt one.
    pub(super) fn refuse_the_rest(&mut self) {
        let rest: BTreeSet<String> = self.fields.keys().cloned().collect();
        self.wrong.extend(rest.iter().map(|field| Wrong::field(field, "there is no such field")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields that are refused, and why.
    fn wrong(form: &str) -> Vec<(String, String)> {
        let wrong = read(form.as_bytes(), false).unwrap_err();
        wrong.into_iter().map(|wrong| (wrong.field.unwrap_or_default(), wrong.message)).collect()
    }

    #[test]
    fn a_form_that_says_nothing_is_the_page_as_it_opens() {
        let options = read(b"{}", false).unwrap();
        let names: Vec<&str> = options.contestants.iter().map(|spec| spec.name.as_str()).collect();
        assert_eq!(names, ["hash", "range-time"]);
        assert_eq!(options.load.workload, Workload::default());
        assert_eq!(options.workload, "flash sale");
        assert_eq!((options.load.duration, options.rounds), (Duration::from_secs(30), 1));
    }

    #[test]
    fn every_contestant_that_the_page_offers_can_be_asked_for() {
        for name in Choices::new(false).contestants {
            let options = read(serde_json::json!({ "contestants": [name] }).to_string().as_bytes(), false);
            assert_eq!(options.unwrap().contestants[0].name, name);
        }
    }

    #[test]
    fn each_field_that_makes_no_sense_is_named() {
        for (form, field) in [
            (r#"{"users":0}"#, "users"),
            (r#"{"users":1.5}"#, "users"),
            (r#"{"rate":null}"#, "rate"),
            (r#"{"rate":"NaN"}"#, "rate"),
            (r#"{"rate":NaN}"#, "rate"),
            (r#"{"rate":1e999}"#, "rate"),
            (r#"{"rate":-1}"#, "rate"),
            (r#"{"seconds":121}"#, "seconds"),
            (r#"{"shards":17}"#, "shards"),
            (r#"{"history":"many"}"#, "history"),
            (r#"{"contestants":["hush"]}"#, "contestants"),
            (r#"{"contestants":["hash","hash"]}"#, "contestants"),
            (r#"{"contestants":[]}"#, "contestants"),
            (r#"{"contestants":7}"#, "contestants"),
            (r#"{"mix":{"normal":-1}}"#, "mix.normal"),
            (r#"{"mix":{"nobody":1}}"#, "mix.nobody"),
            (r#"{"mix":{"normal":0,"hot room":0,"cross-shard":0,"admin":0}}"#, "mix"),
            (r#"{"mix":[]}"#, "mix"),
            (r#"{"user":5}"#, "user"),
        ] {
            let wrong = wrong(form);
            assert!(wrong.iter().any(|(named, why)| named == field && !why.is_empty()), "{form}: {wrong:?}");
        }
        assert!(!wrong("users=1")[0].1.is_empty());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = wrong(r#"{"users":0,"rate":0,"contestants":["hush"]}"#);
        let fields: Vec<&str> = wrong.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["users", "rate", "contestants"]);
        assert!(wrong[0].1.contains("from 1 to"), "{wrong:?}");
    }

    #[test]
    fn another_mix_is_sent_and_named() {
        let options = read(br#"{"mix":{"normal":0,"cross-shard":2.5},"users":50}"#, false).unwrap();
        assert!(options.workload.contains("normal 0, hot room 3, cross-shard 2.5"), "{}", options.workload);
        let shares = options.load.workload.shares();
        assert!(!shares.contains_key(&coupon_loadgen::workload::Endpoint::UserCoupons), "{shares:?}");
        assert_eq!((options.load.workload.catalogue.users, options.setup.seed.users), (50, 50));
    }
}
