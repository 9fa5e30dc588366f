//! The place of a grab, and the reasons: the answer of `loadtest explain`, for the contestants that the page has
//! chosen.

use coupon_core::{CouponId, RoomId, RowKey, Timestamp, UserId};
use coupon_loadgen::workload::CatalogueSpec;
use coupon_strategies::Spec;
use serde::Serialize;

use super::fields::{self, Field, Wrong};
use super::form::Chosen;
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

/// The flags of the question.
#[derive(Debug, clap::Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Flags {
    #[arg(long)]
    user: UserId,
    #[arg(long)]
    coupon: CouponId,
    #[arg(long)]
    room: Option<RoomId>,
    #[arg(long)]
    time: Option<Timestamp>,
    #[command(flatten)]
    chosen: Chosen,
}

/// Explains a grab. A field that is left empty is none.
///
/// # Errors
/// Everything that is wrong with the question, at once.
pub(super) fn answer(question: impl IntoIterator<Item = (String, String)>) -> Result<Answer, Vec<Wrong>> {
    let given = question.into_iter().filter(|(_, text)| !text.trim().is_empty());
    let fields: Vec<Field> = given.map(|(name, text)| Field::new(name, text.trim())).collect();
    let Flags { user, coupon, room, time, chosen } = fields::parse(&fields)?;
    let wrong =
        |field: &'static str| move |error: anyhow::Error| vec![Wrong::field(field, format!("{error:#}"))];
    let room = room.map_or_else(|| room_of(coupon), Ok).map_err(wrong("coupon"))?;
    let time = time.map_or_else(now, Ok).map_err(wrong("time"))?;
    let row = RowKey { user, room, time };
    let explain = |spec: Spec| {
        let strategy = spec.strategy().map_err(wrong("contestants"))?;
        Ok(Strategy { contestant: spec.name, explanation: Explanation::of(&*strategy, &row) })
    };
    let specs = chosen.specs(&CatalogueSpec::default()).map_err(|wrong| vec![wrong])?;
    Ok(Answer {
        grab: format!("User {user} grabs coupon {coupon} of room {room} at {time}."),
        strategies: specs.into_iter().map(explain).collect::<Result<_, Vec<Wrong>>>()?,
    })
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
