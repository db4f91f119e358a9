//! First files: what `loadgen init` and `loadgen k6 init` write is right, and is never written over
//! something.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use crate::program::k6::k6_run;
use crate::program::target::Target;
use crate::program::{Place, text};

const OPENAPI: &str = r#"
openapi: 3.0.3
info: {title: Orders, version: "1"}
paths:
  /orders/{id}:
    get:
      parameters:
        - {name: id, in: path, required: true, schema: {type: integer, enum: [3, 4]}}
      responses: {"200": {content: {application/json: {}}}}
    delete: {}
"#;

/// A target that describes itself in YAML.
fn target() -> Target {
    Target::start(|path| {
        let (kind, answer) = match path {
            "/openapi.yaml" => ("application/yaml", OPENAPI),
            _ => ("application/json", "[]"),
        };
        (Duration::ZERO, kind, answer.to_owned())
    })
}

#[test]
fn what_is_written_passes_the_check() {
    let place = Place::new();
    let target = target();
    place.write("api.yaml", OPENAPI);
    place.write(
        "visit.har",
        r#"{"log": {"entries": [{"startedDateTime": "2026-11-25T02:31:00Z", "time": 3,
            "request": {"method": "GET", "url": "http://127.0.0.1:9/a?b=c"},
            "response": {"status": 200}}]}}"#,
    );
    for (number, (args, part)) in [
        (vec![], "embedded"),
        (vec![target.url.as_str()], "/orders/${id}"),
        (
            vec!["http://127.0.0.1:9", "--openapi", "api.yaml"],
            "/orders/${id}",
        ),
        (vec!["--har", "visit.har"], "http://127.0.0.1:9"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("{number}.yaml");
        let mut all = vec!["init"];
        all.extend(args);
        all.extend(["--out", &file]);
        let out = place.loadgen(&all);
        assert!(out.status.success(), "{all:?}: {}", text(&out.stderr));
        let written = std::fs::read_to_string(place.path(&file)).unwrap();
        assert!(written.contains(part), "{written}");
        let checked = place.loadgen(["check", &file]);
        assert!(checked.status.success(), "{}", text(&checked.stderr));

        let again = place.loadgen(&all);
        assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
        assert_eq!(std::fs::read_to_string(place.path(&file)).unwrap(), written);
    }
}

#[test]
fn what_can_not_be_used_is_told() {
    let place = Place::new();
    place.write("broken.json", "{");
    place.write("other.json", "{\"a\": 1}");
    for (args, code, part) in [
        (vec!["init", "--openapi", "broken.json"], 3, "broken.json"),
        (vec!["init", "--openapi", "other.json"], 3, "`paths`"),
        (vec!["init", "--har", "other.json"], 3, "`log.entries`"),
        (vec!["init", "--har", "missing.har"], 3, "missing.har"),
        (vec!["init", "shop.example"], 2, "not an address"),
        (vec!["init", "http://127.0.0.1:1"], 4, "not reachable"),
        (vec!["init", "http://203.0.113.7"], 2, "--allow-target"),
    ] {
        let out = place.loadgen(&args);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
    assert!(!place.path("scenario.yaml").exists());
}

#[test]
fn a_first_script_runs_under_k6() {
    let place = Place::new();
    let target = target();
    let out = place.loadgen(["k6", "init", "mine"]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let script = std::fs::read_to_string(place.path("mine/script.js")).unwrap();
    // As a person would who does not want to wait.
    place.write(
        "mine/short.js",
        &script.replace("'2m'", "'2s'").replace("'30s'", "'1s'"),
    );
    let out = k6_run(&place.path("mine/short.js"))
        .current_dir(place.path(""))
        .args(["--console-output", "events.log", "-e"])
        .arg(format!("BASE_URL={}", target.url))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
    let made = place.loadgen(["timeline", "from-k6", "events.log", "--out", "run"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let timeline = loadgen_timeline::read_timeline(&place.path("run/timeline.jsonl")).unwrap();
    let kinds: Vec<_> = timeline
        .windows
        .iter()
        .map(|w| w.anomaly.kind.as_str())
        .collect();
    assert_eq!(kinds, ["none", "stalled"]);

    let again = place.loadgen(["k6", "init", "mine"]);
    assert_eq!(again.status.code(), Some(1), "{}", text(&again.stderr));
}

/// A server that answers by path with a status, a content type and a body.
fn serve(answer: fn(&str) -> (u16, &'static str, &'static str)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { continue };
            let mut lines = BufReader::new(&stream).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            // The rest of the head is read, so that closing does not reset the connection.
            let _ = lines
                .by_ref()
                .map_while(Result::ok)
                .find(|line| line.is_empty());
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, kind, body) = answer(path);
            let _ = write!(
                &stream,
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nlocation: /home\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[test]
fn a_target_that_does_not_describe_itself_is_asked_for_its_pages() {
    let place = Place::new();
    let url = serve(|path| match path {
        "/" => (302, "text/plain", ""),
        "/home" => (
            200,
            "text/html",
            "<a href='/items'>a</a><a href='/gone'>b</a><a href='/logout'>c</a>",
        ),
        "/items" => (200, "application/json", "[]"),
        _ => (404, "text/plain", "not here"),
    });
    let out = place.loadgen(["init", &url]);
    let said = text(&out.stdout).replace("\n    ", " ");
    assert!(out.status.success(), "{said}{}", text(&out.stderr));
    for part in [
        "2 requests to",
        "no OpenAPI document at /openapi.json",
        "GET /: status 200, text/html, led to /home",
        "2 links on it",
        "left out: /gone: status 404",
        "left out: /logout, which may change something",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let written = std::fs::read_to_string(place.path("scenario.yaml")).unwrap();
    assert!(written.contains("path: '/items'"), "{written}");
    assert!(!written.contains("path: '/gone'"), "{written}");
    assert!(written.contains("# Left out: /gone"), "{written}");
    assert!(place.loadgen(["check", "scenario.yaml"]).status.success());
}

#[test]
fn that_a_first_page_does_not_answer_is_told() {
    let place = Place::new();
    let url = serve(|path| match path {
        "/healthz" => (200, "text/plain", "ok"),
        _ => (404, "application/json", "{}"),
    });
    let out = place.loadgen(["init", &url]);
    let said = text(&out.stdout).replace("\n    ", " ");
    assert!(
        said.contains("by its health check alone") && said.contains("GET /: status 404"),
        "{said}"
    );
    assert!(said.contains("write the paths of a visit"), "{said}");
    let written = std::fs::read_to_string(place.path("scenario.yaml")).unwrap();
    assert!(written.contains("path: '/healthz'"), "{written}");
    assert!(!written.contains("path: '/'\n"), "{written}");
}
