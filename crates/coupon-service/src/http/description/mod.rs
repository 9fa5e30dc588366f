//! The description of the API as text: JSON for tools, Markdown for people.

mod markdown;

use anyhow::Context as _;
use serde_json::Value;

use super::docs;

/// OpenAPI 3.1, as `/openapi.json` has it.
pub(crate) fn json() -> &'static str {
    docs::json()
}

/// A page of it: `docs/API.md`.
pub(crate) fn markdown() -> anyhow::Result<String> {
    let api: Value = serde_json::from_str(json()).context("the API's description is no JSON")?;
    Ok(markdown::page(&api))
}

#[cfg(test)]
mod tests {
    use coupon_cli::json_schema::{entries, text};

    use super::*;

    #[test]
    fn the_page_of_the_api_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md");
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written.trim_end() == markdown().unwrap().trim_end(),
            "docs/API.md is out of date; renew it: cargo run -p hash-svc -- openapi --format markdown >docs/API.md"
        );
    }

    #[test]
    fn the_page_has_every_operation_every_answer_and_every_field() {
        let (page, api) = (markdown().unwrap(), serde_json::from_str::<Value>(json()).unwrap());
        for (path, methods) in entries(&api, "paths") {
            for (method, operation) in methods.as_object().unwrap() {
                let heading = format!("### {} {path}\n", method.to_uppercase());
                let section = page.split(&heading).nth(1).unwrap_or_else(|| panic!("{heading}"));
                let section = section.split("\n##").next().unwrap();
                for (status, answer) in entries(operation, "responses") {
                    let said = text(answer, "description");
                    assert!(section.contains(&format!("| {status} | {said}")), "{heading} {status}");
                }
            }
        }
        for (name, schema) in entries(&api["components"], "schemas") {
            let section = page.split(&format!("### {name}\n")).nth(1).unwrap_or_else(|| panic!("{name}"));
            let section = section.split("\n##").next().unwrap();
            for (field, _) in entries(schema, "properties") {
                assert!(section.contains(&format!("| `{field}` |")), "{name}.{field}");
            }
        }
    }
}
