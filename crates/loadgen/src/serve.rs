//! The page of a run while it goes on: `loadgen run --serve`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use loadgen_control::Access;
use loadgen_engine::{Consumer, EngineEvent};
use loadgen_report::{Live, LiveSeries, Page, RunReport, live_html};
use loadgen_scenario::Plan;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How often a page asks for new figures.
const EVERY: Duration = Duration::from_secs(2);

/// Whoever asked within this time is still looking, and gets the last figures.
const LOOKING: Duration = Duration::from_secs(6);

/// A port alone is one of this machine's own address.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let wrong = "give a port, such as 8090, or an address with one, such as 127.0.0.1:8090";
    text.parse().map_err(|_| wrong.to_owned())
}

/// A page that is served.
pub(crate) struct LivePage {
    /// Where it is.
    pub(crate) url: String,
    /// Only this machine reaches it.
    pub(crate) is_loopback: bool,
    shared: Arc<Shared>,
    /// Ends the server in good order: answers that were begun are given.
    close: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

struct Shared {
    folder: PathBuf,
    series: Mutex<LiveSeries>,
    /// What the page shows when the run is over.
    last: Mutex<Option<RunReport>>,
    asked: Mutex<Asked>,
}

/// Who asked for figures.
#[derive(Default)]
struct Asked {
    /// The last time.
    at: Option<Instant>,
    /// The last time that the figures of the end were given.
    end_given: bool,
}

impl LivePage {
    /// Listens and answers from now on. Of a loopback address only this machine's own names are
    /// answered, so that no other web page can read from it.
    pub(crate) fn start(listener: TcpListener, plan: &Plan, folder: &Path) -> io::Result<Self> {
        let listen = listener.local_addr()?;
        let url = format!("http://{listen}/");
        let flows = plan.flows.iter();
        let names: Vec<Vec<&str>> = flows
            .map(|flow| flow.steps.iter().map(|step| step.name.as_str()).collect())
            .collect();
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            series: Mutex::new(LiveSeries::new(&names)),
            last: Mutex::default(),
            asked: Mutex::default(),
        });
        let router = Router::new()
            .route("/", get(page))
            .route("/figures.json", get(figures))
            .with_state(shared.clone());
        let router = match Access::new(listen.ip(), None) {
            Ok(access) => access.protect(router),
            // Whoever gave this address wants others to look.
            Err(_) => router,
        };
        let (close, closed) = oneshot::channel();
        let server = axum::serve(listener, router).with_graceful_shutdown(async move {
            // Whoever drops the other end without a word ends it, too.
            let _ = closed.await;
        });
        let server = tokio::spawn(server.into_future());
        Ok(Self {
            is_loopback: listen.ip().to_canonical().is_loopback(),
            url,
            shared,
            close,
            server,
        })
    }

    /// What feeds it.
    pub(crate) fn consumer(&self) -> Box<dyn Consumer> {
        Box::new(Feed(self.shared.clone()))
    }

    /// Gives those who are looking the figures of the end, and waits until they have them.
    pub(crate) async fn end(self, report: RunReport) {
        *lock(&self.shared.last) = Some(report);
        let begin = Instant::now();
        let is_waited_for = || {
            let asked = lock(&self.shared.asked);
            asked.at.is_some_and(|at| at.elapsed() < LOOKING) && !asked.end_given
        };
        while is_waited_for() && begin.elapsed() < LOOKING {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _ = self.close.send(());
        // Not for longer: a connection can be held open by anybody.
        let _ = tokio::time::timeout(LOOKING, self.server).await;
    }
}

struct Feed(Arc<Shared>);

impl Consumer for Feed {
    fn name(&self) -> &str {
        "the live page"
    }

    fn take(&mut self, event: &EngineEvent) -> io::Result<()> {
        if let EngineEvent::Requests(records) = event {
            lock(&self.0.series).take(records);
        }
        Ok(())
    }
}

impl Shared {
    /// The run as it is now; whether it is over.
    fn report(&self) -> (RunReport, bool) {
        if let Some(last) = lock(&self.last).clone() {
            return (last, true);
        }
        let series = lock(&self.series).clone();
        (RunReport::live(&self.folder, &series), false)
    }
}

fn live() -> Live {
    Live {
        every_ms: u32::try_from(EVERY.as_millis()).unwrap_or(u32::MAX),
    }
}

async fn page(State(shared): State<Arc<Shared>>) -> Response {
    answer(shared, |page, _| Html(live_html(&page)).into_response()).await
}

async fn figures(State(shared): State<Arc<Shared>>) -> Response {
    let given = shared.clone();
    answer(shared, move |page, is_over| {
        *lock(&given.asked) = Asked {
            at: Some(Instant::now()),
            end_given: is_over,
        };
        ([(CONTENT_TYPE, "application/json")], page.json()).into_response()
    })
    .await
}

/// Reads files, so it is done beside the answers to others.
async fn answer(
    shared: Arc<Shared>,
    make: impl FnOnce(Page<'_>, bool) -> Response + Send + 'static,
) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        let (report, is_over) = shared.report();
        let runs = [report];
        let page = Page {
            live: (!is_over).then(live),
            ..Page::of(&runs)
        };
        make(page, is_over)
    });
    match made.await {
        Ok(response) => ([(CACHE_CONTROL, "no-store")], response).into_response(),
        Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        let told = |text| address(text).map(|at| at.to_string());
        assert_eq!(told("8090"), Ok("127.0.0.1:8090".to_owned()));
        assert_eq!(told("0.0.0.0:80"), Ok("0.0.0.0:80".to_owned()));
        assert_eq!(told("[::1]:9"), Ok("[::1]:9".to_owned()));
        assert!(address("here").is_err());
        assert!(address("70000").is_err());
    }
}
