//! Requests that are valid HTTP, and hostile in everything else.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::description::{Description, Operation};

/// One request, sent once or several times in a row.
#[derive(Debug, Clone)]
pub(super) struct Hostile {
    pub(super) method: String,
    /// The path as it is described; `None` for one that is not.
    pub(super) path: Option<String>,
    target: String,
    headers: String,
    body: Vec<u8>,
    /// The sizes of its chunks; without any, its length is sent ahead.
    chunks: Vec<usize>,
    pub(super) times: usize,
}

impl Hostile {
    /// One user's grab, so many times in a row.
    pub(super) fn grabs(times: usize) -> Self {
        Self {
            method: "POST".to_owned(),
            path: Some("/api/coupon/grab".to_owned()),
            target: "/api/coupon/grab".to_owned(),
            headers: "Content-Type: application/json\r\n".to_owned(),
            body: br#"{"user_id":7,"coupon_id":2}"#.to_vec(),
            chunks: Vec::new(),
            times,
        }
    }

    pub(super) fn has_body(&self) -> bool {
        !self.body.is_empty()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { method, target, headers, body, .. } = self;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}");
        if self.chunks.is_empty() {
            return [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
        }
        let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        let (mut rest, mut sizes) = (&body[..], self.chunks.iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
            rest = after;
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes
    }
}

/// Any request: mostly to paths that are described, by the method that is.
pub(super) fn any_of(description: &Description, tokens: &[String]) -> impl Strategy<Value = Hostile> + use<> {
    let operations = description.operations.clone();
    let (to_described, tokens) = (select(operations).prop_flat_map(described), tokens.to_vec());
    let authorization = if tokens.is_empty() { Just(String::new()).boxed() } else { select(tokens).boxed() };
    let request = prop_oneof![9 => to_described, 1 => undescribed()];
    (request, prop_oneof![1 => Just(String::new()), 3 => authorization])
        .prop_map(|(request, token)| Hostile { headers: request.headers + &token, ..request })
}

fn described(operation: Operation) -> impl Strategy<Value = Hostile> {
    let segments = operation.path.matches('{').count();
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
    let right = Just(operation.method.clone());
    let body = operation.body.clone().map_or_else(|| junk().boxed(), |schema| body(&schema).boxed());
    (
        prop_oneof![12 => right, 1 => select(methods.to_vec()).prop_map(str::to_owned)],
        vec(segment(), segments),
        vec(parameter(operation.query.clone()), 0..3),
        option::weighted(if operation.body.is_some() { 0.95 } else { 0.05 }, body),
        headers(),
        prop_oneof![8 => Just(Vec::new()), 1 => vec(1_usize..40, 1..4)],
        1_usize..4,
    )
        .prop_map(move |(method, segments, query, body, headers, chunks, times)| {
            let mut segments = segments.iter();
            let fill = |part: &str| match part.starts_with('{') {
                true => segments.next().unwrap().clone(),
                false => part.to_owned(),
            };
            let path = operation.path.split('/').map(fill).collect::<Vec<_>>().join("/");
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            let body = body.unwrap_or_default();
            let (path_described, target) = (Some(operation.path.clone()), format!("{path}{query}"));
            Hostile { method, path: path_described, target, headers, body, chunks, times }
        })
}

fn undescribed() -> impl Strategy<Value = Hostile> {
    let paths =
        ["/", "/docs", "/docs/", "/openapi.json", "/api/user/1/coupons/", "//api/coupon/1", "/nowhere"];
    let docs = quoted().prop_map(|text| format!("/docs/{text}"));
    let nowhere = quoted().prop_map(|text| format!("/nowhere/{text}"));
    let target = prop_oneof![select(paths.to_vec()).prop_map(str::to_owned), docs, nowhere];
    (select(&["GET", "HEAD", "POST", "DELETE"][..]), target).prop_map(|(method, target)| Hostile {
        method: method.to_owned(),
        path: None,
        target,
        headers: String::new(),
        body: Vec::new(),
        chunks: Vec::new(),
        times: 1,
    })
}

/// Numbers at every edge, as text.
fn number() -> impl Strategy<Value = String> {
    let edges = [
        "0",
        "-0",
        "-1",
        "1.5",
        "1e0",
        "1E400",
        "1e-400",
        "0.1e1",
        "4294967296",
        "9007199254740991",
        "9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-9223372036854775809",
        "00",
        "0x1",
        "+1",
        "1_000",
        "Infinity",
        "NaN",
        "99999999999999999999999999999999999999999999999999999999999999",
    ];
    prop_oneof![8 => (1_u64..25).prop_map(|id| id.to_string()), 2 => select(edges.to_vec()).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|id| id.to_string()), 1 => any::<f64>().prop_map(|id| id.to_string())]
}

/// Text for a URL: any bytes, percent-encoded as a joker would.
fn quoted() -> impl Strategy<Value = String> {
    let byte = |byte: u8, raw: bool| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;:@".contains(&byte);
        if raw && plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    let any = (any::<u8>(), any::<bool>()).prop_map(move |(value, raw)| byte(value, raw));
    let odd = select(
        &[
            "%",
            "%%",
            "%z",
            "%0",
            "%0d%0a",
            "%00",
            "%2e%2e%2f",
            "%u0041",
            "%C0%AE",
            "%ED%A0%80",
            "%F0%9F%A6%80",
            "..",
            "'",
            "%22",
            "\\",
        ][..],
    );
    vec(prop_oneof![3 => any, 1 => odd.prop_map(str::to_owned)], 1..12).prop_map(|parts| parts.concat())
}

