//! JSON Schema as Markdown: a table of fields, and a type in a few words.

use std::fmt::Write as _;

use serde_json::Value;

/// The entries of the object at this key.
pub fn entries<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// The elements of the array at this key.
#[must_use]
pub fn elements<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The text at this key, in one line that a table's cell can hold, and without rustdoc's links.
#[must_use]
pub fn text(value: &Value, key: &str) -> String {
    let raw = value.get(key).and_then(Value::as_str).unwrap_or_default();
    let plain = raw.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.replace('|', "\\|").replace("[`", "`").replace("`]", "`")
}

/// Writes the table of an object's fields. The types of those that may be left out are in italics.
pub fn write_fields(page: &mut String, object: &Value) {
    page.push_str("\n| field | type | |\n|---|---|---|\n");
    for (field, of) in entries(object, "properties") {
        let required = elements(object, "required").iter().any(|name| name.as_str() == Some(field));
        let kind = if required { kind(of) } else { format!("*{}*", kind(of)) };
        // What may be null is described where its type is.
        let mut said = [of].into_iter().chain(elements(of, "oneOf")).map(|of| text(of, "description"));
        let said = said.rfind(|said| !said.is_empty()).unwrap_or_default();
        let _ = writeln!(page, "| `{field}` | {kind} | {said} |");
    }
}

/// A type in a few words: `integer, 1 to 1000`, `list of number`, `reading of number`, or a link to another type.
#[must_use]
pub fn kind(of: &Value) -> String {
    if let Some(name) = reference(of) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(value) = of.get("const") {
        return format!("`{value}`");
    }
    if of.get("title").and_then(Value::as_str) == Some("reading") {
        let value = entries(of, "properties").find(|(name, _)| *name == "value");
        // A reading says by itself that its value may be missing.
        return format!(
            "reading of {}",
            value.map_or_else(String::new, |(_, value)| kind(value).trim_end_matches(" or null").to_owned())
        );
    }
    let either = elements(of, "anyOf").iter().chain(elements(of, "oneOf")).map(kind).collect::<Vec<_>>();
    if !either.is_empty() {
        return either.join(" or ");
    }
    let name = match of.get("type") {
        Some(Value::Array(names)) => {
            let names = names.iter().filter_map(Value::as_str).map(|name| named(name, of));
            names.collect::<Vec<_>>().join(" or ")
        }
        Some(Value::String(name)) => named(name, of),
        _ => "any JSON".to_owned(),
    };
    name + &bounds(of)
}

/// The name of the type that a schema refers to, if it does.
#[must_use]
pub fn reference(of: &Value) -> Option<&str> {
    of.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next())
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
    let mut fields: Vec<_> = entries(of, "properties").collect();
    // The tag says what the others mean.
    fields.sort_by_key(|(_, value)| value.get("const").is_none());
    let fields = fields.iter().map(|(name, value)| format!("`{name}`: {}", kind(value)));
    fields.collect::<Vec<_>>().join(", ")
}

/// The words that a text may be, its length, or the bounds of a number, but for those that say nothing: zero of a
/// count, and what follows from how many bits it has.
fn bounds(of: &Value) -> String {
    if of.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        return String::new();
    }
    let words: Vec<&str> = elements(of, "enum").iter().filter_map(Value::as_str).collect();
    if !words.is_empty() {
        return format!(": {}", words.join(", "));
    }
    let at = |key: &str| of.get(key).filter(|bound| bound.as_u64() != Some(0));
    if let (Some(least), Some(most)) = (at("minLength"), at("maxLength")) {
        return format!(", {least} to {most} characters");
    }
    match (at("minimum"), at("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    }
}
