//! Rows that a crash has left between two files.

use super::*;

/// The state that a crash leaves after the first step of a batch: users 4, 10, … go from shard 0 to shard 1.
fn leave_one_to_another(folder: &DataFolder) {
    let columns = crate::statements::COLUMNS.join(", ");
    let left = format!(
        "INSERT INTO leaving ({columns}, from_table, to_shard, to_table) SELECT {columns}, 'coupon_results_p0', 1, \
         'coupon_results_p0' FROM coupon_results_p0 WHERE user_id % 3 = 1; \
         DELETE FROM coupon_results_p0 WHERE user_id % 3 = 1; \
         INSERT INTO move_state VALUES (1, 1, 1, 0, 0)"
    );
    folder.db(0).execute_batch(&left).unwrap();
    folder.main().execute_batch("UPDATE layouts SET receives = 1 WHERE version = 2").unwrap();
}

/// Stores at shard 1 the rows that leave shard 0, if the condition holds for them, and changes what is said then.
fn store_what_leaves(folder: &DataFolder, condition: &str, then: &str) {
    let columns = crate::statements::COLUMNS.join(", ");
    let to = folder.db(1);
    let old = folder.dir.path().join("shard-0.sqlite");
    to.execute_batch(&format!(
        "ATTACH '{}' AS old; \
         INSERT INTO coupon_results_p0 ({columns}) SELECT {columns} FROM old.leaving {condition}; {then}",
        old.display()
    ))
    .unwrap();
}

/// The state that a crash leaves between two steps of a batch.
#[tokio::test(flavor = "current_thread")]
async fn what_is_between_two_files_at_a_start_arrives_once() {
    for arrived in [false, true] {
        let folder = DataFolder::new();
        let backend = folder.open();
        let rows = sell(&folder, &backend, 1..50).await;
        change(&folder, &backend, 3, 1).await;
        backend.lifecycle.close();
        drop(backend);
        leave_one_to_another(&folder);
        if arrived {
            store_what_leaves(&folder, "", "INSERT INTO arrivals VALUES (0, 1)");
        }
        let again = folder.open();
        move_all(&again).await;
        assert_all_at_home(&folder, &again, &rows).await;
        again.lifecycle.close();
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_row_that_contradicts_what_is_where_it_goes_stays_on_its_way_whole() {
    let folder = DataFolder::new();
    let backend = folder.open();
    let rows = sell(&folder, &backend, 1..50).await;
    change(&folder, &backend, 3, 1).await;
    backend.lifecycle.close();
    drop(backend);
    leave_one_to_another(&folder);
    let odd = rows[3];
    assert_eq!(odd.user_id.get(), 4);
    // The place where the row goes has another user's row of the same id.
    let anothers = "UPDATE coupon_results_p0 SET user_id = 999 WHERE user_id = 4";
    store_what_leaves(&folder, "WHERE user_id = 4", anothers);
    let backend = folder.open();
    let sold = backend.gate.stock(CouponId::new(1).unwrap()).await.unwrap().unwrap().sold;
    assert_eq!(sold, 50, "it holds its stock, and so does the other");
    let found = backend.shards.find(ShardId::new(0).into(), Visit::All, odd.result_id).await.unwrap().value;
    assert_eq!(found.map(|(_, row)| row), Some(odd));
    backend.growth.start_moving(UNTHROTTLED, operator()).await.unwrap();
    let trouble = trouble(&backend).await;
    assert!(trouble.contains(&odd.result_id.to_string()) && trouble.contains("`leaving`"), "{trouble}");
    let stopped = backend.growth.stop_moving().await.unwrap().unwrap();
    assert!(stopped.trouble.is_some_and(|told| told == trouble), "what still leaves is told");
    backend.lifecycle.close();
    drop(backend);
    folder.db(1).execute_batch("DELETE FROM coupon_results_p0 WHERE user_id = 999").unwrap();
    let backend = folder.open();
    move_all(&backend).await;
    assert_all_at_home(&folder, &backend, &rows).await;
    backend.lifecycle.close();
}
