//! What operators do while services run.

use anyhow::{Context, Result};
use coupon_core::Timestamp;
use coupon_seeding::{SeedOptions, Silent};

use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// Old results are archived, and then somebody wants to seed the data set anew.
pub(crate) fn archived_and_reset(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    let seen =
        scene.subjects.iter().map(|subject| archive_and_reset(scene, subject)).collect::<Result<Vec<_>>>()?;
    scene.lifted();
    let all = seen.iter().all(|(took_effect, _)| *took_effect);
    Proof::when(all, seen.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("; "))
}

fn archive_and_reset(scene: &Scene<'_>, subject: &Subject) -> Result<(bool, String)> {
    let settings = scene.stage.site.of(&subject.namespace);
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let archived = coupon_seeding::archive_servers(&settings, None, now.day(), now, &mut Silent);
    let archived = archived.context("seeder archive")?;
    let retired = archived.rows_dropped + archived.rows_deleted;
    let options =
        SeedOptions { users: 1, rooms: 1, hot_rooms: 1, coupons_per_room: 1, ..SeedOptions::default() };
    let reset = coupon_seeding::seed_servers(&settings, &*subject.strategy, &options, true, &mut Silent);
    let said = reset.map_or_else(|error| format!("{error:#}"), |_| "the data is gone".to_owned());
    let refused = said.contains("services are at work on data set");
    scene.expect(refused, format!("{}: --reset beside running services: {said}", subject.name));
    Ok((retired > 0, format!("{}: {retired} old results retired, and --reset refused", subject.name)))
}
