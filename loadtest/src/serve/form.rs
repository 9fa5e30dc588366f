//! The form of the page: its fields are flags, which clap reads and checks, and become the options of a comparison.

use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use coupon_lab::{Setup, all_different, seed_for};
use coupon_loadgen::load::{Arrivals, LoadSpec};
use coupon_loadgen::workload::{CatalogueSpec, Requests, Scenario, Workload};
use coupon_seeding::SeedOptions;
use coupon_strategies::{REGISTER, Spec};
use serde::Serialize;
use serde_json::{Map, Value};

use super::fields::{self, Wrong};
use crate::compare::{CompareOptions, GrowthArgs, PlannedGrowth, ServersChoice};

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
/// The rate: more than a service takes is worth a look; much more would only fill memory.
const RATE: Number = number("rate", 1_000.0, (1.0, 20_000.0), false);
/// A run ends by itself, and soon: it is there to be watched.
const SECONDS: Number = number("seconds", 30.0, (1.0, 120.0), false);
const SHARDS: Number = number("shards", 4.0, (1.0, 16.0), true);
const HISTORY: Number = number("history", 0.0, (0.0, 1_000_000.0), true);
/// Users of a scenario, relative to the others.
const PART: Number = number("mix", 0.0, (0.0, 1_000.0), false);

impl Number {
    fn read(&self, text: &str) -> Result<f64, String> {
        let Self { least, most, whole, .. } = *self;
        let allowed = |given: &f64| (least..=most).contains(given) && (!whole || given.fract() == 0.0);
        text.parse().ok().filter(allowed).ok_or_else(|| {
            let what = if whole { "a whole number" } else { "a number" };
            format!("must be {what} from {least} to {most}, not {text:?}")
        })
    }
}

/// All of them have the machine at once.
const CONTESTANTS: RangeInclusive<usize> = 1..=4;

