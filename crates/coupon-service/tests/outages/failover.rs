//! A Redis whose place another takes, with less than it had.

use coupon_store::Decision;
use coupon_store::servers::gate::RedisServer;
use coupon_store::settings::ServerUrl;
use deadpool_redis::redis;

use crate::bench::{Bench, SCARCE, attempt, decide, epoch_of, filled_after, grab, run, stack, until};
use crate::{alone, drained};

#[test]
fn a_gate_that_took_over_an_older_memory_is_filled_anew_though_it_has_its_scripts() {
    let _alone = alone();
    run(&Bench::servers(), async |bench| {
        let backend = bench.open();
        let before = epoch_of(&backend).await;
        let spare = stack().spare_redis().unwrap();
        let (here, there) = (stack().addresses().redis.clone(), spare.url());
        follow(&there, Some(&here)).await;
        follow(&there, None).await;
        assert_eq!(grab(&backend, bench, 1, SCARCE).await, Decision::Granted(0));
        drained(&backend).await;
        // What was granted is not known there.
        follow(&here, Some(&there)).await;
        follow(&here, None).await;
        assert!(filled_after(&backend, before).await > before);
        let again = attempt(&backend, bench, 1, SCARCE);
        assert!(matches!(decide(&backend, &[again]).await[0], Decision::Duplicate(_)));
        backend.lifecycle.close();
    });
}

/// Makes a Redis the replica of another, which has the same password, until it has what that one has; or a primary.
async fn follow(of: &str, primary: Option<&str>) {
    let mut connection = RedisServer::new(&ServerUrl::new(of)).unwrap().connect().await.unwrap();
    let Some(primary) = primary.map(|primary| url::Url::parse(primary).unwrap()) else {
        let () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query_async(&mut connection).await.unwrap();
        return;
    };
    let password = primary.password().unwrap();
    let mut command = redis::cmd("CONFIG");
    let () = command.arg("SET").arg("masterauth").arg(password).query_async(&mut connection).await.unwrap();
    let (host, port) = (primary.host_str().unwrap(), primary.port().unwrap());
    let () = redis::cmd("REPLICAOF").arg(host).arg(port).query_async(&mut connection).await.unwrap();
    until("it has what the other has", async || {
        let told: redis::RedisResult<String> =
            redis::cmd("INFO").arg("replication").query_async(&mut connection).await;
        told.is_ok_and(|told| told.contains("master_link_status:up"))
    })
    .await;
}
