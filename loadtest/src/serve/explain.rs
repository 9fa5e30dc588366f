//! The place of a grab, and the reasons: the answer of `loadtest explain`, for the contestants that the page has
//! chosen.

use std::str::FromStr;

use coupon_core::{CouponId, RoomId, RowKey, Timestamp, UserId};
use coupon_loadgen::workload::Catalogue;
use coupon_strategies::Spec;
use serde::Serialize;
use serde_json::Value;

use super::form::{Form, Wrong};
use crate::explain::{Explanation, now, room_of};

/// The explanation of one grab.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// The grab, in a sentence.
    grab: String,
    strategies: Vec<Strategy>,
}

#[derive(Debug, Serialize)]
struct Strategy {
    contestant: String,
    #[serde(flatten)]
    explanation: Explanation,
}

/// Explains a grab.
///
/// # Errors
/// Everything that is wrong with the question, at once.
pub(super) fn answer(question: impl IntoIterator<Item = (String, String)>) -> Result<Answer, Vec<Wrong>> {
    let mut form = Form::of_text(question);
    let user = read::<UserId>(&mut form, "user");
    let coupon = read::<CouponId>(&mut form, "coupon");
    let room = read::<RoomId>(&mut form, "room");
    let time = read::<Timestamp>(&mut form, "time");
    let shards = form.shards();
    let names = form.names();
    form.refuse_the_rest();
    let mut strategies = Vec::new();
    for name in names {
        let spec = Spec::parse(&name, shards, &Catalogue::default());
        match spec.and_then(|spec| spec.strategy()) {
            Ok(strategy) => strategies.push((name, strategy)),
            Err(error) => form.wrong.push(Wrong::field("contestants", format!("{error:#}"))),
        }
    }
    for (field, missing) in [("user", user.is_none()), ("coupon", coupon.is_none())] {
        if missing && !form.wrong.iter().any(|wrong| wrong.field.as_deref() == Some(field)) {
            form.wrong.push(Wrong::field(field, "must be given"));
        }
    }
    let (Some(user), Some(coupon), true) = (user, coupon, form.wrong.is_empty()) else {
        return Err(form.wrong);
    };
    let told = |field: &'static str| move |error: anyhow::Error| vec![Wrong::field(field, error.to_string())];
    let room = room.map_or_else(|| room_of(coupon), Ok).map_err(told("coupon"))?;
    let time = time.map_or_else(now, Ok).map_err(told("time"))?;
    let row = RowKey { user, room, time };
    let explain = |(contestant, strategy): (String, std::sync::Arc<dyn coupon_core::ShardingStrategy>)| {
        Strategy { contestant, explanation: Explanation::of(&*strategy, &row) }
    };
    Ok(Answer {
        grab: format!("User {user} grabs coupon {coupon} of room {room} at {time}."),
        strategies: strategies.into_iter().map(explain).collect(),
    })
}

/// A field; one that is left empty is none.
fn read<T: FromStr<Err: std::fmt::Display>>(form: &mut Form, field: &str) -> Option<T> {
    let Some(Value::String(text)) = form.take(field) else { return None };
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|error| form.wrong.push(Wrong::field(field, format!("{text:?}: {error}")))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: &[(&str, &str)]) -> Result<Answer, Vec<Wrong>> {
        answer(question.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())))
    }

    #[test]
    fn every_contestant_that_is_chosen_has_its_say() {
        let question = [
            ("user", "123"),
            ("coupon", "456"),
            ("time", "2026-11-22T00:30:00Z"),
            ("contestants", "hash,range-room+split"),
            ("shards", "4"),
            ("room", ""),
        ];
        let answer = ask(&question).unwrap();
        assert!(answer.grab.contains("coupon 456 of room 92 at 2026-11-22T00:30:00"), "{}", answer.grab);
        let [hash, split] = answer.strategies.as_slice() else { panic!("{answer:?}") };
        assert_eq!(hash.explanation.stored.as_deref(), Ok("shard 0, table coupon_results"));
        assert!(split.explanation.layout.contains("starting at rooms"), "{split:?}");
        assert_eq!(split.explanation.queries.len(), 6);
    }

    #[test]
    fn a_field_that_makes_no_sense_is_named() {
        for (field, value) in
            [("user", "0"), ("user", ""), ("coupon", "x"), ("room", "-1"), ("time", "noon"), ("shards", "0")]
        {
            let others = [("user", "1"), ("coupon", "1")].into_iter().filter(|(name, _)| *name != field);
            let question: Vec<_> = others.chain([(field, value)]).collect();
            let wrong = ask(&question).unwrap_err();
            assert_eq!(wrong.len(), 1, "{wrong:?}");
            assert_eq!(wrong[0].field.as_deref(), Some(field), "{value:?}");
        }
    }
}
