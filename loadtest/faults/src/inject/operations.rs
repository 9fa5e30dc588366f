//! Work of operators while services run.

use anyhow::{Context, Result};
use coupon_core::catalogue_change::Operator;
use coupon_seeding::{SeedOptions, Silent};
use coupon_store::NotOver;

use crate::context::now;
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::service::TestedService;

/// Old results are archived, and then the data set is to be seeded anew.
pub(crate) fn archived_and_reset(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let seen = deployment
        .services
        .iter()
        .map(|service| archive_and_reset(deployment, service))
        .collect::<Result<Vec<_>>>()?;
    deployment.fault_ends();
    let all = seen.iter().all(|(took_effect, _)| *took_effect);
    Proof::when(all, seen.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; "))
}

fn archive_and_reset(deployment: &CaseDeployment<'_>, service: &TestedService) -> Result<(bool, String)> {
    let settings = deployment.context.site.of(&service.namespace);
    let now = now();
    let (before, operator) = (NotOver::latest(now), Operator::new("faults")?);
    let archived = coupon_seeding::archive_servers(&settings, None, before, &operator, now, &mut Silent);
    let archived = archived.context("seeder archive")?;
    let retired = archived.rows_dropped + archived.rows_deleted;
    let options =
        SeedOptions { users: 1, rooms: 1, hot_rooms: 1, coupons_per_room: 1, ..SeedOptions::default() };
    let reset = coupon_seeding::seed_servers(&settings, &*service.strategy, &options, true, &mut Silent);
    let said = reset.map_or_else(|error| format!("{error:#}"), |_| "the data is gone".to_owned());
    let refused = said.contains("services are at work on data set");
    deployment.record.expect(refused, format!("{}: --reset beside running services: {said}", service.name));
    Ok((retired > 0, format!("{}: {retired} old results retired, and --reset refused", service.name)))
}
