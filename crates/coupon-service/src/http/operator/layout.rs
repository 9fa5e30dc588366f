//! The layout: its versions, its changes, and the movement of rows to the latest one.

use std::num::{NonZeroU16, NonZeroU32};

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::{LayoutChange, RoomId, Timestamp};
use coupon_store::GrowthError;
use serde::Deserialize;

use super::super::admin::admit;
use super::super::body::BODY_MAX;
use super::super::params::{Query, Whole, small};
use super::super::problem::{Kind, Problem};
use super::super::responses::{AdminProblems, Unanswered, Unmade, Unread};
use super::super::routes::Routes;
use super::super::view;
use super::make::{operator, received};
use crate::api::{
    LayoutChangeRequest, LayoutChanged, LayoutView, Rebalance, RebalanceRequest, RebalanceView,
};
use crate::growth::{self, ROWS_PER_S, RequestedChange};
use crate::state::Service;

/// The most rooms that one change sets apart.
const ROOMS_MAX: usize = 1_000;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get_and_post("/admin/layout", layout, layout_change);
    routes.get_and_post("/admin/rebalance", rebalance, rebalance_start);
    routes.post("/admin/rebalance/stop", rebalance_stop);
}

fn mains_time(service: &Service) -> Timestamp {
    service.backend.ids.mains_time(service.clock.now())
}

fn problem(error: GrowthError) -> Problem {
    match error {
        GrowthError::Unavailable(error) => Problem::unavailable(&error),
        GrowthError::Refused(_) => Problem::new(Kind::Conflict, error.to_string()),
    }
}

/// [`LayoutChangeRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    shards: Option<Whole>,
    split: Option<Vec<Whole>>,
    spread: Option<Whole>,
    undo: Option<bool>,
    dry_run: Option<bool>,
    rows_per_s: Option<Whole>,
}

impl Asked {
    fn wanted(&self) -> Result<RequestedChange, Problem> {
        if self.rows_per_s.is_some() && self.dry_run != Some(true) {
            let detail = "rows_per_s is of a dry run, and would do nothing: leave it out, or add dry_run";
            return Err(Problem::new(Kind::OutOfRange, detail).field("rows_per_s"));
        }
        let shards = self.shards.map(|shards| Ok(LayoutChange::Shards(count(shards, "shards")?)));
        let spread = self.spread.map(|width| Ok(LayoutChange::Spread(count(width, "spread")?)));
        let split = self.split.as_ref().map(|rooms| Ok(LayoutChange::Split(set_apart(rooms)?)));
        let changes =
            [shards, spread, split].into_iter().flatten().map(|change| Ok(RequestedChange::Change(change?)));
        let undo = (self.undo == Some(true)).then_some(Ok(RequestedChange::Undo));
        let mut wanted = changes.chain(undo);
        match (wanted.next(), wanted.next()) {
            (Some(wanted), None) => wanted,
            _ => {
                let detail = "give exactly one of shards, split, spread and undo";
                Err(Problem::new(Kind::OutOfRange, detail).field("shards"))
            }
        }
    }
}

fn count(number: Whole, field: &'static str) -> Result<NonZeroU16, Problem> {
    let number: u16 = small(number, field, 1..=u64::from(u16::MAX))?;
    Ok(NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN))
}

fn set_apart(rooms: &[Whole]) -> Result<Vec<RoomId>, Problem> {
    if !(1..=ROOMS_MAX).contains(&rooms.len()) {
        let detail = format!("split must name from 1 to {ROOMS_MAX} rooms");
        return Err(Problem::new(Kind::OutOfRange, detail).field("split"));
    }
    let rooms = rooms.iter().enumerate();
    rooms.map(|(at, room)| room.id(format_args!("split[{at}]"), RoomId::new)).collect()
}

fn rate(rows_per_s: Option<Whole>) -> Result<NonZeroU32, Problem> {
    let Some(rows) = rows_per_s else { return Ok(ROWS_PER_S) };
    let rows: u32 = small(rows, "rows_per_s", 1..=u64::from(u32::MAX))?;
    Ok(NonZeroU32::new(rows).unwrap_or(ROWS_PER_S))
}

/// The layout, with all versions that it ever had
#[utoipa::path(
    get,
    path = "/admin/layout",
    operation_id = "getLayout",
    tag = "operators",
    security((), ("token" = [])),
    responses((status = 200, description = "The versions.", body = LayoutView), AdminProblems, Unanswered)
)]
pub(in crate::http) async fn layout(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    view::ok(&growth::show(&service.backend, mains_time(&service)).await.map_err(problem)?)
}

