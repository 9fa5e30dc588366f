//! `loadtest explain`.

use std::num::NonZeroU16;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::builder::PossibleValuesParser;
use coupon_cli::numbers::nonzero;
use coupon_cli::terminal;
use coupon_core::{
    CouponId, LayoutVersion, ResultId, RoomId, RowKey, ShardingStrategy, Timestamp, UserId, Versioned,
    shards_in,
};
use coupon_loadgen::Target;
use coupon_loadgen::http::get_json;
use coupon_service::api::{LayoutVersionView, LayoutView, PlaceView, ResultAnswer};
use coupon_strategies::{Family, REGISTER, strategy_of_layout};

use super::arguments;
use crate::explain::{Explanation, now, room_of};

/// Its command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// User who grabs.
    #[arg(long, default_value = "123")]
    user: UserId,
    /// Coupon that is grabbed.
    #[arg(long, default_value = "456")]
    coupon: CouponId,
    /// The coupon's room [default: the one that seeded data gives it]
    #[arg(long)]
    room: Option<RoomId>,
    /// Time of the grab, for example 2026-11-22T23:59:59.999Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    time: Option<Timestamp>,
    /// Number of shards.
    #[arg(long, default_value = "4", value_parser = nonzero::<NonZeroU16>)]
    shards: NonZeroU16,
    /// The strategies to explain.
    #[arg(long, value_delimiter = ',', default_value = arguments::SHARDED.as_str(), value_parser = PossibleValuesParser::new(REGISTER.names()))]
    strategy: Vec<String>,
    /// A setting of a strategy, for example range.spread=2; may be given several times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// A running service, such as http://127.0.0.1:8001, whose layout is explained with all its versions instead.
    #[arg(long, value_name = "URL", conflicts_with_all = ["strategy", "shards", "sets"])]
    target: Option<String>,
    /// A result of that service, which is asked where it is now: while rows are moved, routing alone does not say.
    #[arg(long, value_name = "ID", requires = "target", conflicts_with_all = ["user", "coupon", "room", "time"])]
    result: Option<ResultId>,
    /// The service's admin token, when it asks for one.
    #[arg(long, value_name = "TOKEN", env = "COUPON__ADMIN__TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
}

/// Runs it.
///
/// # Errors
/// When a setting makes no strategy.
#[expect(clippy::needless_pass_by_value, reason = "every subcommand takes its arguments over")]
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let admin_token = args.admin_token.clone();
    let service = args.target.as_ref().map(|url| {
        anyhow::Ok(Target { admin_token, ..Target::from_url("service", url).context("--target")? })
    });
    let service = service.transpose()?;
    let found = service.as_ref().zip(args.result).map(|(service, id)| found(service, id)).transpose()?;
    let (row, coupon, place) = match found {
        Some(Found { row, coupon, place }) => (row, coupon, place),
        None => {
            let room = args.room.map_or_else(|| room_of(args.coupon), Ok)?;
            (RowKey { user: args.user, room, time: args.time.map_or_else(now, Ok)? }, args.coupon, None)
        }
    };
    let explanations = match &service {
        Some(service) => vec![of_layout(&get_json(service, "/admin/layout")?, &row, place.as_ref())?],
        None => strategies(&args)?.iter().map(|strategy| Explanation::of(&**strategy, &row)).collect(),
    };
    let RowKey { user, room, time } = row;
    terminal::tell(format!("User {user} grabs coupon {coupon} of room {room} at {time}."));
    terminal::tell(
        "Where the result lives follows from its user, room and time; the coupon decides nothing.",
    );
    for explanation in explanations {
        terminal::say("");
        terminal::tell(explanation.to_string());
    }
    Ok(ExitCode::SUCCESS)
}

/// A result that a service was asked for.
struct Found {
    row: RowKey,
    coupon: CouponId,
    /// The place where it is; none from a service of before.
    place: Option<PlaceView>,
}

fn found(service: &Target, id: ResultId) -> anyhow::Result<Found> {
    let ResultAnswer { result, place, .. } =
        get_json(service, &format!("/api/result/{id}")).context("--result")?;
    let row = RowKey {
        user: UserId::new(result.user_id)?,
        room: RoomId::new(result.room_id)?,
        time: result.grab_time.parse()?,
    };
    Ok(Found { row, coupon: CouponId::new(result.coupon_id)?, place })
}

