//! Worker numbers that are lost.

use std::time::Duration;

use anyhow::Result;
use coupon_lab::wait::{blocking, until};
use mysql_async::prelude::Queryable as _;

use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::service::TestedService;

/// The time that processes may take to notice: each looks every half minute.
const NOTICED: Duration = Duration::from_secs(50);
/// The holder of the numbers then.
const SOMEBODY: &str = "somebody else";

/// Main gives the numbers of every process to another, which never uses them.
pub(crate) fn given_away(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let held = deployment
        .services
        .iter()
        .map(|service| give_away(deployment, service))
        .collect::<Result<Vec<_>>>()?;
    let mut leased = Vec::new();
    for (service, held) in deployment.services.iter().zip(&held) {
        until("the processes have leased other numbers", NOTICED, || {
            Ok(numbers(deployment, service)?.len() == held.len())
        })?;
        leased.push(numbers(deployment, service)?);
    }
    deployment.fault_ends();
    let each = deployment.services.iter().zip(held.iter().zip(&leased));
    let seen = each.map(|(service, (held, leased))| {
        format!("{} lost the numbers {} and leased {}", service.name, listed(held), listed(leased))
    });
    let anew = held.iter().zip(&leased).all(|(held, leased)| is_anew(held, leased));
    Proof::when(anew, seen.collect::<Vec<_>>().join("; "))
}

/// Gives the numbers of a service away, and says which they were.
fn give_away(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<Vec<u16>> {
    let held = numbers(deployment, service)?;
    let main = deployment.main(service)?;
    blocking(async {
        let mut conn = main.connect_alone().await?;
        conn.exec_drop("UPDATE worker_leases SET holder = ?", (SOMEBODY,)).await?;
        Ok(conn.disconnect().await?)
    })?;
    Ok(held)
}

/// The numbers that processes of a service hold by what main says.
fn numbers(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<Vec<u16>> {
    let main = deployment.main(service)?;
    blocking(async {
        let mut conn = main.connect_alone().await?;
        let sql = "SELECT worker FROM worker_leases WHERE holder <> ? ORDER BY worker";
        let numbers = conn.exec(sql, (SOMEBODY,)).await?;
        conn.disconnect().await?;
        Ok(numbers)
    })
}

/// True if there are as many as there were, and none of those.
fn is_anew(held: &[u16], leased: &[u16]) -> bool {
    !held.is_empty() && held.len() == leased.len() && leased.iter().all(|number| !held.contains(number))
}

fn listed(numbers: &[u16]) -> String {
    numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_leased_anew_when_none_of_them_was_held_before() {
        assert!(is_anew(&[0, 1], &[2, 3]));
        assert!(!is_anew(&[0, 1], &[1, 2]));
        assert!(!is_anew(&[0, 1], &[2]));
        assert!(!is_anew(&[], &[]));
    }
}
