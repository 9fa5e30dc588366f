//! The plan of a case's deployment: the processes of each service, and the proxies between them, clients and servers.

use std::net::SocketAddr;
use std::slice;
use std::time::Duration;

use anyhow::{Context, Result};
use coupon_core::Timestamp;

use super::ablation::Ablation;
use super::context::CaseContext;
use super::proxy::FaultProxy;

/// The processes of each service, their data and the networks between them.
#[derive(Debug, Clone, Copy)]
pub struct DeploymentPlan {
    /// The role of each process of either service.
    pub roles: &'static [&'static str],
    /// The first process that the load goes to.
    pub load_on: usize,
    /// The services start just before midnight, by their clocks.
    pub at_midnight: bool,
    /// The number of results of the past that there are from the beginning.
    pub history: u64,
    /// The shards that every process opens at least, whether or not its layout uses them.
    pub prepared: u16,
    /// True if the data sets have a room index.
    pub room_index: bool,
    /// The connections that pass through proxies.
    pub(super) proxied: Proxied,
}

impl DeploymentPlan {
    /// Two processes that do everything, and no proxy.
    pub(super) const PLAIN: Self = Self {
        roles: &["all", "all"],
        load_on: 0,
        at_midnight: false,
        history: 0,
        prepared: 1,
        room_index: false,
        proxied: Proxied::Nothing,
    };

    /// The same, on data sets that have a room index.
    pub(super) const INDEXED: Self = Self { room_index: true, ..Self::PLAIN };
}

/// The time to midnight that the services' clocks show when they start.
pub(super) const TO_MIDNIGHT: Duration = Duration::from_secs(12);

/// The plan of one process: everything that a case decides about its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessPlan {
    /// Its name among the processes of the case.
    pub(super) name: String,
    /// Its role.
    pub(super) role: &'static str,
    /// The fail points that are on when it starts: the name and text of each file in its folder of them.
    pub(super) fail_points: Vec<(String, String)>,
    /// True if its connections pass through the proxies, where there are any in front of servers.
    pub(super) proxied: bool,
}

impl DeploymentPlan {
    /// The plans of a service's processes, without a mechanism and with so many milliseconds added to their clocks.
    pub(super) fn processes(
        &self,
        service: &str,
        ablation: Option<&Ablation>,
        clock: Option<i64>,
    ) -> Vec<ProcessPlan> {
        let left_out = ablation.map(|ablation| (ablation.file(), String::new()));
        let clock = clock.map(|offset| ("clock".to_owned(), offset.to_string()));
        let fail_points: Vec<(String, String)> = left_out.into_iter().chain(clock).collect();
        let process = |(number, role): (usize, &&'static str)| ProcessPlan {
            name: format!("{service}-{number}"),
            role,
            fail_points: fail_points.clone(),
            proxied: self.proxied != Proxied::MainOfFirst || number == 0,
        };
        self.roles.iter().enumerate().map(process).collect()
    }

    /// The milliseconds that the services' clocks must be ahead, if they are to see midnight.
    pub(super) fn clock(&self, now: Timestamp) -> Option<i64> {
        let to_midnight = TO_MIDNIGHT.as_secs().cast_signed() * 1_000;
        self.at_midnight.then(|| now.day().next().start().millis() - now.millis() - to_midnight)
    }
}

/// The connections that pass through proxies, so that their network can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxied {
    /// None.
    Nothing,
    /// The connections between clients and services.
    Clients,
    /// The connections between services and Redis.
    Redis,
    /// The connections between services and RabbitMQ.
    RabbitMq,
    /// The connections between services and main.
    Main,
    /// Those between the first process of each service and main.
    MainOfFirst,
    /// The connections between services and the shards.
    Shards,
}

