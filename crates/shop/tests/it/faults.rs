//! Each fault has its effect, measured against the time before it, and is gone when it is cleared.
//! Effects are counted where they can be; times are only compared with each other, generously.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use crate::receiver::{Receiver, Seen, find};
use crate::shop::Shop;

/// CPU time that a process has used so far.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // After the name in brackets come state and eleven numbers, then user and system ticks.
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("a name")
        .split(' ')
        .collect();
    let ticks: u64 = [11, 12]
        .map(|i| fields[i].parse::<u64>().expect("ticks"))
        .iter()
        .sum();
    Duration::from_millis(ticks * 10)
}

pub(crate) fn spans<'a>(all: &'a [Seen], service: &str, name: &str) -> Vec<&'a Seen> {
    all.iter()
        .filter(|s| s.service == service && s.span.name == name)
        .collect()
}

#[tokio::test]
async fn slow_query() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let path = "/api/catalogue/product/UHJ";
    let before = shop.median_time(path, 30).await;
    shop.inject("slow_query", "catalogue", 0.8).await;
    let during = shop.median_time(path, 15).await;
    shop.clear("slow_query", "catalogue").await;
    let after = shop.median_time(path, 30).await;
    assert!(during > before * 3, "{before:?} then {during:?}");
    assert!(after < during / 2, "{during:?} then {after:?}");
    shop.stop().await;
    // The work is in the statement's own span.
    let all = receiver.spans();
    let statements = spans(&all, "catalogue", "SELECT stock");
    assert_eq!(statements.len(), 75);
    let slow = statements.iter().filter(|s| s.millis() > 10.0).count();
    assert!(slow >= 15, "{slow}");
}

#[tokio::test]
async fn pool_exhaustion() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let path = "/api/shipping/calc/5";
    // At less than full intensity requests wait and are answered.
    shop.inject("pool_exhaustion", "shipping", 0.8).await;
    for _ in 0..20 {
        assert_eq!(shop.get(path).await.status, 200);
    }
    // At full intensity nothing is given back, and requests give up.
    shop.inject("pool_exhaustion", "shipping", 1.0).await;
    let refused = shop.get(path).await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.json()["error"],
        "shipping: no database connection within 1000 ms"
    );
    shop.clear("pool_exhaustion", "shipping").await;
    receiver.forget();
    for _ in 0..20 {
        assert_eq!(shop.get(path).await.status, 200);
    }
    shop.stop().await;
    let points = receiver.points();
    let used = points.iter().rev().find(|p| {
        p.service == "shipping"
            && p.metric == "db.client.connection.count"
            && crate::receiver::find(&p.attributes, "db.client.connection.state").as_deref()
                == Some("used")
    });
    assert_eq!(
        used.expect("the pool is observed").value,
        0.0,
        "all given back"
    );
}

#[tokio::test]
async fn pool_exhaustion_shows_as_waits() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    // Spread out, so that the requests do not all fall into the same moment of a round.
    let measure = async || {
        let mut times = Vec::new();
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(37)).await;
            times.push(shop.median_time("/api/shipping/calc/5", 1).await);
        }
        times.sort();
        times[10]
    };
    let before = measure().await;
    shop.inject("pool_exhaustion", "shipping", 0.9).await;
    let during = measure().await;
    shop.clear("pool_exhaustion", "shipping").await;
    let after = measure().await;
    assert!(during > before * 2, "{before:?} then {during:?}");
    assert!(after < during / 2, "{during:?} then {after:?}");
    shop.stop().await;
    let all = receiver.spans();
    let waits = spans(&all, "shipping", "db.client.connection.wait");
    let long = waits.iter().filter(|s| s.millis() > 20.0).count();
    assert!(long >= 5, "{long} of {}", waits.len());
    // Statements themselves are as fast as ever: the wait is not theirs.
    let statements = spans(&all, "shipping", "SELECT city");
    let mut times: Vec<_> = statements.iter().map(|s| s.millis()).collect();
    times.sort_by(f64::total_cmp);
    assert!(times[times.len() / 2] < 20.0, "{times:?}");
}

