//! Checks that an answer is one that the description has.

use proptest::prelude::TestCaseError;
use serde_json::Value;

use super::description::Description;
use super::requests::Hostile;
use super::schema::violation;
use crate::client::Answer;

/// Holds an answer to what is described. No server is out of order, so nothing may be unavailable.
pub(super) fn check(
    description: &Description,
    request: &Hostile,
    answer: &Answer,
) -> Result<(), TestCaseError> {
    let wrong = |why: String| TestCaseError::fail(format!("{why}: {} {}", answer.status, answer.text()));
    if answer.status >= 500 {
        return Err(wrong("the service's own fault".to_owned()));
    }
    let operation = request.path.as_deref().and_then(|path| description.operation(path, &request.method));
    let Some(operation) = operation else {
        return undescribed(description, request, answer).map_err(wrong);
    };
    let response = &operation.responses[answer.status.to_string()];
    let Some(contents) = response["content"].as_object() else {
        return Err(wrong("no such status is described".to_owned()));
    };
    let content_type = answer.header("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default();
    let Some(content) = contents.get(essence) else {
        return Err(wrong(format!("no such content type is described: {content_type:?}")));
    };
    body(description, request, answer, &content["schema"]).map_err(wrong)?;
    if answer.status == 429 && answer.header("retry-after").is_none() {
        return Err(wrong("nothing says when to come back".to_owned()));
    }
    Ok(())
}

fn body(description: &Description, request: &Hostile, answer: &Answer, schema: &Value) -> Result<(), String> {
    if request.method == "HEAD" {
        return if answer.body.is_empty() { Ok(()) } else { Err("a body that nobody asked for".to_owned()) };
    }
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")) {
        return String::from_utf8(answer.body.clone()).map(drop).map_err(|error| error.to_string());
    }
    let value: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    violation(description, schema, &value)?;
    let problem = answer.status >= 400;
    if problem && value["status"] != answer.status { Err("another status inside".to_owned()) } else { Ok(()) }
}

/// A path that is not described, or a method that its path does not take.
fn undescribed(description: &Description, request: &Hostile, answer: &Answer) -> Result<(), String> {
    if request.path.is_some() {
        if answer.status != 405 || answer.header("allow").is_none_or(str::is_empty) {
            return Err("405 and Allow were to be expected".to_owned());
        }
    } else if !matches!(answer.status, 200 | 307 | 400 | 404 | 405) {
        return Err("an unexpected status".to_owned());
    }
    if answer.status < 400 {
        return Ok(());
    }
    let schema = &description.whole["components"]["schemas"]["ProblemDetails"];
    let kind = answer.header("content-type");
    if kind != Some("application/problem+json") {
        return Err(format!("no problem: {kind:?}"));
    }
    body(description, request, answer, schema)
}
