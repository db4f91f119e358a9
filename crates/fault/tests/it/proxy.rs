//! The driver `proxy` against `loadgen proxy` and, where `LOADGEN_REAL_TOXIPROXY` names its binary,
//! against a genuine Toxiproxy.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use loadgen_fault::{FaultDriver, FaultError, Injection, ProxyDriver};
use loadgen_program::{Child, Input};
use loadgen_proxy::{ProxyOptions, ProxyServer};
use loadgen_scenario::plan::Fault;
use serde_json::{Value, json};
use tokio::process::Command;

const OWNER: &str = "0123456789abcdef0123456789abcdef";

/// A proxy with one edge, `edge`.
struct Proxy {
    url: String,
    ours: Option<ProxyServer>,
    _genuine: Option<Child>,
}

impl Proxy {
    async fn ours() -> Self {
        let mut options = ProxyOptions::default();
        options.listen.set_port(0);
        let server = ProxyServer::start(options).await.unwrap();
        let proxy = Self {
            url: format!("http://{}", server.address()),
            ours: Some(server),
            _genuine: None,
        };
        proxy.with_edge().await
    }

    async fn genuine() -> Option<Self> {
        let Ok(binary) = std::env::var("LOADGEN_REAL_TOXIPROXY") else {
            eprintln!("LOADGEN_REAL_TOXIPROXY is not set: not tried with the genuine one");
            return None;
        };
        // One that was free just now: it does not say which it has chosen.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = Command::new(binary);
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.kill_on_drop(true);
        let proxy = Self {
            url: format!("http://127.0.0.1:{port}"),
            ours: None,
            _genuine: Some(Child::start(command, Input::Empty).unwrap()),
        };
        for _ in 0..600 {
            if client()
                .get(format!("{}/version", proxy.url))
                .send()
                .await
                .is_ok()
            {
                return Some(proxy.with_edge().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("Toxiproxy does not answer");
    }

    async fn with_edge(self) -> Self {
        let edge = json!({"name": "edge", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9", "enabled": true});
        self.call("POST", "/proxies", Some(edge)).await;
        self
    }

    fn driver(&self) -> ProxyDriver {
        ProxyDriver::new(client(), &self.url)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let method = method.parse().unwrap();
        let mut request = client().request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn toxics(&self) -> Vec<Value> {
        let toxics = self.call("GET", "/proxies/edge/toxics", None).await;
        toxics.as_array().unwrap().clone()
    }
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

async fn both() -> Vec<Proxy> {
    let mut both = vec![Proxy::ours().await];
    both.extend(Proxy::genuine().await);
    both
}

fn fault(name: &str, intensity: f64, mut parameters: Value) -> Fault {
    parameters["proxy"] = "edge".into();
    Fault {
        driver: "proxy".to_owned(),
        fault: name.to_owned(),
        service: "orders".to_owned(),
        intensity,
        sham: false,
        harmless: false,
        clients: None,
        parameters: parameters.as_object().unwrap().clone(),
    }
}

async fn injection(driver: &ProxyDriver, fault: Fault) -> Injection {
    let before = driver.prepare(&fault, OWNER).await.unwrap();
    let owner = OWNER.to_owned();
    Injection {
        fault,
        owner,
        before,
    }
}

#[tokio::test]
async fn each_fault_is_a_toxic_with_the_attributes_that_were_asked_for() {
    for proxy in both().await {
        let driver = proxy.driver();
        let version = driver.version().await.unwrap();
        let kind = if proxy.ours.is_some() {
            "loadgen proxy"
        } else {
            "toxiproxy"
        };
        assert!(version.starts_with(kind), "{version}");
        for (name, intensity, parameters, attributes) in [
            (
                "latency",
                0.5,
                json!({"latency_ms": 400, "jitter_ms": 20}),
                json!({"latency": 200, "jitter": 10}),
            ),
            ("bandwidth", 0.5, json!({"rate": 10}), json!({"rate": 20})),
            (
                "slow_close",
                1.0,
                json!({"delay_ms": 100}),
                json!({"delay": 100}),
            ),
            ("timeout", 1.0, json!({}), json!({"timeout": 0})),
            (
                "reset_peer",
                1.0,
                json!({"timeout_ms": 5}),
                json!({"timeout": 5}),
            ),
            (
                "limit_data",
                1.0,
                json!({"bytes": 1000}),
                json!({"bytes": 1000}),
            ),
        ] {
            let injection = injection(&driver, fault(name, intensity, parameters)).await;
            let confirmed = driver.inject(&injection).await.unwrap();
            assert_eq!(confirmed.read_back["attributes"], attributes, "{name}");
            // The answer may have been lost: once more is no error.
            driver.inject(&injection).await.unwrap();
            assert_eq!(proxy.toxics().await.len(), 1);
            driver.renew(OWNER).await.unwrap();
            let active = driver
                .state(std::slice::from_ref(&injection))
                .await
                .unwrap();
            assert_eq!(active.len(), 1, "{name}: {active:?}");
            assert_eq!(
                (&active[0].fault, &*active[0].owner),
                (&injection.fault, OWNER)
            );
            assert!(
                driver.clear(&injection).await.unwrap().was_in_force,
                "{name}"
            );
            assert!(
                !driver.clear(&injection).await.unwrap().was_in_force,
                "{name}"
            );
            assert!(proxy.toxics().await.is_empty());
            assert!(driver.state(&[injection]).await.unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_fault_without_a_measure_is_weaker_on_fewer_connections() {
    for proxy in both().await {
        let driver = proxy.driver();
        let injection = injection(&driver, fault("timeout", 0.25, json!({"toxicity": 0.5}))).await;
        driver.inject(&injection).await.unwrap();
        let toxicity = proxy.toxics().await[0]["toxicity"].as_f64().unwrap();
        assert!((toxicity - 0.125).abs() < 1e-6, "{toxicity}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_up_again_when_cleared() {
    for proxy in both().await {
        let driver = proxy.driver();
        let injection = injection(&driver, fault("down", 1.0, json!({}))).await;
        driver.inject(&injection).await.unwrap();
        assert_eq!(
            proxy.call("GET", "/proxies/edge", None).await["enabled"],
            false
        );
        let active = driver
            .state(std::slice::from_ref(&injection))
            .await
            .unwrap();
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].owner, OWNER);
        // Down by somebody's hand is not ours to clear.
        let again = driver.prepare(&injection.fault, OWNER).await.unwrap_err();
        assert!(again.changed_nothing());
        assert!(driver.clear(&injection).await.unwrap().was_in_force);
        assert_eq!(
            proxy.call("GET", "/proxies/edge", None).await["enabled"],
            true
        );
        assert!(!driver.clear(&injection).await.unwrap().was_in_force);
    }
}

#[tokio::test]
async fn what_somebody_else_puts_on_is_seen_and_stays() {
    for proxy in both().await {
        let driver = proxy.driver();
        let theirs = json!({"name": "theirs", "type": "latency", "attributes": {"latency": 5}});
        proxy
            .call("POST", "/proxies/edge/toxics", Some(theirs))
            .await;
        let injection = injection(&driver, fault("bandwidth", 1.0, json!({"rate": 100}))).await;
        driver.inject(&injection).await.unwrap();
        let mut active = driver
            .state(std::slice::from_ref(&injection))
            .await
            .unwrap();
        active.sort_by_key(|active| active.owner.clone());
        let seen: Vec<(&str, &str)> = active
            .iter()
            .map(|a| (&*a.fault.fault, &*a.owner))
            .collect();
        assert_eq!(seen, [("latency", ""), ("bandwidth", OWNER)]);
        driver.reset(OWNER).await.unwrap();
        let left = proxy.toxics().await;
        assert_eq!(left.len(), 1);
        assert_eq!(left[0]["name"], "theirs");
    }
}

#[tokio::test]
async fn a_fault_that_somebody_changed_is_not_ours_any_more() {
    for proxy in both().await {
        let driver = proxy.driver();
        let injection = injection(&driver, fault("bandwidth", 1.0, json!({"rate": 100}))).await;
        driver.inject(&injection).await.unwrap();
        let name = proxy.toxics().await[0]["name"].as_str().unwrap().to_owned();
        let path = format!("/proxies/edge/toxics/{name}");
        proxy
            .call("POST", &path, Some(json!({"attributes": {"rate": 7}})))
            .await;
        let active = driver
            .state(std::slice::from_ref(&injection))
            .await
            .unwrap();
        assert_eq!(active.len(), 1);
        assert_ne!(active[0].fault, injection.fault);
    }
}

#[tokio::test]
async fn slips_are_told_and_change_nothing() {
    for proxy in both().await {
        let driver = proxy.driver();
        let mut elsewhere = fault("latency", 1.0, json!({"latency_ms": 1}));
        elsewhere
            .parameters
            .insert("proxy".to_owned(), "edgy".into());
        let error = driver.prepare(&elsewhere, OWNER).await.unwrap_err();
        assert!(error.changed_nothing());
        assert!(
            error
                .to_string()
                .contains("has no proxy `edgy`: it has edge"),
            "{error}"
        );
    }
    let nowhere = ProxyDriver::new(client(), "http://127.0.0.1:9");
    assert!(matches!(
        nowhere.version().await,
        Err(FaultError::Unreachable { .. })
    ));
}
