//! A comparison as it might have been measured: seeded, six contestants, as many rounds as asked for.
//!
//! The figures follow from what each strategy does (where a row goes, how many shards a query visits), plus the
//! noise of a shared machine. They are made up all the same: nothing may be concluded from them about strategies.

use std::collections::BTreeMap;

use coupon_report::model::{
    AuditResult, CURVE_PERCENTILES, Contestant, EndpointRound, Figure, Flow, GeneratorRound, GrabRound,
    LatencyMs, Machine, Meta, MixPart, Outlook, OutlookCase, Reading, Report, Round, ScenarioRound,
    ShardFlow, ShardLook, ShardRound,
};

const SECONDS: u32 = 30;
const RATE: f64 = 2_000.0;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Around 1, skewed to the right.
    fn noise(&mut self, spread: f64) -> f64 {
        let normal =
            (-2.0 * self.uniform().max(1e-300).ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos();
        (spread * normal).exp()
    }
}

/// The behaviour of a strategy, as far as the fixture needs it.
struct Kind {
    name: &'static str,
    layout: &'static str,
    cure_of: Option<&'static str>,
    /// Each shard's part of the rows.
    shares: &'static [f64],
    /// Endpoint, shards and tables visited by a query.
    fan_out: [(&'static str, f64, f64); 5],
}

const KINDS: [Kind; 6] = [
    Kind {
        name: "hash",
        layout: "hash(user_id) over 16384 slots, mix xxh3, 4 shards",
        cure_of: None,
        shares: &[0.251, 0.249, 0.252, 0.248],
        fan_out: [
            ("user_coupons", 1.0, 1.0),
            ("room_orders", 4.0, 4.0),
            ("room_stats", 4.0, 4.0),
            ("recent", 4.0, 4.0),
            ("global", 4.0, 4.0),
        ],
    },
    Kind {
        name: "range-time",
        layout: "daily tables, UTC, day % 4 shards",
        cure_of: None,
        shares: &[0.0, 0.0, 1.0, 0.0],
        fan_out: [
            ("user_coupons", 4.0, 8.0),
            ("room_orders", 4.0, 8.0),
            ("room_stats", 4.0, 8.0),
            ("recent", 1.08, 1.08),
            ("global", 4.0, 8.0),
        ],
    },
    Kind {
        name: "range-room",
        layout: "room ranges of 25, range % 4 shards",
        cure_of: None,
        shares: &[0.79, 0.07, 0.07, 0.07],
        fan_out: [
            ("user_coupons", 4.0, 4.0),
            ("room_orders", 1.0, 1.0),
            ("room_stats", 1.0, 1.0),
            ("recent", 4.0, 4.0),
            ("global", 4.0, 4.0),
        ],
    },
    Kind {
        name: "single",
        layout: "one shard, one table",
        cure_of: None,
        shares: &[1.0],
        fan_out: [
            ("user_coupons", 1.0, 1.0),
            ("room_orders", 1.0, 1.0),
            ("room_stats", 1.0, 1.0),
            ("recent", 1.0, 1.0),
            ("global", 1.0, 1.0),
        ],
    },
    Kind {
        name: "range-time-spread2",
        layout: "daily tables, UTC, day % 4 shards, spread 2",
        cure_of: Some("range-time"),
        shares: &[0.0, 0.0, 0.502, 0.498],
        fan_out: [
            ("user_coupons", 4.0, 16.0),
            ("room_orders", 4.0, 16.0),
            ("room_stats", 4.0, 16.0),
            ("recent", 2.05, 2.16),
            ("global", 4.0, 16.0),
        ],
    },
    Kind {
        name: "range-room-split",
        layout: "room ranges at 1, 2, 3, 4, 5, 26, 51, 76, range % 4 shards",
        cure_of: Some("range-room"),
        shares: &[0.33, 0.24, 0.22, 0.21],
        fan_out: [
            ("user_coupons", 4.0, 8.0),
            ("room_orders", 1.0, 1.0),
            ("room_stats", 1.0, 1.0),
            ("recent", 4.0, 8.0),
            ("global", 4.0, 8.0),
        ],
    },
];

/// A comparison of six contestants, not yet summarised.
pub(crate) fn comparison(rounds: u32, seed: u64) -> Report {
    let mut random = Random(seed);
    let moods: Vec<f64> = (0..rounds).map(|_| random.noise(0.15)).collect();
    let contestants = KINDS.iter().map(|kind| Contestant {
        name: kind.name.into(),
        strategy: kind.cure_of.unwrap_or(kind.name).into(),
        layout: kind.layout.into(),
        service: if kind.name == "hash" || kind.name == "single" { "hash-svc" } else { "range-svc" }.into(),
        shards: kind.shares.len() as u16,
        seed_seconds: Figure::of(21.4),
        cure_of: kind.cure_of.map(String::from),
        rounds: (0..).zip(&moods).map(|(index, mood)| round(kind, index, *mood, &mut random)).collect(),
        ..Contestant::default()
    });
    let mut report = Report::new(meta(rounds, seed), contestants.collect());
    report.outlook = Reading::Known(outlook());
    report
}

/// The same on servers, where a queue lies before each shard and each shard has a fifth of a core: the busiest shard
/// takes what it can, and the rest waits.
pub(crate) fn on_servers(rounds: u32, seed: u64) -> Report {
    let mut report = comparison(rounds, seed);
    report.meta.backend = "servers".into();
    report.meta.shard_cpu = Some(0.2);
    report.meta.processes = 2;
    for round in report.contestants.iter_mut().flat_map(|contestant| &mut contestant.rounds) {
        let hottest = round.shards.iter().filter_map(|shard| shard.rows_written.value()).fold(0.0, f64::max);
        let waiting = (hottest - 15_000.0).max(0.0);
        let stored = (round.grabs.granted as f64 - waiting) / f64::from(SECONDS);
        round.flow = Some(Flow {
            stored_per_s: Figure::of(stored),
            backlog: Figure::of(waiting),
            drain_seconds: Figure::of(0.2 + waiting / 500.0),
        });
        for shard in &mut round.shards {
            let rows = shard.rows_written.value().unwrap_or(0.0);
            shard.flow = Some(ShardFlow {
                queue_depth_max: Figure::of((rows - 15_000.0).max(3.0)),
                lag_ms_max: Figure::of((rows - 15_000.0).max(10.0) * 2.0),
                saturation: Figure::of((rows / 15_000.0).min(1.0)),
            });
        }
    }
    report
}

fn meta(rounds: u32, seed: u64) -> Meta {
    Meta {
        title: "Sharding strategies compared".into(),
        date: "2026-11-23T17:30:00Z".into(),
        command: format!(
            "loadtest compare --rounds {rounds} --seconds {SECONDS} --rate {RATE} --seed {seed}"
        ),
        machine: Machine {
            cores: Reading::Known(2),
            cpu: Reading::Known("Example CPU @ 2.60GHz".into()),
            kernel: Reading::unknown("uname was not allowed"),
        },
        versions: BTreeMap::from([("loadtest".into(), "0.1.0".into()), ("sqlite".into(), "3.51.0".into())]),
        seed,
        backend: "embedded".into(),
        workload: "four scenarios".into(),
        mix: mix(),
        catalogue: [("users".to_owned(), 100_000), ("rooms".to_owned(), 100)].into(),
        curve_percentiles: CURVE_PERCENTILES.into(),
        rounds,
        rate: Some(RATE),
        connections: 64,
        seconds_per_round: f64::from(SECONDS),
        history_rows: 1_000_000,
        shard_rtt_ms: 0.0,
        processes: 1,
        shard_cpu: None,
        shards_elsewhere: false,
        unaudited: false,
        warnings: vec!["The machine was not idle before the run: load average 0.7.".into()],
    }
}

fn mix() -> Vec<MixPart> {
    let part = |scenario: &str, endpoints: &[(&str, f64)]| MixPart {
        scenario: scenario.into(),
        rooms: "any".into(),
        endpoints: endpoints.iter().map(|(key, share)| ((*key).to_owned(), *share)).collect(),
    };
    vec![
        part("normal", &[("grab", 0.72), ("user_coupons", 0.05), ("stock", 0.08)]),
        part("cross-shard", &[("room_orders", 0.05), ("room_stats", 0.05), ("recent", 0.05)]),
    ]
}

fn round(kind: &Kind, index: u32, mood: f64, random: &mut Random) -> Round {
    let granted = (RATE * f64::from(SECONDS) * 0.68 * random.noise(0.002)) as u64;
    let hottest = kind.shares.iter().copied().fold(0.0, f64::max);
    let mut endpoints = BTreeMap::new();
    let writes_ms = 1.1 * mood * (1.0 + 0.15 * hottest) * random.noise(0.02);
    endpoints.insert("grab".to_owned(), endpoint(granted + 400, writes_ms, 3.5, None, random));
    endpoints.insert("stock".to_owned(), endpoint(4_100, 0.21 * mood, 4.0, None, random));
    endpoints.insert("admin_stats".to_owned(), endpoint(90, 0.9 * mood, 2.0, None, random));
    for (name, shards, tables) in kind.fan_out {
        let base = match name {
            "global" => 18.0,
            "user_coupons" => 0.35,
            "room_stats" => 1.2,
            _ => 0.8,
        };
        let ms = base * (1.0 + 0.25 * (shards - 1.0) + 0.08 * (tables - shards)) * mood * random.noise(0.04);
        endpoints.insert(name.to_owned(), endpoint(2_400, ms, 4.0, Some((shards, tables)), random));
    }
    let shards = shards(kind, granted, random);
    let writes = writes(kind, granted, random);
    Round {
        index,
        position: (index * 5 + 2) % 6,
        seconds: f64::from(SECONDS),
        grabs: GrabRound {
            offered_per_s: granted as f64 / f64::from(SECONDS) + 13.0,
            granted_per_s: granted as f64 / f64::from(SECONDS),
            granted,
            refused: BTreeMap::from([("duplicate".into(), 390)]),
            unknown: 10,
            sold_out: 0,
        },
        endpoints,
        // Luck of its own: what is told of endpoints does not hang on it.
        scenarios: scenarios(mood, &mut Random(index.into())),
        shards,
        looks: Reading::Known(looks(&writes)),
        generator: GeneratorRound {
            cpu_seconds: Figure::of(4.1 * random.noise(0.05)),
            lateness_p99_ms: Figure::of(0.3 * random.noise(0.2)),
            unsent: 0,
            sent: granted,
            reconnects: 0,
        },
        audit: Reading::Known(AuditResult {
            acknowledged: granted,
            refused: 390,
            unknown: 10,
            stored: granted + 4,
            ..AuditResult::default()
        }),
        ..Round::default()
    }
}

fn scenarios(mood: f64, random: &mut Random) -> BTreeMap<String, ScenarioRound> {
    let mut scenario = |requests, p50: f64| {
        let EndpointRound { requests, ok, latency, timed, curve_ms, .. } =
            endpoint(requests, p50 * mood, 4.0, None, random);
        ScenarioRound { requests, ok, latency, timed, curve_ms }
    };
    [("normal".to_owned(), scenario(51_000, 1.0)), ("cross-shard".to_owned(), scenario(9_000, 2.0))].into()
}

fn endpoint(ok: u64, p50: f64, tail: f64, fan_out: Option<(f64, f64)>, random: &mut Random) -> EndpointRound {
    let p99 = p50 * tail * random.noise(0.12);
    let visited = |of: Option<f64>| Reading::or_because(of, "its answers name no plan");
    EndpointRound {
        requests: ok + 1,
        ok,
        errors: BTreeMap::from([("503".into(), 1)]),
        latency: Reading::Known(LatencyMs { p50, p90: p50 * 1.7, p99, p999: p99 * 1.9, max: p99 * 4.0 }),
        timed: ok,
        mean_ms: Figure::of(p50 * 1.2),
        curve_ms: curve(p50, p99, ok + 1),
        shards_visited: visited(fan_out.map(|(shards, _)| shards)),
        tables_visited: visited(fan_out.map(|(_, tables)| tables)),
    }
}

/// From the median to p99 and on, straight on a scale of nines, as far as there are requests.
fn curve(p50: f64, p99: f64, requests: u64) -> Vec<f64> {
    let nines = |percentile: f64| -(1.0 - percentile / 100.0).log10();
    let per_nine = (p99 / p50).ln() / (nines(99.0) - nines(50.0));
    let resolved = CURVE_PERCENTILES.iter().take_while(|p| requests as f64 * (100.0 - **p) >= 100.0);
    resolved.map(|p| p50 * (per_nine * (nines(*p) - nines(50.0))).exp()).collect()
}

/// Four looks a second at what `writes` makes.
fn looks(writes: &[Vec<u64>]) -> Vec<ShardLook> {
    let shards = writes.first().map_or(0, Vec::len);
    let mut rows = vec![0; shards];
    let mut looks = vec![ShardLook { at_s: 0.0, rows: rows.clone(), waiting: vec![0; shards] }];
    for (second, written) in writes.iter().enumerate() {
        for quarter in 1..=4_u64 {
            let now: Vec<u64> =
                rows.iter().zip(written).map(|(before, new)| before + new * quarter / 4).collect();
            let at_s = second as f64 + quarter as f64 / 4.0;
            looks.push(ShardLook { at_s, rows: now, waiting: vec![0; shards] });
        }
        rows.iter_mut().zip(written).for_each(|(sum, new)| *sum += new);
    }
    looks
}

/// The forecast of routing for more shards.
fn outlook() -> Outlook {
    let case = |contestant: &str, shards: u16, effective: f64, orders: u16| OutlookCase {
        contestant: contestant.into(),
        shards,
        effective_shards: Figure::of(effective),
        skew: Figure::of(f64::from(shards) / effective),
        idle_shards: if contestant == "hash" { 0 } else { u64::from(shards) - 4 },
        visits: [("room_orders".to_owned(), f64::from(orders)), ("global".to_owned(), f64::from(shards))]
            .into(),
    };
    let cases = [4, 16, 64, 1_024].into_iter().flat_map(|shards| {
        [
            case("hash", shards, f64::from(shards) * 0.9, shards),
            case("range-time", shards, 1.0, shards),
            case("range-room", shards, 1.39, 1),
        ]
    });
    Outlook { grabs: 200_000, days: 28, cases: cases.collect() }
}

fn shards(kind: &Kind, granted: u64, random: &mut Random) -> Vec<ShardRound> {
    let shards = (0..).zip(kind.shares).map(|(shard, share)| {
        let rows = (granted as f64 * share).round();
        ShardRound {
            shard,
            rows_written: Figure::of(rows),
            share: Figure::default(),
            cpu_seconds: Figure::of(0.05 + rows * 38e-6 * random.noise(0.03)),
            bytes_written: Figure::unknown("no /proc/self/io on this system"),
            flow: None,
        }
    });
    shards.collect()
}

/// A sale that opens, is stormed and calms down.
fn writes(kind: &Kind, granted: u64, random: &mut Random) -> Vec<Vec<u64>> {
    let shape: Vec<f64> = (0..SECONDS)
        .map(|second| 0.6 + 1.4 * (-((f64::from(second) - 8.0) / 4.0).powi(2)).exp())
        .map(|height| height * random.noise(0.05))
        .collect();
    let total: f64 = shape.iter().sum();
    shape
        .iter()
        .map(|part| kind.shares.iter().map(|share| (granted as f64 * part / total * share) as u64).collect())
        .collect()
}
