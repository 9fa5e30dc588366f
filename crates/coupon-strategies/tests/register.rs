//! Every row of the register, with each of its variants, keeps what programs rely on; and one row more is all that a
//! third strategy needs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use coupon_core::{LayoutChange, LayoutPattern, Piece, RoomCounts, RoomId, RowKey, UserId, laws};
use coupon_service::{NoSettings, Program};
use coupon_strategies::{Family, Fit, REGISTER, Register, Spec, strategy, strategy_of_layout};

#[path = "../../../docs/examples/jump-svc/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is a library's file")]
mod jump;

const FOUR: NonZeroU16 = NonZeroU16::new(4).unwrap();
const ROOMS: RoomCounts = RoomCounts { all: 100, hot: 5 };

/// Every contestant that the register can name, plain and with its variants.
fn specs(register: Register, shards: NonZeroU16) -> Vec<Spec> {
    let combined = register.families.iter().flat_map(Family::simulated_names);
    let names: BTreeSet<String> = register.known().into_iter().chain(combined).collect();
    let fit = Fit::new(shards, ROOMS);
    names.iter().map(|name| register.spec(name, &fit).unwrap()).collect()
}

#[test]
fn every_strategy_with_every_variant_keeps_the_laws() {
    for shards in [1, 3, 8].map(|shards| NonZeroU16::new(shards).unwrap()) {
        for spec in specs(REGISTER, shards) {
            let strategy = spec.strategy().unwrap();
            laws::check(&*strategy, 11).unwrap_or_else(|broken| panic!("{}: {broken}", spec.name));
        }
    }
}

#[test]
fn every_strategy_with_every_variant_is_read_back_from_its_layout() {
    for spec in specs(REGISTER, FOUR) {
        let made = spec.strategy().unwrap();
        assert_eq!(made.shard_count(), spec.shards, "{}", spec.name);
        let found = strategy_of_layout(&made.layout(), spec.shards).unwrap();
        assert_eq!((found.name(), found.layout()), (made.name(), made.layout()), "{}", spec.name);
    }
}

#[test]
fn every_strategy_over_shards_says_how_it_goes_on_over_one_more() {
    let five = NonZeroU16::new(5).unwrap();
    for spec in specs(REGISTER, FOUR).iter().filter(|spec| spec.family.is_sharded()) {
        let growths = spec.strategy().unwrap().growths(five);
        assert!(growths.len() > 1, "{}", spec.name);
        assert!(growths.iter().any(|growth| growth.after.shard_count() == five), "{}", spec.name);
    }
}

#[test]
fn every_variant_places_rows_otherwise_than_its_plain_strategy() {
    for family in REGISTER.families {
        let layouts = family.simulated_names().map(|name| {
            let spec = Spec::parse(&name, FOUR, ROOMS).unwrap();
            assert_eq!((&*spec.name, &*spec.program), (&*name, family.program.name()));
            spec.strategy().unwrap().layout()
        });
        let layouts: Vec<String> = layouts.collect();
        assert_eq!(layouts.iter().collect::<BTreeSet<_>>().len(), layouts.len(), "{layouts:?}");
    }
}

#[test]
fn every_strategy_with_every_variant_keeps_the_laws_while_its_layout_changes() {
    let jump = Register { families: &ONE_MORE, ..REGISTER };
    for spec in specs(REGISTER, FOUR).into_iter().chain(specs(jump, FOUR)) {
        for seed in 0..3 {
            let versions = laws::random_versions(spec.strategy().unwrap(), seed);
            laws::check_versions(&versions, seed).unwrap_or_else(|broken| panic!("{}: {broken}", spec.name));
        }
    }
}

#[test]
fn every_strategy_over_shards_goes_on_over_another_number_and_is_read_back() {
    let jump = Register { families: &ONE_MORE, ..REGISTER };
    for spec in specs(REGISTER, FOUR).into_iter().chain(specs(jump, FOUR)) {
        let before = spec.strategy().unwrap();
        for shards in [6, 8].map(|shards| NonZeroU16::new(shards).unwrap()) {
            let after = LayoutChange::Shards(shards)
                .of(&*before)
                .unwrap_or_else(|error| panic!("{}: {error}", spec.name));
            assert_eq!(after.shard_count(), shards, "{}", spec.name);
            assert_eq!(after.of_layout(&before.layout()).unwrap().layout(), before.layout(), "{}", spec.name);
        }
    }
}

