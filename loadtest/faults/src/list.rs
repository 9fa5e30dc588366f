//! The faults, in the order of their rows.

use anyhow::Result;

use super::casting::{Between, Casting};
use super::inject::{
    broker, clocks, copies, databases, filling, frozen, gate, leases, network, operations, services,
};
use super::proof::Proof;
use super::scene::Scene;

/// One way to break the system.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Its number, processes, clients and networks.
    pub casting: Casting,
    /// What is broken.
    pub name: &'static str,
    /// What is promised all the same, beside what is promised of every row: nothing lost, duplicate, oversold, invented
    /// or leaked, and every unclear grab has one truth.
    pub promised: &'static str,
    /// What it takes.
    pub needs: Needs,
    /// Whether grabs must go on while the fault is there.
    pub goes_on: bool,
    /// Breaks it and mends it again, under load, and proves that it took effect.
    pub(super) inject: fn(&Scene<'_>) -> Result<Proof>,
    /// Looks at what the audit does not, once everything is settled.
    pub(super) afterwards: fn(&Scene<'_>) -> Result<()>,
}

/// What a fault takes to be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but the servers.
    Servers,
    /// Services with fail points.
    FailPoints,
}

/// The fault of a row.
#[must_use]
pub fn find(id: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.casting.id == id)
}

fn nothing(_: &Scene<'_>) -> Result<()> {
    Ok(())
}

