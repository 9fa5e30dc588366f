//! Workloads as TOML files.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;

use super::{ArrivalShape, CatalogueSpec, Keys, Requests, Scenario, Trace, Workload};

/// The built-in workload as a file, to be copied and changed.
pub const BUILT_IN: &str = include_str!("../../../../loadtest/workloads/flash-sale.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    catalogue: CatalogueSpec,
    #[serde(default)]
    keys: Keys,
    arrivals: Option<ArrivalShape>,
    scenarios: Option<Vec<Scenario>>,
    /// A CSV file, relative to this one.
    trace: Option<PathBuf>,
}

impl Workload {
    /// Reads a workload from a file.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, has an unknown key or a value that makes no sense; names file and key.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_toml(&text, folder).with_context(|| path.display().to_string())
    }

    /// Reads a workload from the text of a file; a trace that it names is in `folder`.
    ///
    /// # Errors
    /// As [`Workload::load`], without the file's name.
    pub fn from_toml(text: &str, folder: &Path) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| in_one_line(text, &error))?;
        let mut workload = Self {
            keys: file.keys,
            arrivals: file.arrivals,
            ..Self::of(file.name, file.catalogue, Requests::Scenarios(Vec::new()))
        };
        workload.requests = match (file.scenarios, file.trace) {
            (Some(scenarios), None) => Requests::Scenarios(scenarios),
            (None, Some(trace)) => {
                workload.catalogue.check()?;
                Requests::Trace(read_trace(&folder.join(trace), &file.catalogue)?)
            }
            _ => bail!("scenarios, trace: give one of the two"),
        };
        workload.check()?;
        Ok(workload)
    }
}

fn read_trace(path: &Path, catalogue: &CatalogueSpec) -> anyhow::Result<Trace> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("trace: cannot read {}", path.display()))?;
    Trace::read(&text, path.display().to_string(), catalogue).context("trace")
}