#[tokio::test]
async fn cpu_saturation() {
    let shop = Shop::start(None).await;
    let pid = shop.pid_of("cart");
    shop.get("/api/cart/add/me/RED/1").await;
    let measure = async || {
        let since = cpu_time(pid);
        let median = shop.median_time("/api/cart/cart/me", 40).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        (cpu_time(pid) - since, median)
    };
    let (cpu_before, _) = measure().await;
    shop.inject("cpu_saturation", "cart", 0.8).await;
    let (cpu_during, _) = measure().await;
    shop.clear("cpu_saturation", "cart").await;
    let (cpu_after, _) = measure().await;
    // Of at least a second, 0.8 are meant for the fault; the rest is left to a busy machine.
    assert!(cpu_during >= Duration::from_millis(200), "{cpu_during:?}");
    assert!(
        cpu_during > cpu_before * 2,
        "{cpu_before:?} then {cpu_during:?}"
    );
    assert!(
        cpu_after < cpu_during / 2,
        "{cpu_during:?} then {cpu_after:?}"
    );
}

#[tokio::test]
async fn cpu_saturation_can_be_cleared_at_full_intensity() {
    let shop = Shop::start(None).await;
    shop.inject("cpu_saturation", "cart", 1.0).await;
    assert_eq!(shop.admin(Method::GET, "/health", None).await.status, 200);
    assert_eq!(
        shop.get("/api/cart/cart/nobody").await.status,
        404,
        "slow, not dead"
    );
    shop.clear("cpu_saturation", "cart").await;
    assert_eq!(shop.get("/api/cart/cart/nobody").await.status, 404);
}

#[tokio::test]
async fn cache_miss_storm() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let skus = ["UHJ", "RED", "RMC", "EMM"];
    let rounds = async |rounds: usize| {
        for _ in 0..rounds {
            for sku in skus {
                let path = format!("/api/catalogue/product/{sku}");
                assert_eq!(shop.get(&path).await.status, 200);
            }
        }
    };
    rounds(10).await;
    shop.inject("cache_miss_storm", "catalogue", 0.8).await;
    rounds(10).await;
    shop.clear("cache_miss_storm", "catalogue").await;
    rounds(10).await;
    shop.stop().await;
    let all = receiver.spans();
    let mut lookups = spans(&all, "catalogue", "cache.get products");
    lookups.sort_by_key(|s| s.span.start_time_unix_nano);
    assert_eq!(lookups.len(), 120);
    let hits = |phase: usize| {
        let phase = &lookups[phase * 40..(phase + 1) * 40];
        phase
            .iter()
            .filter(|s| s.attribute("cache.hit").as_deref() == Some("true"))
            .count()
    };
    assert_eq!(hits(0), 36);
    assert!(hits(1) <= 18, "{}", hits(1));
    assert!(hits(2) >= 36, "{}", hits(2));
}

#[tokio::test]
async fn slow_gateway() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let cart = json!({ "total": 1, "items": [{ "sku": "SHIP" }] });
    let pay = async |times: usize| {
        for _ in 0..times {
            let paid = shop
                .send(Method::POST, "/api/payment/pay/stan", Some(&cart))
                .await;
            assert_eq!(paid.status, 200, "{paid:?}");
        }
    };
    pay(9).await;
    shop.inject("slow_gateway", "payment", 0.8).await;
    pay(9).await;
    shop.clear("slow_gateway", "payment").await;
    pay(9).await;
    shop.stop().await;
    let all = receiver.spans();
    let mut charges = spans(&all, "payment", "POST /charge");
    charges.sort_by_key(|s| s.span.start_time_unix_nano);
    assert_eq!(charges.len(), 27);
    let median = |phase: usize| {
        let mut times: Vec<_> = charges[phase * 9..(phase + 1) * 9]
            .iter()
            .map(|s| s.millis())
            .collect();
        times.sort_by(f64::total_cmp);
        times[4]
    };
    assert!(
        median(1) > 3.0 * median(0),
        "{} then {}",
        median(0),
        median(1)
    );
    assert!(
        median(2) < median(1) / 2.0,
        "{} then {}",
        median(1),
        median(2)
    );
}

