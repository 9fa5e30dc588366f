//! The answers of the read endpoints, held against what is stored: each list row by row, each sum by counting.
//!
//! The auditor says what is to be asked ([`ReadQuestion`]); a caller that speaks HTTP asks it ([`fetch`]); the answers go
//! into the audit, which reads every row anyway (`lists`).

mod lists;

use anyhow::{Context, Result, bail, ensure};
use coupon_core::{Money, Timestamp};
use serde::Deserialize;

use super::claims::Claims;
use super::history::Movement;
use super::life::{self, Life};
use super::source::{Catalogue, Grab, Snapshot, Spent, Stored, Sums, UNTOLD};
pub(crate) use lists::Lists;

/// Numbers of users and rooms in a sample.
const USERS: usize = 16;
const ROOMS: usize = 4;
/// The most rows of a page, and the most pages of a list.
const LIMIT: usize = 1_000;
const PAGES: usize = 3;
/// The windows of recent orders, in hours.
const WINDOWS: [u16; 2] = [1, 24];

/// The reason why a sum that a service answered while rows were moved is not judged.
const MOVING: &str = "rows are being moved, and sums may be off by those under way: they were not judged";

/// A question to a read endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadQuestion {
    /// One result, by its id.
    Result(i64),
    /// The coupons that a user holds.
    User(u64),
    /// The grabs in a room.
    Room(i64),
    /// The grabs of the last so many hours.
    Recent(u16),
    /// The sums of a room.
    RoomStats(i64),
    /// Sums over everything.
    Global,
}

/// Questions, and how far rows had moved when they were drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestionSample {
    asked: Vec<ReadQuestion>,
    movement: Option<Movement>,
}

impl QuestionSample {
    /// The questions.
    #[must_use]
    pub fn asked(&self) -> &[ReadQuestion] {
        &self.asked
    }
}

/// A question, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnsweredQuestion {
    asked: ReadQuestion,
    /// The time of the question.
    at: Timestamp,
    /// The movement of rows before it.
    movement: Option<Movement>,
    contents: Contents,
}

#[derive(Debug, Clone, PartialEq)]
enum Contents {
    /// The latest rows, or all there are.
    Rows { rows: Vec<Stored>, whole: bool },
    /// The number of results, and the time of the last.
    Count { results: i64, last: Option<i64> },
    /// Sums, and those of each shard.
    Sums { all: Sums, shards: Vec<(u16, Sums)> },
    /// The answer was true a while ago, and does not claim to be true still.
    Kept,
    /// An answer that no right service gives.
    Wrong(String),
    /// No answer that anything can be held against, for this reason.
    Nothing(String),
}

impl ReadQuestion {
    fn path(self) -> String {
        match self {
            Self::Result(id) => format!("/api/result/{id}"),
            Self::User(user) => format!("/api/user/{user}/coupons?limit={LIMIT}"),
            Self::Room(room) => format!("/api/room/{room}/orders?limit={LIMIT}"),
            Self::Recent(hours) => format!("/api/orders/recent?hours={hours}&limit={LIMIT}"),
            Self::RoomStats(room) => format!("/api/room/{room}/stats"),
            Self::Global => "/api/statistics/global?exact=true".to_owned(),
        }
    }
}

/// The questions of a sample that asks some of everything: users who were granted something and their rooms, windows
/// of time, sums.
pub(crate) fn sample(snapshot: &Snapshot, claims: &Claims) -> QuestionSample {
    QuestionSample { asked: questions(&snapshot.catalogue, claims), movement: snapshot.movement }
}

fn questions(catalogue: &Catalogue, claims: &Claims) -> Vec<ReadQuestion> {
    let step = claims.granted.len().div_ceil(USERS).max(1);
    let chosen = || claims.granted.iter().step_by(step);
    let room_of = |coupon: u64| Some(catalogue.get(&i64::try_from(coupon).ok()?)?.room);
    let granted = chosen().filter_map(|(_, _, coupon)| room_of(*coupon));
    let mut rooms: Vec<i64> = granted.chain(catalogue.values().map(|coupon| coupon.room).take(1)).collect();
    rooms.sort_unstable();
    rooms.dedup();
    rooms.truncate(ROOMS);
    let mut asked: Vec<ReadQuestion> = chosen()
        .flat_map(|&(result, user, _)| [ReadQuestion::Result(result), ReadQuestion::User(user)])
        .collect();
    asked.extend(rooms.iter().flat_map(|room| [ReadQuestion::Room(*room), ReadQuestion::RoomStats(*room)]));
    asked.extend(WINDOWS.map(ReadQuestion::Recent));
    asked.push(ReadQuestion::Global);
    asked.sort_unstable();
    asked.dedup();
    asked
}

/// Asks a service. `get` GETs a path, and returns the status and the body of the answer.
///
/// # Errors
/// When `get` fails.
pub fn fetch(
    sample: &QuestionSample,
    mut get: impl FnMut(&str) -> Result<(u16, Vec<u8>)>,
) -> Result<Vec<AnsweredQuestion>> {
    let one = |asked: &ReadQuestion| {
        let at = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        Ok(AnsweredQuestion {
            asked: *asked,
            at,
            movement: sample.movement,
            contents: fetch_one(*asked, &mut get)?,
        })
    };
    sample.asked.iter().map(one).collect()
}

