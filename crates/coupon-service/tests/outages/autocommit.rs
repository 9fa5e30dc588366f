//! Servers whose sessions begin with `autocommit=0`.

use coupon_store::Decision;
use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Opts};

use crate::bench::{Bench, PLENTY, grab, held_by, remaining, run, stack};
use crate::{alone, drained};

/// Sets the default of every server's sessions.
fn set_default(autocommit: bool) {
    let addresses = stack().addresses();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for url in addresses.shards.iter().chain([&addresses.main]) {
            let mut conn = Conn::new(Opts::from_url(url).unwrap()).await.unwrap();
            let sql = format!("SET GLOBAL autocommit = {}", u8::from(autocommit));
            conn.query_drop(sql).await.unwrap();
            conn.disconnect().await.unwrap();
        }
    });
}

#[test]
fn a_server_that_commits_nothing_by_itself_is_filled_and_served_like_any_other() {
    let _alone = alone();
    set_default(false);
    let served = std::panic::catch_unwind(|| {
        run(&Bench::servers(), async |bench| {
            let backend = bench.open();
            assert_eq!(grab(&backend, bench, 1, PLENTY).await, Decision::Granted(0));
            drained(&backend).await;
            assert_eq!(held_by(&backend, 1).await.len(), 2);
            assert_eq!(remaining(&backend, PLENTY).await, 999);
            backend.lifecycle.close();
        });
    });
    set_default(true);
    served.unwrap();
}
