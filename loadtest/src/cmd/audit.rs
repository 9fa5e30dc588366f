//! `loadtest audit`.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use coupon_audit::{Claims, Data, Scope, StartState};
use coupon_cli::terminal;
use coupon_core::{ResultId, Timestamp};
use coupon_lab::{Deployment, SharedServers, namespace_of};
use coupon_seeding::audited;

use super::servers::ServersArgs;
use super::{arguments, recorded_start};

/// The exit code of an audit that found violations.
pub const VIOLATED: u8 = 2;

/// Its command line. Exits with 0 when every promise was kept, 2 when one was broken, 1 when it cannot tell.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["data", "target", "backend"]))]
pub struct Args {
    /// The data folder to audit. The service may be running or not
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A running service to drain, then audit: its data folder must be on this machine, or it must be said where its
    /// servers are
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// `servers` audits a data set on servers whose service may be running or not; the gate is left out, since nothing
    /// says that it was drained
    #[arg(long, value_name = "KIND", value_parser = ["servers"])]
    backend: Option<String>,
    /// With --backend servers: the strategy that the data was made for, or --namespace
    #[arg(long, value_name = "NAME", requires = "backend", conflicts_with = "namespace")]
    strategy: Option<String>,
    /// With --backend servers: what its databases are called by; by default coupon_ and the name of the strategy
    #[arg(long, value_name = "NAME", requires = "backend")]
    namespace: Option<String>,
    #[command(flatten)]
    servers: ServersArgs,
    /// The service's admin token, when it asks for one
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Answers that clients got, as `loadtest run --acks FILE` writes them: whole, with the last line; may be given
    /// several times. The state of the data before, FILE.start, is read as well if every FILE has it: then the older
    /// rows are judged too
    #[arg(long, value_name = "FILE")]
    acks: Vec<PathBuf>,
    /// The time at which those clients began: later rows that none of them asked for are invented. By default, the
    /// first grab that was acknowledged
    #[arg(long, value_name = "TIME", requires = "acks")]
    since: Option<Timestamp>,
}

/// Runs it.
///
/// # Errors
/// When the data or a file cannot be read.
pub fn run(args: &Args) -> Result<ExitCode> {
    let claims = claims(&args.acks)?;
    let start = start(&args.acks)?;
    let since = args.since.map(first_id).transpose()?;
    let scope = Scope { claims: claims.as_ref(), since, start: start.as_ref(), ..Scope::default() };
    let report = match (&args.data, &args.target) {
        (Some(folder), _) => {
            args.servers.refuse("is for data on servers, not for --data")?;
            let data = Data::Folder(folder.clone());
            data.label()
                .with_context(|| format!("--data: {} is no data set to be audited", folder.display()))?;
            data.audit(&scope)?
        }
        (None, Some(url)) => {
            let mut target = arguments::target(url)?;
            target.admin_token.clone_from(&args.admin_token);
            let site = Arc::new(SharedServers::given(args.servers.settings()?));
            let deployment = Deployment::attach(target, Some(site))?;
            if deployment.site().is_none() {
                args.servers
                    .refuse("is for data on servers, and the service at --target has its data in files")?;
            }
            deployment.audit(&scope)?
        }
        (None, None) => on_servers(args)?.audit(&scope)?,
    };
    terminal::tell(report.to_string().trim_end());
    let violations = report.violations();
    if violations == 0 {
        terminal::say("passed: no promise that was checked is broken");
        return Ok(ExitCode::SUCCESS);
    }
    terminal::say(format!("FAILED: {violations} violations"));
    Ok(ExitCode::from(VIOLATED))
}

fn on_servers(args: &Args) -> Result<Data> {
    let settings = args.servers.settings()?;
    let namespace = match (&args.namespace, &args.strategy) {
        (Some(namespace), _) => namespace.clone(),
        (None, Some(strategy)) => namespace_of(strategy).context("--strategy")?,
        (None, None) => settings.namespace.clone(),
    };
    ensure!(!namespace.is_empty(), "--backend servers: whose data is it? Give --strategy or --namespace");
    audited(&settings, &namespace)
}

fn claims(files: &[PathBuf]) -> Result<Option<Claims>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut claims = Claims::default();
    for path in files {
        let file = File::open(path).with_context(|| format!("--acks: cannot read {}", path.display()))?;
        claims.read_acks(BufReader::new(file)).with_context(|| format!("--acks {}", path.display()))?;
    }
    ensure!(
        !claims.is_empty(),
        "--acks: no grab is in {}: there is nothing to hold the data against",
        if files.len() == 1 { "the file" } else { "the files" }
    );
    Ok(Some(claims))
}

/// The state of the data before the first of the runs, if that was recorded for each of them.
fn start(acks: &[PathBuf]) -> Result<Option<StartState>> {
    let mut first: Option<StartState> = None;
    for path in acks.iter().map(|path| recorded_start(path)) {
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(|| format!("--acks: cannot read {}", path.display()))?,
        };
        let start =
            StartState::read(BufReader::new(file)).with_context(|| format!("--acks: {}", path.display()))?;
        if first.as_ref().is_none_or(|first| start.newest() < first.newest()) {
            first = Some(start);
        }
    }
    Ok(first)
}

/// The largest id made before a moment.
fn first_id(since: Timestamp) -> Result<i64> {
    Ok(ResultId::from_parts(since, 0, 0).context("--since")?.number() - 1)
}
