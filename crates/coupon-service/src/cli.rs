//! The `main` of every service: flags, settings, strategy, service.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use coupon_cli::{Pages, heard, plain};
use coupon_core::{LayoutPattern, ShardingStrategy, Timestamp, UserId, shards_in};
use coupon_store::clock::Clock;
use coupon_store::settings::{Settings, SettingsError, Sources};
use jiff::SignedDuration;
use serde::de::DeserializeOwned;

use crate::app::Application;
use crate::http::description;
use crate::open::Open;
use crate::telemetry;
use crate::user_token::UserTokens;

/// Example commands, with the program's name to be filled in.
const EXAMPLES: &str = "\
Examples:
  NAME
      what the seeder put into data/STRATEGY here, or a sample catalogue
  NAME --data DIR --shards 8
      what `seeder --data DIR --shards 8` made
  NAME --config data/stack/servers.toml
      on MySQL, Redis and RabbitMQ, as `make up-local` started them
  NAME --set grab.batch_max=512 --set limits.user_grabs_per_s=2
      with other settings
  curl -s http://LISTEN/readyz
      does it take grabs?

All settings, with their defaults: crates/coupon-store/src/settings/defaults.toml.
The API: http://LISTEN/docs.
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
    /// Address to listen on; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The data folder of the embedded backend.
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Number of shards to spread results over.
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
        /// Format of the description.
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
            ..Sources::default()
        }
    }
}

/// A service: its names, its place, and its strategy.
#[derive(Debug)]
pub struct Program<S> {
    /// The name of the program.
    pub name: &'static str,
    /// The address on which it listens by default.
    pub listen: &'static str,
    /// The section of the settings that is its strategy's own.
    pub section: &'static str,
    /// Makes the strategy from that section.
    pub strategy: fn(&S, NonZeroU16) -> anyhow::Result<Arc<dyn ShardingStrategy>>,
    /// Opens its backend: [`crate::open`], unless an engine has its shards.
    pub open: Open,
}

impl<S: DeserializeOwned + Default> Program<S> {
    /// Runs a service until it is stopped.
    ///
    /// One line on standard output says where it listens; logs go to standard error, and so does the reason when it
    /// cannot start.
    pub fn main(&self) -> ExitCode {
        self.run(std::env::args_os())
    }

    /// Runs the service with these arguments, of which the first is its own name.
    pub fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
        let settings = |sources: &Sources| Ok(sources.read::<S>(self.section)?.0);
        let strategy =
            |sources: &Sources, shards| (self.strategy)(&sources.read_section(self.section)?, shards);
        let parts = Parts {
            name: self.name,
            listen: self.listen,
            settings: &settings,
            strategy: &strategy,
            open: self.open,
        };
        parts.run(arguments.into_iter().collect())
    }
}

/// A strategy, if its settings make one.
type Made = anyhow::Result<Arc<dyn ShardingStrategy>>;

/// A program, without the type of its strategy's settings: what is done with it is compiled once for all of them.
struct Parts<'a> {
    name: &'static str,
    listen: &'static str,
    settings: &'a dyn Fn(&Sources) -> Result<Settings, SettingsError>,
    strategy: &'a dyn Fn(&Sources, NonZeroU16) -> Made,
    open: Open,
}

