//! The cases, in the order of the table.

use super::cases::{
    FaultCase, behind, case, from_within, holding_up, of_a_cluster, of_gates, of_one_redis, of_replicas,
    of_sentinels,
};
use super::inject::{
    broker, clocks, cluster, copies, databases, failover, filling, frozen, gate, gates, given_back, growth,
    leases, network, operations, promoted, services,
};
use super::plan::{DeploymentPlan, Proxied};

const HANDED_OVER_AGAIN: &str = "the results are handed over again";
const UNTIL_BACK: &str = "503 until it is back";
const FROM_SHARDS: &str = "503 until the gate is filled from the shards";

/// Every case.
pub static CASES: &[FaultCase] = &[
    case("1", "one service process of two killed (-9), restarted", "the other goes on", services::one_killed),
    FaultCase {
        plan: DeploymentPlan::INDEXED,
        ..case(
            "1b",
            "one service process of two killed (-9), restarted, where there is a room index",
            "the other goes on, and keeps the index up",
            services::one_killed,
        )
    },
    holding_up(case(
        "2",
        "both service processes killed (-9), restarted",
        "grabs go on with the first that is back",
        services::all_killed,
    )),
    from_within(case(
        "3",
        "a process killed between gate and hand-over",
        "the reservation is found, and stored",
        services::killed_after_gate,
    )),
    from_within(case(
        "4",
        "a process killed between confirmation and answer",
        "stored once; whoever asks again is told",
        services::killed_after_confirm,
    )),
    from_within(holding_up(case(
        "5",
        "a consumer killed between commit and ack",
        "stored once",
        services::killed_after_commit,
    ))),
    from_within(holding_up(case(
        "5b",
        "a consumer killed between commit and ack, and the gate emptied",
        "stored once",
        services::killed_after_commit_and_the_gate_lost,
    ))),
    case(
        "6",
        "a shard killed, restarted after 10 s",
        "grabs go on; reads name the missing shard",
        databases::shard_killed,
    ),
    FaultCase {
        plan: DeploymentPlan::INDEXED,
        ..case(
            "6b",
            "a shard killed that keeps a part of a room index, restarted after 10 s",
            "grabs go on; reads ask all shards; the index is told later",
            databases::shard_killed,
        )
    },
    case(
        "7",
        "a shard frozen for 10 s",
        "grabs go on; reads name the missing shard",
        databases::shard_paused,
    ),
    case(
        "8",
        "the main database killed, restarted after 10 s",
        "grabs go on; main is told later",
        databases::main_killed,
    ),
    holding_up(case("9", "RabbitMQ killed, restarted", UNTIL_BACK, broker::killed_and_restarted)),
    holding_up(case("10", "RabbitMQ frozen for 8 s", UNTIL_BACK, broker::paused)),
    holding_up(case(
        "11",
        "RabbitMQ short of memory",
        "503 until it takes messages again",
        broker::short_of_memory,
    )),
    case(
        "12",
        "a shard's queue deleted with results in it",
        "the queue is made again, the results handed over again",
        broker::queue_deleted,
    ),
    case("12b", "a shard's queue purged with results in it", HANDED_OVER_AGAIN, broker::purged),
    case(
        "12c",
        "a policy that lets queues keep one message, and drop the others",
        HANDED_OVER_AGAIN,
        broker::dropping_the_head,
    ),
    case(
        "12d",
        "a policy that lets messages live for 10 ms",
        HANDED_OVER_AGAIN,
        broker::letting_messages_die,
    ),
    holding_up(FaultCase {
        plan: DeploymentPlan { roles: &["all", "api"], load_on: 1, ..DeploymentPlan::PLAIN },
        ..case(
            "12e",
            "every queue deleted, and the only consumer killed, with acknowledged results in both",
            "pending until they are handed over again, and never unknown",
            frozen::the_consumer_whose_queues_are_deleted,
        )
    }),
    holding_up(case(
        "13",
        "Redis killed, restarted with its file",
        FROM_SHARDS,
        gate::restarted_with_its_file,
    )),
    holding_up(case(
        "14",
        "Redis killed, the last second cut off its file",
        FROM_SHARDS,
        gate::restarted_without_a_second,
    )),
    holding_up(case(
        "15",
        "Redis killed, restarted without its file",
        FROM_SHARDS,
        gate::restarted_without_its_file,
    )),
    of_one_redis(holding_up(case(
        "16",
        "Redis failed over to a stale replica",
        FROM_SHARDS,
        gate::stale_replica_promoted,
    ))),
    holding_up(case(
        "17",
        "Redis set to evict keys while it runs",
        "what it forgets is filled again",
        gate::evicting,
    )),
    from_within(holding_up(case(
        "17b",
        "a process killed between gate and hand-over, and the pending marks deleted",
        FROM_SHARDS,
        services::killed_after_gate_and_the_marks_lost,
    ))),
    holding_up(case(
        "18",
        "Redis lost while a shard is down",
        "503 until both are back",
        gate::lost_while_a_shard_is_down,
    )),
    holding_up(FaultCase {
        plan: DeploymentPlan { roles: &["all", "api"], load_on: 1, ..DeploymentPlan::PLAIN },
        ..case(
            "18b",
            "Redis emptied while the only consumer is frozen",
            "503 until what waits in the queues is stored",
            frozen::the_consumer,
        )
    }),
    from_within(FaultCase {
        plan: DeploymentPlan { roles: &["api", "all"], load_on: 1, ..DeploymentPlan::PLAIN },
        ..case(
            "19",
            "a process frozen between gate and hand-over while the gate is lost, filled and sold out",
            "what it hands over late is refused",
            frozen::while_the_gate_is_lost,
        )
    }),
    from_within(FaultCase {
        plan: DeploymentPlan { roles: &["api", "all"], load_on: 1, ..DeploymentPlan::PLAIN },
        ..case(
            "19b",
            "the same, and main put back to before the gate's epoch",
            "no epoch is given out twice, and what it hands over late is refused",
            frozen::while_main_forgets_the_epoch,
        )
    }),
    from_within(case("20", "the clock set back by 5 s", "grabs go on, ids ascend", services::clock_set_back)),
    from_within(FaultCase {
        plan: DeploymentPlan { at_midnight: true, ..DeploymentPlan::PLAIN },
        afterwards: services::both_days_have_results,
        ..case("21", "midnight passes", "grabs go on in the next day's tables", services::midnight)
    }),
    case(
        "22",
        "a shard's disk full for 10 s",
        "grabs go on, stored when there is room",
        databases::disk_full,
    ),
    FaultCase {
        plan: DeploymentPlan { proxied: Proxied::Clients, ..DeploymentPlan::PLAIN },
        ..holding_up(case(
            "23a",
            "answers to clients cut in the middle",
            "whoever asks again is told",
            network::cuts,
        ))
    },
    FaultCase {
        plan: DeploymentPlan { proxied: Proxied::Redis, ..DeploymentPlan::PLAIN },
        ..of_one_redis(holding_up(case(
            "23b",
            "answers of Redis cut in the middle, then all packets lost for 5 s",
            "503 meanwhile",
            network::cuts_and_swallows,
        )))
    },
    FaultCase {
        plan: DeploymentPlan { proxied: Proxied::RabbitMq, ..DeploymentPlan::PLAIN },
        ..holding_up(case(
            "23c",
            "answers of RabbitMQ cut in the middle, then all packets lost for 5 s",
            "503 meanwhile",
            network::cuts_and_swallows,
        ))
    },
    FaultCase {
        afterwards: broker::poison_is_parked,
        ..case(
            "24",
            "a message in each shard's queue that nobody can read",
            "parked, storing goes on",
            broker::poisoned,
        )
    },
    from_within(case(
        "25",
        "a result that contradicts another, handed over",
        "parked, and nothing else is",
        services::contradicted,
    )),
    holding_up(case("26", "Redis emptied while it runs", FROM_SHARDS, gate::emptied)),
    holding_up(case("27", "Redis frozen for 8 s", UNTIL_BACK, gate::paused)),
    holding_up(case("28", "Redis full, and not allowed to forget", "503 until it has room", gate::full)),
    holding_up(case("29", "RabbitMQ's disk full", "503 until it takes messages again", broker::disk_full)),
    from_within(holding_up(case(
        "30",
        "the process that fills the gate killed while it does",
        "another fills it",
        filling::killed,
    ))),
    from_within(holding_up(case(
        "30b",
        "a shard killed while the gate is filled",
        "503 until it is back",
        filling::shard_lost,
    ))),
    from_within(holding_up(FaultCase {
        afterwards: filling::never_opened_half_full,
        ..case(
            "31",
            "Redis emptied again while the gate is filled",
            "filled once more, and never opened half-full",
            filling::lost_again,
        )
    })),
    behind(
        Proxied::Main,
        case("32a", "answers of main lost for 8 s", "grabs go on", network::swallows_answers),
    ),
    behind(
        Proxied::Main,
        case("32b", "all packets to and from main lost for 8 s", "grabs go on", network::swallows_everything),
    ),
    behind(
        Proxied::Shards,
        case("33a", "answers of a shard lost for 8 s", "grabs go on", network::swallows_answers_of_a_shard),
    ),
    behind(
        Proxied::Shards,
        case(
            "33b",
            "all packets to and from a shard lost for 8 s",
            "grabs go on",
            network::swallows_everything_of_a_shard,
        ),
    ),
    case(
        "34",
        "every process restarted, one after the other",
        "the other goes on",
        services::restarted_in_turn,
    ),
    holding_up(case(
        "35",
        "every process told to end at once (SIGTERM), started again",
        "each ends in good order",
        services::all_told_to_end,
    )),
    from_within(case(
        "36a",
        "the clock of one of two processes an hour ahead for a while",
        "it answers 503 and says why, the other goes on",
        clocks::ahead,
    )),
    from_within(case(
        "36b",
        "the clock of one of two processes an hour behind for a while",
        "it answers 503 and says why, the other goes on",
        clocks::behind,
    )),
    case(
        "37",
        "the worker numbers of all processes given to somebody else",
        "each leases others, ids stay unique",
        leases::given_away,
    ),
    case(
        "38",
        "main put back to before an epoch of the gate, and to before much that it was told",
        "its books stand still until `seeder books --rebuild`, no epoch twice",
        copies::main_put_back,
    ),
    case(
        "39",
        "a shard failed over to a stale replica, until its full copy is back",
        "refused by name, nothing stored there, its grabs wait",
        copies::stale_shard_promoted,
    ),
    FaultCase {
        plan: DeploymentPlan { history: 3_000, ..DeploymentPlan::PLAIN },
        ..case(
            "40",
            "old results archived, and a reset asked for, while services run",
            "grabs go on, the reset is refused",
            operations::archived_and_reset,
        )
    },
    from_within(case(
        "41",
        "a process killed between a result's row and the gate, as it is handed back",
        "its stock is free later, and sold once",
        given_back::killed_between,
    )),
    from_within(holding_up(FaultCase {
        plan: DeploymentPlan { roles: &["api", "all"], load_on: 1, ..DeploymentPlan::PLAIN },
        ..case(
            "42",
            "Redis emptied while a process is frozen between a result's row and the gate, as it is handed back",
            "the gate is filled without what was handed back",
            given_back::lost_between,
        )
    })),
    from_within(growing(case(
        "43",
        "four shards become eight, and the process that moves rows killed with some on their way",
        "another process goes on with it, and grabs go on",
        growth::mover_killed,
    ))),
    FaultCase {
        plan: DeploymentPlan { roles: &["all", "api"], ..GROWING },
        ..case(
            "43b",
            "four shards become eight, and the process that moves no rows killed half-way",
            "rows go on moving, and grabs go on",
            growth::other_killed,
        )
    },
    growing(case(
        "44",
        "four shards become eight, and the server of two of them killed half-way",
        "rows go on moving when it is back, and grabs go on",
        growth::shard_killed,
    )),
    from_within(FaultCase {
        plan: DeploymentPlan { roles: &["api", "all"], load_on: 1, ..GROWING },
        ..case(
            "45",
            "a process frozen between gate and hand-over while four shards become eight and rows move",
            "what it hands over late is stored once, where it is found",
            growth::frozen_across,
        )
    }),
    FaultCase {
        plan: DeploymentPlan {
            roles: &["all", "api"],
            load_on: 1,
            prepared: growth::SHARDS,
            proxied: Proxied::MainOfFirst,
            ..DeploymentPlan::PLAIN
        },
        ..case(
            "46",
            "the only process that stores cut off from main while four shards become eight, and asked for coupons",
            "it grants nothing that it would place by the layout before, and stores what others grant",
            growth::cut_off_across,
        )
    },
    from_within(FaultCase {
        plan: DeploymentPlan { load_on: 1, ..GROWING },
        ..case(
            "47",
            "the process that announces eight shards instead of four frozen before the gate has heard of it",
            "the other goes on by the layout before until the version is in force everywhere",
            growth::announced_late,
        )
    }),
    of_a_cluster(case(
        "h1",
        "one node of RabbitMQ of three killed, restarted",
        "grabs go on",
        cluster::one_killed,
    )),
    of_a_cluster(case(
        "h2",
        "the node of RabbitMQ that leads a queue killed, restarted",
        "grabs go on",
        cluster::leader_killed,
    )),
    of_a_cluster(case(
        "h3",
        "every node of RabbitMQ told to end (SIGTERM) and started again, one after the other",
        "grabs go on",
        cluster::restarted_in_turn,
    )),
    of_a_cluster(holding_up(case(
        "h4",
        "two nodes of RabbitMQ of three killed, restarted",
        "503 until there is a majority",
        cluster::majority_killed,
    ))),
    of_a_cluster(holding_up(case(
        "h5",
        "one node of RabbitMQ of three frozen for 16 s",
        "503 from processes that are connected to it, until they notice its silence",
        cluster::one_frozen,
    ))),
    of_a_cluster(case(
        "h6",
        "one node of RabbitMQ of three cut off from the others, both ways, for 10 s",
        "grabs go on, by the others",
        cluster::one_cut_off,
    )),
    of_sentinels(holding_up(case(
        "h7",
        "Redis killed, its replica elected by Sentinels",
        FROM_SHARDS,
        failover::primary_killed,
    ))),
    of_sentinels(holding_up(case(
        "h8",
        "Redis killed, a replica elected that lacks what it decided last",
        FROM_SHARDS,
        failover::stale_replica_elected,
    ))),
    of_sentinels(holding_up(case(
        "h9",
        "Redis frozen until its replica was elected and is filled, then woken",
        "503 until the gate is filled from the shards, and nothing of what it decides late",
        failover::primary_frozen,
    ))),
    of_sentinels(holding_up(case(
        "h10",
        "Redis replaced by its replica, and that by it again, by an operator",
        FROM_SHARDS,
        failover::changed_over_and_back,
    ))),
    of_replicas(case(
        "h11",
        "the primary of a shard killed, its replica promoted by an operator",
        "grabs go on; the replica stores them",
        promoted::shard_killed,
    )),
    of_replicas(case(
        "h12",
        "the primary of main killed, its replica promoted by an operator",
        "grabs go on; main is told later",
        promoted::main_killed,
    )),
    of_replicas(case(
        "h13",
        "a shard's replica made writable beside its primary, for a while",
        "neither is stored to, grabs wait in their queue",
        promoted::both_writable,
    )),
    of_gates(case(
        "g1",
        "one gate of two frozen for 8 s",
        "grabs of the other's coupons go on, and 503 for the others until it is back",
        gates::one_frozen,
    )),
    of_gates(case(
        "g2",
        "one gate of two killed, restarted without its file",
        "grabs of the other's coupons go on in its epoch; 503 for the others until the gate is filled from the shards",
        gates::one_restarted_without_its_file,
    )),
    of_gates(case(
        "g3",
        "one gate of two frozen, and the other emptied meanwhile",
        "the other is filled from the shards, and grabs of its coupons go on while the one is frozen",
        gates::one_frozen_while_the_other_is_emptied,
    )),
    of_gates(holding_up(case(
        "g4",
        "both gates emptied while they run",
        "503 until each is filled from the shards",
        gates::both_emptied,
    ))),
];

/// Processes that have opened more shards than the layout uses, and results that have a place to go to.
const GROWING: DeploymentPlan =
    DeploymentPlan { history: 3_000, prepared: growth::SHARDS, ..DeploymentPlan::PLAIN };

/// One in which the layout goes on over more shards.
const fn growing(case: FaultCase) -> FaultCase {
    FaultCase { plan: GROWING, ..case }
}