/// A part of a path. It must not be another path's own name.
fn segment() -> impl Strategy<Value = String> {
    let taken = |text: &String| !["grab", "confirm", "release", "use", "return"].contains(&text.as_str());
    prop_oneof![3 => number(), 1 => quoted()].prop_filter("another path", taken)
}

fn parameter(known: Vec<String>) -> impl Strategy<Value = String> {
    let known = if known.is_empty() { vec!["limit".to_owned()] } else { known };
    let name = prop_oneof![6 => select(known), 1 => quoted()];
    let words =
        ["true", "false", "True", "", "null", "1 OR 1=1", "AAAA"].map(|word| word.replace(' ', "%20"));
    let value = prop_oneof![4 => number(), 2 => select(words.to_vec()), 1 => quoted()];
    prop_oneof![8 => (name.clone(), value).prop_map(|(name, value)| format!("{name}={value}")), 1 => name]
}

fn headers() -> impl Strategy<Value = String> {
    let json = "Content-Type: application/json\r\n";
    let odd = [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nVia: 1.1 proxy\r\nOrigin: http://evil.example\r\n",
        "Content-Type: \r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/json\r\nCookie: a=b\r\nAccept: text/html;q=9\r\nX: \u{e9}\u{1f980}\r\n",
        "Content-Type: application/json\r\nX-Forwarded-For: 10.0.0.1\r\nX-HTTP-Method-Override: DELETE\r\n",
        "Content-Type: application/json\r\nX-Operator: Ann\r\nX-Operator: \u{e9}\r\n",
        "Content-Type: application/json\r\nX-Operator: \u{202e}\t\u{85}\r\n",
        "Content-Type: application/json\r\nRange: bytes=0-1\r\nIf-None-Match: *\r\n",
    ];
    prop_oneof![6 => Just(json.to_owned()), 1 => select(odd.to_vec()).prop_map(str::to_owned)]
}

/// Bytes that are no JSON, or none that was asked for.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let deep = (1_usize..3_000, select(&["[", "{\"a\":", "[{\"user_id\":"][..]))
        .prop_map(|(depth, open)| open.repeat(depth).into_bytes());
    prop_oneof![vec(any::<u8>(), 0..200), json().prop_map(String::into_bytes), deep, Just(vec![b' '; 20_000])]
}

/// Any JSON value, as text.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        any::<String>().prop_map(|text| Value::String(text).to_string()),
        select(
            &["\"\\u0000\"", "\"\\ud800\"", "\"\u{202e}\"", "\"1\"", "\"912345678901234567\"", "\"\""][..]
        )
        .prop_map(str::to_owned),
    ];
    let word = select(&["null", "true", "false"][..]).prop_map(str::to_owned);
    let leaf = prop_oneof![number(), text.clone(), word];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let pair = (text.clone(), inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(pair, 0..4).prop_map(|pairs| format!("{{{}}}", pairs.join(","))),
        ]
    })
}

/// A value that the field of that name could have.
fn good(name: &str) -> BoxedStrategy<String> {
    let text = |form: &'static str| form.prop_map(|text| format!("\"{text}\"")).boxed();
    match name {
        "request_id" => text("[a-c]{0,2}"),
        "result_id" => (1_i64..i64::MAX).prop_map(|id| format!("\"{id}\"")).boxed(),
        "coupon_name" | "room_name" => text("[a-z]{0,3}"),
        "start_time" | "end_time" => text("20(26|99)-(01|11|13)-22T1[1-3]:00:00Z"),
        "returnable" | "is_hot" => any::<bool>().prop_map(|flag| flag.to_string()).boxed(),
        "details" => Just(r#"{"description":"","usage_rules":"","product_range":{}}"#.to_owned()).boxed(),
        "users" => vec(number(), 0..3)
            .prop_map(|ids| {
                let users: Vec<String> = ids.iter().map(|id| format!(r#"{{"user_id":{id}}}"#)).collect();
                format!("[{}]", users.join(","))
            })
            .boxed(),
        _ => number().boxed(),
    }
}

/// A body nearly as the schema wants it: fields may be missing, there twice, unknown, or of any type.
fn body(schema: &Value) -> impl Strategy<Value = Vec<u8>> + use<> {
    let names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
    let field = |name: &String| {
        let value = prop_oneof![6 => good(name), 1 => json()];
        let value = option::weighted(0.9, value);
        let name = name.clone();
        value.prop_map(move |value| value.map(|value| format!("\"{name}\":{value}"))).boxed()
    };
    let fields: Vec<_> = names.iter().map(field).collect();
    let any_name = prop_oneof![3 => select(names), 1 => any::<String>()];
    let extra = (any_name, json()).prop_map(|(name, value)| format!("{}:{value}", Value::String(name)));
    let object = (fields, option::weighted(0.1, extra)).prop_map(|(fields, extra)| {
        let fields: Vec<String> = fields.into_iter().flatten().chain(extra).collect();
        format!("{{{}}}", fields.join(",")).into_bytes()
    });
    prop_oneof![9 => object, 1 => junk()]
}
