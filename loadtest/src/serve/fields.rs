//! Fields of a page as flags of a command line: what a page sends is read and checked as what a person types.

use std::error::Error as _;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use serde::Serialize;

/// A field of a page, and the flag that it is.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    flag: String,
}

impl Field {
    /// A field with its text.
    pub(super) fn new(name: String, text: &str) -> Self {
        Self { flag: format!("--{name}={text}"), name }
    }

    /// One of several parts of a field.
    pub(super) fn part(field: &str, part: &str, text: &str) -> Self {
        Self { name: format!("{field}.{part}"), flag: format!("--{field}={part}={text}") }
    }
}

/// An error in a form, and the field it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Wrong {
    /// The field; none when it is about the whole.
    pub(super) field: Option<String>,
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn field(field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), message: message.into() }
    }
}

/// Reads the flags that fields are.
///
/// # Errors
/// Everything that is wrong with them, at once, in the order of the flags.
pub(super) fn parse<T: Parser>(fields: &[Field]) -> Result<T, Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = fields.iter().filter_map(of_field::<T>).collect();
    let flags = fields.iter().filter(|field| of_field::<T>(field).is_none()).map(|field| &field.flag);
    let parsed = T::try_parse_from(flags).map_err(|error| missing(&error));
    match parsed {
        Ok(parsed) if wrong.is_empty() => return Ok(parsed),
        Ok(_) => {}
        // A flag that is there and wrong is not missing as well.
        Err(more) => wrong.extend(
            more.into_iter().filter(|one| fields.iter().all(|of| Some(&of.name) != one.field.as_ref())),
        ),
    }
    let order = |wrong: &Wrong| {
        let flag = wrong.field.as_deref().and_then(|field| field.split('.').next());
        T::command().get_arguments().position(|argument| Some(argument.get_id().as_str()) == flag)
    };
    wrong.sort_by_key(|wrong| order(wrong).unwrap_or(usize::MAX));
    Err(wrong)
}

/// The error in a field by itself; that others are missing is none.
fn of_field<T: Parser>(field: &Field) -> Option<Wrong> {
    let error = T::try_parse_from([&field.flag]).err()?;
    let message = match error.kind() {
        ErrorKind::MissingRequiredArgument => return None,
        ErrorKind::UnknownArgument => "there is no such field".to_owned(),
        _ => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    };
    Some(Wrong { field: Some(field.name.clone()), message })
}

/// The errors of fields that are each right.
fn missing(error: &clap::Error) -> Vec<Wrong> {
    let Some(clap::error::ContextValue::Strings(flags)) = error.get(ContextKind::InvalidArg) else {
        return vec![Wrong { field: None, message: error.to_string() }];
    };
    let name =
        |flag: &String| flag.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default().to_owned();
    flags.iter().map(|flag| Wrong::field(&name(flag), "must be given")).collect()
}
