//! The page: the report first, then every type in the order in which it is met.

use std::fmt::Write as _;

use coupon_cli::json_schema::{elements, kind, reference, text, write_fields};
use serde_json::Value;

const HEAD: &str = "# report.json

Written by `loadtest schema --format markdown` from the types of the report: do not edit. `loadtest schema` prints the same as
JSON Schema, for programs. [REPORTS.md](REPORTS.md) says where the figures come from and how verdicts are reached.

New fields may be added at any time: ignore those you do not know. A field that changes its meaning or goes away raises
`schema`. Fields in *italics* may be left out. Times are milliseconds unless the name says `seconds`; rates end in `_per_s`;
shares run from 0 to 1.

A value that has to be read from somewhere (CPU time, bytes, a plan in an answer) is a *reading*, an object, so that a figure
which is missing can never be taken for a zero:

```json
{ \"value\": 1.52 }
{ \"value\": null, \"reason\": \"no cgroup for shard 2\" }
```
";

pub(super) fn page(schema: &Value) -> String {
    let mut page = HEAD.to_owned();
    write(&mut page, "Report", schema, 2);
    page.push_str("\n## Types\n");
    for name in types(schema) {
        write(&mut page, name, definition(schema, name), 3);
    }
    page
}

/// The names of all types below the report, in the order in which they are met.
fn types(schema: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    let mut waiting = references(schema.get("properties").unwrap_or(&Value::Null));
    while !waiting.is_empty() {
        let name = waiting.remove(0);
        if !names.contains(&name) {
            names.push(name);
            // Its own types follow it.
            waiting.splice(0..0, references(definition(schema, name)));
        }
    }
    names
}

/// The names of the types that a part of the schema refers to.
fn references(part: &Value) -> Vec<&str> {
    match part {
        Value::Object(fields) => {
            reference(part).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(parts) => parts.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema.get("$defs").and_then(|all| all.get(name)).unwrap_or(&Value::Null)
}

fn write(page: &mut String, name: &str, described: &Value, level: usize) {
    let _ = write!(page, "\n{} {name}\n\n{}\n", "#".repeat(level), text(described, "description"));
    if described.get("properties").is_some() {
        write_fields(page, described);
    }
    let variants = elements(described, "oneOf");
    if !variants.is_empty() {
        page.push_str("\n| value | |\n|---|---|\n");
    }
    for variant in variants {
        let _ = writeln!(page, "| {} | {} |", kind(variant), text(variant, "description"));
    }
    if described.get("properties").is_none() && variants.is_empty() {
        let _ = write!(page, "\nIn JSON: {}.\n", kind(described));
    }
}
