//! The parts of the answers' JSON that a load generator needs, and no more.

use serde::Deserialize;

/// A decided grab.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct GrabAnswer<'a> {
    pub(crate) grab_status: u8,
    #[serde(borrow)]
    pub(crate) fail_reason: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) result_id: Option<&'a str>,
    /// The state that the result began with.
    #[serde(borrow, default)]
    pub(crate) state: Option<&'a str>,
}

impl<'a> GrabAnswer<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[derive(Deserialize)]
struct PlanAnswer {
    shards: Vec<u16>,
    tables: u64,
}

/// The shards and tables that an answer says were visited.
///
/// The plan is the last field, after items that may be many: it is looked for from the end, and only it is read.
pub(crate) fn plan_of(body: &[u8]) -> Option<(u64, u64)> {
    const KEY: &[u8] = b"\"plan\":";
    let from = last(body, KEY)? + KEY.len();
    let mut values = serde_json::Deserializer::from_slice(body.get(from..)?).into_iter::<PlanAnswer>();
    let plan = values.next()?.ok()?;
    Some((plan.shards.len() as u64, plan.tables))
}

/// True when an answer says that a shard is missing from it.
pub(crate) fn is_partial(body: &[u8]) -> bool {
    last(body, b"\"partial\":")
        .is_some_and(|at| body.get(at..).is_some_and(|rest| rest.starts_with(b"\"partial\":true")))
}

fn last(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).rposition(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grab_answer_is_read_with_whatever_else_is_in_it() {
        let body = br#"{"user_id":1,"coupon_id":2,"room_id":1,"grab_status":1,"fail_reason":null,
            "result_id":"912345678901234567","grab_time":"2026-11-22T15:04:05.123Z"}"#;
        let answer = GrabAnswer::parse(body).unwrap();
        assert_eq!((answer.grab_status, answer.result_id), (1, Some("912345678901234567")));
        let answer = GrabAnswer::parse(br#"{"grab_status":0,"fail_reason":"out_of_stock"}"#).unwrap();
        assert_eq!(
            (answer.grab_status, answer.fail_reason, answer.result_id),
            (0, Some("out_of_stock"), None)
        );
        assert_eq!(GrabAnswer::parse(br#"{"status":"ok"}"#), None);
    }

    #[test]
    fn the_plan_is_found_behind_the_items() {
        let body =
            br#"{"items":[{"note":"\"plan\":{}"}],"partial":false,"plan":{"shards":[0,3],"tables":7}}"#;
        assert_eq!(plan_of(body), Some((2, 7)));
        assert!(!is_partial(body));
        assert!(is_partial(br#"{"partial":true,"missing_shards":[1],"plan":{"shards":[0],"tables":1}}"#));
        assert_eq!(plan_of(br#"{"plan":null}"#), None);
        assert_eq!(plan_of(b"{}"), None);
    }
}
