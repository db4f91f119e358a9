//! Asks a target what there is: for a description of its routes, else for a first page and the pages
//! that it links to. Only GET is sent, and all of it ends within [`BUDGET`].

use std::time::Duration;

use loadgen_init::{Draft, from_openapi, from_pages, links, path_of};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use tokio::time::Instant;

use super::parsed;
use crate::allow;
use crate::exit::{Exit, Failure};
use crate::tables::counted;

/// Where frameworks serve their OpenAPI document.
const USUAL_PATHS: [&str; 7] = [
    "/openapi.json",
    "/openapi.yaml",
    "/v3/api-docs",
    "/swagger.json",
    "/swagger/v1/swagger.json",
    "/api-docs",
    "/api/openapi.json",
];

/// Where services say that they are well: asked for where the first page does not answer.
const HEALTH_PATHS: [&str; 4] = ["/health", "/healthz", "/actuator/health", "/status"];

/// The longest time for one answer, and for all of them.
const PATIENCE: Duration = Duration::from_secs(5);
const BUDGET: Duration = Duration::from_secs(15);

/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 16 << 20;

/// So many links of the first page are tried.
const LINKS_TRIED: usize = 10;

/// What asking came to.
pub(super) struct Asked {
    pub(super) draft: Draft,
    /// What the draft was made by.
    pub(super) by: &'static str,
    /// What was found and what was not, a line each.
    pub(super) told: Vec<String>,
}

/// An answer that is there in full.
struct Page {
    url: Url,
    status: u16,
    kind: String,
    body: String,
}

struct Asker {
    client: Client,
    until: Instant,
}

/// Asks the target at `address` what there is.
///
/// # Errors
/// It is not reachable.
pub(super) async fn ask(address: &Url) -> Result<Asked, Failure> {
    let host = address.origin();
    // Somebody else's server is not asked because this one points to it.
    let own_host = Policy::custom(move |attempt| {
        match attempt.url().origin() == host && attempt.previous().len() < 5 {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    });
    let client = allow::client().redirect(own_host).build();
    let client = client
        .map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))?;
    let asker = Asker {
        client,
        until: Instant::now() + BUDGET,
    };
    if let Some(asked) = asker.description(address).await? {
        return Ok(asked);
    }
    let first = asker.get(address).await;
    let first = first.map_err(|why| not_reachable(address, &why))?;
    Ok(asker.pages(address, &first).await)
}

fn not_reachable(address: &Url, why: &str) -> Failure {
    let target = address.origin().ascii_serialization();
    let message = format!(
        "{target} is not reachable: {why}. Start it, or describe it by a file: --openapi or --har"
    );
    Failure::new(Exit::NotReachable, message)
}

impl Asker {
    /// An answer; none and why: there is none in time.
    async fn get(&self, url: &Url) -> Result<Page, String> {
        let until = self.until.min(Instant::now() + PATIENCE);
        let asked = tokio::time::timeout_at(until, async {
            let answer = self.client.get(url.clone()).send().await;
            Ok(read(answer.map_err(|error| causes(&error))?).await)
        });
        asked.await.unwrap_or(Err("no answer in time".to_owned()))
    }

    /// By the OpenAPI document that the target serves at a usual path, if it does. Where one path gets
    /// no answer at all the others are not asked for.
    async fn description(&self, address: &Url) -> Result<Option<Asked>, Failure> {
        for path in USUAL_PATHS {
            let Ok(url) = address.join(path) else {
                continue;
            };
            let page = self.get(&url).await;
            let page = page.map_err(|why| not_reachable(address, &why))?;
            let document = parsed(&page.body).filter(|_| page.is_success());
            if let Some(draft) = document.and_then(|document| from_openapi(&document).ok()) {
                return Ok(Some(Asked {
                    draft,
                    by: "its own OpenAPI document",
                    told: vec![format!("OpenAPI document: {path}")],
                }));
            }
        }
        Ok(None)
    }

    /// By the first page and by what it links to.
    async fn pages(&self, address: &Url, first: &Page) -> Asked {
        let mut told = vec![format!("no OpenAPI document at {}", USUAL_PATHS.join(", "))];
        told.push(first.told(path_of(address)));
        let mut answered = Vec::new();
        let mut left_out = Vec::new();
        if first.is_success() {
            answered.push(path_of(address).to_owned());
            let found = links(&first.url, &first.kind, &first.body);
            let more = found.paths.len().saturating_sub(LINKS_TRIED);
            let count = counted(found.paths.len() as u64, "link");
            told.push(format!("{count} on it to other pages of the target"));
            for path in found.paths.iter().take(LINKS_TRIED) {
                self.try_page(address, path, &mut answered, &mut left_out)
                    .await;
            }
            if more > 0 {
                left_out.push(format!("{more} more links, which were not asked for"));
            }
            let may_change = found.may_change.iter();
            left_out.extend(may_change.map(|path| format!("{path}, which may change something")));
        } else {
            left_out.push(format!("{}: status {}", path_of(address), first.status));
            for path in HEALTH_PATHS {
                self.try_page(address, path, &mut answered, &mut left_out)
                    .await;
            }
        }
        told.extend(left_out.iter().map(|line| format!("left out: {line}")));
        let by = match (first.is_success(), answered.is_empty()) {
            (true, _) => "what its pages answer",
            (false, false) => "its health check alone",
            (false, true) => "its address alone",
        };
        if !first.is_success() {
            told.push(
                "Nothing says what it is used for: write the paths of a visit into the file, or give \
                 --openapi or --har, or the address of a page that answers"
                    .to_owned(),
            );
        }
        Asked {
            draft: from_pages(&answered, left_out),
            by,
            told,
        }
    }

    async fn try_page(
        &self,
        address: &Url,
        path: &str,
        answered: &mut Vec<String>,
        left_out: &mut Vec<String>,
    ) {
        let Ok(url) = address.join(path) else {
            return;
        };
        match self.get(&url).await {
            Ok(page) if page.is_success() => answered.push(path.to_owned()),
            Ok(page) => left_out.push(format!("{path}: status {}", page.status)),
            Err(why) => left_out.push(format!("{path}: {why}")),
        }
    }
}

impl Page {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn told(&self, path: &str) -> String {
        let to = path_of(&self.url);
        let led = match to == path {
            true => String::new(),
            false => format!(", led to {to}"),
        };
        let kind = self.kind.split(';').next().unwrap_or_default();
        let kind = match kind {
            "" => "no content type",
            kind => kind,
        };
        format!("GET {path}: status {}, {kind}{led}", self.status)
    }
}

/// As much of an answer as is read. What breaks off is as good as what came.
async fn read(mut answer: Response) -> Page {
    let kind = answer.headers().get(reqwest::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let mut page = Page {
        url: answer.url().clone(),
        status: answer.status().as_u16(),
        kind: kind.unwrap_or_default().to_owned(),
        body: String::new(),
    };
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        if bytes.len() + chunk.len() > MOST_BYTES {
            break;
        }
        bytes.extend_from_slice(&chunk);
    }
    page.body = String::from_utf8_lossy(&bytes).into_owned();
    page
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
