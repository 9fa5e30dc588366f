//! The layout of `report.json`, made from the types of [`super::model`]: JSON Schema for programs, a page for people.

mod markdown;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::model::Report;

/// JSON Schema, draft 2020-12, of the reports that this program writes.
#[must_use]
pub fn json() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Report>()
        .to_value()
}

/// The same as a page: `docs/REPORT_SCHEMA.md`.
#[must_use]
pub fn markdown() -> String {
    markdown::page(&json())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Contestant, Flow, GrowthRound, Heat, HeatMap, HeatRange, HotKey, Meta, Reading, Round,
    };

    #[test]
    fn the_page_of_the_report_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/REPORT_SCHEMA.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == markdown(),
            "docs/REPORT_SCHEMA.md is out of date; renew it: \
             cargo run -p loadtest -- schema --format markdown >docs/REPORT_SCHEMA.md"
        );
    }

    #[test]
    fn the_page_has_every_type_and_every_field_with_a_description() {
        let (page, schema) = (markdown(), json());
        for (name, described) in schema["$defs"].as_object().unwrap() {
            let section = page.split(&format!("\n### {name}\n")).nth(1).unwrap_or_else(|| panic!("{name}"));
            let section = section.split("\n##").next().unwrap();
            for field in described["properties"].as_object().into_iter().flat_map(serde_json::Map::keys) {
                let line = section.lines().find(|line| line.starts_with(&format!("| `{field}` |")));
                let said = line.unwrap_or_else(|| panic!("{name}.{field}")).split(" | ").nth(2).unwrap();
                assert!(said.trim_end_matches('|').trim().len() > 3, "{name}.{field} has no description");
            }
        }
    }

    /// Every field that the program writes is described, those of a type that is flattened included.
    #[test]
    fn a_report_has_no_field_that_the_schema_does_not_know() {
        let growth = Some(GrowthRound::default());
        let round = Round { flow: Some(Flow::default()), growth, ..Round::default() };
        let rooms = HeatMap { ranges: vec![HeatRange::default()], ..HeatMap::default() };
        let heat = Heat { hot_rooms: vec![HotKey::default()], rooms, ..Heat::default() };
        let contestant =
            Contestant { rounds: vec![round], heat: Reading::Known(heat), ..Contestant::default() };
        let report = serde_json::to_value(Report::new(Meta::default(), vec![contestant])).unwrap();
        let schema = json();
        let known = |of: &Value, written: &Value| {
            for field in written.as_object().unwrap().keys() {
                assert!(of["properties"].get(field).is_some(), "{field}");
            }
        };
        known(&schema, &report);
        for (name, written) in [
            ("Meta", &report["meta"]),
            ("AuditTotals", &report["audit"]),
            ("Contestant", &report["contestants"][0]),
            ("Round", &report["contestants"][0]["rounds"][0]),
            ("Flow", &report["contestants"][0]["rounds"][0]["flow"]),
            ("GrowthRound", &report["contestants"][0]["rounds"][0]["growth"]),
            ("GrowthPart", &report["contestants"][0]["rounds"][0]["growth"]["during"]),
            ("Heat", &report["contestants"][0]["heat"]["value"]),
            ("HotKey", &report["contestants"][0]["heat"]["value"]["hot_rooms"][0]),
            ("HeatMap", &report["contestants"][0]["heat"]["value"]["rooms"]),
            ("HeatRange", &report["contestants"][0]["heat"]["value"]["rooms"]["ranges"][0]),
        ] {
            known(&schema["$defs"][name], written);
        }
    }
}