#[tokio::test]
async fn hang() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    shop.inject("hang", "user", 1.0).await;
    let answer = shop.get("/api/user/uniqueid").await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["error"], "user: no answer within 3000 ms");
    let cart = json!({ "total": 1, "items": [{ "sku": "SHIP" }] });
    let paid = shop
        .send(Method::POST, "/api/payment/pay/stan", Some(&cart))
        .await;
    assert_eq!(paid.status, 500);
    assert_eq!(paid.json()["error"], "user: no answer within 2000 ms");
    // Others are as they were, and so is the health check.
    assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    assert_eq!(shop.get("/api/user/health").await.status, 200);
    // Who waits when the fault is cleared is answered.
    let waiting = shop.request(Method::GET, "/api/user/uniqueid").send();
    let (answer, ()) = tokio::join!(waiting, async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        shop.clear("hang", "user").await;
    });
    assert_eq!(answer.expect("an answer").status(), 200);
    assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
    shop.stop().await;
    let all = receiver.spans();
    let edge: Vec<_> = all
        .iter()
        .filter(|s| s.service == "web" && s.span.kind == 3)
        .collect();
    assert!(
        edge.iter()
            .any(|s| s.failed() && s.attribute("error.type").as_deref() == Some("timeout"))
    );
    // The hanging service's own spans have ended too.
    let hung = spans(&all, "user", "GET /uniqueid");
    assert_eq!(hung.len(), 3);
    let cancelled = |s: &&&Seen| s.attribute("error.type").as_deref() == Some("cancelled");
    assert_eq!(hung.iter().filter(cancelled).count(), 1);
    // So have their durations and log records: not only those that were answered count.
    let points = receiver.points();
    let cancelled = |service: &str, metric: &str, key: &str, value: &str| {
        let point = points.iter().rev().find(|p| {
            let said = |key: &str| find(&p.attributes, key);
            (p.service.as_str(), p.metric.as_str()) == (service, metric)
                && said(key).as_deref() == Some(value)
                && said("error.type").as_deref() == Some("cancelled")
        });
        point.map(|p| p.value)
    };
    let served = "http.server.request.duration";
    assert_eq!(
        cancelled("user", served, "http.route", "/uniqueid"),
        Some(1.0)
    );
    let logs = receiver.logs();
    let given_up = logs.iter().filter(|(service, record)| {
        service == "user"
            && record.severity_text == "WARN"
            && find(&record.attributes, "error.type").as_deref() == Some("cancelled")
            && find(&record.attributes, "url.path").as_deref() == Some("/uniqueid")
    });
    assert_eq!(given_up.count(), 1);
}

