//! The schemas of requests and answers: a table a schema, and a type in a few words.

use std::fmt::Write as _;

use serde_json::Value;

use super::{elements, entries, text};

pub(super) fn write(out: &mut String, name: &str, described: &Value) {
    let _ = write!(out, "\n### {name}\n\n{}\n", text(described, "description"));
    out.push_str("\n| field | type | |\n|---|---|---|\n");
    for (field, says) in entries(described, "properties") {
        let required = elements(described, "required").iter().any(|name| name.as_str() == Some(field));
        let kind = kind(says);
        let kind = if required { kind } else { format!("*{kind}*") };
        // What may be null is described where its type is.
        let mut said =
            [says].into_iter().chain(elements(says, "oneOf")).map(|says| text(says, "description"));
        let said = said.rfind(|said| !said.is_empty()).unwrap_or_default();
        let _ = writeln!(out, "| `{field}` | {kind} | {said} |");
    }
}

/// A type in a few words: `integer, 1 to 1000`, or a link to another schema.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let either: Vec<String> = elements(schema, "oneOf").iter().map(kind).collect();
    if !either.is_empty() {
        return either.join(" or ");
    }
    let name = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        Some(Value::String(name)) if name == "array" => {
            format!("list of {}", kind(schema.get("items").unwrap_or(&Value::Null)))
        }
        Some(Value::String(name)) => name.clone(),
        _ => "any JSON".to_owned(),
    };
    name + &bounds(schema)
}

/// Zero says nothing that a count does not say by itself.
fn bounds(schema: &Value) -> String {
    let at = |key: &str| schema.get(key).filter(|bound| bound.as_u64() != Some(0));
    match (at("minimum"), at("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}