fn fetch_one(asked: ReadQuestion, get: &mut impl FnMut(&str) -> Result<(u16, Vec<u8>)>) -> Result<Contents> {
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES {
        let path = match &cursor {
            None => asked.path(),
            Some(cursor) => format!("{}&cursor={cursor}", asked.path()),
        };
        let (status, body) = get(&path)?;
        match status {
            200 => {}
            401 | 403 | 503 => return Ok(Contents::Nothing(format!("GET {path} was answered {status}"))),
            _ => return Ok(Contents::Wrong(format!("GET {path} was answered {status}"))),
        }
        match Answer::read(asked, &body) {
            Ok(Answer::Page(rows, next)) => {
                all.extend(rows);
                cursor = next;
                if cursor.is_none() {
                    return Ok(Contents::Rows { rows: all, whole: true });
                }
            }
            Ok(Answer::Whole(contents)) => return Ok(contents),
            Err(why) => {
                return Ok(Contents::Wrong(format!("GET {path} was answered with what cannot be: {why:#}")));
            }
        }
    }
    Ok(Contents::Rows { rows: all, whole: false })
}

/// The content of one answer.
enum Answer {
    /// Rows, and where the next page begins.
    Page(Vec<Stored>, Option<String>),
    Whole(Contents),
}

#[derive(Deserialize)]
struct Row {
    result_id: String,
    user_id: i64,
    coupon_id: i64,
    room_id: i64,
    grab_status: i64,
    fail_reason: Option<String>,
    grab_time: String,
    use_status: i64,
    use_time: Option<String>,
    order_amount: Option<f64>,
    /// Not said by a service of before.
    state: Option<String>,
    hold_until: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Row>,
    next_cursor: Option<String>,
    partial: bool,
}

#[derive(Deserialize)]
struct One {
    result: Row,
}

/// The part of an answer's plan that matters to sums.
#[derive(Default, Deserialize)]
struct Plan {
    /// While rows are moved, sums may be off by those under way. Not said by a service of before.
    #[serde(default)]
    moving: bool,
}

#[derive(Deserialize)]
struct RoomStats {
    results: i64,
    last_grab_time: Option<String>,
    partial: bool,
    age_ms: u64,
    #[serde(default)]
    plan: Plan,
}

#[derive(Deserialize)]
struct Global {
    #[serde(flatten)]
    all: Figures,
    shards: Vec<OfShard>,
    partial: bool,
    #[serde(default)]
    plan: Plan,
}

#[derive(Deserialize)]
struct OfShard {
    shard: u16,
    #[serde(flatten)]
    sums: Figures,
}

#[derive(Deserialize)]
struct Figures {
    results: i64,
    used: i64,
    order_amount: f64,
    /// Not said by a service of before.
    given_back: Option<i64>,
}

impl Answer {
    fn read(asked: ReadQuestion, body: &[u8]) -> Result<Self> {
        let partial = || Ok(Self::Whole(Contents::Nothing("an answer was partial".to_owned())));
        let moving = || Ok(Self::Whole(Contents::Nothing(MOVING.to_owned())));
        match asked {
            ReadQuestion::User(_) | ReadQuestion::Room(_) | ReadQuestion::Recent(_) => {
                let page: Page = serde_json::from_slice(body)?;
                if page.partial {
                    return partial();
                }
                ensure!(
                    !page.items.is_empty() || page.next_cursor.is_none(),
                    "an empty page that is not the last"
                );
                let rows = page.items.into_iter().map(Row::stored).collect::<Result<_>>()?;
                Ok(Self::Page(rows, page.next_cursor))
            }
            ReadQuestion::Result(_) => {
                let One { result } = serde_json::from_slice(body)?;
                Ok(Self::Whole(Contents::Rows { rows: vec![result.stored()?], whole: true }))
            }
            ReadQuestion::RoomStats(_) => {
                let stats: RoomStats = serde_json::from_slice(body)?;
                if stats.partial {
                    return partial();
                }
                if stats.plan.moving {
                    return moving();
                }
                if stats.age_ms > 0 {
                    return Ok(Self::Whole(Contents::Kept));
                }
                let last = stats.last_grab_time.as_deref().map(millis).transpose()?;
                Ok(Self::Whole(Contents::Count { results: stats.results, last }))
            }
            ReadQuestion::Global => {
                let Global { all, shards, partial: short, plan } = serde_json::from_slice(body)?;
                if short {
                    return partial();
                }
                if plan.moving {
                    return moving();
                }
                let shards =
                    shards.into_iter().map(|of| Ok((of.shard, of.sums.sums()?))).collect::<Result<_>>()?;
                Ok(Self::Whole(Contents::Sums { all: all.sums()?, shards }))
            }
        }
    }
}

impl Row {
    fn stored(self) -> Result<Stored> {
        let id = self.result_id.parse().with_context(|| format!("result_id {:?}", self.result_id))?;
        let cents = self.order_amount.map(cents).transpose()?;
        let use_time = self.use_time.as_deref().map(millis).transpose()?;
        Ok(Stored {
            grab: Grab { id, user: self.user_id, coupon: self.coupon_id },
            room: self.room_id,
            time: millis(&self.grab_time)?,
            granted: self.grab_status == 1 && self.fail_reason.is_none(),
            spent: Spent { status: self.use_status, time: use_time, cents },
            life: Life {
                state: self.state.as_deref().map_or(Ok(UNTOLD), life::state)?,
                hold_until: self.hold_until.as_deref().map(millis).transpose()?,
                slot: None,
                state_time: None,
            },
            // No answer names the request.
            request: None,
        })
    }
}

impl Figures {
    fn sums(&self) -> Result<Sums> {
        Ok(Sums {
            results: self.results,
            used: self.used,
            cents: cents(self.order_amount)?,
            given_back: self.given_back.unwrap_or(UNTOLD),
        })
    }
}

fn millis(time: &str) -> Result<i64> {
    match time.parse::<Timestamp>() {
        Ok(time) => Ok(time.millis()),
        Err(error) => bail!("{time:?} is no time: {error}"),
    }
}

fn cents(amount: f64) -> Result<i64> {
    Ok(Money::from_units(amount).with_context(|| format!("{amount} is no amount"))?.cents())
}