#[test]
fn an_engine_is_known_by_its_name_and_its_layout_and_is_in_no_list() {
    for family in REGISTER.engines {
        let made = family.strategy(FOUR, &[]).unwrap();
        assert!(made.whole().is_planned() && !REGISTER.known().contains(&family.name.to_owned()));
        laws::check(&*made, 11).unwrap_or_else(|broken| panic!("{}: {broken}", family.name));
        assert_eq!(strategy_of_layout(&made.layout(), FOUR).unwrap().name(), family.name);
        assert_eq!(REGISTER.family(family.name).unwrap().program.name(), family.program.name());
        assert!(REGISTER.program(family.program.name()).is_some());
    }
    let by_hand = |family: &Family| !family.strategy(FOUR, &[]).unwrap().whole().is_planned();
    assert!(REGISTER.families.iter().all(by_hand));
}

#[test]
fn no_name_comes_twice() {
    for names in [REGISTER.known(), REGISTER.compared(), REGISTER.names().map(str::to_owned).collect()] {
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }
    let known = REGISTER.known();
    assert!(REGISTER.compared().iter().all(|name| known.contains(name)));
    let cures = REGISTER.names().flat_map(|name| REGISTER.cures(name));
    assert!(cures.into_iter().all(|name| known.contains(&name)));
}

#[test]
fn a_help_text_tells_every_strategy_and_variant_once() {
    let told = REGISTER.described();
    assert!(
        told.starts_with("hash, range-time, range-room, single (one shard); with +modulo (no mixing), "),
        "{told}"
    );
    assert_eq!(told.matches("+spread").count(), 1, "{told}");
    assert!(told.ends_with(" or +cache (of room statistics) where they apply"), "{told}");
}

#[test]
fn every_setting_that_places_rows_is_found_again() {
    let three = NonZeroU16::new(3).unwrap();
    for (name, sets) in [
        ("hash", &[][..]),
        ("hash", &["hash.mix=modulo"]),
        ("range-time", &["range.bucket=hour", "range.spread=2"]),
        ("range-room", &["range.room_width=7"]),
        ("range-room", &["range.boundaries=[1,2,9]", "range.spread=3"]),
        ("range-room", &["range.boundaries=['1@2','2@0']"]),
        ("range-room", &["range.boundaries=['1@2','2@0']", "range.listed_to=50"]),
        ("hash", &["hash.grown=[2,4]"]),
    ] {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let layout = strategy(name, three, &sets).unwrap().layout();
        assert_eq!(strategy_of_layout(&layout, three).map(|found| found.layout()), Some(layout));
    }
}

#[test]
fn the_layout_of_somebody_elses_strategy_is_not_guessed() {
    let three = NonZeroU16::new(3).unwrap();
    for layout in [
        "jump, 3 shards",
        "hash of user_id, mix crc, 3 shards",
        "hash of user_id, mix xxh3, 4 shards",
        "range of time, one table a UTC day, spread 4, 3 shards",
        "",
    ] {
        assert!(strategy_of_layout(layout, three).is_none(), "{layout:?}");
    }
}

/// A layout, and rows of which it is known where they lie: user, room, time, shard and table.
#[derive(serde::Deserialize)]
struct Case {
    layout: String,
    shards: NonZeroU16,
    rows: Vec<(u64, u64, String, u16, String)>,
}

/// The auditor has its own law, and is held to the same file.
#[test]
fn strategies_place_rows_where_the_golden_vectors_say() {
    let golden = include_str!("../../coupon-core/golden/placement.json");
    for Case { layout, shards, rows } in serde_json::from_str::<Vec<Case>>(golden).unwrap() {
        let strategy = strategy_of_layout(&layout, shards).unwrap_or_else(|| panic!("{layout}"));
        for (user, room, time, shard, table) in rows {
            let (user, room) = (UserId::new(user).unwrap(), RoomId::new(room).unwrap());
            let place = strategy.place(&RowKey { user, room, time: time.parse().unwrap() }).unwrap();
            let placed = (place.shard.number(), place.table.to_string());
            assert_eq!(placed, (shard, table), "{layout}: user {user}, room {room}, {time}");
        }
    }
}

