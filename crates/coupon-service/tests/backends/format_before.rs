//! Data sets of the format before this one, whose small tables had no lane.

use coupon_core::ShardId;
use coupon_core::schema::{Dialect, shard_columns};
use coupon_servers::cluster::Cluster;
use coupon_store::Decision;
use mysql_async::prelude::Queryable as _;

use crate::bench::{Bench, ParityAndDay, SCARCE, grab, run, verified};

/// Rows of small tables that the format before wrote, and that nothing takes away soon.
const WRITTEN_BEFORE: &str = "INSERT INTO markers (marker_id, commit_time) VALUES ('before', 4102444800000); \
     INSERT INTO holds (hold_until, result_id, table_name) VALUES (4102444800000, 1, 'coupon_results')";

#[test]
fn rows_of_the_format_before_get_their_lane_also_where_that_was_cut_short() {
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        backend.lifecycle.drain().await.unwrap();
        backend.lifecycle.close();
        drop(backend);
        bench.to_the_format_before().await;
        bench.damage_shard(ShardId::new(0), WRITTEN_BEFORE).await;

        for _ in 0..2 {
            let backend = bench.open();
            assert!(matches!(grab(&backend, bench, 1, SCARCE).await, Decision::Duplicate(_)));
            backend.lifecycle.drain().await.unwrap();
            backend.lifecycle.close();
        }
        let cluster = Cluster::new(bench.settings(), &ParityAndDay).unwrap();
        let mut main = cluster.main.connect_alone().await.unwrap();
        let formats = "SELECT value, id FROM meta, gate_state WHERE name = 'format'";
        let formats: Option<(String, i64)> = main.query_first(formats).await.unwrap();
        assert_eq!(formats, Some(("8".to_owned(), 8)), "a process of before finds no epoch to take");
        for database in &cluster.shards {
            let mut conn = database.connect_alone().await.unwrap();
            let keys: Vec<i64> = conn.query("SELECT id FROM shard_state").await.unwrap();
            assert_eq!(keys, [8], "it stores nothing either");
            for column in shard_columns(Dialect::MySql).iter().filter(|column| column.name == "lane") {
                let sql = format!("SELECT COUNT(*) FROM {} WHERE lane <> X'00'", column.table);
                assert_eq!(conn.query_first(sql).await.unwrap(), Some(0), "{}", column.table);
            }
            conn.disconnect().await.unwrap();
        }
        let mut first = cluster.shards[0].connect_alone().await.unwrap();
        let kept = "SELECT (SELECT COUNT(*) FROM markers WHERE marker_id = 'before'), \
             (SELECT COUNT(*) FROM holds WHERE result_id = 1)";
        assert_eq!(first.query_first(kept).await.unwrap(), Some((1, 1)));
        first.query_drop("DELETE FROM holds WHERE result_id = 1").await.unwrap();
        let found = verified(bench);
        assert_eq!(found.count(), 0, "{found}");
        for conn in [main, first] {
            conn.disconnect().await.unwrap();
        }
    });
}
