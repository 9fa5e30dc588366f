//! The requests of the page, and the page itself.

use std::sync::Arc;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Bytes, Data, Path, Query, ServiceConfig, get, post};
use actix_web::{HttpResponse, HttpResponseBuilder};
use coupon_service::web_page::{Asset, LOOK, PARTS};
use serde_json::json;

use super::fields::Wrong;
use super::form::{self, Choices};
use super::run::Runs;
use super::{events, explain};

const PAGE: &str = include_str!("assets/index.html");
const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/app.js");

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/", get().to(async || Asset::html(PAGE).answer()))
        .route("/look.css", get().to(async || Asset::css(LOOK).answer()))
        .route("/style.css", get().to(async || Asset::css(STYLE).answer()))
        .route("/parts.js", get().to(async || Asset::script(PARTS).answer()))
        .route("/app.js", get().to(async || Asset::script(SCRIPT).answer()))
        .route("/api/choices", get().to(choices))
        .route("/api/events", get().to(follow))
        .route("/api/run", post().to(start))
        .route("/api/stop", post().to(stop))
        .route("/api/explain", get().to(explained))
        .route("/runs/{run}/report.html", get().to(report))
        .route("/runs/{run}/workload.toml", get().to(workload));
}

fn fresh(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store"));
    response
}

async fn choices(runs: Data<Runs>) -> HttpResponse {
    fresh(HttpResponse::Ok()).json(Choices::new(runs.options.on_servers, &runs.options.growth))
}

async fn follow(runs: Data<Runs>) -> HttpResponse {
    let stream = events::stream(runs.board.clone());
    fresh(HttpResponse::Ok()).content_type("text/event-stream").streaming(stream)
}

async fn start(runs: Data<Runs>, body: Bytes) -> HttpResponse {
    let options = match form::read(&body, runs.options.on_servers) {
        Ok(options) => options,
        Err(wrong) => return refuse(HttpResponse::BadRequest(), &wrong),
    };
    match runs.start(options) {
        Some(run) => HttpResponse::Accepted().json(json!({ "run": run })),
        None => conflict("A run is under way: stop it, or wait until it has ended."),
    }
}

async fn stop(runs: Data<Runs>) -> HttpResponse {
    if runs.stop() {
        HttpResponse::Accepted().json(json!({ "stopping": true }))
    } else {
        conflict("No run is under way.")
    }
}

async fn explained(question: Query<Vec<(String, String)>>) -> HttpResponse {
    match explain::answer(question.into_inner()) {
        Ok(answer) => fresh(HttpResponse::Ok()).json(answer),
        Err(wrong) => refuse(HttpResponse::BadRequest(), &wrong),
    }
}

async fn report(runs: Data<Runs>, run: Path<u64>) -> HttpResponse {
    let page = runs.ended(*run).map(|run| run.page);
    kept("text/html; charset=utf-8", page)
}

async fn workload(runs: Data<Runs>, run: Path<u64>) -> HttpResponse {
    let text = runs.ended(*run).and_then(|run| run.workload);
    kept("text/plain; charset=utf-8", text)
}

fn kept(kind: &'static str, text: Option<Arc<str>>) -> HttpResponse {
    match text {
        Some(text) => fresh(HttpResponse::Ok()).content_type(kind).body(text.to_string()),
        None => HttpResponse::NotFound().content_type("text/plain").body("no run has left that\n"),
    }
}

fn conflict(message: &str) -> HttpResponse {
    refuse(HttpResponse::Conflict(), &[Wrong { field: None, message: message.to_owned() }])
}

fn refuse(mut response: HttpResponseBuilder, wrong: &[Wrong]) -> HttpResponse {
    response.json(json!({ "errors": wrong }))
}