/// A row's treatment by the layout of a running service, with all versions that it ever had.
fn of_layout(layout: &LayoutView, row: &RowKey, found: Option<&PlaceView>) -> anyhow::Result<Explanation> {
    let all = match (versions(&layout.versions), found) {
        (Err(_), Some(place)) => return Ok(by_its_word(layout, row, place)),
        (all, _) => all?,
    };
    let open: Vec<LayoutVersionView> =
        layout.versions.iter().filter(|version| !version.closed).cloned().collect();
    let (open, written) = (versions(&open)?, all.at(row.time).number);
    let mut because = all.explain(row);
    if layout.versions.iter().any(|version| version.closed && version.version == written) {
        because.push(format!("version {written} is closed: no row is left where it said"));
    }
    let places = open.places(row).map_err(|error| error.to_string());
    let several = places.as_ref().is_ok_and(|places| places.len() > 1);
    if several && found.is_none() {
        because.push("rows are being moved: with --result ID the service is asked where one is".to_owned());
    }
    let stored = match found {
        Some(place) => Ok(found_at(place)),
        None => places.map(|places| {
            places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", or, once it is moved, on ")
        }),
    };
    Ok(Explanation { stored, because, ..Explanation::of(&open, row) })
}

/// A row of a layout that only its own service can read: where that finds it, and by which version it was written.
fn by_its_word(layout: &LayoutView, row: &RowKey, place: &PlaceView) -> Explanation {
    let in_force = |version: &&LayoutVersionView| {
        version.valid_from.parse().is_ok_and(|from: Timestamp| from <= row.time)
    };
    let written = layout.versions.iter().rfind(in_force).or(layout.versions.first());
    let mut because: Vec<String> = written
        .map(|LayoutVersionView { version, valid_from, layout, .. }| {
            format!("version {version} of the layout, in force from {valid_from}: {layout}")
        })
        .into_iter()
        .collect();
    because.push("its strategy is not known here: the service alone can say why".to_owned());
    Explanation {
        layout: layout.versions.last().map(|latest| latest.layout.clone()).unwrap_or_default(),
        stored: Ok(found_at(place)),
        because,
        queries: Vec::new(),
    }
}

fn found_at(PlaceView { shard, table }: &PlaceView) -> String {
    format!("shard {shard}, table {table}, where the service finds it")
}

/// Versions of a layout as one strategy.
fn versions(views: &[LayoutVersionView]) -> anyhow::Result<Versioned> {
    let version = |version: &LayoutVersionView| {
        let line = &version.layout;
        let strategy = shards_in(line).and_then(|shards| strategy_of_layout(line, shards));
        Ok(LayoutVersion {
            number: version.version,
            from: version.valid_from.parse()?,
            receives: version.receives,
            strategy: strategy
                .with_context(|| format!("{line:?} is the layout of no strategy known here"))?,
        })
    };
    Ok(Versioned::new(views.iter().map(version).collect::<anyhow::Result<_>>()?)?)
}

/// Every strategy asked for, each with the settings that it has.
fn strategies(args: &Args) -> anyhow::Result<Vec<Arc<dyn ShardingStrategy>>> {
    let families: Vec<&Family> =
        args.strategy.iter().map(|name| REGISTER.family(name)).collect::<anyhow::Result<_>>()?;
    for set in &args.sets {
        let known = REGISTER.families.iter().any(|family| is_of_its_section(key(set), family));
        ensure!(known, "--set {set}: settings of strategies begin with {}", sections());
        let used = families.iter().any(|family| applies(set, family));
        ensure!(used, "--set {set}: no strategy chosen by --strategy has such a setting");
    }
    let make = |family: &&Family| {
        let sets: Vec<String> = args.sets.iter().filter(|set| applies(set, family)).cloned().collect();
        family.strategy(args.shards, &sets)
    };
    families.iter().map(make).collect()
}

/// True when a strategy has the setting; one that is misspelt goes to every strategy of its section, which refuses it.
fn applies(set: &str, family: &Family) -> bool {
    let key = key(set);
    let has = |family: &Family| family.settings().any(|setting| setting == key);
    is_of_its_section(key, family) && (has(family) || !REGISTER.families.iter().any(has))
}

fn key(set: &str) -> &str {
    set.split('=').next().unwrap_or(set).trim()
}

fn is_of_its_section(key: &str, family: &Family) -> bool {
    key.strip_prefix(family.program.section()).is_some_and(|rest| rest.starts_with('.'))
}