/// The contestants that the page opens with: a strategy of each service.
fn chosen() -> Vec<String> {
    let families = REGISTER.of_each_program().into_iter().take(*CONTESTANTS.end());
    families.map(|family| family.name.to_owned()).collect()
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
    /// The fields for a change of the layout, and their texts.
    changes: [(&'static str, Option<String>); 3],
    backend: &'static str,
}

/// Users of a scenario.
#[derive(Debug, Clone, Serialize)]
struct Part {
    name: String,
    users: f64,
}

impl Choices {
    pub(super) fn new(on_servers: bool, growth: &GrowthArgs) -> Self {
        let part = |scenario: Scenario| Part { name: scenario.name, users: scenario.users };
        Self {
            contestants: REGISTER.known(),
            chosen: chosen(),
            most_contestants: *CONTESTANTS.end(),
            numbers: [USERS, RATE, SECONDS, SHARDS, HISTORY],
            mix: scenarios(Workload::default()).into_iter().map(part).collect(),
            most_part: PART.most,
            changes: growth.texts(),
            backend: if on_servers { "servers" } else { "embedded" },
        }
    }
}

/// The flags of the page's form.
#[derive(Debug, clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Flags {
    #[arg(long, default_value_t = USERS.default, value_parser = |text: &str| USERS.read(text))]
    users: f64,
    #[arg(long, default_value_t = RATE.default, value_parser = |text: &str| RATE.read(text))]
    rate: f64,
    #[arg(long, default_value_t = SECONDS.default, value_parser = |text: &str| SECONDS.read(text))]
    seconds: f64,
    #[arg(long, default_value_t = HISTORY.default, value_parser = |text: &str| HISTORY.read(text))]
    history: f64,
    /// Users of a scenario: `NAME=USERS`.
    #[arg(long, value_parser = part)]
    mix: Vec<Part>,
    #[command(flatten)]
    growth: GrowthArgs,
    #[command(flatten)]
    chosen: Chosen,
}

/// The flags that the page's two forms share.
#[derive(Debug, clap::Args)]
pub(super) struct Chosen {
    #[arg(long, default_value_t = SHARDS.default, value_parser = |text: &str| SHARDS.read(text))]
    shards: f64,
    #[arg(long, value_delimiter = ',', default_values_t = chosen(), value_parser = known)]
    contestants: Vec<String>,
}

impl Flags {
    /// The change of the layouts, which the contestants that can change so are prepared for.
    ///
    /// # Errors
    /// When none of them can, they begin with other shards, or the load is over before it.
    fn change(
        &self,
        contestants: &mut [Spec],
        catalogue: &CatalogueSpec,
        load: Duration,
    ) -> Result<Option<PlannedGrowth>, Wrong> {
        let field = self.growth.flag().trim_start_matches('-');
        let wrong = |field: &str, error: anyhow::Error| Wrong::field(field, format!("{error:#}"));
        let wanted = self.growth.wanted(catalogue).map_err(|error| wrong("rebalance-rate", error))?;
        let Some(growth) = wanted else { return Ok(None) };
        if growth.at >= load {
            return Err(Wrong::field(field, "the load is over before the change"));
        }
        self.growth.shards(self.chosen.shards()).map_err(|error| wrong("shards", error))?;
        self.growth.prepare(&growth, contestants, catalogue).map_err(|error| wrong(field, error))?;
        Ok(Some(growth))
    }
}

impl Chosen {
    fn shards(&self) -> Option<NonZeroU16> {
        NonZeroU16::new(self.shards as u16)
    }

    /// The contestants, on as many shards as were asked for.
    ///
    /// # Errors
    /// When there are too many or too few of them, one is there twice, or one has no such shards.
    pub(super) fn specs(&self, catalogue: &CatalogueSpec) -> Result<Vec<Spec>, Wrong> {
        let (names, least, most) = (&self.contestants, CONTESTANTS.start(), CONTESTANTS.end());
        let wrong = |error: anyhow::Error| Wrong::field("contestants", format!("{error:#}"));
        if !CONTESTANTS.contains(&names.len()) {
            let message = format!("choose {least} to {most} of them, not {}", names.len());
            return Err(Wrong::field("contestants", message));
        }
        all_different(names.iter().map(String::as_str)).map_err(wrong)?;
        let shards = self.shards().unwrap_or(NonZeroU16::MIN);
        names.iter().map(|name| Spec::parse(name, shards, catalogue).map_err(wrong)).collect()
    }
}

/// A name that stands for a contestant.
fn known(name: &str) -> Result<String, String> {
    let shards = NonZeroU16::new(SHARDS.default as u16).unwrap_or(NonZeroU16::MIN);
    let spec = Spec::parse(name, shards, &CatalogueSpec::default());
    spec.map(|_| name.to_owned()).map_err(|error| format!("{error:#}"))
}

fn part(text: &str) -> Result<Part, String> {
    let (name, users) =
        text.rsplit_once('=').ok_or_else(|| "must be an object of scenarios and their users".to_owned())?;
    let known = scenarios(Workload::default()).into_iter().any(|scenario| scenario.name == name);
    if !known {
        return Err("there is no such scenario".to_owned());
    }
    Ok(Part { name: name.to_owned(), users: PART.read(users)? })
}

/// Reads a form. What it leaves out is as the page has it at first.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub(super) fn read(body: &[u8], on_servers: bool) -> Result<CompareOptions, Vec<Wrong>> {
    let flags: Flags = fields::parse(&fields_of(body).map_err(|wrong| vec![wrong])?)?;
    let one = |wrong| vec![wrong];
    let mut workload = Workload::default();
    workload.catalogue.users = flags.users as u64;
    workload.requests = Requests::Scenarios(mixed(&flags.mix).map_err(one)?);
    let mut contestants = flags.chosen.specs(&workload.catalogue).map_err(one)?;
    let duration = Duration::from_secs_f64(flags.seconds);
    let growth = flags.change(&mut contestants, &workload.catalogue, duration).map_err(one)?;
    let seed = SeedOptions { history: flags.history as u64, ..seed_for(&workload) };
    seed.check().map_err(|error| one(Wrong::field(error.flag, error.to_string())))?;
    let load = LoadSpec {
        duration,
        keep_each: growth.is_some(),
        stop: Some(Arc::new(AtomicBool::new(false))),
        workload,
        ..LoadSpec::new(Arrivals::Open { rate: flags.rate })
    };
    Ok(CompareOptions { growth, ..options(contestants, load, seed, on_servers) })
}

