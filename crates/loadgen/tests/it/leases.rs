//! A fault with a lease in a real shop, and the driver that renews it.

use std::time::Duration;

use crate::program::shop::Shop;
use crate::program::{Place, until};
use loadgen_fault::{FaultDriver, ShopDriver};
use reqwest::Method;
use tokio::runtime::Runtime;

#[test]
fn a_fault_stays_while_its_owner_renews_it_and_goes_afterwards() {
    let place = Place::new();
    let shop = Shop::start(&place);
    let client = loadgen_engine::RunOptions::client_defaults()
        .build()
        .unwrap();
    Runtime::new().unwrap().block_on(async {
        let body = r#"{"service": "user", "intensity": 1, "owner": "me", "lease_ms": 5000}"#;
        let url = format!("{}/faults/hang", shop.admin_url);
        let put = client.request(Method::PUT, url).body(body);
        put.send().await.unwrap().error_for_status().unwrap();
        let driver = ShopDriver::new(client, &shop.admin_url);
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            driver.renew("me").await.unwrap();
        }
        driver.renew("nobody").await.unwrap();
    });
    assert_eq!(shop.faults().len(), 1);
    until("nobody renews it any more", || shop.faults().is_empty());
}
