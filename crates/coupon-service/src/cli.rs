//! The `main` of every service: flags, settings, strategy, service.

use std::io::Write as _;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use coupon_cli::{Pages, heard, plain};
use coupon_core::{ShardingStrategy, Timestamp, UserId};
use jiff::SignedDuration;
use serde::de::DeserializeOwned;

use crate::app::Application;
use crate::http::description;
use crate::telemetry;
use crate::user_token::UserTokens;
use coupon_store::clock::Clock;
use coupon_store::settings::Sources;

/// What to do with a service, for each as it is called.
const EXAMPLES: &str = "\
Examples:
  NAME
      what the seeder put into data/STRATEGY of this folder, or a sample catalogue
  NAME --data DIR --shards 8
      what `seeder --data DIR --shards 8` made
  NAME --config data/stack/servers.toml
      on MySQL, Redis and RabbitMQ, as `make up-local` started them
  NAME --set grab.batch_max=512 --set limits.user_grabs_per_s=2
      with other settings
  curl -s http://LISTEN/readyz
      does it take grabs?

All settings, with their defaults: crates/coupon-service/src/settings/defaults.toml. The API: http://LISTEN/docs.
Ctrl-C or SIGTERM stops it, once everything that it has accepted is safe.";

/// Serves flash-sale coupons with one sharding strategy.
///
/// Settings come from the defaults in the binary, then --config, then the environment
/// (COUPON__GRAB__BATCH_MAX=512 sets grab.batch_max), then --set, then the other flags.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// A TOML file of settings.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The data folder of the embedded backend.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// How many shards to spread results over.
    #[arg(long, value_name = "COUNT")]
    shards: Option<u16>,
    /// Servers' backend: `api` takes grabs, `consumer` stores them, `all` does both.
    #[arg(long, value_name = "ROLE", value_parser = ["api", "consumer", "all"])]
    role: Option<String>,
    /// Any setting, for example --set range.by=room; may be given many times.
    #[arg(long, value_name = "KEY=VALUE", global = true)]
    set: Vec<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prints a user's token, signed with the setting users.token_secret, and ends.
    Token {
        /// The user's id.
        #[arg(long, value_name = "ID")]
        user: u64,
        /// For how long it is good: 90s, 1h, 7d …
        #[arg(long, value_name = "TIME", default_value = "1h")]
        ttl: SignedDuration,
    },
    /// Prints the description of the API, and ends: what a running service says at /openapi.json.
    Openapi {
        /// How.
        #[arg(long, value_enum, default_value = "json")]
        format: ApiFormat,
    },
    #[command(flatten)]
    Pages(Pages),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ApiFormat {
    /// OpenAPI 3.1, for tools.
    Json,
    /// A page for people: docs/API.md.
    Markdown,
}

impl Flags {
    fn sources(self, listen: &str) -> Sources {
        let mut flags = self.set;
        flags.extend(self.listen.map(|listen| format!("listen={listen}")));
        flags.extend(self.data.map(|data| format!("embedded.data={}", serde_json::Value::String(data))));
        flags.extend(self.role.map(|role| format!("servers.role={role}")));
        flags.extend(self.shards.map(|shards| format!("shards={shards}")));
        Sources {
            service_defaults: format!("listen = {listen:?}"),
            file: self.config,
            environment: true,
            flags,
        }
    }
}

/// Runs a service until it is told to stop.
///
/// `name` is what it calls itself, `listen` where it listens by default, `section` the settings of its strategy, and
/// `strategy` makes the strategy from them. One line on standard output says where it listens; logs go to standard
/// error, and so does the reason when it cannot start.
pub fn main<S: DeserializeOwned + Default>(
    name: &'static str,
    listen: &str,
    section: &str,
    strategy: impl FnOnce(NonZeroU16, &S) -> anyhow::Result<Arc<dyn ShardingStrategy>>,
) -> ExitCode {
    let examples = EXAMPLES.replace("NAME", name).replace("LISTEN", listen);
    let program = Flags::command().name(name).after_help(examples);
    let matches = program.clone().get_matches();
    let mut flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let command = flags.command.take();
    let sources = flags.sources(listen);
    let done = match command {
        Some(Command::Token { user, ttl }) => print_token::<S>(section, &sources, user, ttl),
        Some(Command::Openapi { format }) => print_api(format),
        Some(Command::Pages(pages)) => pages.show(program).map_err(Into::into),
        None => start(name, section, &sources, strategy),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{name}: {}", plain::lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn start<S: DeserializeOwned + Default>(
    name: &str,
    section: &str,
    sources: &Sources,
    strategy: impl FnOnce(NonZeroU16, &S) -> anyhow::Result<Arc<dyn ShardingStrategy>>,
) -> anyhow::Result<()> {
    let (settings, own) = sources.read::<S>(section)?;
    telemetry::start_logging(&settings.log)?;
    let strategy = strategy(settings.shards, &own)?;
    let open_admin = settings.admin.token.is_empty();
    actix_web::rt::System::new().block_on(async {
        let application = Application::build(name, settings, strategy, Clock::system())?;
        let address = application.address();
        if open_admin {
            tracing::warn!(
                "setting `admin.token` is empty: the admin endpoints answer on loopback only, to anyone there"
            );
        }
        tracing::info!("API docs at http://{address}/docs, metrics at http://{address}/metrics");
        let mut out = std::io::stdout();
        writeln!(out, "listening on http://{address}").and_then(|()| out.flush())?;
        application.run().await
    })
}

fn print_api(format: ApiFormat) -> anyhow::Result<()> {
    let text = match format {
        ApiFormat::Json => description::json().to_owned(),
        ApiFormat::Markdown => description::markdown()?,
    };
    Ok(heard(writeln!(std::io::stdout(), "{}", text.trim_end()))?)
}

fn print_token<S: DeserializeOwned + Default>(
    section: &str,
    sources: &Sources,
    user: u64,
    ttl: SignedDuration,
) -> anyhow::Result<()> {
    let (settings, _) = sources.read::<S>(section)?;
    let user = UserId::new(user).context("--user")?;
    anyhow::ensure!(ttl.is_positive(), "--ttl must be above 0");
    let now = Clock::system().now();
    let expires = i64::try_from(ttl.as_millis()).ok().and_then(|ttl| now.millis().checked_add(ttl));
    let expires = Timestamp::from_millis(expires.context("--ttl is too long")?);
    let tokens = UserTokens::new(&settings.users.token_secret)?
        .context("setting `users.token_secret` is empty: nobody is asked for a token")?;
    Ok(heard(writeln!(std::io::stdout(), "{}", tokens.issue(user, expires)))?)
}
