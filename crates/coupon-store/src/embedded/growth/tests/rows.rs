//! Rows that move, and everything else meanwhile.

use super::*;

#[tokio::test(flavor = "current_thread")]
async fn a_row_takes_its_steps_while_rows_move_and_holds_expire_where_they_are() {
    let scene = Scene::new();
    let backend = scene.open();
    let total_stock = Some(5_000);
    let more = CouponPatch { total_stock, ..CouponPatch::default() };
    let more = CatalogueChange::ChangeCoupon(CouponId::new(1).unwrap(), more);
    backend.catalogue.change(more, operator()).await.unwrap();
    let rows = sell(&scene, &backend, 1..1_500).await;
    change(&scene, &backend, 3, 1).await;
    backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
    let mut confirmed = 0;
    for row in rows.iter().filter(|row| row.state == ResultState::Held).step_by(3) {
        let step =
            Change { user: row.user_id, id: row.result_id, action: Action::Confirm, time: scene.clock.now() };
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
    let all = stored(&scene, &backend).await;
    assert_eq!(owned(&all, ResultState::Owned), confirmed);
    assert_all_at_home(&scene, &backend, &rows).await;
    let coupon = async || {
        backend.catalogue.coupon(CouponId::new(1).unwrap(), false).await.unwrap().unwrap().0.remaining_stock
    };
    let before = coupon().await;
    scene.pass(HOLD_MS);
    let held = rows.iter().filter(|row| row.state == ResultState::Held).count();
    let deadline = Instant::now() + Duration::from_secs(60);
    for shard in backend.layouts.shards() {
        while !backend.shards.held(shard).await.unwrap().value.is_empty() {
            assert!(Instant::now() < deadline, "what is due does not expire");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(owned(&stored(&scene, &backend).await, ResultState::Expired), held - confirmed);
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
    let scene = Scene::new();
    let backend = scene.open();
    let mut rows = sell(&scene, &backend, 1..100).await;
    let late: Vec<CouponResult> = (100..200).map(|user| row(&scene, user, 1_000 + user as u16)).collect();
    let old = |row: &CouponResult| Remainder { shards: 2, tables: 1 }.place(&row.key()).unwrap();
    let old_way = async |row: &CouponResult| {
        let placed = PlacedResult { placement: old(row), result: *row };
        backend.hand_over.hand_over(placed.placement.shard, 0, vec![placed]).await.unwrap();
    };
    change(&scene, &backend, 5, 1).await;
    // Before rows move, in between, and after.
    for row in &late[..30] {
        old_way(row).await;
    }
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    for row in &late[..60] {
        old_way(row).await;
    }
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&backend).await;
    for row in &late {
        old_way(row).await;
    }
    rows.extend(&late);
    assert_all_at_home(&scene, &backend, &rows).await;
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
    let scene = Scene::new();
    let backend = scene.open();
    let rows = sell(&scene, &backend, 1..2_000).await;
    change(&scene, &backend, 4, 2).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    backend.lifecycle.close();
    drop(backend);
    let again = scene.open();
    let moving = again.growth.moving().await.unwrap().unwrap();
    assert!(moving.runs && moving.looked_at < moving.rows, "{moving:?}");
    again.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&again).await;
    assert_all_at_home(&scene, &again, &rows).await;
    again.lifecycle.close();
}

#[tokio::test(flavor = "current_thread")]
async fn an_operator_who_stops_a_movement_has_it_stand_still_until_it_is_asked_for_again() {
    let scene = Scene::new();
    let backend = scene.open();
    let rows = sell(&scene, &backend, 1..2_000).await;
    change(&scene, &backend, 4, 2).await;
    assert_eq!(backend.growth.stop_moving().await.unwrap(), None, "there is nothing to stop");
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    let stopped = backend.growth.stop_moving().await.unwrap().unwrap();
    assert!(!stopped.runs && stopped.looked_at < stopped.rows, "{stopped:?}");
    backend.lifecycle.close();
    drop(backend);
    let again = scene.open();
    assert!(!again.growth.moving().await.unwrap().unwrap().runs);
    again.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&again).await;
    assert_all_at_home(&scene, &again, &rows).await;
    again.lifecycle.close();
}