impl Parts<'_> {
    fn run(&self, arguments: Vec<OsString>) -> ExitCode {
        let examples = EXAMPLES.replace("NAME", self.name).replace("LISTEN", self.listen);
        let program = Flags::command().name(self.name).after_help(examples);
        let matches = program.clone().get_matches_from(arguments);
        let mut flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let command = flags.command.take();
        let sources = flags.sources(self.listen);
        let done = match command {
            Some(Command::Token { user, ttl }) => self.print_token(&sources, user, ttl),
            Some(Command::Openapi { format }) => print_api(format),
            Some(Command::Pages(pages)) => pages.show(program).map_err(Into::into),
            None => self.start(&sources),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{}: {}", self.name, plain::lines(&format!("{error:#}")));
                ExitCode::FAILURE
            }
        }
    }

    fn start(&self, sources: &Sources) -> anyhow::Result<()> {
        let settings = (self.settings)(sources)?;
        sources.refuse_of_other_backend(settings.backend)?;
        telemetry::start_logging(&settings.log)?;
        let strategy = (self.strategy)(sources, settings.shards)?;
        sources.refuse_of_other_shards(strategy.whole().is_planned())?;
        let open_admin = settings.admin.token.is_empty();
        actix_web::rt::System::new().block_on(async {
            let application = Application::build_opening(self.open, self.name, settings, strategy, Clock::system())?;
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

    fn print_token(&self, sources: &Sources, user: u64, ttl: SignedDuration) -> anyhow::Result<()> {
        let settings = (self.settings)(sources)?;
        let user = UserId::new(user).context("--user")?;
        anyhow::ensure!(ttl.is_positive(), "--ttl must be above 0");
        let now = Clock::system().now();
        let expires = i64::try_from(ttl.as_millis()).ok().and_then(|ttl| now.millis().checked_add(ttl));
        let expires = Timestamp::from_millis(expires.context("--ttl is too long")?);
        let tokens = UserTokens::new(&settings.users.token_secret)?
            .context("setting `users.token_secret` is empty: nobody is asked for a token")?;
        Ok(heard(writeln!(std::io::stdout(), "{}", tokens.issue(user, expires)))?)
    }
}

/// A [`Program`], whichever settings its strategy has.
pub trait AnyProgram: fmt::Debug + Sync {
    /// The name of the program.
    fn name(&self) -> &'static str;

    /// The section of the settings that is its strategy's own.
    fn section(&self) -> &'static str;

    /// Reads its strategy's section of these sources.
    ///
    /// # Errors
    /// When a setting is none of the section, or its value none that it may have; the message names it.
    fn check(&self, sources: &Sources) -> Result<(), SettingsError>;

    /// Makes the strategy from its section of these sources.
    ///
    /// # Errors
    /// When a setting cannot be used; the message names it.
    fn strategy(&self, sources: &Sources, shards: NonZeroU16) -> anyhow::Result<Arc<dyn ShardingStrategy>>;

    /// The strategy that a layout line of one of these patterns names. `sets` are the settings, such as `by=room`, that the
    /// line does not contain.
    fn of_layout(
        &self,
        patterns: &[LayoutPattern],
        sets: &[String],
        line: &str,
    ) -> Option<Arc<dyn ShardingStrategy>> {
        let shards = shards_in(line)?;
        let read = |pattern: &LayoutPattern| {
            let told = pattern.settings(line, shards)?;
            let told = told.into_iter().map(|(name, value)| format!("{name}={value}"));
            let flags = sets.iter().cloned().chain(told).map(|set| format!("{}.{set}", self.section()));
            let sources = Sources { flags: flags.collect(), ..Sources::default() };
            // A line that was misread is another than that of the strategy it was read as.
            self.strategy(&sources, shards).ok().filter(|strategy| strategy.layout() == line)
        };
        patterns.iter().find_map(read)
    }

    /// Runs the service with these arguments, as [`Program::run`] does.
    fn run(&self, arguments: Vec<OsString>) -> ExitCode;
}

impl<S: DeserializeOwned + Default + fmt::Debug> AnyProgram for Program<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn section(&self) -> &'static str {
        self.section
    }

    fn check(&self, sources: &Sources) -> Result<(), SettingsError> {
        sources.read_section::<S>(self.section).map(drop)
    }

    fn strategy(&self, sources: &Sources, shards: NonZeroU16) -> anyhow::Result<Arc<dyn ShardingStrategy>> {
        (self.strategy)(&sources.read_section(self.section)?, shards)
    }

    fn run(&self, arguments: Vec<OsString>) -> ExitCode {
        self.run(arguments)
    }
}

fn print_api(format: ApiFormat) -> anyhow::Result<()> {
    let text = match format {
        ApiFormat::Json => description::json().to_owned(),
        ApiFormat::Markdown => description::markdown()?,
    };
    Ok(heard(writeln!(std::io::stdout(), "{}", text.trim_end()))?)
}
