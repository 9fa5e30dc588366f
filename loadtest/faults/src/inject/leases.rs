//! Worker numbers that are lost.

use std::time::Duration;

use anyhow::Result;
use coupon_lab::wait::{blocking, until};
use mysql_async::prelude::Queryable as _;

use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// How long processes may take to find out: each looks every half minute.
const NOTICED: Duration = Duration::from_secs(50);
/// Who has the numbers then.
const SOMEBODY: &str = "somebody else";

/// Main gives the numbers of every process to somebody else, who never uses them.
pub(crate) fn given_away(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    let held = scene.subjects.iter().map(|subject| give_away(scene, subject)).collect::<Result<Vec<_>>>()?;
    let mut leased = Vec::new();
    for (subject, held) in scene.subjects.iter().zip(&held) {
        until("the processes have leased other numbers", NOTICED, || {
            Ok(numbers(scene, subject)?.len() == held.len())
        })?;
        leased.push(numbers(scene, subject)?);
    }
    scene.lifted();
    let each = scene.subjects.iter().zip(held.iter().zip(&leased));
    let told = each.map(|(subject, (held, leased))| {
        format!("{} lost the numbers {} and leased {}", subject.name, listed(held), listed(leased))
    });
    let anew = held.iter().zip(&leased).all(|(held, leased)| is_anew(held, leased));
    Proof::when(anew, told.collect::<Vec<_>>().join("; "))
}

/// Gives the numbers of a service away, and says which they were.
fn give_away(scene: &Scene<'_>, subject: &Subject) -> Result<Vec<u16>> {
    let held = numbers(scene, subject)?;
    let main = scene.main(subject)?;
    blocking(async {
        let mut conn = main.connect_alone().await?;
        conn.exec_drop("UPDATE worker_leases SET holder = ?", (SOMEBODY,)).await?;
        Ok(conn.disconnect().await?)
    })?;
    Ok(held)
}

/// The numbers that processes of a service hold by what main says.
fn numbers(scene: &Scene<'_>, subject: &Subject) -> Result<Vec<u16>> {
    let main = scene.main(subject)?;
    blocking(async {
        let mut conn = main.connect_alone().await?;
        let sql = "SELECT worker FROM worker_leases WHERE holder <> ? ORDER BY worker";
        let numbers = conn.exec(sql, (SOMEBODY,)).await?;
        conn.disconnect().await?;
        Ok(numbers)
    })
}

/// As many as there were, and none of those.
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
