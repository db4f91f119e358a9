//! Faults of networks, processes, releases, data and clocks: each has its effect and is gone when
//! it is cleared. Nearly all effects are counted; no time is asserted that a busy machine could
//! miss.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::faults::spans;
use crate::receiver::Receiver;
use crate::shop::Shop;

const ADD: &str = "/api/cart/add/me/RED/1";

/// Asks until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !is_so().await {
        assert!(since.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn of_process(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// A line of `/proc/<pid>/status`.
fn status(pid: u32, key: &str) -> String {
    let all = std::fs::read_to_string(of_process(pid, "status")).expect("it runs");
    let line = all.lines().find_map(|line| line.strip_prefix(key));
    line.expect("the line")
        .trim_matches([':', '\t', ' '])
        .to_owned()
}

#[tokio::test]
async fn network_partition() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    assert_eq!(shop.get(ADD).await.status, 200);
    shop.inject("network_partition", "cart", 1.0).await;
    let answer = shop.get(ADD).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"], "catalogue: cannot be connected to");
    assert_eq!(
        shop.get("/api/cart/cart/me").await.status,
        200,
        "its callers still reach it"
    );
    assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    shop.clear("network_partition", "cart").await;
    assert_eq!(shop.get(ADD).await.status, 200);
    shop.stop().await;
    let all = receiver.spans();
    let calls = spans(&all, "cart", "GET /product/{sku}");
    let cut = calls
        .iter()
        .filter(|s| s.attribute("error.type").as_deref() == Some("connect_error"));
    assert_eq!((calls.len(), cut.count()), (3, 1));
    // The catalogue has not seen that one; it has seen the one that came by the edge.
    let served = spans(&all, "catalogue", "GET /product/{sku}");
    assert_eq!(served.len(), 3);
}

#[tokio::test]
async fn retry_storm() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    assert_eq!(shop.get(ADD).await.status, 200);
    shop.inject("retry_storm", "cart", 1.0).await;
    assert_eq!(shop.get(ADD).await.status, 200, "the last answer counts");
    assert_eq!(shop.get("/api/cart/add/me/NONE/1").await.status, 404);
    // What fails is asked for again as well.
    shop.inject("error_responses", "catalogue", 1.0).await;
    assert_eq!(shop.get(ADD).await.status, 500);
    shop.clear("error_responses", "catalogue").await;
    shop.clear("retry_storm", "cart").await;
    assert_eq!(shop.get(ADD).await.status, 200);
    shop.stop().await;
    let all = receiver.spans();
    assert_eq!(spans(&all, "catalogue", "GET /product/{sku}").len(), 32);
    let calls = spans(&all, "cart", "GET /product/{sku}");
    let of = |kind: &str| {
        let is =
            |s: &&&_| crate::receiver::Seen::attribute(s, "error.type").as_deref() == Some(kind);
        calls.iter().filter(is).count()
    };
    assert_eq!((of("answer_rejected"), of("503")), (18, 10));
}

#[tokio::test]
async fn memory_leak() {
    let shop = Shop::start(None).await;
    let pid = shop.pid_of("user");
    let kib = || {
        let text = status(pid, "VmRSS");
        let number = text.split(' ').next().expect("a number");
        number.parse::<u64>().expect("KiB")
    };
    let ask = async |times: usize| {
        for _ in 0..times {
            assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
        }
    };
    ask(20).await;
    let before = kib();
    shop.inject("memory_leak", "user", 1.0).await;
    ask(200).await;
    let during = kib();
    assert!(during > before + 45_000, "{before} then {during} KiB");
    shop.clear("memory_leak", "user").await;
    let after = kib();
    assert!(after < before + 25_000, "{before}, {during}, {after} KiB");
    ask(20).await;
}

#[tokio::test]
async fn fd_exhaustion() {
    let shop = Shop::start(None).await;
    let pid = shop.pid_of("user");
    let open = || {
        std::fs::read_dir(of_process(pid, "fd"))
            .expect("it runs")
            .count()
    };
    assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
    let before = open();
    // At less than full intensity it comes and goes.
    shop.inject("fd_exhaustion", "user", 0.5).await;
    let (mut failed, mut answered) = (0, 0);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(37)).await;
        match shop.get("/api/user/uniqueid").await.status {
            200 => answered += 1,
            _ => failed += 1,
        }
    }
    assert!(failed > 5 && answered > 5, "{failed} and {answered}");
    shop.inject("fd_exhaustion", "user", 1.0).await;
    assert!(open() > before + 40, "{before} then {}", open());
    // What a round before had open may still be closed: those descriptors are used up as well.
    let mut answer = shop.get("/api/user/uniqueid").await;
    for _ in 0..500 {
        if answer.status == 500 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = shop.get("/api/user/uniqueid").await;
    }
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.json()["error"],
        "database pool: unable to open database file"
    );
    shop.clear("fd_exhaustion", "user").await;
    for _ in 0..20 {
        assert_eq!(shop.get("/api/user/uniqueid").await.status, 200);
    }
    until("files are closed", async || open() < before + 20).await;
}

