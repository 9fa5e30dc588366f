use coupon_service::api::{AdminStats, Drained, HotKeys, ShardsStatus};

use crate::client::request;
use crate::fixture::{Api, OF_ROOM_3, PLENTY, SCARCE};

#[test]
fn with_a_token_set_the_admin_paths_ask_for_it_even_on_this_machine() {
    let api = Api::with(&["admin.token=open sesame"]);
    for (method, path) in [("GET", "/admin/stats"), ("GET", "/admin/shards/status"), ("POST", "/admin/drain")]
    {
        for (header, is_another) in [
            ("", false),
            ("Authorization: Bearer open\r\n", true),
            ("Authorization: Basic open sesame\r\n", false),
        ] {
            let answer = api.send(&request(method, path, header, b""));
            let problem = answer.problem(401);
            assert_eq!(problem.kind, "/problems/unauthorized");
            assert_eq!(problem.detail.contains("is another one"), is_another, "{}", problem.detail);
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        }
        let right = "Authorization: Bearer open sesame\r\n";
        assert_eq!(api.send(&request(method, path, right, b"")).status, 200, "{path}");
    }
}

#[test]
fn without_a_token_the_admin_paths_refuse_what_comes_through_a_proxy_or_from_another_page() {
    let api = Api::start();
    for (method, path) in [
        ("GET", "/admin/stats"),
        ("GET", "/%61dmin/stats"),
        ("GET", "/admin/shards/status"),
        ("POST", "/admin/drain"),
    ] {
        for headers in [
            "Host: evil.example\r\n",
            "Host: evil.example\r\nOrigin: http://evil.example\r\n",
            "Host: localhost\r\nOrigin: http://evil.example\r\n",
            "Host: localhost\r\nForwarded: for=192.0.2.7\r\n",
            "Host: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "Host: localhost\r\nX-Forwarded-Proto: https\r\n",
            "Host: localhost\r\nVia: 1.1 proxy\r\n",
        ] {
            let bytes = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
            let answer = api.send(bytes.as_bytes());
            assert_eq!(answer.problem(403).kind, "/problems/loopback-only", "{path} {headers}");
        }
        let port = api.address().port();
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let headers = format!("Host: {host}:{port}\r\nOrigin: http://{host}:{port}\r\n");
            let bytes = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: 0\r\n\r\n");
            assert_eq!(api.send(bytes.as_bytes()).status, 200, "{path} {headers}");
        }
        let elsewhere = format!(
            "{method} http://evil.example{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        );
        api.send(elsewhere.as_bytes()).problem(403);
    }
}

#[test]
fn the_figures_say_what_was_done() {
    let api = Api::start();
    (1..=4).for_each(|user| drop(api.grab(user, SCARCE)));
    api.grab(1, SCARCE);
    api.grab(1, crate::fixture::EARLY);
    let stats: AdminStats = api.get("/admin/stats").json();
    let grabs = &stats.grabs;
    assert_eq!((grabs.granted, grabs.out_of_stock, grabs.duplicate), (3, 1, 1));
    assert_eq!((grabs.invalid_time, grabs.unavailable), (1, 0));
    assert_eq!((stats.service.as_str(), stats.strategy.as_str(), stats.shards), ("test-svc", "by-user", 4));
    assert_eq!((stats.backend.as_str(), stats.workers, stats.parked), ("embedded", 2, 0));
    assert_eq!((stats.batches, stats.mean_batch), (6, Some(1.0)));
    assert_eq!(stats.pid, std::process::id());
    assert!(stats.cpu_seconds.unwrap() > 0.0 && stats.uptime_s > 0.0);
}

#[test]
fn shards_state_their_rows_and_what_they_are_worth() {
    let api = Api::start();
    for user in [1, 5, 9] {
        api.grab(user, PLENTY);
    }
    let status: ShardsStatus = api.get("/admin/shards/status").json();
    assert_eq!(status.shards.iter().map(|shard| shard.rows).collect::<Vec<_>>(), [7, 11, 8, 7]);
    assert_eq!(status.shards.iter().map(|shard| shard.rows_written).collect::<Vec<_>>(), [0, 3, 0, 0]);
    assert_eq!((status.effective_shards, status.skew), (Some(3.0), Some(11.0 / 33.0 * 4.0)));
    assert!((status.shards.iter().filter_map(|shard| shard.share).sum::<f64>() - 1.0).abs() < 1e-9);
    for shard in &status.shards {
        assert!(shard.up && shard.queue_depth == 0 && shard.connections > 0);
        let missing = usize::from(shard.cpu_seconds.is_none()) + usize::from(shard.bytes_written.is_none());
        assert_eq!(shard.unavailable.len(), missing);
    }
    assert_eq!(status.shards.get(1).unwrap().write_ms.as_ref().unwrap().count, 3);
}

#[test]
fn the_last_minutes_results_are_told_by_room_coupon_and_user() {
    let api = Api::start();
    for (user, coupon) in [(1, PLENTY), (2, PLENTY), (3, PLENTY), (1, SCARCE), (1, OF_ROOM_3[0])] {
        assert_eq!(api.grab(user, coupon).grab_status, 1);
    }
    // Neither is a result.
    api.grab(1, PLENTY);
    api.grab(4, crate::fixture::EARLY);
    let hot = api.get("/admin/shards/status").json::<ShardsStatus>().hot;
    let told = |keys: &HotKeys| keys.top.iter().map(|key| (key.id, key.results)).collect::<Vec<_>>();
    assert_eq!((hot.results, hot.rooms.error), (5, 0));
    assert_eq!(told(&hot.rooms), [(1, 4), (3, 1)]);
    assert_eq!(told(&hot.coupons), [(PLENTY, 3), (SCARCE, 1), (OF_ROOM_3[0], 1)]);
    assert_eq!(told(&hot.users), [(1, 3), (2, 1), (3, 1)]);
    assert!((hot.rooms.top[0].share - 0.8).abs() < 1e-9 && hot.seconds > 0.0 && hot.seconds <= 60.0);
}

#[test]
fn a_drain_ends_once_nothing_is_under_way() {
    let api = Api::start();
    api.grab(1, PLENTY);
    let drained: Drained = api.send(&request("POST", "/admin/drain", "", b"")).json();
    assert!(drained.drained);
    let stats: AdminStats = api.get("/admin/stats").json();
    assert_eq!(stats.main_lag_entries, 0);
}
