//! Rows that move, and everything else meanwhile.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn a_row_takes_its_steps_while_rows_move_and_holds_expire_where_they_are() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let total_stock = Some(5_000);
    let more = CouponPatch { total_stock, ..CouponPatch::default() };
    let more = CatalogueChange::ChangeCoupon(CouponId::new(1).unwrap(), more);
    backend.catalogue.change(more, operator()).await.unwrap();
    let rows = sell(&folder, &backend, 1..1_500).await;
    change(&folder, &backend, 3, 1).await;
    backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
    let mut confirmed = 0;
    for row in rows.iter().filter(|row| row.state == ResultState::Held).step_by(3) {
        let step = Change {
            user: row.user_id,
            id: row.result_id,
            action: Action::Confirm,
            time: folder.clock.now(),
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        'found: loop {
            assert!(Instant::now() < deadline, "{} was never found", row.result_id);
            let places = backend.layouts.look(|versions| versions.places(&row.key())).unwrap();
            for place in places {
                match backend.shards.change(place, step).await.unwrap() {
                    Changed::Now(_) => break 'found,
                    Changed::Stands(stands) => panic!("{stands:?}"),
                    Changed::NotFound => {}
                }
            }
        }
        confirmed += 1;
    }
    finished(&backend).await;
    let owned = |stored: &BTreeMap<ResultId, (Placement, CouponResult)>, state| {
        stored.values().filter(|(_, row)| row.state == state && row.state_time.is_some()).count()
    };
    let all = stored(&folder, &backend).await;
    assert_eq!(owned(&all, ResultState::Owned), confirmed);
    assert_all_at_home(&folder, &backend, &rows).await;
    let coupon = async || {
        backend.catalogue.coupon(CouponId::new(1).unwrap(), false).await.unwrap().unwrap().0.remaining_stock
    };
    let before = coupon().await;
    folder.pass(HOLD_MS);
    let held = rows.iter().filter(|row| row.state == ResultState::Held).count();
    let deadline = Instant::now() + Duration::from_secs(60);
    for shard in backend.layouts.shards() {
        while !backend.shards.held(shard).await.unwrap().value.is_empty() {
            assert!(Instant::now() < deadline, "what is due does not expire");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(owned(&stored(&folder, &backend).await, ResultState::Expired), held - confirmed);
    assert_eq!(
        backend.catalogue.set_aside().0,
        0,
        "main's books take what a shard says of rows that came from another"
    );
    assert_eq!(coupon().await, before + (held - confirmed) as u32);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn what_comes_late_is_stored_once_wherever_its_row_is_by_then() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let mut rows = sell(&folder, &backend, 1..100).await;
    let late: Vec<CouponResult> = (100..200).map(|user| row(&folder, user, 1_000 + user as u16)).collect();
    let old = |row: &CouponResult| Remainder { shards: 2, tables: 1 }.place(&row.key()).unwrap();
    let old_way = async |row: &CouponResult| {
        let placed = PlacedResult { placement: old(row), result: *row };
        backend.hand_over.hand_over(placed.placement.shard, 0, vec![placed]).await.unwrap();
    };
    change(&folder, &backend, 5, 1).await;
    // Before rows move, in between, and after.
    for row in &late[..30] {
        old_way(row).await;
    }
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    for row in &late[..60] {
        old_way(row).await;
    }
    move_all(&backend).await;
    for row in &late {
        old_way(row).await;
    }
    rows.extend(&late);
    assert_all_at_home(&folder, &backend, &rows).await;
    let parked: u64 = {
        let mut parked = 0;
        for shard in backend.layouts.shards() {
            parked += backend.shards.report(shard).await.unwrap().parked;
        }
        parked
    };
    assert_eq!(parked, 0);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_service_that_stops_while_rows_move_goes_on_at_its_next_start() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let rows = sell(&folder, &backend, 1..2_000).await;
    change(&folder, &backend, 4, 2).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    backend.lifecycle.close();
    drop(backend);
    let again = folder.open();
    let moving = again.growth.moving().await.unwrap().unwrap();
    assert!(moving.runs && moving.looked_at < moving.rows, "{moving:?}");
    move_all(&again).await;
    assert_all_at_home(&folder, &again, &rows).await;
    again.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn an_operator_who_stops_a_movement_has_it_stand_still_until_it_is_asked_for_again() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let rows = sell(&folder, &backend, 1..2_000).await;
    change(&folder, &backend, 4, 2).await;
    assert_eq!(backend.growth.stop_moving().await.unwrap(), None, "there is nothing to stop");
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    let stopped = backend.growth.stop_moving().await.unwrap().unwrap();
    assert!(!stopped.runs && stopped.looked_at < stopped.rows, "{stopped:?}");
    backend.lifecycle.close();
    drop(backend);
    let again = folder.open();
    assert!(!again.growth.moving().await.unwrap().unwrap().runs);
    move_all(&again).await;
    assert_all_at_home(&folder, &again, &rows).await;
    again.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn drained_is_not_said_while_it_is_not_known_whether_a_late_row_is_stored() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let late = row(&folder, 8, 1_000);
    let rows = sell(&folder, &backend, 1..5).await;
    change(&folder, &backend, 5, 1).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    let (deadline, began) = (Instant::now() + Duration::from_secs(60), "SELECT COUNT(*) FROM move_state");
    while folder.db(0).query_row(began, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
        assert!(Instant::now() < deadline, "rows do not begin to move");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // It may be stored on shard 3 already, which cannot be asked.
    let (file, away) = (folder.dir.path().join("shard-3.sqlite"), folder.dir.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    let placement = Placement::new(ShardId::new(0), TableId::Part(0));
    let unsure =
        backend.hand_over.hand_over(placement.shard, 0, vec![PlacedResult { placement, result: late }]);
    assert!(unsure.await.is_err());
    assert!(backend.lifecycle.drain().await.is_err());
    std::fs::rename(&away, &file).unwrap();
    while backend.lifecycle.drain().await.is_err() {
        assert!(Instant::now() < deadline, "it is never stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    move_all(&backend).await;
    assert_all_at_home(&folder, &backend, &[rows, vec![late]].concat()).await;
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_main_of_before_a_version_was_announced_or_rows_moved_is_refused() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let rows = sell(&folder, &backend, 1..50).await;
    let close = |backend: Backend| {
        backend.lifecycle.close();
        drop(backend);
        // Everything is in the file itself, and nothing beside it.
        folder.main().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    };
    let main = folder.dir.path().join("main.sqlite");
    let keep = |name: &str| std::fs::copy(&main, folder.dir.path().with_extension(name)).unwrap();
    close(backend);
    keep("of_one_version");
    let backend = folder.open();
    change(&folder, &backend, 3, 1).await;
    close(backend);
    keep("announced");
    let put_back = |name: &str| {
        std::fs::copy(folder.dir.path().with_extension(name), &main).unwrap();
        format!("{:#}", folder.open_as(Remainder { shards: 2, tables: 1 }).unwrap_err())
    };
    let refused = put_back("of_one_version");
    assert!(refused.contains("told of version 2") && refused.contains("Put back"), "{refused}");
    std::fs::copy(folder.dir.path().with_extension("announced"), &main).unwrap();
    let backend = folder.open();
    move_all(&backend).await;
    close(backend);
    keep("latest");
    for name in ["of_one_version", "announced"] {
        let refused = put_back(name);
        assert!(
            refused.contains("begun to move")
                && refused.contains("version 2")
                && refused.contains("Put back"),
            "{refused}"
        );
    }
    std::fs::copy(folder.dir.path().with_extension("latest"), &main).unwrap();
    let backend = folder.open();
    assert_all_at_home(&folder, &backend, &rows).await;
    close(backend);
    for name in ["of_one_version", "announced", "latest"] {
        std::fs::remove_file(folder.dir.path().with_extension(name)).unwrap();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_main_says_of_a_movement_is_true_after_it_was_stopped() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let rows = sell(&folder, &backend, 1..200).await;
    change(&folder, &backend, 3, 1).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    let why = announce(&backend, 5, 1).await.unwrap_err().to_string();
    assert!(why.contains("being moved to where version 2 says"), "{why}");
    backend.growth.stop_moving().await.unwrap().unwrap();
    change(&folder, &backend, 5, 1).await;
    assert_eq!(backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap().to, 3);
    assert!(!finished(&backend).await.runs);
    assert_all_at_home(&folder, &backend, &rows).await;
    // A note that came last, though nothing moves any more.
    folder.main().execute_batch("UPDATE moves SET runs = 1").unwrap();
    assert!(!backend.growth.stop_moving().await.unwrap().unwrap().runs);
    assert!(!backend.growth.moving().await.unwrap().unwrap().runs);
    backend.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn a_version_that_main_has_and_the_process_does_not_go_by_is_not_announced_over() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let has = "INSERT INTO layouts (version, valid_from, layout, receives, closed, announced_at, operator, what) \
               SELECT 2, 2000000000000, layout, 0, 0, announced_at, operator, what FROM layouts";
    folder.main().execute_batch(has).unwrap();
    let why = announce(&backend, 5, 1).await.unwrap_err().to_string();
    assert!(why.contains("main has version 2"), "{why}");
    backend.lifecycle.close();
}

/// Grabs, reads and steps go on all the time beside a mover: every row that was acknowledged is found, in the order of places.
#[tokio::test(flavor = "current_thread")]
async fn grabs_and_reads_go_on_while_the_layout_changes_and_rows_move() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let mut rows = sell(&folder, &backend, 1..1_000).await;
    let find = async |row: &CouponResult| {
        let versions = backend.layouts.now();
        let places = versions.places(&row.key()).unwrap();
        for place in places {
            let visit = Visit::Tables(vec![place.table]);
            if backend.shards.find(place.shard.into(), visit, row.result_id).await.unwrap().value.is_some() {
                return;
            }
        }
        panic!("{} was told, and is not found", row.result_id);
    };
    for (round, (shards, tables)) in [(4, 1), (4, 3), (5, 1)].into_iter().enumerate() {
        let from = announce(&backend, shards, tables).await.unwrap();
        let first = 1_000 + 1_000 * round as u64;
        rows.extend(sell(&folder, &backend, first..first + 300).await);
        folder.clock.set(from);
        backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
        let mut at = 0;
        while backend.growth.moving().await.unwrap().unwrap().runs {
            let user = first + 300 + at;
            let row = row(&folder, user, 300 + at as u16);
            hand_over(&backend, &[row]).await;
            rows.push(row);
            backend.lifecycle.drain().await.unwrap();
            for back in [1, 7, 100, 500, 900] {
                find(&rows[rows.len() - back.min(rows.len())]).await;
            }
            at += 1;
            assert!(at < 3_000, "rows are still moving");
        }
        assert_all_at_home(&folder, &backend, &rows).await;
    }
    assert_eq!(backend.growth.versions().await.unwrap().len(), 4);
    backend.lifecycle.close();
}
