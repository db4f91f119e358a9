//! Nobody is left behind, however the shop ends.

use std::process::Stdio;
use std::time::Duration;

use crate::shop::{Shop, is_gone, program};

fn signal(pid: u32, name: &str) {
    let status = std::process::Command::new("kill")
        .args([format!("-{name}"), pid.to_string()])
        .status()
        .expect("kill exists");
    assert!(status.success());
}

async fn all_gone(pids: &[u32]) -> bool {
    for _ in 0..500 {
        if pids.iter().all(|pid| is_gone(*pid)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}

#[tokio::test]
async fn the_end_of_input_ends_the_shop() {
    let mut shop = Shop::start(None).await;
    let pids = shop.service_pids();
    assert_eq!(pids.len(), 9);
    assert_eq!(shop.stop().await, Some(0));
    assert!(all_gone(&pids).await);
}

#[tokio::test]
async fn sigterm_ends_the_shop() {
    let mut shop = Shop::start(None).await;
    let pids = shop.service_pids();
    signal(shop.pid(), "TERM");
    assert_eq!(shop.exit_code().await, Some(0));
    assert!(all_gone(&pids).await);
}

#[tokio::test]
async fn a_killed_shop_leaves_no_service_even_under_faults() {
    let shop = Shop::start(None).await;
    shop.inject("cpu_saturation", "cart", 1.0).await;
    shop.inject("pool_exhaustion", "user", 1.0).await;
    let pids = shop.service_pids();
    signal(shop.pid(), "KILL");
    assert!(all_gone(&pids).await);
}

#[tokio::test]
async fn services_end_also_without_their_data_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let shop = Shop::start_with(|command| {
        command.args(["127.0.0.1:0", ""]).arg(&data);
    })
    .await;
    shop.get("/api/cart/add/me/RED/1").await;
    assert!(data.join("cart.db").exists(), "it is the given folder");
    let pids = shop.service_pids();
    folder.close().expect("removed");
    signal(shop.pid(), "KILL");
    assert!(all_gone(&pids).await);
}

#[tokio::test]
async fn a_shop_that_cannot_complain_still_works() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent = format!("http://{}", nobody.local_addr().expect("an address"));
    drop(nobody);
    // It warns that nothing listens there.
    let mut shop = Shop::start_with(|command| {
        command
            .args(["127.0.0.1:0", &silent])
            .stderr(full.expect("the device"));
    })
    .await;
    assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    assert_eq!(shop.stop().await, Some(0));
}

#[tokio::test]
async fn a_service_that_dies_ends_the_shop_with_an_error() {
    let mut shop = Shop::start(None).await;
    let pids = shop.service_pids();
    signal(shop.pid_of("ratings"), "KILL");
    assert_eq!(shop.exit_code().await, Some(1));
    assert!(all_gone(&pids).await);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let shop = Shop::start(None).await;
    let base = shop.ready["base_url"].as_str().expect("a URL");
    let address = base.trim_start_matches("http://").to_owned();
    let mut second = std::process::Command::new(program())
        .arg(&address)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Kept open: its end would be a reason to stop, and no error.
    let input = second.stdin.take();
    let second = second.wait_with_output().expect("it ends");
    drop(input);
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(
        message.contains(&format!("the web service cannot listen on {address}: ")),
        "{message}"
    );
}

#[tokio::test]
async fn a_collector_that_does_not_answer_does_not_hold_up_the_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            connections.push(connection);
        }
    });
    let mut shop = Shop::start(Some(&endpoint)).await;
    let pids = shop.service_pids();
    assert_eq!(shop.get("/api/catalogue/product/RED").await.status, 200);
    assert_eq!(shop.stop().await, Some(0), "not killed by its own deadline");
    assert!(all_gone(&pids).await);
    accepting.abort();
}
