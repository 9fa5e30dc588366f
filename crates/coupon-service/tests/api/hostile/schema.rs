//! JSON Schema, as much of it as the description uses. A keyword beyond that is a failure, rather than let pass.

use serde_json::Value;

use super::description::Description;

/// Words that say nothing of what a value may be, or nothing that is checked here: `.ci/check-api` checks all.
const NOTES: [&str; 6] = ["description", "example", "format", "multipleOf", "pattern", "title"];

/// The first point in which the value is not as the schema says.
pub(super) fn violation(description: &Description, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = description.resolve(schema);
    let Some(rules) = schema.as_object() else { return Err(format!("no schema: {schema}")) };
    for (word, rule) in rules {
        match word.as_str() {
            "type" => is_of_type(rule, value)?,
            "required" => {
                for name in rule.as_array().unwrap() {
                    let there = value.as_object().is_none_or(|map| map.contains_key(name.as_str().unwrap()));
                    ensure(there, || format!("{name} is missing in {value}"))?;
                }
            }
            "properties" => {
                let known = rule.as_object().unwrap();
                for (name, value) in value.as_object().into_iter().flatten() {
                    let schema = known.get(name).ok_or_else(|| format!("{name} is not described"))?;
                    violation(description, schema, value).map_err(|error| format!("{name}: {error}"))?;
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    violation(description, rule, item)?;
                }
            }
            "minimum" => within(value, |number| rule.as_f64().is_some_and(|least| number >= least), rule)?,
            "maximum" => within(value, |number| rule.as_f64().is_some_and(|most| number <= most), rule)?,
            "enum" => {
                ensure(rule.as_array().unwrap().contains(value), || format!("{value} is none of {rule}"))?;
            }
            "minLength" | "maxLength" => {
                let most = word == "maxLength";
                let length = value.as_str().map(|text| text.chars().count() as u64);
                let fits = |length| {
                    rule.as_u64().is_some_and(|bound| if most { length <= bound } else { length >= bound })
                };
                ensure(length.is_none_or(fits), || format!("{value} has not {word} {rule}"))?;
            }
            "oneOf" | "anyOf" => {
                let fits = |schema: &Value| violation(description, schema, value).is_ok();
                ensure(rule.as_array().unwrap().iter().any(fits), || format!("{value} is none of {rule}"))?;
            }
            // Fields that are not described are found out above, whatever this says.
            "additionalProperties" => ensure(rule == false, || format!("{rule}: more fields are allowed"))?,
            note if NOTES.contains(&note) => {}
            unknown => return Err(format!("this check does not know the word {unknown}")),
        }
    }
    Ok(())
}

/// A value that is no number has no bounds to keep.
fn within(value: &Value, fits: impl Fn(f64) -> bool, rule: &Value) -> Result<(), String> {
    ensure(value.as_f64().is_none_or(fits), || format!("{value} is beyond {rule}"))
}

fn is_of_type(rule: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    let fits = match rule {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => false,
    };
    ensure(fits, || format!("{value} is no {rule}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[test]
fn a_value_that_is_not_as_its_schema_says_is_found_out() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "integer", "minimum": 1 },
            "name": { "type": ["string", "null"] },
            "parts": { "type": "array", "items": { "$ref": "#/part" } },
        },
    });
    let whole = serde_json::json!({ "part": { "oneOf": [{ "type": "null" }, { "type": "boolean" }] } });
    let description = Description { whole, operations: Vec::new() };
    let check = |value: Value| violation(&description, &schema, &value);
    assert_eq!(check(serde_json::json!({ "id": 1, "name": null, "parts": [true, null] })), Ok(()));
    for wrong in [
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!({ "id": 0 }),
        serde_json::json!({ "id": 1.5 }),
        serde_json::json!({ "id": 1, "name": 2 }),
        serde_json::json!({ "id": 1, "more": 2 }),
        serde_json::json!({ "id": 1, "parts": [true, "x"] }),
    ] {
        assert!(check(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(violation(&description, &serde_json::json!({ "const": 1 }), &Value::Null).is_err());
}
