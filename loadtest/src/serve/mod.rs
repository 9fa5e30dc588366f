//! The live page: `loadtest serve` shows contestants side by side while they are under load.
//!
//! A run of the page is a comparison of one round ([`crate::compare::watched`]) that all contestants have at the same
//! time: the same seeding, load, samples, audit and report, and an observer. The page is for seeing, `loadtest
//! compare` for deciding: at the same time means that they share the machine.
//!
//! - `fields` reads what a page sends as flags; `form` makes them the options of a run, `run` runs it, one at a time.
//! - `shown` is the state on show, with the `figures` of its load and the `growth` of its layouts; `events` sends it to every page
//!   that is open.
//! - `command` is the `loadtest compare` of a run.
//! - `same_origin` refuses requests of other web pages, `api` answers the rest, `explain` says where a grab goes.

mod api;
mod command;
mod events;
mod explain;
mod fields;
mod figures;
mod form;
mod growth;
mod hot;
mod run;
mod same_origin;
mod shown;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use anyhow::{Context, Result, anyhow};
use coupon_cli::terminal;
use coupon_lab::stop_services_on_interrupt;

use crate::compare::GrowthArgs;

/// One thread answers, another keeps the page alive while the first reads a report.
const WORKERS: usize = 2;
/// The most bytes that a page may send: a form.
const LARGEST_BODY: usize = 16 * 1_024;

/// The settings of the page.
#[derive(Debug, Clone)]
pub struct PageOptions {
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// The change of layouts that the page opens with.
    pub growth: GrowthArgs,
    /// True when contestants store on servers of the run's own, and not in files.
    pub on_servers: bool,
    /// The folder in which reports are kept; without it they are kept for as long as the page is served.
    pub out: Option<PathBuf>,
}

/// Serves the page until an interrupt ends the process, its run, and what that started.
///
/// # Errors
/// When the port is taken, or the server does not start.
pub fn serve(options: PageOptions) -> Result<()> {
    stop_services_on_interrupt()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|error| refused(options.port, &error))?;
    let address = listener.local_addr().context("the page has no address")?;
    let runs = web::Data::new(run::Runs::new(options));
    actix_web::rt::System::new().block_on(async move {
        let app = move || {
            App::new()
                .app_data(runs.clone())
                .app_data(web::PayloadConfig::new(LARGEST_BODY))
                .wrap(from_fn(same_origin::guard))
                .configure(api::routes)
        };
        // The command that stops the services handles an interrupt.
        let server = HttpServer::new(app).workers(WORKERS).disable_signals().listen(listener)?.run();
        terminal::say(format!("listening on http://{address}"));
        terminal::note("open it in a browser on this machine; Ctrl-C ends it");
        server.await
    })?;
    Ok(())
}

fn refused(port: u16, error: &std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow!("--port {port}: another program has it; give another port, or 0 for any that is free")
        }
        _ => anyhow!("--port {port}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = serve(PageOptions { port, growth: GrowthArgs::default(), on_servers: false, out: None })
            .unwrap_err()
            .to_string();
        assert!(error.contains(&format!("--port {port}")) && error.contains("another program"), "{error}");
    }
}
