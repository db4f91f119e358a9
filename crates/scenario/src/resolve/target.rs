//! Where the requests go: what was given for the run, then the file, then the embedded shop.

use crate::diagnostic::Finding;
use crate::file::ScenarioFile;
use crate::options::PlanOptions;
use crate::plan::Target;
use crate::yaml::Node;

pub(super) fn resolve(
    file: &ScenarioFile,
    root: &Node,
    options: &PlanOptions,
    findings: &mut Vec<Finding>,
) -> Target {
    let mut target = Target::Embedded;
    if let Some(url) = &file.base_url {
        match base_url(url) {
            Ok(url) => target = Target::BaseUrl(url),
            Err(help) => findings.push(
                Finding::at(root.value("base_url"), format!("`{url}` is not a base URL"))
                    .help(help),
            ),
        }
        if file.target.is_some() {
            findings.push(
                Finding::at(
                    root.value("target"),
                    "both `target` and `base_url` are given",
                )
                .help("keep the one that the requests go to"),
            );
        }
    }
    if let Some(url) = &options.base_url {
        match base_url(url) {
            Ok(url) => target = Target::BaseUrl(url),
            Err(help) => findings.push(
                Finding::of_options(format!("`{url}`, given for this run, is not a base URL"))
                    .help(help),
            ),
        }
    }
    target
}

/// A base URL without a slash at its end. The error says how to write it.
fn base_url(text: &str) -> Result<String, &'static str> {
    let how = "write it like http://shop.example:8080";
    let uri: http::Uri = text.parse().map_err(|_| how)?;
    let scheme = uri.scheme_str().ok_or(how)?;
    if !matches!(scheme, "http" | "https") {
        return Err("it must begin with http:// or https://");
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(how);
    }
    if uri.query().is_some() || text.contains('#') {
        return Err("a base URL has no query and no fragment");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::base_url;

    #[test]
    fn base_urls() {
        for (text, url) in [
            ("http://a", "http://a"),
            (
                "https://a.example:8443/shop/",
                "https://a.example:8443/shop",
            ),
            ("http://[::1]:80/", "http://[::1]:80"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(url));
        }
        for text in [
            "",
            "a",
            "localhost:8080",
            "ftp://a",
            "http://",
            "http://a?b",
            "http://a#b",
            "http://a b",
            "/x",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
