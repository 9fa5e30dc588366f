//! `loadtest audit`.

use std::fs::File;
use std::io::BufReader;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use coupon_core::{ResultId, ShardingStrategy, Timestamp};

use super::arguments;
use crate::audit::{AuditReport, Claims, Scope, audit, label};
use crate::contestants::{Running, strategy_of_layout};
use crate::terminal;

/// What an audit that found violations exits with.
pub const VIOLATED: u8 = 2;

/// Its command line. Exits with 0 when every promise was kept, 2 when one was broken, 1 when it cannot tell.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["data", "target"]))]
pub struct Args {
    /// The data folder to audit. The service may be running or not
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A running service to drain, then audit: its data folder must be on this machine
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// The service's admin token, when it asks for one
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// What clients were told, as `loadtest run --acks FILE` writes it; may be given several times
    #[arg(long, value_name = "FILE")]
    acks: Vec<PathBuf>,
    /// When those clients began: later rows that none of them asked for are invented. By default, at the first
    /// grab that was acknowledged
    #[arg(long, value_name = "TIME", requires = "acks")]
    since: Option<Timestamp>,
}

/// Runs it.
///
/// # Errors
/// When the data or a file cannot be read.
pub fn run(args: Args) -> Result<ExitCode> {
    let claims = claims(&args.acks)?;
    let since = args.since.map(first_id).transpose()?;
    let report = match (args.data, args.target) {
        (Some(data), _) => folder(&data, claims.as_ref(), since)?,
        (None, target) => {
            let mut target = arguments::target(&target.unwrap_or_default())?;
            target.admin_token = args.admin_token;
            Running::attach(target)?.audit(claims.as_ref(), since)?
        }
    };
    terminal::say(report.to_string().trim_end());
    Ok(if report.violations() == 0 { ExitCode::SUCCESS } else { ExitCode::from(VIOLATED) })
}

fn folder(data: &Path, claims: Option<&Claims>, since: Option<i64>) -> Result<AuditReport> {
    let label = label(data).with_context(|| format!("--data: {} is no data folder", data.display()))?;
    let shards = NonZeroU16::new(label.shards).context("the data has no shards")?;
    let strategy: Option<Arc<dyn ShardingStrategy>> = strategy_of_layout(&label.layout, shards);
    audit(data, &Scope { claims, since, strategy: strategy.as_deref(), drained: false })
}

fn claims(files: &[PathBuf]) -> Result<Option<Claims>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut claims = Claims::default();
    for path in files {
        let file = File::open(path).with_context(|| format!("--acks: cannot read {}", path.display()))?;
        claims.read_csv(BufReader::new(file)).with_context(|| format!("--acks {}", path.display()))?;
    }
    Ok(Some(claims))
}

/// The largest id made before a moment.
fn first_id(since: Timestamp) -> Result<i64> {
    Ok(ResultId::from_parts(since, 0, 0).context("--since")?.number() - 1)
}