/// A row on two processes that do everything, where grabs go on.
const fn row(
    id: &'static str,
    name: &'static str,
    promised: &'static str,
    inject: fn(&Scene<'_>) -> Result<Proof>,
) -> Fault {
    Fault {
        casting: Casting::plain(id),
        name,
        promised,
        needs: Needs::Servers,
        goes_on: true,
        inject,
        afterwards: nothing,
    }
}

/// One where all grabs may have to wait.
const fn holding_up(fault: Fault) -> Fault {
    Fault { goes_on: false, ..fault }
}

/// One that is brought about from within a service.
const fn from_within(fault: Fault) -> Fault {
    Fault { needs: Needs::FailPoints, ..fault }
}

/// One with a network that can be broken between services and a server.
const fn behind(between: Between, fault: Fault) -> Fault {
    Fault { casting: Casting { between, ..fault.casting }, ..fault }
}

const HANDED_OVER_AGAIN: &str = "the results are handed over again";
const UNTIL_BACK: &str = "503 until it is back";
const FROM_SHARDS: &str = "503 until the gate is filled from the shards";

/// Every row.
pub static FAULTS: &[Fault] = &[
    row("1", "one service process of two killed (-9), restarted", "the other goes on", services::one_killed),
    holding_up(row(
        "2",
        "both service processes killed (-9), restarted",
        "grabs go on with the first that is back",
        services::all_killed,
    )),
    from_within(row(
        "3",
        "a process killed between gate and hand-over",
        "the reservation is found, and stored",
        services::killed_after_gate,
    )),
    from_within(row(
        "4",
        "a process killed between confirmation and answer",
        "stored once; whoever asks again is told",
        services::killed_after_confirm,
    )),
    from_within(holding_up(row(
        "5",
        "a consumer killed between commit and ack",
        "stored once",
        services::killed_after_commit,
    ))),
    from_within(holding_up(row(
        "5b",
        "a consumer killed between commit and ack, and the gate emptied",
        "stored once",
        services::killed_after_commit_and_the_gate_lost,
    ))),
    row(
        "6",
        "a shard killed, restarted after 10 s",
        "grabs go on; reads name the missing shard",
        databases::shard_killed,
    ),
    row("7", "a shard frozen for 10 s", "grabs go on; reads name the missing shard", databases::shard_paused),
    row(
        "8",
        "the main database killed, restarted after 10 s",
        "grabs go on; main is told later",
        databases::main_killed,
    ),
    holding_up(row("9", "RabbitMQ killed, restarted", UNTIL_BACK, broker::killed_and_restarted)),
    holding_up(row("10", "RabbitMQ frozen for 8 s", UNTIL_BACK, broker::paused)),
    holding_up(row(
        "11",
        "RabbitMQ short of memory",
        "503 until it takes messages again",
        broker::short_of_memory,
    )),
    row(
        "12",
        "a shard's queue deleted with results in it",
        "the queue is made again, the results handed over again",
        broker::queue_deleted,
    ),
    row("12b", "a shard's queue purged with results in it", HANDED_OVER_AGAIN, broker::purged),
    row(
        "12c",
        "a policy that lets queues keep one message, and drop the others",
        HANDED_OVER_AGAIN,
        broker::dropping_the_head,
    ),
    row("12d", "a policy that lets messages live for 10 ms", HANDED_OVER_AGAIN, broker::letting_messages_die),
    holding_up(Fault {
        casting: Casting { roles: &["all", "api"], load_on: 1, ..Casting::plain("12e") },
        ..row(
            "12e",
            "every queue deleted, and the only consumer killed, with acknowledged results in both",
            "pending until they are handed over again, and never unknown",
            frozen::the_consumer_whose_queues_are_deleted,
        )
    }),
    holding_up(row(
        "13",
        "Redis killed, restarted with its file",
        FROM_SHARDS,
        gate::restarted_with_its_file,
    )),
    holding_up(row(
        "14",
        "Redis killed, the last second cut off its file",
        FROM_SHARDS,
        gate::restarted_without_a_second,
    )),
    holding_up(row(
        "15",
        "Redis killed, restarted without its file",
        FROM_SHARDS,
        gate::restarted_without_its_file,
    )),
    holding_up(row("16", "Redis failed over to a stale replica", FROM_SHARDS, gate::stale_replica_promoted)),
    holding_up(row(
        "17",
        "Redis set to evict keys while it runs",
        "what it forgets is filled again",
        gate::evicting,
    )),
    from_within(holding_up(row(
        "17b",
        "a process killed between gate and hand-over, and the pending marks deleted",
        FROM_SHARDS,
        services::killed_after_gate_and_the_marks_lost,
    ))),
    holding_up(row(
        "18",
        "Redis lost while a shard is down",
        "503 until both are back",
        gate::lost_while_a_shard_is_down,
    )),
    holding_up(Fault {
        casting: Casting { roles: &["all", "api"], load_on: 1, ..Casting::plain("18b") },
        ..row(
            "18b",
            "Redis emptied while the only consumer is frozen",
            "503 until what waits in the queues is stored",
            frozen::the_consumer,
        )
    }),
    from_within(Fault {
        casting: Casting { roles: &["api", "all"], load_on: 1, ..Casting::plain("19") },
        ..row(
            "19",
            "a process frozen between gate and hand-over while the gate is lost, filled and sold out",
            "what it hands over late is refused",
            frozen::while_the_gate_is_lost,
        )
    }),
    from_within(Fault {
        casting: Casting { roles: &["api", "all"], load_on: 1, ..Casting::plain("19b") },
        ..row(
            "19b",
            "the same, and main put back to before the gate's epoch",
            "no epoch is given out twice, and what it hands over late is refused",
            frozen::while_main_forgets_the_epoch,
        )
    }),
    from_within(row("20", "the clock set back by 5 s", "grabs go on, ids ascend", services::clock_set_back)),
    from_within(Fault {
        casting: Casting { at_midnight: true, ..Casting::plain("21") },
        afterwards: services::both_days_have_results,
        ..row("21", "midnight passes", "grabs go on in the next day's tables", services::midnight)
    }),
    row("22", "a shard's disk full for 10 s", "grabs go on, stored when there is room", databases::disk_full),
    Fault {
        casting: Casting { between: Between::Clients, ..Casting::plain("23a") },
        ..holding_up(row(
            "23a",
            "answers to clients cut in the middle",
            "whoever asks again is told",
            network::cuts,
        ))
    },
    Fault {
        casting: Casting { between: Between::Redis, ..Casting::plain("23b") },
        ..holding_up(row(
            "23b",
            "answers of Redis cut in the middle, then all packets lost for 5 s",
            "503 meanwhile",
            network::cuts_and_swallows,
        ))
    },
    Fault {
        casting: Casting { between: Between::RabbitMq, ..Casting::plain("23c") },
        ..holding_up(row(
            "23c",
            "answers of RabbitMQ cut in the middle, then all packets lost for 5 s",
            "503 meanwhile",
            network::cuts_and_swallows,
        ))
    },
    Fault {
        afterwards: broker::poison_is_parked,
        ..row(
            "24",
            "a message in each shard's queue that nobody can read",
            "parked, storing goes on",
            broker::poisoned,
        )
    },
    from_within(row(
        "25",
        "a result that contradicts another, handed over",
        "parked, and nothing else is",
        services::contradicted,
    )),
    holding_up(row("26", "Redis emptied while it runs", FROM_SHARDS, gate::emptied)),
    holding_up(row("27", "Redis frozen for 8 s", UNTIL_BACK, gate::paused)),
    holding_up(row("28", "Redis full, and not allowed to forget", "503 until it has room", gate::full)),
    holding_up(row("29", "RabbitMQ's disk full", "503 until it takes messages again", broker::disk_full)),
    from_within(holding_up(row(
        "30",
        "the process that fills the gate killed while it does",
        "another fills it",
        filling::killed,
    ))),
    from_within(holding_up(row(
        "30b",
        "a shard killed while the gate is filled",
        "503 until it is back",
        filling::shard_lost,
    ))),
    from_within(holding_up(Fault {
        afterwards: filling::never_opened_half_full,
        ..row(
            "31",
            "Redis emptied again while the gate is filled",
            "filled once more, and never opened half-full",
            filling::lost_again,
        )
    })),
    behind(
        Between::Main,
        row("32a", "answers of main lost for 8 s", "grabs go on", network::swallows_answers),
    ),
    behind(
        Between::Main,
        row("32b", "all packets to and from main lost for 8 s", "grabs go on", network::swallows_everything),
    ),
    behind(
        Between::Shards,
        row("33a", "answers of a shard lost for 8 s", "grabs go on", network::swallows_answers_of_a_shard),
    ),
    behind(
        Between::Shards,
        row(
            "33b",
            "all packets to and from a shard lost for 8 s",
            "grabs go on",
            network::swallows_everything_of_a_shard,
        ),
    ),
    row(
        "34",
        "every process restarted, one after the other",
        "the other goes on",
        services::restarted_in_turn,
    ),
    holding_up(row(
        "35",
        "every process told to end at once (SIGTERM), started again",
        "each ends in good order",
        services::all_told_to_end,
    )),
    from_within(row(
        "36a",
        "the clock of one of two processes an hour ahead for a while",
        "it answers 503 and says why, the other goes on",
        clocks::ahead,
    )),
    from_within(row(
        "36b",
        "the clock of one of two processes an hour behind for a while",
        "it answers 503 and says why, the other goes on",
        clocks::behind,
    )),
    row(
        "37",
        "the worker numbers of all processes given to somebody else",
        "each leases others, ids stay unique",
        leases::given_away,
    ),
    row(
        "38",
        "main put back to before an epoch of the gate, and to before much that it was told",
        "its books stand still until `seeder books --rebuild`, no epoch twice",
        copies::main_put_back,
    ),
    row(
        "39",
        "a shard failed over to a stale replica, until its full copy is back",
        "refused by name, nothing stored there, its grabs wait",
        copies::stale_shard_promoted,
    ),
    Fault {
        casting: Casting { history: 3_000, ..Casting::plain("40") },
        ..row(
            "40",
            "old results archived, and a reset asked for, while services run",
            "grabs go on, the reset is refused",
            operations::archived_and_reset,
        )
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_has_a_number_of_its_own_by_which_it_is_found() {
        let ids: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.casting.id).collect();
        assert_eq!(ids.len(), FAULTS.len());
        assert!(
            FAULTS.iter().all(|fault| find(fault.casting.id).is_some_and(|found| found.name == fault.name))
        );
        assert!(find("0").is_none());
    }

    #[test]
    fn every_row_says_what_is_broken_and_what_is_promised_in_a_line() {
        for Fault { name, promised, casting, .. } in FAULTS {
            assert!(!name.is_empty() && !promised.is_empty(), "{}", casting.id);
            assert!(
                !format!("{name}{promised}").contains(['|', '\n']),
                "{}: it would break the table",
                casting.id
            );
        }
    }

    #[test]
    fn a_load_goes_to_a_process_that_takes_grabs() {
        for Fault { casting, .. } in FAULTS {
            let roles = casting.roles.get(casting.load_on..).unwrap_or_default();
            assert!(!roles.is_empty() && roles.iter().all(|role| *role != "consumer"), "{}", casting.id);
        }
    }
}