#[tokio::test]
async fn the_call_of_a_caller_that_is_given_up_counts() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    shop.inject("hang", "catalogue", 1.0).await;
    // Straight to the service, by a client that has less patience than the service.
    let base = shop.ready["services"]["cart"]["url"]
        .as_str()
        .expect("a URL");
    let request = shop.http.get(format!("{base}/add/me/RED/1"));
    let given_up = request.timeout(Duration::from_millis(300)).send().await;
    assert!(given_up.is_err_and(|e| e.is_timeout()));
    shop.stop().await;
    let points = receiver.points();
    let call = points.iter().rev().find(|p| {
        (p.service.as_str(), p.metric.as_str()) == ("cart", "http.client.request.duration")
    });
    let call = call.expect("the call is counted");
    assert_eq!(call.value, 1.0);
    let error = find(&call.attributes, "error.type");
    assert_eq!(error.as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn all_faults_are_cleared_at_once() {
    let shop = Shop::start(None).await;
    // One for each kind of thing that a fault acts on, and one in the gateway's process.
    let on = [
        ("cpu_saturation", "cart"),
        ("error_responses", "user"),
        ("pool_exhaustion", "shipping"),
        ("slow_gateway", "payment"),
    ];
    for (fault, service) in on {
        shop.inject(fault, service, 1.0).await;
    }
    assert_eq!(shop.get("/api/user/uniqueid").await.status, 503);
    assert_eq!(shop.get("/api/shipping/calc/5").await.status, 503);
    let answer = shop.admin(Method::DELETE, "/faults", None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected: Vec<_> = [on[2], on[0], on[3], on[1]]
        .map(|(fault, service)| {
            json!({
                "fault": fault, "service": service, "intensity": 1.0, "owner": "",
                "confirmed": true,
            })
        })
        .into();
    assert_eq!(answer.json(), json!({ "cleared": expected }));
    let left = shop.admin(Method::GET, "/faults", None).await.json();
    assert_eq!(left, json!({ "faults": [] }));
    for _ in 0..20 {
        assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
        assert_eq!(shop.get("/api/shipping/calc/5").await.status, 200);
    }
    let again = shop.admin(Method::DELETE, "/faults", None).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json(), json!({ "cleared": [] }));
}

#[tokio::test]
async fn nobody_else_changes_or_clears_what_an_owner_has() {
    let shop = Shop::start(None).await;
    let put = async |fault: &str, service: &str, intensity: f64, owner: &str| {
        let body = json!({ "service": service, "intensity": intensity, "owner": owner });
        shop.admin(Method::PUT, &format!("/faults/{fault}"), Some(&body))
            .await
    };
    let delete = async |path: &str| shop.admin(Method::DELETE, path, None).await.json();
    let owners = async || {
        let list = shop.admin(Method::GET, "/faults", None).await.json();
        let of = |f: &serde_json::Value| f["owner"].as_str().expect("a name").to_owned();
        let faults = list["faults"].as_array().expect("a list");
        faults.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(put("error_responses", "user", 1.0, "a").await.status, 200);
    assert_eq!(put("hang", "ratings", 0.5, "b").await.status, 200);
    assert_eq!(put("hang", "shipping", 0.5, "").await.status, 200);
    for owner in ["b", ""] {
        let refused = put("error_responses", "user", 0.5, owner).await;
        assert_eq!(refused.status, 409);
        assert_eq!(refused.json()["owner"], "a");
        assert_eq!(
            refused.json()["error"],
            "user has the fault error_responses already, and it is of a"
        );
    }
    // Its own owner may change it, and both in one service are two.
    assert_eq!(put("error_responses", "user", 0.9, "a").await.status, 200);
    assert_eq!(put("hang", "user", 0.01, "b").await.status, 200);
    assert_eq!(delete("/faults?owner=c").await, json!({ "cleared": [] }));
    let kept = delete("/faults/error_responses?service=user&owner=b").await;
    assert_eq!(kept["was_active"], false);
    assert_eq!(kept["held_by"], "a");
    assert_eq!(owners().await, ["b", "", "b", "a"]);
    let gone = delete("/faults?owner=b").await;
    assert_eq!(gone["cleared"].as_array().map(Vec::len), Some(2));
    let gone = delete("/faults").await;
    assert_eq!(gone["cleared"][0]["service"], "shipping");
    assert_eq!(owners().await, ["a"]);
    let gone = delete("/faults/error_responses?service=user&owner=a").await;
    assert_eq!(gone["was_active"], true);
    assert!(gone["held_by"].is_null());
    assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
}

/// Whoever put a fault on may be gone for ever.
#[tokio::test]
async fn a_fault_whose_lease_is_over_is_taken_off_by_the_shop() {
    let shop = Shop::start(None).await;
    let put = async |service: &str, owner: &str, lease_ms: Option<u64>| {
        let body = json!({
            "service": service, "intensity": 1.0, "owner": owner, "lease_ms": lease_ms,
        });
        let answer = shop
            .admin(Method::PUT, "/faults/error_responses", Some(&body))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["lease_ms"].clone()
    };
    let renewed = async |owner: &str| {
        let path = format!("/leases/{owner}");
        shop.admin(Method::POST, &path, None).await.json()
    };
    assert_eq!(put("user", "gone", Some(300)).await, 300);
    assert_eq!(put("ratings", "there", Some(60_000)).await, 60_000);
    assert!(put("cart", "there", None).await.is_null());
    let of_there = json!({ "owner": "there", "renewed": 1 });
    assert_eq!(renewed("there").await, of_there);
    assert_eq!(renewed("nobody").await["renewed"], 0);
    let since = Instant::now();
    let left = loop {
        let list = shop.admin(Method::GET, "/faults", None).await.json();
        let faults = list["faults"].as_array().expect("a list").clone();
        if faults.len() < 3 {
            break faults;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(left[0]["service"], "cart");
    assert!(left[0]["lease_ms"].is_null());
    assert_eq!(left[1]["service"], "ratings");
    assert_eq!(left[1]["lease_ms"], 60_000);
    for _ in 0..20 {
        assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
    }
    assert_eq!(shop.get("/api/ratings/api/fetch/RED").await.status, 503);
    assert_eq!(renewed("gone").await["renewed"], 0);
    assert_eq!(renewed("there").await, of_there);
}

/// A caller that hangs up gets no answer, and what it asked for is made and is known.
#[tokio::test]
async fn a_change_is_made_to_its_end_also_when_its_caller_hangs_up() {
    let shop = Shop::start(None).await;
    let base = shop.ready["admin_url"].as_str().expect("a URL");
    let body = json!({ "service": "shipping", "intensity": 1.0, "owner": "gone" });
    let request = shop
        .http
        .put(format!("{base}/faults/pool_exhaustion"))
        .body(body.to_string());
    // The pool is taken in turn with requests, which takes longer than this.
    let _ = request.timeout(Duration::from_millis(2)).send().await;
    let cleared = async || {
        let path = "/faults?owner=gone";
        shop.admin(Method::DELETE, path, None).await.json()["cleared"].clone()
    };
    // It came either before the change began, or waited for its end.
    let first = cleared().await;
    let left = shop.admin(Method::GET, "/faults", None).await.json();
    assert!(left["faults"] == json!([]) || first == json!([]), "{left}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    cleared().await;
    for _ in 0..20 {
        assert_eq!(shop.get("/api/shipping/calc/5").await.status, 200);
    }
}

#[tokio::test]
async fn error_responses() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    shop.inject("error_responses", "catalogue", 1.0).await;
    let answer = shop.get("/api/catalogue/categories").await;
    assert_eq!(answer.status, 503);
    let error = answer.json()["error"].as_str().map(str::to_owned);
    assert!(
        error.is_some_and(|e| e.starts_with("database unavailable: ")),
        "{answer:?}"
    );
    assert_eq!(
        shop.get("/api/cart/add/me/RED/1").await.status,
        500,
        "callers fail too"
    );
    assert_eq!(shop.get("/api/ratings/api/fetch/RED").await.status, 500);
    assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
    // A share of the requests at less than full intensity.
    shop.inject("error_responses", "catalogue", 0.5).await;
    let mut failed = 0;
    for _ in 0..60 {
        let status = shop.get("/api/catalogue/product/RED").await.status;
        assert!(status == 200 || status == 503, "{status}");
        failed += usize::from(status == 503);
    }
    // Far outside of chance: below one in a million.
    assert!((10..=50).contains(&failed), "{failed}");
    shop.clear("error_responses", "catalogue").await;
    for _ in 0..20 {
        assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    }
    shop.stop().await;
    let all = receiver.spans();
    let connects = spans(&all, "catalogue", "CONNECT catalogue");
    assert_eq!(connects.len(), failed + 3);
    assert!(connects.iter().all(|s| s.failed()));
    let servers = spans(&all, "catalogue", "GET /categories");
    assert_eq!(servers[0].attribute("error.type").as_deref(), Some("503"));
    assert!(servers[0].failed());
}
