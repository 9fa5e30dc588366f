use crate::client::request;
use crate::fixture::{Api, PLENTY};

#[test]
fn a_path_that_is_not_there_is_a_problem() {
    let api = Api::start();
    for path in ["/", "/api", "/api/coupon", "/api/user/1/coupons/", "/API/orders/recent", "/docs/nothing.js"]
    {
        assert_eq!(api.get(path).problem(404).kind, "/problems/not-found", "{path}");
    }
}

#[test]
fn a_method_that_a_path_does_not_take_is_told_those_it_does() {
    let api = Api::start();
    for (method, path, allow) in [
        ("GET", "/api/coupon/grab", "POST"),
        ("PUT", "/api/coupon/use", "POST"),
        ("GET", "/admin/drain", "POST"),
        ("POST", "/api/user/1/coupons", "GET, HEAD"),
        ("DELETE", "/api/coupon/1", "GET, HEAD"),
        ("OPTIONS", "/api/orders/recent", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ] {
        let answer = api.send(&request(method, path, "", b""));
        answer.problem(405);
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let api = Api::start();
    api.grab(1, PLENTY);
    api.grab(1, PLENTY);
    let answer = api.get("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    for line in [
        "coupon_grabs_total{outcome=\"granted\"} 1",
        "coupon_grabs_total{outcome=\"duplicate\"} 1",
        "coupon_grabs_total{outcome=\"unavailable\"} 0",
        "coupon_batch_grabs_count 2",
        "coupon_batch_grabs_sum 2",
        "coupon_recent_results 1",
        "coupon_hot_results{kind=\"room\",id=\"1\"} 1",
        "coupon_hot_results{kind=\"coupon\",id=\"2\"} 1",
        "coupon_shard_up{shard=\"0\"} 1",
        "coupon_shard_rows{shard=\"1\"} 9",
        "coupon_shard_rows_written_total{shard=\"1\"} 1",
        "coupon_shard_queue_depth{shard=\"3\"} 0",
        "# TYPE coupon_grabs_total counter",
        "# TYPE coupon_batch_grabs histogram",
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("coupon_main_lag_entries ") && text.contains("process_cpu_seconds_total "));
    // Asked again, counters that others keep are stated again, not added up.
    assert!(api.get("/metrics").text().contains("coupon_grabs_total{outcome=\"granted\"} 1\n"));
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
    }
}

#[test]
fn the_description_names_every_path() {
    let answer = Api::start().get("/openapi.json");
    let api: serde_json::Value = answer.json();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/api/coupon/grab", "/api/orders/recent", "/admin/drain", "/healthz"] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
}

#[test]
fn the_page_to_try_the_api_is_served_with_all_it_needs() {
    let api = Api::start();
    let moved = api.get("/docs");
    assert_eq!((moved.status, moved.header("location")), (307, Some("/docs/")));
    let page = api.get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains("swagger-ui"));
    for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        assert_eq!(api.get(&format!("/docs/{file}")).status, 200, "{file}");
    }
    assert!(api.get("/docs/swagger-ui.css").text().contains(".swagger-ui"));
    assert!(api.get("/docs/swagger-initializer.js").text().contains("/openapi.json"));
}
