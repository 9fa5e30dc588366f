//! The page: the report first, then every type in the order in which it is met.

use std::fmt::Write as _;

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
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(parts) => parts.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema.get("$defs").and_then(|all| all.get(name)).unwrap_or(&Value::Null)
}

fn write(page: &mut String, name: &str, described: &Value, level: usize) {
    let _ = write!(page, "\n{} {name}\n\n{}\n", "#".repeat(level), said(described));
    let fields: Vec<_> =
        described.get("properties").and_then(Value::as_object).into_iter().flatten().collect();
    if !fields.is_empty() {
        page.push_str("\n| field | type | |\n|---|---|---|\n");
    }
    for (field, of) in fields {
        let required = elements(described, "required").iter().any(|name| name.as_str() == Some(field));
        let kind = if required { kind(of) } else { format!("*{}*", kind(of)) };
        let _ = writeln!(page, "| `{field}` | {kind} | {} |", said(of));
    }
    let variants = elements(described, "oneOf");
    if !variants.is_empty() {
        page.push_str("\n| value | |\n|---|---|\n");
    }
    for variant in variants {
        let _ = writeln!(page, "| {} | {} |", kind(variant), said(variant));
    }
    if described.get("properties").is_none() && variants.is_empty() {
        let _ = write!(page, "\nIn JSON: {}.\n", kind(described));
    }
}

/// The description, in one line that a table's cell can hold, and without rustdoc's links.
fn said(of: &Value) -> String {
    let raw = of.get("description").and_then(Value::as_str).unwrap_or_default();
    let plain = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

fn elements<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A type in a few words: `list of number`, `reading of number`, or a link to another type.
fn kind(of: &Value) -> String {
    if let Some(name) = of.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(value) = of.get("const") {
        return format!("`{value}`");
    }
    let property = |name: &str| of.get("properties").and_then(|all| all.get(name));
    if of.get("title").and_then(Value::as_str) == Some("reading") {
        return format!(
            "reading of {}",
            property("value").map_or_else(String::new, |value| without_null(&kind(value)))
        );
    }
    let either: Vec<String> = elements(of, "anyOf").iter().map(kind).collect();
    if !either.is_empty() {
        return either.join(" or ");
    }
    match of.get("type") {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .map(|name| named(name, of))
            .collect::<Vec<_>>()
            .join(" or "),
        Some(Value::String(name)) => named(name, of),
        _ => "any JSON".to_owned(),
    }
}

/// A type by its name in JSON Schema, with the types inside it.
fn named(name: &str, of: &Value) -> String {
    match name {
        "array" => format!("list of {}", of.get("items").map_or_else(String::new, kind)),
        "object" => object(of),
        name => name.to_owned(),
    }
}

/// An object that has no name: a map, or a variant with its few fields.
fn object(of: &Value) -> String {
    if let Some(values) = of.get("additionalProperties").filter(|values| values.is_object()) {
        return format!("map to {}", kind(values));
    }
    let fields = of.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut fields: Vec<_> = fields.collect();
    // The tag says what the others mean.
    fields.sort_by_key(|(_, value)| value.get("const").is_none());
    let fields = fields.iter().map(|(name, value)| format!("`{name}`: {}", kind(value)));
    fields.collect::<Vec<_>>().join(", ")
}

/// A reading says by itself that its value may be missing.
fn without_null(kind: &str) -> String {
    kind.trim_end_matches(" or null").to_owned()
}
