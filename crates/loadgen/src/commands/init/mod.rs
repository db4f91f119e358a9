//! `loadgen init` and `loadgen k6 init`: first files to go on from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::Duration;

use loadgen_init::Draft;
use reqwest::Url;
use serde_json::Value;

use crate::allow;
use crate::args::{InitArgs, K6Command, K6InitArgs};
use crate::exit::{Exit, Failure};
use crate::tables;

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

/// The longest time to wait for such a document, and its most bytes.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_BYTES: usize = 16 << 20;

/// The scenario file of the demo shop.
const OF_THE_SHOP: &str = include_str!("../../../../../scenarios/quick.yaml");

pub(super) async fn init(args: InitArgs) -> Result<Exit, Failure> {
    let (text, said) = match (&args.openapi, &args.har, &args.target) {
        (None, None, None) => (
            of_the_shop(),
            "the demo shop, with faults and about a minute long".to_owned(),
        ),
        _ => of_a_target(&args).await?,
    };
    write_new(&args.out, &text)?;
    let file = args.out.display();
    super::print(&format!(
        "{file}: {said}. Read it through; then:\n  \
           loadgen check {file}\n  \
           loadgen doctor {file}\n  \
           loadgen run {file}\n"
    ))
}

/// Without the line by which editors find the schema: it holds beside the schema alone.
fn of_the_shop() -> String {
    let mut lines = OF_THE_SHOP.split_inclusive('\n').peekable();
    let is_of_editors = |line: &&str| line.starts_with("# yaml-language-server:") || *line == "#\n";
    while lines.next_if(is_of_editors).is_some() {}
    lines.collect()
}

async fn of_a_target(args: &InitArgs) -> Result<(String, String), Failure> {
    let target = args.target.as_deref().map(origin).transpose()?;
    let (draft, by) = match (&args.openapi, &args.har, &target) {
        (Some(file), ..) => {
            let draft = loadgen_init::from_openapi(&document(file)?);
            (draft.map_err(|e| wrong(file, e))?, "its OpenAPI document")
        }
        (_, Some(file), _) => {
            let draft = loadgen_init::from_har(&document(file)?, target.as_deref());
            (draft.map_err(|e| wrong(file, e))?, "a recording")
        }
        (_, _, Some(target)) => {
            allow::remember(&args.allowed)?;
            allow::check("the target", target, &args.allowed.hosts).await?;
            match ask(target).await? {
                Some(draft) => (draft, "its own OpenAPI document"),
                None => (loadgen_init::address_alone(), "its address alone"),
            }
        }
        (None, None, None) => (loadgen_init::address_alone(), "nothing"),
    };
    let Some(base_url) = target.or_else(|| draft.base_url.clone()) else {
        return Err(Failure::new(
            Exit::BadInput,
            "the document does not say where the target is: give its address, such as \
             `loadgen init http://127.0.0.1:8080 …`",
        ));
    };
    let steps: usize = draft.flows.iter().map(|flow| flow.steps.len()).sum();
    let requests = tables::counted(steps as u64, "request");
    let said = format!("{requests} to {base_url}, by {by}");
    Ok((draft.file(&base_url), said))
}

/// Scheme, host and port of an address.
fn origin(address: &str) -> Result<String, Failure> {
    let url = Url::parse(address).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    url.map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| {
            Failure::new(
                Exit::BadInput,
                format!("`{address}` is not an address like http://127.0.0.1:8080"),
            )
        })
}

/// What the target says of its routes, if it does.
async fn ask(target: &str) -> Result<Option<Draft>, Failure> {
    let client = allow::client().build();
    let client = client
        .map_err(|e| Failure::new(Exit::Failed, format!("can't set up the HTTP client: {e}")))?;
    for path in USUAL_PATHS {
        let url = format!("{target}{path}");
        let answer = match client.get(url).timeout(PATIENCE).send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() || error.is_timeout() => {
                let message = format!(
                    "{target} is not reachable: {}. Start it, or describe it by a file: --openapi or --har",
                    causes(&error)
                );
                return Err(Failure::new(Exit::NotReachable, message));
            }
            Err(_) => continue,
        };
        let is_small = answer
            .content_length()
            .is_none_or(|n| n <= MOST_BYTES as u64);
        if !answer.status().is_success() || !is_small {
            continue;
        }
        let text = answer.text().await.unwrap_or_default();
        if let Some(draft) = parsed(&text).and_then(|d| loadgen_init::from_openapi(&d).ok()) {
            return Ok(Some(draft));
        }
    }
    Ok(None)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn document(file: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| wrong(file, e))?;
    parsed(&text).ok_or_else(|| wrong(file, "it is neither JSON nor YAML"))
}

/// JSON is YAML, but not always to a parser of YAML.
fn parsed(text: &str) -> Option<Value> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text)
        .ok()
        .or_else(|| serde_yaml::from_str(text).ok())
}

fn wrong(file: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::BadInput, format!("{}: {what}", file.display()))
}

pub(super) fn k6(command: &K6Command) -> Result<Exit, Failure> {
    let K6Command::Init(K6InitArgs { folder }) = command;
    let cannot = |e: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format!("can't write to {}: {e}", folder.display()),
        )
    };
    std::fs::create_dir_all(folder).map_err(cannot)?;
    write_new(&folder.join("script.js"), include_str!("first_script.js"))?;
    loadgen_engine::k6::write_module(&folder.join("loadgen")).map_err(cannot)?;
    super::print(&format!(
        "{0}: script.js, and the module in loadgen/. The first lines of the script say how to run it.\n",
        folder.display()
    ))
}

/// Writes a file that is not there yet.
fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| {
        let what = match error.kind() {
            ErrorKind::AlreadyExists => "it is there already, and is not written over".to_owned(),
            _ => format!("can't be written: {error}"),
        };
        Failure::new(Exit::Failed, format!("{}: {what}", file.display()))
    })
}