/// The beginnings of strategies' settings, for an error.
fn sections() -> String {
    let families = REGISTER.of_each_program();
    let quoted = families.iter().map(|family| format!("\"{}.\"", family.program.section()));
    quoted.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn every_strategy_is_explained_and_by_default_those_over_shards() {
        let by_default = Line::parse_from(["explain"]).args;
        assert_eq!(strategies(&by_default).unwrap().len(), REGISTER.sharded().count());
        for name in REGISTER.names() {
            let named = Line::parse_from(["explain", "--strategy", name]).args;
            let [strategy] = strategies(&named).unwrap().try_into().unwrap();
            let row = RowKey {
                user: named.user,
                room: room_of(named.coupon).unwrap(),
                time: "2026-11-22T00:30:00Z".parse().unwrap(),
            };
            assert!(Explanation::of(&*strategy, &row).because.len() > 1, "{name}");
        }
    }

    #[test]
    fn a_running_services_layout_says_which_version_placed_a_row_and_where_it_comes_to() {
        let version = |version, valid_from: &str, shards, receives, closed| LayoutVersionView {
            version,
            valid_from: valid_from.to_owned(),
            layout: format!("hash of user_id, mix modulo, {shards} shards"),
            in_force: true,
            receives,
            closed,
            announced_at: valid_from.to_owned(),
            operator: "ann".to_owned(),
            what: "a change".to_owned(),
        };
        let versions = vec![
            version(1, "2020-01-01T00:00:00Z", 2, false, true),
            version(2, "2026-11-01T00:00:00Z", 4, true, false),
            version(3, "2026-11-22T00:00:00Z", 8, true, false),
        ];
        let layout =
            LayoutView { shards: 8, shards_prepared: 8, unused: Vec::new(), versions, rebalance: None };
        let (user, room) = (UserId::new(6).unwrap(), RoomId::new(1).unwrap());
        let row = |time: &str| RowKey { user, room, time: time.parse().unwrap() };
        let (moving, earlier) = (row("2026-11-21T12:00:00Z"), row("2026-10-31T12:00:00Z"));
        let explained = of_layout(&layout, &moving, None).unwrap();
        let both = "shard 2, table coupon_results, or, once it is moved, on shard 6, table coupon_results";
        assert_eq!(explained.stored.as_deref(), Ok(both));
        let because = explained.because.join("\n");
        assert!(because.contains("--result"), "{because}");
        assert!(because.starts_with("version 2 of the layout, in force from 2026-11-01"), "{because}");
        assert!(
            because.contains("rows are moved to where version 3 says") && because.contains("shard 6"),
            "{because}"
        );

        // The version that placed it is closed: it was moved since, at least to where the next one says.
        let explained = of_layout(&layout, &earlier, None).unwrap();
        assert_eq!(explained.stored.as_deref(), Ok(both));
        let because = explained.because.join("\n");
        assert!(because.starts_with("version 1 of the layout, in force from 2020-01-01"), "{because}");
        assert!(because.contains("version 1 is closed"), "{because}");

        let place = PlaceView { shard: 6, table: "coupon_results".to_owned() };
        let explained = of_layout(&layout, &moving, Some(&place)).unwrap();
        assert!(explained.stored.unwrap().starts_with("shard 6, table coupon_results"));
        assert!(!explained.because.join("\n").contains("--result"));

        let unknown = LayoutView {
            versions: vec![LayoutVersionView {
                layout: "jump, 4 shards".to_owned(),
                ..layout.versions[1].clone()
            }],
            ..layout
        };
        let told = of_layout(&unknown, &moving, Some(&place)).unwrap();
        assert!(told.because[0].starts_with("version 2 of the layout, in force from 2026-11-01"), "{told}");
        assert!(told.to_string().contains("stored on   shard 6, table coupon_results"), "{told}");
        assert!(of_layout(&unknown, &moving, None).unwrap_err().to_string().contains("jump, 4 shards"));
    }

    #[test]
    fn a_setting_goes_to_the_strategies_that_have_it() {
        let applies = |set, name| applies(set, REGISTER.family(name).unwrap());
        assert!(applies("range.bucket=hour", "range-time") && !applies("range.bucket=hour", "range-room"));
        assert!(applies("range.spread=2", "range-time") && applies("range.spread=2", "range-room"));
        assert!(applies("hash.mix=modulo", "hash") && !applies("hash.mix=modulo", "range-time"));
        assert!(applies("hash.mix=modulo", "single") && applies("range.rooms=7", "range-room"));
        assert!(applies("range.bukket=hour", "range-time") && applies("range.bukket=hour", "range-room"));
    }
}
