//! Opens the backend that the settings name, if this program was built with it.

use std::sync::Arc;

use anyhow::ensure;
use coupon_core::ShardingStrategy;
use coupon_store::clock::Clock;
use coupon_store::settings::{BackendKind, DecidedBy, Settings};
use coupon_store::{Backend, open_folder};

/// The way in which a program opens the backend of its strategy.
pub type Open = fn(&Settings, Arc<dyn ShardingStrategy>, &Clock) -> anyhow::Result<Backend>;

/// Opens the backend of a service whose shards are run by hand.
///
/// # Errors
/// When it cannot be used, or this program was built without it; the message says why, and names the setting.
pub fn open(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    ensure!(
        !strategy.whole().is_planned(),
        "the shards of the strategy {} are an engine's, and this program has none",
        strategy.name()
    );
    match settings.backend {
        BackendKind::Embedded => open_folder(settings, strategy, clock),
        BackendKind::Servers => on_servers(settings, strategy, clock),
    }
}

/// Opens the backend of a service whose shards an engine has.
///
/// # Errors
/// As for [`open`], and when a setting does not go with an engine.
pub fn open_in_engine(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    ensure_of_engine(settings, strategy.name())?;
    in_engine(settings, strategy, clock)
}

/// Refuses settings that do not go with a strategy whose shards an engine has.
fn ensure_of_engine(settings: &Settings, strategy: &str) -> anyhow::Result<()> {
    let engine = &settings.servers.engine;
    ensure!(
        settings.backend == BackendKind::Servers,
        "setting `backend` must be servers for the strategy {strategy}, whose shards an engine has: files have none"
    );
    ensure!(
        !engine.is_empty(),
        "setting `servers.engine` is missing: give an address such as mysql://user:password@host:3306/keyspace"
    );
    ensure!(
        !engine.name().is_empty(),
        "setting `servers.engine` names no keyspace: give an address such as mysql://user:password@host:3306/keyspace"
    );
    ensure!(
        settings.grab.decided_by == DecidedBy::Gate,
        "setting `grab.decided_by` must be gate for the strategy {strategy}: a database decides grabs of one shard"
    );
    ensure!(
        !settings.room_index,
        "setting `room_index` must be false for the strategy {strategy}: the index is for shards that are run by hand"
    );
    ensure!(
        settings.shards_prepared <= settings.shards.get(),
        "setting `shards_prepared` must not be above `shards` for the strategy {strategy}: its number of lanes is for ever"
    );
    Ok(())
}

#[cfg(feature = "servers")]
fn on_servers(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    coupon_servers::open_decided_by(settings.grab.decided_by, &options(settings), strategy, clock)
}

#[cfg(feature = "servers")]
fn in_engine(
    settings: &Settings,
    strategy: Arc<dyn ShardingStrategy>,
    clock: &Clock,
) -> anyhow::Result<Backend> {
    coupon_servers::engine::open(&options(settings), strategy, clock)
}

#[cfg(feature = "servers")]
fn options(settings: &Settings) -> coupon_servers::Options {
    coupon_servers::Options {
        servers: settings.servers.clone(),
        workers: settings.workers.get(),
        shards_prepared: settings.shards_prepared(),
        shard_backlog: settings.grab.shard_backlog.get(),
        unknown_users: settings.users.unknown,
        room_index: settings.room_index,
    }
}

#[cfg(not(feature = "servers"))]
fn on_servers(_: &Settings, _: Arc<dyn ShardingStrategy>, _: &Clock) -> anyhow::Result<Backend> {
    Err(anyhow::Error::new(coupon_store::BuiltWithout::SERVERS).context("setting `backend`"))
}

#[cfg(not(feature = "servers"))]
fn in_engine(_: &Settings, _: Arc<dyn ShardingStrategy>, _: &Clock) -> anyhow::Result<Backend> {
    Err(anyhow::Error::new(coupon_store::BuiltWithout::SERVERS).context("setting `servers.engine`"))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::{Placement, Plan, ResultQuery, RouteError, RowKey, Whole};
    use coupon_store::settings::{NoSettings, Sources};

    use super::*;

    fn settings(flags: &[&str]) -> Settings {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        Sources { flags, service_defaults, ..Sources::default() }.read::<NoSettings>("own").unwrap().0
    }

    #[cfg(not(feature = "servers"))]
    #[test]
    fn servers_are_refused_by_name() {
        let strategy = Arc::new(crate::queries::tests::On(0));
        let error = open(&settings(&["backend=servers"]), strategy, &Clock::system()).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!("setting `backend`: {}", coupon_store::BuiltWithout::SERVERS)
        );
    }

    /// A strategy whose shards an engine has.
    #[derive(Debug)]
    struct OfEngine;

    impl ShardingStrategy for OfEngine {
        fn name(&self) -> &str {
            "planned"
        }
        fn shard_count(&self) -> NonZeroU16 {
            NonZeroU16::MIN
        }
        fn whole(&self) -> Whole {
            Whole::Planned(NonZeroU16::MIN)
        }
        fn place(&self, _: &RowKey) -> Result<Placement, RouteError> {
            Ok(Placement::single(coupon_core::ShardId::new(0)))
        }
        fn plan(&self, _: &ResultQuery) -> Plan {
            Plan::All
        }
    }

    #[test]
    fn what_does_not_go_with_an_engine_is_refused_by_name() {
        const ENGINE: &str = "servers.engine=mysql://u:s3cret@h:1/results";
        for (flags, setting) in [
            (&[ENGINE][..], "backend"),
            (&["backend=servers"], "servers.engine"),
            (&["backend=servers", "servers.engine=mysql://u:s3cret@h:1"], "servers.engine"),
            (&["backend=servers", ENGINE, "grab.decided_by=database"], "grab.decided_by"),
            (&["backend=servers", ENGINE, "room_index=true"], "room_index"),
            (&["backend=servers", ENGINE, "shards_prepared=8"], "shards_prepared"),
        ] {
            let error = open_in_engine(&settings(flags), Arc::new(OfEngine), &Clock::system()).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains(&format!("`{setting}`")) && !error.contains("s3cret"),
                "{flags:?}: {error}"
            );
        }
        assert!(ensure_of_engine(&settings(&["backend=servers", ENGINE]), "planned").is_ok());
        let by_hand = open(&settings(&[]), Arc::new(OfEngine), &Clock::system()).unwrap_err();
        assert!(by_hand.to_string().contains("strategy planned"), "{by_hand}");
    }
}