impl Proxied {
    /// The setting that names the proxied servers to services, and the addresses of the servers themselves.
    fn servers(self, context: &CaseContext<'_>) -> Option<(&'static str, Vec<String>)> {
        let settings = context.site.settings();
        let (name, servers) = match self {
            Self::Nothing | Self::Clients => return None,
            Self::Redis => ("COUPON__SERVERS__REDIS", settings.redis.as_slice()),
            Self::RabbitMq => ("COUPON__SERVERS__RABBITMQ", settings.rabbitmq.as_slice()),
            Self::Main | Self::MainOfFirst => ("COUPON__SERVERS__MAIN", slice::from_ref(&settings.main)),
            Self::Shards => ("COUPON__SERVERS__SHARDS", settings.shards.as_slice()),
        };
        // A replica stays out of it.
        let first = servers.iter().filter_map(|url| Some(url.each().next()?.expose().to_owned()));
        Some((name, first.collect()))
    }

    /// Starts the proxies in front of servers.
    pub(super) fn proxies(self, context: &CaseContext<'_>) -> Result<Vec<FaultProxy>> {
        let Some((_, urls)) = self.servers(context) else { return Ok(Vec::new()) };
        urls.iter().map(|url| FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], port(url)?)))).collect()
    }

    /// The variable that leads services to the proxies instead of the servers.
    pub(super) fn environment(
        self,
        context: &CaseContext<'_>,
        proxies: &[FaultProxy],
    ) -> Result<Vec<(&'static str, String)>> {
        let Some((name, urls)) = self.servers(context) else { return Ok(Vec::new()) };
        let led = urls.iter().zip(proxies).map(|(url, proxy)| {
            Ok(url.replace(&format!("127.0.0.1:{}", port(url)?), &proxy.address.to_string()))
        });
        Ok(vec![(name, led.collect::<Result<Vec<String>>>()?.join(","))])
    }
}

fn port(url: &str) -> Result<u16> {
    url::Url::parse(url)?.port().context("the server has no port")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ablation::ABLATIONS;
    use crate::cases::CASES;

    #[test]
    fn the_processes_of_a_case_have_names_of_their_own_its_roles_and_no_fail_point_on() {
        for case in CASES {
            let processes = case.plan.processes("hash", None, None);
            let names: BTreeSet<&str> = processes.iter().map(|process| process.name.as_str()).collect();
            assert_eq!(names.len(), processes.len(), "case {}", case.id);
            let roles: Vec<&str> = processes.iter().map(|process| process.role).collect();
            assert_eq!(roles, case.plan.roles, "case {}", case.id);
            assert!(processes.iter().all(|process| process.fail_points.is_empty()), "case {}", case.id);
        }
    }

    #[test]
    fn the_load_of_a_case_goes_to_a_process_that_takes_grabs() {
        for case in CASES {
            let role = case.plan.roles.get(case.plan.load_on).copied();
            assert!(matches!(role, Some("all" | "api")), "case {}: {role:?}", case.id);
        }
    }

    #[test]
    fn every_case_has_a_process_that_stores_what_was_granted() {
        for case in CASES {
            let stores = case.plan.roles.iter().any(|role| matches!(*role, "all" | "consumer"));
            assert!(stores, "case {}", case.id);
        }
    }

    #[test]
    fn a_mechanism_is_left_out_of_every_process_and_nothing_else_changes() {
        for ablation in ABLATIONS {
            let plan = DeploymentPlan::PLAIN;
            let processes = plan.processes("hash", Some(ablation), None);
            for (without, with) in processes.into_iter().zip(plan.processes("hash", None, None)) {
                assert_eq!(without.fail_points, [(ablation.file(), String::new())]);
                assert_eq!((without.name, without.role), (with.name, with.role));
            }
        }
    }

    #[test]
    fn clocks_that_are_to_see_midnight_show_the_moment_before_it_and_no_others_are_moved() {
        let (day, lead) = (86_400_000, 12_000);
        for at in [0, 1, day / 2, day - lead, day - 1] {
            let now = Timestamp::from_millis(20_000 * day + at);
            for case in CASES {
                let shown = case.plan.clock(now).map(|ahead| (now.millis() + ahead).rem_euclid(day));
                assert_eq!(shown, case.plan.at_midnight.then_some(day - lead), "case {}", case.id);
            }
        }
        assert!(CASES.iter().any(|case| case.plan.at_midnight));
        let process = DeploymentPlan::PLAIN.processes("hash", None, Some(-7)).remove(0);
        assert_eq!(process.fail_points, [("clock".to_owned(), "-7".to_owned())]);
    }
}