/// Change the layout
///
/// From a moment on that the answer names, new results are written where the new version says; earlier ones stay where they are
/// until a rebalance moves them. With `dry_run` nothing changes, and the answer says what it would be worth.
#[utoipa::path(
    post,
    path = "/admin/layout",
    operation_id = "changeLayout",
    tag = "operators",
    security((), ("token" = [])),
    request_body = LayoutChangeRequest,
    responses((status = 200, description = "It is announced.", body = LayoutChanged), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn layout_change(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let asked: Asked = received(BODY_MAX, &req, payload, &service).await?;
    let (wanted, rate, backend) = (asked.wanted()?, rate(asked.rows_per_s)?, &service.backend);
    let changed = if asked.dry_run == Some(true) {
        growth::dry_run(backend, &service.queries, &wanted, rate, mains_time(&service)).await
    } else {
        growth::announce(backend, &wanted, operator(&req)?).await
    };
    view::ok(&changed.map_err(problem)?)
}

/// The movement of rows
#[utoipa::path(
    get,
    path = "/admin/rebalance",
    operation_id = "getRebalance",
    tag = "operators",
    security((), ("token" = [])),
    responses((status = 200, description = "How far it is.", body = Rebalance), AdminProblems, Unanswered)
)]
pub(in crate::http) async fn rebalance(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    view::ok(&Rebalance { rebalance: growth::rebalance(&service.backend).await.map_err(problem)? })
}

/// Move earlier rows to where the latest version of the layout puts them
///
/// It goes on after this is answered, also when a process ends. Asked for again, it goes on at the rate that is given now.
#[utoipa::path(
    post,
    path = "/admin/rebalance",
    operation_id = "startRebalance",
    tag = "operators",
    security((), ("token" = [])),
    request_body = RebalanceRequest,
    responses((status = 200, description = "It goes on.", body = RebalanceView), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn rebalance_start(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let asked: Pace = received(BODY_MAX, &req, payload, &service).await?;
    let (rate, operator) = (rate(asked.rows_per_s)?, operator(&req)?);
    let moving = service.backend.growth.start_moving(rate, operator).await.map_err(problem)?;
    view::ok(&growth::rebalance_view(&moving, &[]))
}

/// [`RebalanceRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    rows_per_s: Option<Whole>,
}

/// Move no more rows for now
///
/// What has left its shard arrives. It goes on once a rebalance is asked for again.
#[utoipa::path(
    post,
    path = "/admin/rebalance/stop",
    operation_id = "stopRebalance",
    tag = "operators",
    security((), ("token" = [])),
    responses((status = 200, description = "It stands still.", body = Rebalance), AdminProblems, Unmade, Unanswered)
)]
pub(in crate::http) async fn rebalance_stop(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    let moving = service.backend.growth.stop_moving().await.map_err(problem)?;
    let versions = service.backend.growth.versions().await.map_err(problem)?;
    let stopped = moving.as_ref().map(|moving| growth::rebalance_view(moving, &versions));
    view::ok(&Rebalance { rebalance: stopped })
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError as _;

    use super::*;

    fn wanted(json: &str) -> Result<RequestedChange, u16> {
        let asked: Asked = serde_json::from_str(json).map_err(|_| 400_u16)?;
        asked.wanted().map_err(|problem| problem.status_code().as_u16())
    }

    #[test]
    fn a_change_is_one_of_four() {
        let eight = LayoutChange::Shards(NonZeroU16::new(8).unwrap());
        assert_eq!(wanted(r#"{"shards":8}"#), Ok(RequestedChange::Change(eight)));
        let rooms = [3, 1].map(|room| RoomId::new(room).unwrap()).to_vec();
        assert_eq!(wanted(r#"{"split":[3,1]}"#), Ok(RequestedChange::Change(LayoutChange::Split(rooms))));
        assert_eq!(wanted(r#"{"undo":true,"dry_run":true}"#), Ok(RequestedChange::Undo));
        for none in ["{}", r#"{"undo":false}"#, r#"{"shards":8,"spread":2}"#, r#"{"shards":8,"undo":true}"#] {
            assert_eq!(wanted(none), Err(422), "{none}");
        }
    }

    #[test]
    fn numbers_that_cannot_be_meant_are_refused() {
        for unmeant in [
            r#"{"shards":0}"#,
            r#"{"shards":65536}"#,
            r#"{"split":[]}"#,
            r#"{"split":[0]}"#,
            r#"{"spread":-1}"#,
            r#"{"shards":8,"rows_per_s":10}"#,
        ] {
            assert_eq!(wanted(unmeant), Err(422), "{unmeant}");
        }
        assert!(wanted(r#"{"shards":8,"rows_per_s":10,"dry_run":true}"#).is_ok());
        let asked: Asked = serde_json::from_str(r#"{"split":[1,0]}"#).unwrap();
        let why = asked.wanted().unwrap_err().to_string();
        assert!(why.starts_with("split[1] must be a whole number from 1 to "), "{why}");
        for unread in [r#"{"shards":"8"}"#, r#"{"split":3}"#, r#"{"shard":8}"#] {
            assert_eq!(wanted(unread), Err(400), "{unread}");
        }
        let asked: Pace = serde_json::from_str(r#"{"rows_per_s":0}"#).unwrap();
        assert!(rate(asked.rows_per_s).is_err() && rate(None).unwrap() == ROWS_PER_S);
    }
}
