//! Archives of old results, where the data is this process's own.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use coupon_core::Day;
use coupon_store::{Archive, ArchivePace, Retired};
use serde::Deserialize;

use super::super::admin::admit;
use super::super::body::BODY_MAX;
use super::super::params::Query;
use super::super::problem::{Kind, Problem};
use super::super::responses::{AdminProblems, Unanswered, Unmade, Unread};
use super::super::routes::Routes;
use super::super::view;
use super::make::{operator, received, unmade};
use crate::api::{ArchiveRequest, ArchiveView, LastArchive};
use crate::state::Service;

pub(super) fn configure(routes: &mut Routes<'_>) {
    routes.get_and_post("/admin/archive", archive, archive_start);
}

/// [`ArchiveRequest`] as it comes in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    before: String,
}

impl Asked {
    fn before(&self) -> Result<Day, Problem> {
        let detail = "before must be a day, for example 2026-11-22";
        self.before.parse().map_err(|_| Problem::new(Kind::OutOfRange, detail).field("before"))
    }
}

/// The archive of old results
#[utoipa::path(
    get,
    path = "/admin/archive",
    operation_id = "getArchive",
    tag = "operators",
    security((), ("token" = [])),
    responses((status = 200, description = "How far it is.", body = LastArchive), AdminProblems)
)]
pub(in crate::http) async fn archive(
    req: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    admit(&req, &service.settings.admin.token)?;
    Query::none(&req)?;
    let last = service.backend.archiving.as_ref().and_then(|archiving| archiving.last());
    view::ok(&LastArchive { archive: last.map(view_of) })
}

/// Retire the results of old days
///
/// Of a data set in files: on servers `seeder archive` does it, beside the services. It is answered once it is known that these
/// results may go, and goes on. Tables that hold nothing else are dropped; from others rows are deleted, a few at a time, between
/// the grabs. It is refused while rows are moved to another place, for days that are not over, and until a coupon with such results is over
/// for a day. A result that it took can no longer be used or handed back.
#[utoipa::path(
    post,
    path = "/admin/archive",
    operation_id = "startArchive",
    tag = "operators",
    security((), ("token" = [])),
    request_body = ArchiveRequest,
    responses((status = 200, description = "It goes on.", body = ArchiveView), AdminProblems, Unread, Unmade, Unanswered)
)]
pub(in crate::http) async fn archive_start(
    req: HttpRequest,
    payload: web::Payload,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let asked: Asked = received(BODY_MAX, &req, payload, &service).await?;
    let (before, operator) = (asked.before()?, operator(&req)?);
    let Some(archiving) = &service.backend.archiving else {
        let detail = "on servers `seeder archive` retires results, beside the services";
        return Err(Problem::new(Kind::Conflict, detail));
    };
    let begun = archiving.start(before, operator, ArchivePace::BesideGrabs).await;
    view::ok(&view_of(begun.map_err(unmade)?))
}

fn view_of(archive: Archive) -> ArchiveView {
    let Archive { before, began, operator, runs, rows, retired, trouble } = archive;
    let Retired { tables_dropped, rows_dropped, rows_deleted, held, coupons, .. } = retired;
    let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    ArchiveView {
        before: before.to_string(),
        began_at: began.to_string(),
        operator,
        runs,
        rows,
        tables_dropped,
        rows_dropped,
        rows_deleted,
        held,
        coupons,
        count_ms: millis(retired.count_took),
        drop_ms: millis(retired.drop_took),
        delete_ms: millis(retired.delete_took),
        trouble,
    }
}
