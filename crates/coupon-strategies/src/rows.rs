//! The rows of the register. To add a strategy, add a row here.

use std::num::NonZeroU16;

use engine_svc::EngineSharding;
use hash_svc::HashSharding;
use range_svc::{RoomRangeSharding, TimeRangeSharding};

use crate::{Baseline, Family, Register, RoomSettings, SettingValue, Variant, VariantRole};

/// Every strategy of this workspace, in the order of tables.
pub static REGISTER: Register = Register {
    families: &FAMILIES,
    engines: &ENGINES,
    baselines: &BASELINES,
    everywhere: &[ROOM_INDEX, CACHE],
};

static FAMILIES: [Family; 4] = [
    Family {
        name: "hash",
        place: "by hash of the user",
        program: &hash_svc::PROGRAM,
        choice: None,
        shards: None,
        layouts: &[HashSharding::LAYOUT, HashSharding::LAYOUT_OF_GROWN],
        rooms: None,
        variants: &[MODULO],
        combined: &[],
    },
    Family {
        name: "range-time",
        place: "by ranges of time",
        program: &range_svc::PROGRAM,
        choice: Some(("by", "time")),
        shards: None,
        layouts: &[TimeRangeSharding::LAYOUT],
        rooms: None,
        variants: &[Variant { role: VariantRole::Chosen, ..SPREAD }, HOURS],
        combined: &[],
    },
    Family {
        name: "range-room",
        place: "by ranges of rooms",
        program: &range_svc::PROGRAM,
        choice: Some(("by", "room")),
        shards: None,
        layouts: RoomRangeSharding::LAYOUTS,
        rooms: Some(RoomSettings {
            count: "range.rooms",
            width: "range.room_width",
            starts: "range.boundaries",
        }),
        variants: &[SPLIT, SPREAD],
        combined: &["split+spread"],
    },
    SINGLE,
];

static ENGINES: [Family; 1] = [Family {
    name: "engine",
    place: "where an engine puts its user",
    program: &engine_svc::PROGRAM,
    choice: None,
    shards: None,
    layouts: &[EngineSharding::LAYOUT],
    rooms: None,
    variants: &[],
    combined: &[],
}];

const SINGLE: Family = Family {
    name: "single",
    place: "on a single shard",
    program: &hash_svc::PROGRAM,
    choice: None,
    shards: Some(NonZeroU16::MIN),
    layouts: &[HashSharding::LAYOUT],
    rooms: None,
    variants: &[],
    combined: &[],
};

/// Connections of a pool are so many with most teams, and so many of the first one's transactions are under way at once.
static BASELINES: [Baseline; 2] = [
    Baseline {
        name: "update",
        about: "one database that decides each grab in a transaction of its own, by a conditional UPDATE, with 16 under way at \
                once: no gate, no queue, nothing remembered",
        family: &SINGLE,
        settings: &[
            DECIDED_BY_DATABASE,
            REMEMBERS_NOTHING,
            "grab.batch_max=1",
            "grab.in_flight=16",
            "servers.pool=16",
        ],
    },
    Baseline {
        name: "update-batched",
        about: "one database that decides grabs by conditional UPDATEs, as many in a transaction as arrive during the one before: no \
                gate, no queue, nothing remembered",
        family: &SINGLE,
        settings: &[DECIDED_BY_DATABASE, REMEMBERS_NOTHING],
    },
];

const DECIDED_BY_DATABASE: &str = "grab.decided_by=database";
const REMEMBERS_NOTHING: &str = "grab.memory_ms=0";

const MODULO: Variant = Variant {
    name: "modulo",
    about: "no mixing",
    setting: "hash.mix",
    value: SettingValue::Fixed("modulo"),
    role: VariantRole::Option,
};

const SPREAD: Variant = Variant {
    name: "spread",
    about: "a range over all shards",
    setting: "range.spread",
    value: SettingValue::Spread,
    role: VariantRole::Cure,
};

const HOURS: Variant = Variant {
    name: "hours",
    about: "hourly tables",
    setting: "range.bucket",
    value: SettingValue::Fixed("hour"),
    role: VariantRole::Cure,
};

const SPLIT: Variant = Variant {
    name: "split",
    about: "hot rooms in ranges of their own",
    setting: "range.boundaries",
    value: SettingValue::Starts,
    role: VariantRole::Chosen,
};

const ROOM_INDEX: Variant = Variant {
    name: "room-index",
    about: "each room's results once more, on one shard",
    setting: "room_index",
    value: SettingValue::Fixed("true"),
    role: VariantRole::Option,
};

const CACHE: Variant = Variant {
    name: "cache",
    about: "of room statistics",
    setting: "cache.room_stats_ms",
    value: SettingValue::Fixed("500"),
    role: VariantRole::Option,
};