/// The state that a crash leaves between two steps of a batch.
#[tokio::test(flavor = "current_thread")]
async fn what_is_between_two_files_at_a_start_arrives_once() {
    for arrived in [false, true] {
        let scene = Scene::new();
        let backend = scene.open();
        let rows = sell(&scene, &backend, 1..50).await;
        change(&scene, &backend, 3, 1).await;
        backend.lifecycle.close();
        drop(backend);
        let from = scene.db(0);
        let columns = crate::statements::COLUMNS.join(", ");
        // Users 4, 10, … go from shard 0 to shard 1.
        from.execute_batch(&format!(
            "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) SELECT {columns}, 'coupon_results_p0', 1, \
             'coupon_results_p0' FROM coupon_results_p0 WHERE user_id % 3 = 1; \
             DELETE FROM coupon_results_p0 WHERE user_id % 3 = 1; \
             INSERT INTO move_state VALUES (1, 1, 1, 0, 0)"
        ))
        .unwrap();
        if arrived {
            let attach = format!("ATTACH '{}' AS old", scene.dir.path().join("shard-0.sqlite").display());
            let to = scene.db(1);
            to.execute_batch(&attach).unwrap();
            to.execute_batch(&format!(
                "INSERT INTO coupon_results_p0 ({columns}) SELECT {columns} FROM old.leaving; \
                 INSERT INTO arrivals VALUES (0, 1)"
            ))
            .unwrap();
        }
        let again = scene.open();
        again.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
        finished(&again).await;
        assert_all_at_home(&scene, &again, &rows).await;
        again.lifecycle.close();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_coupon_that_is_offered_again_has_its_holders_while_rows_move() {
    let scene = Scene::new();
    let backend = scene.open();
    let id = CouponId::new(900_001).unwrap();
    let over = NewCoupon {
        coupon_id: id,
        room_id: RoomId::new(1).unwrap(),
        coupon_name: "Over for long".to_owned(),
        coupon_type: CouponKind::NoThreshold,
        discount_amount: Some(Money::from_cents(1_000)),
        discount_rate: None,
        min_purchase: Money::default(),
        total_stock: 5_000,
        start_time: "2020-01-01T00:00:00Z".parse().unwrap(),
        end_time: "2020-01-02T00:00:00Z".parse().unwrap(),
        status: CouponStatus::Active,
        terms: GrabTerms::default(),
        details: None,
    };
    let ask = |change| backend.catalogue.change(change, operator());
    ask(CatalogueChange::CreateCoupon(over)).await.unwrap();
    let rows: Vec<CouponResult> = (1..2_000)
        .map(|user| CouponResult {
            coupon_id: id,
            state: ResultState::Owned,
            hold_until: None,
            ..row(&scene, user, user as u16)
        })
        .collect();
    for rows in rows.chunks(500) {
        hand_over(&backend, rows).await;
    }
    change(&scene, &backend, 5, 1).await;
    backend.growth.start_moving(CRAWLING, operator()).await.unwrap();
    let end_time = Some("2099-01-01T00:00:00Z".parse().unwrap());
    ask(CatalogueChange::ChangeCoupon(id, CouponPatch { end_time, ..CouponPatch::default() })).await.unwrap();
    assert_eq!(backend.gate.stock(id).await.unwrap(), Some(Stock { total: 5_000, sold: 1_999 }));
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    finished(&backend).await;
    assert_all_at_home(&scene, &backend, &rows).await;
    backend.lifecycle.close();
}

/// What grabs, readers and steps do all the time, beside a mover: everything that was told is found, in the order of places.
#[tokio::test(flavor = "current_thread")]
async fn grabs_and_reads_go_on_while_the_layout_changes_and_rows_move() {
    let scene = Scene::new();
    let backend = scene.open();
    let mut rows = sell(&scene, &backend, 1..1_000).await;
    let find = async |row: &CouponResult| {
        let versions = backend.layouts.now();
        let places = versions.places(&row.key()).unwrap();
        for place in places {
            let visit = Visit::Tables(vec![place.table]);
            if backend.shards.find(place.shard, visit, row.result_id).await.unwrap().value.is_some() {
                return;
            }
        }
        panic!("{} was told, and is not found", row.result_id);
    };
    for (round, (shards, tables)) in [(4, 1), (4, 3), (5, 1)].into_iter().enumerate() {
        let from = announce(&backend, shards, tables).await.unwrap();
        let first = 1_000 + 1_000 * round as u64;
        rows.extend(sell(&scene, &backend, first..first + 300).await);
        scene.clock.set(from);
        backend.growth.start_moving(NonZeroU32::new(20_000).unwrap(), operator()).await.unwrap();
        let mut at = 0;
        while backend.growth.moving().await.unwrap().unwrap().runs {
            let user = first + 300 + at;
            let row = row(&scene, user, 300 + at as u16);
            hand_over(&backend, &[row]).await;
            rows.push(row);
            backend.lifecycle.drain().await.unwrap();
            for back in [1, 7, 100, 500, 900] {
                find(&rows[rows.len() - back.min(rows.len())]).await;
            }
            at += 1;
            assert!(at < 3_000, "rows are still moving");
        }
        assert_all_at_home(&scene, &backend, &rows).await;
    }
    assert_eq!(backend.growth.versions().await.unwrap().len(), 4);
    backend.lifecycle.close();
}
