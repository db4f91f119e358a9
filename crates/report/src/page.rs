//! The page: markup, styles, scripts and figures in one text.
//!
//! Figures are a block of JSON that no browser runs, and the scripts put them into the page as text
//! alone. A policy names the scripts and styles by their hashes, so that nothing else runs even if a
//! name of a span looks like a script.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::run::RunReport;
use crate::sources::ReportError;

const UPLOT: &str = include_str!("../vendor/uPlot.iife.min.js");
const UPLOT_STYLE: &str = include_str!("../vendor/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("../vendor/uPlot.LICENSE");
const DAGRE: &str = include_str!("../vendor/dagre.min.js");
const DAGRE_LICENCE: &str = include_str!("../vendor/dagre.LICENSE");
const STYLE: &str = include_str!("../assets/page.css");

/// The modules, each after those that it uses.
const MODULES: [(&str, &str); 13] = [
    ("elements.mjs", include_str!("../assets/elements.mjs")),
    ("format.mjs", include_str!("../assets/format.mjs")),
    ("theme.mjs", include_str!("../assets/theme.mjs")),
    ("glance.mjs", include_str!("../assets/glance.mjs")),
    ("chart.mjs", include_str!("../assets/chart.mjs")),
    ("timeline.mjs", include_str!("../assets/timeline.mjs")),
    ("verdicts.mjs", include_str!("../assets/verdicts.mjs")),
    ("balance.mjs", include_str!("../assets/balance.mjs")),
    ("graph.mjs", include_str!("../assets/graph.mjs")),
    ("waterfall.mjs", include_str!("../assets/waterfall.mjs")),
    ("files.mjs", include_str!("../assets/files.mjs")),
    ("comparison.mjs", include_str!("../assets/comparison.mjs")),
    ("page.mjs", include_str!("../assets/page.mjs")),
];

/// What a page shows.
#[derive(Debug, Clone, Serialize)]
pub struct Page<'r> {
    /// Version of loadgen that made the page.
    pub loadgen_version: &'static str,
    /// The runs, in the order in which they were asked for.
    pub runs: &'r [RunReport],
    /// The run goes on; none: it is over.
    pub live: Option<Live>,
}

/// How a page is fed while its run goes on.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Live {
    /// How often it asks for new figures, milliseconds.
    pub every_ms: u32,
}

impl<'r> Page<'r> {
    /// A page of runs that are over.
    pub fn of(runs: &'r [RunReport]) -> Self {
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION"),
            runs,
            live: None,
        }
    }

    /// The figures as JSON: those in a page, and those that a live one asks for.
    pub fn json(&self) -> String {
        // Fails for none of these types.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One page of one run or several, with everything in it: it needs no other file and no network.
pub fn html(runs: &[RunReport]) -> String {
    let title = match runs {
        [run] => format!("{} - loadgen report", run.name),
        runs => format!("{} runs - loadgen report", runs.len()),
    };
    assemble(&title, &Page::of(runs).json(), "")
}

/// The page of a run that goes on: it asks where it came from for `figures.json`, [`Page::json`], and
/// ends to ask when that says that the run is over.
pub fn live_html(page: &Page<'_>) -> String {
    assemble(
        "A run - loadgen report",
        &page.json(),
        "; connect-src 'self'",
    )
}

/// Writes the page of runs. It takes the place of the one that is there when it is whole.
///
/// # Errors
/// [`ReportError::Write`]: what the system said.
pub fn write(page: &Path, runs: &[RunReport]) -> Result<(), ReportError> {
    let cannot = |source| ReportError::Write {
        path: page.to_owned(),
        source,
    };
    let folder = page
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = page.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = folder.join(format!(".{name}"));
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::write(&unfinished, html(runs))
        .and_then(|()| fs::rename(&unfinished, page))
        .map_err(cannot)
}

/// The page of a comparison, of the same parts: what it is of stands in `docs/comparison.md`.
/// `figures` is an object with the member `comparison`.
///
/// # Errors
/// What serialising says.
pub fn comparison_html(title: &str, figures: &impl Serialize) -> serde_json::Result<String> {
    Ok(assemble(title, &serde_json::to_string(figures)?, ""))
}

fn assemble(title: &str, json: &str, more_policy: &str) -> String {
    let data = escape_json(json);
    let style = format!("{UPLOT_STYLE}\n{STYLE}");
    let charts = script("uPlot 1.6.32", UPLOT_LICENCE, UPLOT);
    let layout = script("@dagrejs/dagre 3.1.3", DAGRE_LICENCE, DAGRE);
    let modules = modules();
    let policy = format!(
        "default-src 'none'; script-src {} {} {}; style-src {}; base-uri 'none'; form-action 'none'{more_policy}",
        hash(&charts),
        hash(&layout),
        hash(&modules),
        hash(&style),
    );
    let title = escape_text(title);
    format!(
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript><p>This page draws its figures with its own scripts, which are in it and need no network. Please allow them.</p></noscript>
<div id="page"></div>
<script type="application/json" id="figures">{data}</script>
<script>{charts}</script>
<script>{layout}</script>
<script type="module">{modules}</script>
</body>
</html>
"#
    )
}

/// A library with its licence. Its map of sources is not here, and must not be looked for.
fn script(name: &str, licence: &str, text: &str) -> String {
    let text: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("//# sourceMappingURL="))
        .collect();
    format!(
        "\n/*! {name}\n{}\n*/\n{}\n",
        licence.trim(),
        text.join("\n")
    )
}

/// Our own modules as one: each is a function that gives what it exports, under the names by which
/// the others import it.
fn modules() -> String {
    let mut out = String::from("\n");
    for (name, text) in MODULES {
        let exports = exports(text).join(", ");
        out += &format!("// {name}\nconst {{ {exports} }} = (() => {{\n");
        for line in parts(text).1 {
            out += line.strip_prefix("export ").unwrap_or(line);
            out.push('\n');
        }
        out += &format!("return {{ {exports} }};\n}})();\n");
    }
    out
}

/// The modules that a module imports, and its lines without the imports. An import begins a line and
/// ends one, with the name of the module.
fn parts(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut imports, mut body) = (Vec::new(), Vec::new());
    let mut is_import = false;
    for line in text.lines() {
        is_import |= line.starts_with("import ");
        if !is_import {
            body.push(line);
            continue;
        }
        if let Some((_, module)) = line.split_once("from \"./") {
            imports.push(module.trim_end_matches("\";"));
            is_import = false;
        }
    }
    (imports, body)
}

/// Names that a module exports: of functions and constants, each declared at the begin of a line.
fn exports(text: &str) -> Vec<&str> {
    let declared = text.lines().filter_map(|line| {
        let line = line.strip_prefix("export ")?;
        let name = line
            .strip_prefix("function ")
            .or_else(|| line.strip_prefix("const "))?;
        name.split(|c: char| !c.is_alphanumeric()).next()
    });
    declared.collect()
}

fn hash(text: &str) -> String {
    format!(
        "'sha256-{}'",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

/// JSON that can stand in a page: no character in it can end the block or begin another tag.
/// Of JSON only texts have these characters, so each can be written as its number.
pub(crate) fn escape_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 50);
    for character in text.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out += &format!("\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out
}

fn escape_text(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '&' => out += "&amp;",
            '"' => out += "&quot;",
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
