//! The page: operations by subject, then what goes over the wire.

use std::fmt::Write as _;

use coupon_cli::json_schema::{elements, entries, kind, text, write_fields};
use serde_json::Value;

const HEAD: &str = "# API\n\n\
    Written by `hash-svc openapi --format markdown` from what the code says: do not edit. A running service shows the same \
    at `/docs`, to try, and at `/openapi.json`, for tools.\n";

/// One method of one path.
struct Operation<'a> {
    title: String,
    says: &'a Value,
}

pub(super) fn page(api: &Value) -> String {
    let operations = operations(api);
    let mut out = format!("{HEAD}\n{}\n", text(api.get("info").unwrap_or(&Value::Null), "description"));
    for tag in elements(api, "tags") {
        let _ = write!(out, "\n## {}\n\n{}\n", capital(&text(tag, "name")), text(tag, "description"));
        let name = text(tag, "name");
        let with_tag = |operation: &&Operation<'_>| {
            elements(operation.says, "tags").iter().any(|tag| tag.as_str() == Some(&name))
        };
        for operation in operations.iter().filter(with_tag) {
            operation.write(&mut out);
        }
    }
    out.push_str("\n## Schemas\n\nFields in *italics* may be left out, or are left out when there is nothing to say.\n");
    for (name, described) in entries(api.get("components").unwrap_or(&Value::Null), "schemas") {
        let _ = write!(out, "\n### {name}\n\n{}\n", text(described, "description"));
        write_fields(&mut out, described);
    }
    out
}

fn operations(api: &Value) -> Vec<Operation<'_>> {
    let of_path = |(path, methods): (&String, &'_ Value)| -> Vec<(String, String)> {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(|(method, _)| (path.clone(), method.clone())).collect()
    };
    let names = entries(api, "paths").flat_map(of_path);
    names
        .filter_map(|(path, method)| {
            let says = api.get("paths")?.get(&path)?.get(&method)?;
            Some(Operation { title: format!("{} {path}", method.to_uppercase()), says })
        })
        .collect()
}

impl Operation<'_> {
    fn write(&self, out: &mut String) {
        let Self { title, says } = self;
        let _ = write!(out, "\n### {title}\n\n{}.", text(says, "summary"));
        let more = text(says, "description");
        if !more.is_empty() {
            let _ = write!(out, " {more}");
        }
        out.push_str(&self.who());
        out.push('\n');
        let parameters = elements(says, "parameters");
        if !parameters.is_empty() {
            out.push_str("\n| parameter | where | type | |\n|---|---|---|---|\n");
        }
        for parameter in parameters {
            let place = text(parameter, "in");
            let kind = kind(parameter.get("schema").unwrap_or(&Value::Null));
            let name = text(parameter, "name");
            let _ = writeln!(out, "| `{name}` | {place} | {kind} | {} |", text(parameter, "description"));
        }
        if let Some(body) = says.get("requestBody") {
            let _ = write!(out, "\nBody: {}.\n", content(body));
        }
        out.push_str("\n| answer | | |\n|---|---|---|\n");
        for (status, answer) in entries(says, "responses") {
            let _ = writeln!(out, "| {status} | {} | {} |", text(answer, "description"), content(answer));
        }
    }

    /// The token that it asks for.
    fn who(&self) -> String {
        let tokens = elements(self.says, "security").iter().filter_map(Value::as_object);
        let tokens: Vec<String> = tokens.flat_map(|token| token.keys().cloned()).collect();
        let operators = tokens.iter().any(|token| token == "token");
        match tokens.first().map(String::as_str) {
            Some("user") if operators => {
                " Wants the user's token, or that of `admin.token`, where `users.token_secret` is set."
                    .to_owned()
            }
            Some("token") => {
                " Wants the token of `admin.token` or, without one, a client on loopback.".to_owned()
            }
            Some("user") => " Wants the user's token where `users.token_secret` is set.".to_owned(),
            _ => String::new(),
        }
    }
}

/// The content of a body.
fn content(body: &Value) -> String {
    let kinds = entries(body, "content").map(|(media, content)| {
        let shown = kind(content.get("schema").unwrap_or(&Value::Null));
        if media.contains("json") { shown } else { format!("`{media}`") }
    });
    kinds.collect::<Vec<_>>().join(" or ")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