#[tokio::test]
async fn disk_full() {
    let shop = Shop::start(None).await;
    assert_eq!(shop.get(ADD).await.status, 200);
    shop.inject("disk_full", "cart", 1.0).await;
    let answer = shop.get(ADD).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.json()["error"], "database: disk I/O error");
    let kept = shop.get("/api/cart/cart/me").await;
    assert_eq!(kept.json()["items"][0]["qty"], 1, "it can still be read");
    shop.clear("disk_full", "cart").await;
    for _ in 0..20 {
        assert_eq!(shop.get(ADD).await.status, 200);
    }
}

#[tokio::test]
async fn noisy_neighbour() {
    let shop = Shop::start(None).await;
    let pid = shop.pid_of("ratings");
    let path = "/api/ratings/api/fetch/RED";
    assert_eq!(shop.get(path).await.status, 200);
    // Processes whose parent is the service, and processors that its requests may run on.
    let neighbours = || {
        let processes = std::fs::read_dir("/proc").expect("Linux");
        let id = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().ok();
        let stat = |id: u32| std::fs::read_to_string(of_process(id, "stat")).ok();
        let parent = |stat: String| stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok();
        let parents = processes.filter_map(|p| parent(stat(id(p.ok()?)?)?));
        parents.filter(|parent: &u32| *parent == pid).count()
    };
    let processors = || {
        let tasks = std::fs::read_dir(of_process(pid, "task")).expect("it runs");
        let mut lists: Vec<_> = tasks
            .map(|task| task.expect("a thread").path())
            .filter(|task| {
                let name = std::fs::read_to_string(task.join("comm"));
                name.is_ok_and(|name| name.trim() == "requests")
            })
            .filter_map(|task| std::fs::read_to_string(task.join("status")).ok())
            .filter_map(|all| {
                let line = all.lines().find(|l| l.starts_with("Cpus_allowed_list"))?;
                Some(line.to_owned())
            })
            .collect();
        lists.sort();
        lists.dedup();
        lists
    };
    let before = processors();
    shop.inject("noisy_neighbour", "ratings", 0.5).await;
    assert_eq!(neighbours(), 4);
    shop.inject("noisy_neighbour", "ratings", 0.25).await;
    assert_eq!(neighbours(), 2);
    let kept = processors();
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].contains(['-', ',']), "one processor: {kept:?}");
    assert_eq!(shop.get(path).await.status, 200);
    shop.clear("noisy_neighbour", "ratings").await;
    assert_eq!(neighbours(), 0);
    assert_eq!(processors(), before);
}

#[tokio::test]
async fn slow_consumer() {
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
    let processed = || spans(&receiver.spans(), "dispatch", "process orders").len();
    shop.inject("slow_consumer", "dispatch", 1.0).await;
    // Consumers that wait for a message already take one more each.
    pay(20).await;
    until("eight are taken", async || processed() == 8).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(processed(), 8);
    let depth = || {
        let points = receiver.points();
        let point = points
            .iter()
            .rev()
            .find(|p| p.metric == "messaging.queue.depth");
        point.map(|p| p.value)
    };
    until("twelve wait", async || depth() == Some(12.0)).await;
    shop.clear("slow_consumer", "dispatch").await;
    until("all are worked off", async || processed() == 20).await;
    shop.stop().await;
    let all = receiver.spans();
    let waited = spans(&all, "dispatch", "process orders")
        .iter()
        .filter_map(|s| s.attribute("shop.queue.wait_ms")?.parse::<u64>().ok())
        .filter(|ms| *ms >= 1_500)
        .count();
    assert_eq!(waited, 12);
}

#[tokio::test]
async fn bad_deployment() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let path = "/api/catalogue/product/RED";
    assert_eq!(shop.get(path).await.status, 200);
    shop.inject("bad_deployment", "catalogue", 1.0).await;
    let mut failed = 0;
    for _ in 0..100 {
        let status = shop.get(path).await.status;
        assert!(status == 200 || status == 500, "{status}");
        failed += usize::from(status == 500);
    }
    // A fifth, and far outside of chance.
    assert!((3..=50).contains(&failed), "{failed}");
    shop.clear("bad_deployment", "catalogue").await;
    for _ in 0..20 {
        assert_eq!(shop.get(path).await.status, 200);
    }
    shop.stop().await;
    let all = receiver.spans();
    let (new, old): (Vec<_>, Vec<_>) = all
        .iter()
        .filter(|s| s.service == "catalogue")
        .partition(|s| s.version.as_deref() == Some("0.2.0-rc.1"));
    let count = |spans: &[&crate::receiver::Seen], name: &str| {
        spans.iter().filter(|s| s.span.name == name).count()
    };
    assert_eq!(count(&new, "GET /product/{sku}"), 100);
    assert_eq!(count(&old, "GET /product/{sku}"), 21);
    assert_eq!(count(&new, "SELECT stock"), (100 - failed) * 11);
    assert_eq!(count(&old, "SELECT stock"), 21);
}