/// The fields of a form in JSON, as texts. An object's are flags of its own, one for each of its names.
fn fields_of(body: &[u8]) -> Result<Vec<fields::Field>, Wrong> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let form: Map<String, Value> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = (path != "." && path != "?").then_some(path);
        Wrong { field, message: format!("it is no JSON that can be read: {}", error.inner()) }
    })?;
    let fields = form.into_iter().flat_map(|(name, value)| match value {
        Value::Object(parts) => {
            let part = |(part, value): (String, Value)| fields::Field::part(&name, &part, &text(&value));
            parts.into_iter().map(part).collect()
        }
        value => vec![fields::Field::new(name, &text(&value))],
    });
    Ok(fields.collect())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The built-in scenarios, with users as the form has them.
fn mixed(parts: &[Part]) -> Result<Vec<Scenario>, Wrong> {
    let mut mix = scenarios(Workload::default());
    for scenario in &mut mix {
        let part = parts.iter().find(|part| part.name == scenario.name);
        scenario.users = part.map_or(scenario.users, |part| part.users);
    }
    if mix.iter().all(|scenario| scenario.users == 0.0) {
        return Err(Wrong::field("mix", "at least one scenario must have users"));
    }
    Ok(mix)
}

fn options(contestants: Vec<Spec>, load: LoadSpec, seed: SeedOptions, on_servers: bool) -> CompareOptions {
    CompareOptions {
        notes: Vec::new(),
        growth: None,
        limits: Vec::new(),
        contestants,
        targets: Vec::new(),
        setup: Setup::embedded(seed),
        servers: if on_servers { ServersChoice::Private } else { ServersChoice::None },
        shard_cpu: None,
        rounds: 1,
        workload: called(&load.workload),
        load,
        out: PathBuf::new(),
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
        for name in Choices::new(false, &GrowthArgs::default()).contestants {
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
            (r#"{"grow":"4:8"}"#, "grow"),
            (r#"{"grow":"4:8@40s"}"#, "grow"),
            (r#"{"grow":"2:4@5s"}"#, "shards"),
            (r#"{"split":"hot@5s"}"#, "split"),
            (r#"{"rebalance-rate":9}"#, "rebalance-rate"),
        ] {
            let wrong = wrong(form);
            assert!(wrong.iter().any(|(named, why)| named == field && !why.is_empty()), "{form}: {wrong:?}");
        }
        assert!(!wrong("users=1")[0].1.is_empty());
    }

    #[test]
    fn a_change_is_prepared_by_those_that_can_change_so() {
        let options = read(br#"{"grow":"4:8@5s","contestants":["hash","single"]}"#, false).unwrap();
        let growth = options.growth.unwrap();
        assert_eq!((growth.at, growth.shards()), (Duration::from_secs(5), NonZeroU16::new(8)));
        assert!(options.load.keep_each);
        let prepared = |spec: &Spec| spec.settings.iter().any(|setting| setting == "shards_prepared=8");
        assert_eq!(options.contestants.iter().map(prepared).collect::<Vec<_>>(), [true, false]);
        let split = read(br#"{"split":"hot@5s","contestants":["range-room"]}"#, false).unwrap();
        assert_eq!(split.growth.unwrap().shards(), None);
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
