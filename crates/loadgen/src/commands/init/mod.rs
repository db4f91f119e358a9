//! `loadgen init` and `loadgen k6 init`: first files to go on from.

mod ask;

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use reqwest::Url;
use serde_json::Value;

use crate::allow::{self, Stands};
use crate::args::{InitArgs, K6Command, K6InitArgs};
use crate::exit::{Exit, Failure};
use crate::tables;

/// The scenario file of the demo shop.
const OF_THE_SHOP: &str = include_str!("../../../../../scenarios/quick.yaml");

pub(super) async fn init(args: InitArgs) -> Result<Exit, Failure> {
    let (text, said) = match (&args.openapi, &args.har, &args.target) {
        (None, None, None) => (
            of_the_shop(),
            "the demo shop, with faults and about a minute long.".to_owned(),
        ),
        _ => of_a_target(&args).await?,
    };
    write_new(&args.out, &text)?;
    let file = args.out.display();
    super::print(&format!(
        "{file}: {said}\nRead it through; then:\n  \
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
    let address = args.target.as_deref().map(address).transpose()?;
    let target = address
        .as_ref()
        .map(|url| url.origin().ascii_serialization());
    let mut told = Vec::new();
    let (draft, by) = match (&args.openapi, &args.har, &address) {
        (Some(file), ..) => {
            let draft = loadgen_init::from_openapi(&document(file)?);
            (draft.map_err(|e| wrong(file, e))?, "its OpenAPI document")
        }
        (_, Some(file), _) => {
            let draft = loadgen_init::from_har(&document(file)?, target.as_deref());
            (draft.map_err(|e| wrong(file, e))?, "a recording")
        }
        (_, _, Some(address)) => {
            allow::remember(&args.allowed)?;
            let hosts = &args.allowed.hosts;
            allow::check("the target", address.as_str(), Stands::Typed, hosts).await?;
            let asked = ask::ask(address).await?;
            told = asked.told;
            (asked.draft, asked.by)
        }
        (None, None, None) => (loadgen_init::from_pages(&[], Vec::new()), "nothing"),
    };
    let Some(base_url) = target.or_else(|| draft.base_url.clone()) else {
        return Err(Failure::new(
            Exit::Usage,
            "the document does not say where the target is: give its address, such as \
             `loadgen init http://127.0.0.1:8080 …`",
        ));
    };
    let steps: usize = draft.flows.iter().map(|flow| flow.steps.len()).sum();
    let requests = tables::counted(steps as u64, "request");
    let mut said = format!("{requests} to {base_url}, by {by}.");
    for line in told {
        said += "\n";
        said += tables::wrapped(&line, "  ").trim_end();
    }
    Ok((draft.file(&base_url), said))
}

/// An address of a web server. Its path is that of a first page.
fn address(text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).ok();
    let url = url.filter(|url| ["http", "https"].contains(&url.scheme()));
    url.ok_or_else(|| {
        let message = format!("`{text}` is not an address like http://127.0.0.1:8080");
        Failure::new(Exit::Usage, message)
    })
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