#[tokio::test]
async fn a_deployment_changes_the_version_and_begins_cold() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    // In the catalogue's cache.
    let path = "/api/catalogue/categories";
    let asked = async |times: usize| {
        for _ in 0..times {
            assert_eq!(shop.get(path).await.status, 200);
        }
    };
    asked(2).await;
    shop.inject("deployment", "catalogue", 1.0).await;
    asked(20).await;
    shop.clear("deployment", "catalogue").await;
    asked(2).await;
    shop.stop().await;
    let all = receiver.spans();
    let (new, old): (Vec<_>, Vec<_>) = all
        .iter()
        .filter(|s| s.service == "catalogue")
        .partition(|s| s.version.as_deref() == Some("0.2.0-rc.1"));
    let count = |spans: &[&crate::receiver::Seen], name: &str| {
        spans.iter().filter(|s| s.span.name == name).count()
    };
    assert_eq!(count(&new, "GET /categories"), 20);
    assert_eq!(count(&old, "GET /categories"), 4);
    // What was cached is asked for once more, and once only.
    assert_eq!(count(&new, "SELECT product"), 1);
    assert_eq!(count(&old, "SELECT product"), 1);
}

#[tokio::test]
async fn only_clients_of_the_cells_that_a_fault_is_for_meet_it() {
    let shop = Shop::start(None).await;
    let body = json!({
        "service": "catalogue", "intensity": 1.0, "clients": {"from": 90, "count": 20}
    });
    let injected = async |fault: &str, body: &Value| {
        let path = format!("/faults/{fault}");
        shop.admin(Method::PUT, &path, Some(body)).await.status
    };
    assert_eq!(injected("error_responses", &body).await, 200);
    // It acts on the whole process.
    assert_eq!(injected("cpu_saturation", &body).await, 400);
    // Through the edge: services pass the baggage on.
    let asked = async |baggage: &str| {
        let request = shop.request(Method::GET, "/api/catalogue/product/RED");
        let answer = request.header("baggage", baggage).send().await;
        answer.expect("an answer").status().as_u16()
    };
    for (cell, status) in [
        (89, 200),
        (90, 503),
        (99, 503),
        (0, 503),
        (9, 503),
        (10, 200),
    ] {
        let baggage = format!("loadgen.run_id=a,client.cell={cell}");
        assert_eq!(asked(&baggage).await, status, "{cell}");
    }
    assert_eq!(asked("loadgen.run_id=a").await, 200);
    shop.clear("error_responses", "catalogue").await;
    assert_eq!(asked("client.cell=95").await, 200);
    // For all again.
    shop.inject("error_responses", "catalogue", 1.0).await;
    assert_eq!(asked("client.cell=10").await, 503);
}

#[tokio::test]
async fn data_corruption() {
    let shop = Shop::start(None).await;
    let cart = "/api/cart/cart/me";
    shop.inject("data_corruption", "cart", 1.0).await;
    let answer = shop.get(ADD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["items"][0]["subtotal"], 700.0);
    assert_eq!(answer.json()["total"], 70_000.0);
    let refused = shop.get(ADD).await;
    assert_eq!(refused.status, 500);
    assert_eq!(
        refused.json()["error"],
        "database: the cart's total is not the sum of its items"
    );
    assert_eq!(shop.get(cart).await.status, 500);
    shop.clear("data_corruption", "cart").await;
    assert_eq!(shop.get(cart).await.json()["total"], 700.0);
    assert_eq!(shop.get(ADD).await.json()["total"], 1_400.0);
}

#[tokio::test]
async fn clock_skew() {
    let (receiver, endpoint) = Receiver::start().await;
    let mut shop = Shop::start(Some(&endpoint)).await;
    let path = "/api/cart/cart/nobody";
    shop.get(path).await;
    shop.inject("clock_skew", "cart", 1.0).await;
    shop.get(path).await;
    shop.clear("clock_skew", "cart").await;
    shop.get(path).await;
    shop.stop().await;
    let all = receiver.spans();
    // By how much the service began before the edge called it, ms.
    let mut ahead: Vec<_> = spans(&all, "cart", "GET /cart/{id}")
        .iter()
        .map(|served| {
            let call = all
                .iter()
                .find(|s| s.span.span_id == served.span.parent_span_id)
                .expect("the edge's call");
            let ns = |s: &crate::receiver::Seen| s.span.start_time_unix_nano as f64;
            (ns(served) - ns(call)) / 1e6
        })
        .collect();
    ahead.sort_by(f64::total_cmp);
    assert!(ahead[1] < 2_000.0, "{ahead:?}");
    assert!(ahead[2] >= 4_000.0, "{ahead:?}");
}