static JUMP: Program<NoSettings> = Program {
    name: "jump-svc",
    listen: "127.0.0.1:8003",
    section: "jump",
    strategy: |_, shards| Ok(Arc::new(jump::Jump(shards))),
    open: coupon_service::open,
};

static ONE_MORE: [Family; 1] = [Family {
    name: "jump",
    place: "by jump hash of the user",
    program: &JUMP,
    choice: None,
    shards: None,
    layouts: &[LayoutPattern(&[Piece::Text("jump")])],
    rooms: None,
    variants: &[],
    combined: &[],
}];

#[test]
fn a_third_strategy_is_one_row() {
    let register = Register { families: &ONE_MORE, engines: &[], baselines: &[], ..REGISTER };
    assert_eq!(register.known(), ["jump", "jump+room-index", "jump+cache"]);
    assert_eq!(register.compared(), ["jump"]);
    assert_eq!(register.programs().collect::<Vec<_>>(), ["jump-svc"]);
    assert_eq!(register.program("jump-svc").unwrap().section(), "jump");
    for spec in specs(register, FOUR) {
        let made = spec.strategy().unwrap();
        assert_eq!((&*spec.program, made.name()), ("jump-svc", "jump"));
        laws::check(&*made, 11).unwrap();
        assert_eq!(register.strategy_of_layout(&made.layout(), FOUR).unwrap().name(), "jump");
    }
    assert!(register.family("hash").unwrap_err().to_string().ends_with("there are: jump"));
    let error = register.family("jump").unwrap().strategy(FOUR, &["jump.seed=1".to_owned()]).unwrap_err();
    assert!(format!("{error:#}").contains("jump.seed"), "{error:#}");
}

fn layout(name: &str, sets: &[&str]) -> anyhow::Result<String> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    strategy(name, FOUR, &sets).map(|strategy| strategy.layout())
}

fn error(name: &str, sets: &[&str]) -> String {
    format!("{:#}", layout(name, sets).unwrap_err())
}

#[test]
fn every_name_makes_a_strategy() {
    for family in REGISTER.families {
        let made = strategy(family.name, FOUR, &[]).unwrap();
        let expected = if family.name == "single" { ("hash", 1) } else { (family.name, 4) };
        assert_eq!((made.name(), made.shard_count().get()), expected);
    }
    assert!(error("jump", &[]).contains("range-time"));
}

#[test]
fn settings_reach_the_strategy() {
    assert!(layout("hash", &["hash.mix=modulo"]).unwrap().contains("mix modulo"));
    let spread = layout("range-time", &["range.spread=2", "range.bucket=hour"]).unwrap();
    assert!(spread.contains("spread 2") && spread.contains("UTC hour"), "{spread}");
    let split = layout("range-room", &["range.boundaries=[1, 2, 3]"]).unwrap();
    assert!(split.contains("1, 2, 3"), "{split}");
    assert!(layout("range-room", &["range.by=room"]).is_ok());
}

#[test]
fn a_wrong_setting_is_named() {
    for (name, set) in [
        ("hash", "range.spread=2"),
        ("hash", "hash.mixture=xxh3"),
        ("hash", "hash.mix=md5"),
        ("range-time", "range.spread=0"),
        ("range-time", "range.spread=lots"),
        ("range-room", "range.boundaries=[2]"),
        ("range-time", "range.by=room"),
        ("range-time", "grab.batch_max=1"),
        ("range-time", "range.spread=9"),
    ] {
        let (error, key) = (error(name, &[set]), set.split('=').next().unwrap());
        assert!(error.contains(key), "{set}: {error}");
    }
    assert!(error("hash", &["hash.mix"]).contains("key=value"));
}
