//! Policies of RabbitMQ's that drop what a queue has confirmed.

use std::num::NonZeroU64;

use coupon_store::settings::{Role, ServersSettings};
use coupon_store::{Backend, Decision};

use crate::alone;
use crate::bench::{Bench, PLENTY, grab, held_by, open_process, options, remaining, run, stack};
use crate::outage_log::{listen, saying, since_then};

fn open(bench: &Bench, role: Role) -> Backend {
    let settings =
        ServersSettings { role, reconcile_ms: NonZeroU64::new(200).unwrap(), ..bench.settings().clone() };
    open_process(bench, &options(&settings)).unwrap()
}

#[test]
fn what_a_policy_drops_is_handed_over_again_before_anybody_is_told_that_all_is_stored() {
    let _alone = alone();
    listen();
    for policy in [r#"{"max-length":1,"overflow":"drop-head"}"#, r#"{"message-ttl":1}"#] {
        run(&Bench::servers(), async |bench| {
            // The gate is filled through a consumer, which then ends.
            let consumer = open(bench, Role::Consumer);
            let backend = open(bench, Role::Api);
            consumer.lifecycle.close();
            let queues = format!("^{}\\.", bench.settings().namespace);
            stack().rabbitmqctl(&["set_policy", "drops", &queues, policy, "--apply-to", "queues"]).unwrap();
            for user in 1..=10 {
                assert_eq!(grab(&backend, bench, user, PLENTY).await, Decision::Granted(0));
            }
            since_then();
            stack().rabbitmqctl(&["clear_policy", "drops"]).unwrap();
            let consumer = open(bench, Role::Consumer);
            backend.lifecycle.drain().await.unwrap();
            for user in 1..=10 {
                assert_eq!(held_by(&backend, user).await.len(), 2, "{policy}: user {user}");
            }
            assert_eq!(remaining(&backend, PLENTY).await, 990, "{policy}");
            consumer.lifecycle.close();
            backend.lifecycle.close();
            let lines = since_then();
            let told = lines.iter().any(|line| {
                let said = line["message"].as_str().unwrap_or_default();
                said.contains("policy") && said.contains("max-length") && said.contains("message-ttl")
            });
            assert!(told, "{policy}: {lines:#?}");
            assert!(saying(&lines, "a task panicked").is_empty(), "{lines:#?}");
        });
    }
}
