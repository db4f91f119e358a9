//! Starts the example program, which is the shop, and talks to it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loadgen_program::{Child, Input, Signal};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

/// Two shops at a time would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// No machine is so busy that a start or an end takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.kind, "application/json", "{self:?}");
        serde_json::from_str(&self.text).expect("JSON")
    }
}

/// A running shop, stopped when dropped.
pub(crate) struct Shop {
    child: Child,
    pub(crate) ready: Value,
    pub(crate) http: Client,
    _turn: MutexGuard<'static, ()>,
}

impl Shop {
    pub(crate) async fn start(otlp: Option<&str>) -> Self {
        Shop::start_with(|command| {
            command.arg("127.0.0.1:0").args(otlp);
        })
        .await
    }

    /// Starts it with arguments and streams of the test's own.
    pub(crate) async fn start_with(prepare: impl FnOnce(&mut Command)) -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let mut command = Command::new(program());
        prepare(&mut command);
        let started = Child::start_ready(command, Input::Held, LIMIT).await;
        let (child, ready) = started.expect("the shop starts");
        // Somebody else may have done so in this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(Duration::from_secs(20))
            .build()
            .expect("a client");
        Shop {
            child,
            ready,
            http,
            _turn: turn,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) fn service_pids(&self) -> Vec<u32> {
        let services = self.ready["services"].as_object().expect("services");
        services
            .values()
            .map(|s| u32::try_from(s["pid"].as_u64().expect("a pid")).expect("a pid"))
            .collect()
    }

    pub(crate) fn pid_of(&self, service: &str) -> u32 {
        let pid = self.ready["services"][service]["pid"].as_u64();
        u32::try_from(pid.expect("a pid")).expect("a pid")
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = self.ready["base_url"].as_str().expect("a URL");
        self.http.request(method, format!("{base}{path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        answer(with_body(self.request(method, path), body)).await
    }

    pub(crate) async fn admin(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let base = self.ready["admin_url"].as_str().expect("a URL");
        answer(with_body(
            self.http.request(method, format!("{base}{path}")),
            body,
        ))
        .await
    }

    pub(crate) async fn inject(&self, fault: &str, service: &str, intensity: f64) {
        let body = serde_json::json!({ "service": service, "intensity": intensity });
        let answer = self
            .admin(Method::PUT, &format!("/faults/{fault}"), Some(&body))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn clear(&self, fault: &str, service: &str) {
        let path = format!("/faults/{fault}?service={service}");
        let answer = self.admin(Method::DELETE, &path, None).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// Ends standard input and waits; the exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.child.ask_to_end();
        self.exit_code().await
    }

    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        let status = tokio::time::timeout(LIMIT, self.child.wait()).await;
        status.expect("the shop ends").expect("a child").code()
    }

    /// Medium time of requests that must succeed, one after the other.
    pub(crate) async fn median_time(&self, path: &str, requests: usize) -> Duration {
        let mut times = Vec::new();
        for _ in 0..requests {
            let since = Instant::now();
            let answer = self.get(path).await;
            times.push(since.elapsed());
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        times.sort();
        times[times.len() / 2]
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let Some(pid) = self.child.id() else {
            return;
        };
        self.child.ask_to_end();
        let since = Instant::now();
        // The next one waits for its turn.
        while !is_gone(pid) {
            if since.elapsed() > Duration::from_secs(10) {
                self.child.signal(Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Not there, or only not yet reaped by whoever inherited it.
pub(crate) fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat {
        Ok(stat) => stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => !Path::new(&format!("/proc/{pid}")).exists(),
    }
}

pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    path.pop();
    path.push("examples/shop");
    assert!(
        path.exists(),
        "{path:?} is missing: cargo build --examples makes it"
    );
    path
}

fn with_body(request: RequestBuilder, body: Option<&Value>) -> RequestBuilder {
    match body {
        Some(body) => request
            .header("content-type", "application/json")
            .body(body.to_string()),
        None => request,
    }
}

async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let kind = response
        .headers()
        .get("content-type")
        .map(|kind| kind.to_str().expect("text").to_owned());
    Answer {
        status: response.status().as_u16(),
        kind: kind.unwrap_or_default(),
        text: response.text().await.expect("a body"),
    }
}
