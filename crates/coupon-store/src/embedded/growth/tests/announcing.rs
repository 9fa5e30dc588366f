//! Versions: who may announce one, and which rows it has.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn rows_are_written_by_the_version_of_their_time_and_move_to_the_latest() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let mut rows = sell(&folder, &backend, 1..200).await;
    change(&folder, &backend, PREPARED, 2).await;
    rows.extend(sell(&folder, &backend, 200..300).await);
    let before = stored(&folder, &backend).await;
    let at = |row: &CouponResult| before[&row.result_id].0.shard.number();
    assert!(rows[..199].iter().all(|row| at(row) == (row.user_id.get() % 2) as u16));
    assert!(rows[199..].iter().all(|row| at(row) == (row.user_id.get() % 5) as u16));

    let moving = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    assert_eq!((moving.to, moving.rows), (2, 299));
    let moving = finished(&backend).await;
    let away = rows[..199].iter().filter(|row| {
        before[&row.result_id].0 != Remainder { shards: 5, tables: 2 }.place(&row.key()).unwrap()
    });
    assert_eq!((moving.moved, moving.trouble), (away.count() as u64, None));
    assert_all_at_home(&folder, &backend, &rows).await;
    let records = backend.growth.versions().await.unwrap();
    let told: Vec<_> = records.iter().map(|record| (record.number, record.receives, record.closed)).collect();
    assert_eq!(told, [(1, false, true), (2, true, false)]);
    assert_eq!(backend.layouts.now().versions().len(), 1, "plans are narrow again");
    let latest: Vec<String> =
        backend.catalogue.changes(3).await.unwrap().into_iter().map(|change| change.what).collect();
    assert!(latest[0].contains("every row is where version 2"), "{latest:?}");
    assert!(latest[2].contains("over 5 shards"), "{latest:?}");
    assert!(backend.growth.start_moving(UNTHROTTLED, operator()).await.is_err(), "there is nothing to move");
    backend.lifecycle.close();
    drop(backend);

    // Whichever of the two layouts a service is set to, it goes by what main has.
    for (shards, tables) in [(2, 1), (5, 2)] {
        let again = folder.open_as(Remainder { shards, tables }).unwrap();
        assert_all_at_home(&folder, &again, &rows).await;
        again.lifecycle.close();
    }
    let refused = folder.open_as(Remainder { shards: 3, tables: 1 }).unwrap_err();
    assert!(format!("{refused:#}").contains("remainder, 2 tables, 5 shards"), "{refused:#}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_that_cannot_be_made_is_refused_for_what_is_in_its_way() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let refused = async |shards, tables| match announce(&backend, shards, tables).await.unwrap_err() {
        GrowthError::Refused(why) => why,
        other => panic!("{other}"),
    };
    assert!(refused(6, 1).await.contains("5 are prepared"));
    assert!(refused(2, 1).await.contains("so already"));
    let why = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap_err().to_string();
    assert!(why.contains("nothing to move"), "{why}");
    announce(&backend, 3, 1).await.unwrap();
    assert!(refused(4, 1).await.contains("in force from"));
    let why = backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap_err().to_string();
    assert!(why.contains("in force from"), "{why}");
    folder.pass(1_000);
    let stale =
        NextLayout { after: 1, strategy: Arc::new(Remainder { shards: 4, tables: 1 }), what: String::new() };
    let why = backend.growth.announce(stale, operator()).await.unwrap_err().to_string();
    assert!(why.contains("at version 2 by now"), "{why}");
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn an_id_ahead_of_the_clock_is_before_the_version_that_is_announced_after_it() {
    let folder = DataFolder::new();
    let backend = folder.open();
    folder.pass(8_000);
    let ahead = row(&folder, 7, 0);
    hand_over(&backend, &[ahead]).await;
    // The clock is set back, as far as ids go on.
    folder.pass(-8_000);
    let from = announce(&backend, 5, 1).await.unwrap();
    assert!(from > ahead.grab_time);
    assert_eq!(
        backend.layouts.now().place(&ahead.key()).unwrap(),
        Placement::new(ShardId::new(1), TableId::Part(0))
    );
    backend.lifecycle.close();
}