/// The parser's own message spans several lines; what is needed is where, and what is wrong there.
fn in_one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message().trim().replace('\n', ", ");
    let Some(span) = error.span() else { return anyhow!(message) };
    let before = text.get(..span.start).unwrap_or_default();
    let number = before.matches('\n').count() + 1;
    let line = text.lines().nth(number - 1).unwrap_or_default().trim();
    anyhow!("line {number}, `{line}`: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(from: &str, to: &str) -> String {
        assert!(BUILT_IN.contains(from), "{from}");
        format!("{:#}", Workload::from_toml(&BUILT_IN.replacen(from, to, 1), Path::new("")).unwrap_err())
    }

    #[test]
    fn the_file_spells_out_the_built_in_workload() {
        assert_eq!(Workload::from_toml(BUILT_IN, Path::new("")).unwrap(), Workload::default());
    }

    #[test]
    fn an_unknown_key_is_refused_and_named() {
        let error = refusal("hot_rooms = 5", "hot_room = 5");
        assert!(error.contains("`hot_room") && error.contains("line ") && !error.contains('\n'), "{error}");
        let error = refusal("think_s = [0.1", "think = [0.1");
        assert!(error.contains("think"), "{error}");
        let error = refusal("name = \"flash sale\"", "name = \"flash sale\"\ncolour = 1");
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_and_its_line_named() {
        let error = refusal("users = 100000", "users = \"many\"");
        assert!(error.contains("users = \"many\""), "{error}");
        let error = refusal("do = \"stock\"", "do = \"stok\"");
        assert!(error.contains("stok") && error.contains("room_orders"), "{error}");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_and_its_key_named() {
        for (from, to, key) in [
            ("rooms = 100", "rooms = 0", "catalogue.rooms"),
            ("hot_rooms = 5", "hot_rooms = 101", "catalogue.hot_rooms"),
            ("hot_rooms = 5", "hot_rooms = 0", "catalogue.hot_rooms"),
            ("think_s = [1, 3]", "think_s = [3, 1]", "scenarios[2] (\"cross-shard\").think_s"),
            ("think_s = [1, 3]", "think_s = [0, 0]", "think_s"),
            ("users = 3", "users = -3", "scenarios[1] (\"hot room\").users"),
            ("weight = 2 }", "weight = nan }", "actions[1].weight"),
            ("name = \"hot room\"", "name = \"normal\"", "scenarios[1].name"),
            (
                "rooms = \"hot\"",
                "rooms = \"hot\"\ncheckout = {}",
                "scenarios[0] (\"normal\").checkout: is missing",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { confirm = -1 }\nrooms = \"any\" ",
                "(\"normal\").checkout.confirm",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { confirm = 0, release = 0, expire = 0 }\nrooms = \"any\" ",
                "(\"normal\").checkout: one of",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { hold_s = 604801 }\nrooms = \"any\" ",
                "(\"normal\").checkout.hold_s",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { used = 1.5 }\nrooms = \"any\" ",
                "(\"normal\").checkout.used: must be 0 to 1, not 1.5",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { think_s = [3, 1] }\nrooms = \"any\" ",
                "(\"normal\").checkout.think_s",
            ),
            (
                "rooms = \"any\" ",
                "checkout = { used = 0.6, returned = 0.6 }\nrooms = \"any\" ",
                "(\"normal\").checkout.returned: with used",
            ),
            ("rooms = \"any\" ", "checkout = { paid = 1 }\nrooms = \"any\" ", "paid"),
            ("think_s = [5, 10]", "think_s = [5, 10]\ncheckout = {}", "(\"normal\").checkout: is missing"),
            ("do = \"stock\"", "do = \"confirm\"", "actions[2].do: confirm follows"),
            ("do = \"stock\"", "do = \"return\"", "actions[2].do: return follows"),
            ("name = \"hot room\"", "name = \" \"", "scenarios[1].name"),
        ] {
            let error = refusal(from, to);
            assert!(error.contains(key), "{to}: {error}");
        }
        assert!(Workload::from_toml("name = \"x\"\nscenarios = []", Path::new("")).is_err());
        let all_hot = BUILT_IN
            .replace("rooms = \"any\"", "rooms = \"others\"")
            .replace("hot_rooms = 5", "hot_rooms = 100");
        let error = Workload::from_toml(&all_hot, Path::new("")).unwrap_err().to_string();
        assert!(
            error.contains("catalogue.hot_rooms") && error.contains("scenarios[0] asks for others"),
            "{error}"
        );
    }

    #[test]
    fn keys_and_arrivals_that_make_no_sense_are_refused_and_named() {
        for (section, key) in [
            ("[keys]\nrooms = { zipf = 0 }", "keys.rooms.zipf"),
            ("[keys]\nrooms = { hot = 101, share = 0.5 }", "keys.rooms.hot"),
            ("[keys]\nusers = { hot = 5, share = 1.5 }", "keys.users.share"),
            ("[keys]\nusers = { hot = 5 }", "give either zipf, or hot and share"),
            ("[keys]\nuser = { zipf = 1 }", "`user`"),
            ("[arrivals]\nshape = \"constant\"\nrate = 0", "arrivals.rate"),
            ("[arrivals]\nshape = \"constant\"", "rate"),
            ("[arrivals]\nshape = \"wave\"", "wave"),
            (
                "[arrivals]\nshape = \"steps\"\nsteps = [{ users = 5, rate = 1, seconds = 1 }]",
                "arrivals.steps[0]",
            ),
            (
                "[arrivals]\nshape = \"steps\"\nsteps = [{ users = 5, seconds = 0 }]",
                "arrivals.steps[0].seconds",
            ),
            ("[arrivals]\nshape = \"steps\"\nsteps = []", "arrivals.steps"),
            (
                "[arrivals]\nshape = \"spike\"\nbase = 9\npeak = 5\nat_s = 1\nhalf_life_s = 1",
                "arrivals.peak: must be above arrivals.base",
            ),
        ] {
            let text = format!("{BUILT_IN}\n{section}\n");
            let error = format!("{:#}", Workload::from_toml(&text, Path::new("")).unwrap_err());
            assert!(error.contains(key) && !error.contains('\n'), "{section}: {error}");
        }
    }

    #[test]
    fn every_example_can_be_loaded() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../loadtest/workloads");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let loaded: Vec<Workload> = files.map(|file| Workload::load(&file).unwrap()).collect();
        assert!(loaded.len() >= 4, "{} examples", loaded.len());
        assert!(loaded.iter().any(|workload| workload.keys != Keys::default()));
        let shapes: Vec<&ArrivalShape> =
            loaded.iter().filter_map(|workload| workload.arrivals.as_ref()).collect();
        assert!(shapes.iter().any(|shape| matches!(shape, ArrivalShape::Spike { .. })), "{shapes:?}");
        assert!(shapes.iter().any(|shape| matches!(shape, ArrivalShape::Steps { .. })), "{shapes:?}");
    }

    #[test]
    fn a_checkout_needs_a_grab_and_says_how_long_coupons_are_held() {
        let file = |action: &str| {
            format!(
                "name = \"x\"\n[[scenarios]]\nname = \"shoppers\"\nusers = 1\nthink_s = [1, 1]\n\
                 checkout = {{ confirm = 1 }}\nactions = [{{ do = \"{action}\", weight = 1 }}]"
            )
        };
        let error = Workload::from_toml(&file("stock"), Path::new("")).unwrap_err().to_string();
        assert!(error.contains("(\"shoppers\").checkout: there must be a grab"), "{error}");
        let workload = Workload::from_toml(&file("grab"), Path::new("")).unwrap();
        assert_eq!((workload.hold_s(), Workload::default().hold_s()), (60, 0));
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = format!("{:#}", Workload::load(Path::new("no-such.toml")).unwrap_err());
        assert!(error.contains("no-such.toml"), "{error}");
    }

    #[test]
    fn a_trace_stands_beside_the_file_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, csv) = (folder.path().join("w.toml"), folder.path().join("grabs.csv"));
        std::fs::write(&file, "name = \"yesterday\"\ntrace = \"grabs.csv\"\n").unwrap();
        let error = format!("{:#}", Workload::load(&file).unwrap_err());
        assert!(error.contains("trace") && error.contains("grabs.csv"), "{error}");
        std::fs::write(csv, "user_id,room_id,coupon_id,grab_time\n3,1,2,2026-11-22T10:00:00Z\n").unwrap();
        assert_eq!(Workload::load(&file).unwrap().trace().map(Trace::len), Some(1));
    }

    #[test]
    fn a_file_has_either_scenarios_or_a_trace() {
        let folder = Path::new("");
        for text in ["name = \"x\"".to_owned(), format!("trace = \"x.csv\"\n{BUILT_IN}")] {
            let error = Workload::from_toml(&text, folder).unwrap_err().to_string();
            assert!(error.contains("one of the two"), "{error}");
        }
    }
}
