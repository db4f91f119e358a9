//! Answers that stretch HTTP, as real servers give them: both engines take them alike.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use crate::program::{Place, k6, ledger, text};

/// The status of a step that captures `/id`, and what went wrong.
type Ended = (Option<u16>, Option<&'static str>);

/// What a server writes for each path, and how a step for it ends.
fn answers() -> BTreeMap<&'static str, (Vec<u8>, Ended)> {
    let with = |headers: &str| {
        let body = r#"{"id":"x1"}"#;
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n");
        format!("{head}{body}").into_bytes()
    };
    let empty = |head: &str| format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    let many: String = (0..90).map(|n| format!("x-{n}: y\r\n")).collect();
    let gzip = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"id":"x1"}"#).unwrap();
        let body = gzip.finish().unwrap();
        let length = body.len();
        let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length:";
        [format!("{head} {length}\r\n\r\n").as_bytes(), &body].concat()
    };
    let moved = "302 Found\r\ncontent-length: 0";
    let bytes = format!("HTTP/1.1 {moved}\r\nlocation: /plain?");
    let bytes = [bytes.as_bytes(), b"a b\xfc\r\n\r\n"].concat();
    let nothing = format!("{moved}\r\nlocation: ");
    let no_http = b"\x16\x03\x01 ?\r\n\r\n".to_vec();
    let captured: Ended = (Some(200), None);
    let missed = |status| (Some(status), Some("capture"));
    BTreeMap::from([
        ("/plain", (with(""), captured)),
        ("/packed", (gzip, captured)),
        ("/many", (with(&many), captured)),
        ("/folded", (with("x-a: one\r\n two\r\n"), captured)),
        ("/blank", (with("x-a : one\r\n"), captured)),
        ("/to-bytes", (bytes, captured)),
        ("/to-nothing", (empty(&nothing), missed(302))),
        ("/none", (empty("204 No Content"), missed(204))),
        ("/as-before", (empty("304 Not Modified"), missed(304))),
        ("/no-http", (no_http, (None, Some("io")))),
    ])
}

fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || answer(socket));
        }
    });
    url
}

/// Answers each request of a connection.
fn answer(mut socket: TcpStream) {
    let answers = answers();
    let mut path = String::new();
    let lines = BufReader::new(socket.try_clone().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split([' ', '?']).next().unwrap().to_owned();
        } else if line.is_empty() {
            // A run asks whether anybody is there before.
            let (bytes, (status, _)) = answers.get(path.as_str()).unwrap_or(&answers["/plain"]);
            if socket.write_all(bytes).is_err() || status.is_none() {
                return;
            }
        }
    }
}

#[test]
fn both_engines_take_odd_answers_alike() {
    let answers = answers();
    let steps: String = (answers.keys())
        .map(|path| format!("      - {{path: {path}, capture: {{id: /id}}}}\n"))
        .collect();
    let file = format!(
        "version: 1\nflows:\n  default:\n    steps:\n{steps}scenarios:\n  \
         one: {{executor: per-vu-iterations, vus: 1, iterations: 1, max_duration: 10s}}\n"
    );
    for engine in ["rust", "k6"] {
        let place = Place::new();
        place.write("file.yaml", &file);
        let url = serve();
        let args = ["run", "file.yaml", "--base-url", &url, "--engine", engine];
        let more = [
            "--out",
            "run",
            "--quiet",
            "--no-client-spans",
            "--no-preflight",
        ];
        let mut command = place.command(args.into_iter().chain(more));
        let out = command.env("K6_BIN", k6::k6()).output().unwrap();
        assert_eq!(
            out.status.code(),
            Some(0),
            "{engine}: {}",
            text(&out.stderr)
        );
        let ledger = ledger(&place.path("run"));
        let ended: BTreeMap<_, _> = (ledger.rows())
            .map(|row| {
                let path = answers.keys().find(|path| **path == row.path);
                (*path.unwrap(), (row.status, row.failure))
            })
            .collect();
        let expected: BTreeMap<_, Ended> = (answers.iter())
            .map(|(path, (_, ended))| (*path, *ended))
            .collect();
        assert_eq!(ended, expected, "{engine}");
    }
}
