//! `loadgen proxy` as a process: the ready line, the ways to stop it, and what it refuses.

mod program;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use program::{Place, end, kill, text};
use serde_json::Value;

/// Starts it on free ports; the process and its ready line.
fn start(place: &Place, args: &[&str], token: &str) -> (Child, Value) {
    let mut child = place
        .command(["proxy", "--listen", "127.0.0.1:0"].iter().chain(args))
        .env("LOADGEN_PROXY_TOKEN", token)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    child.stdout = Some(stdout.into_inner());
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["ready"], "proxy");
    (child, ready)
}

/// The status line of an answer.
fn get(api_url: &str, path: &str, headers: &str) -> String {
    let address = api_url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap().to_owned()
}

#[test]
fn it_says_where_it_listens_and_passes_on_what_comes() {
    let place = Place::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let config = format!(
        r#"[{{"name": "of the file", "listen": "127.0.0.1:0", "upstream": "{upstream}", "enabled": true}}]"#
    );
    place.write("edges.json", &config);
    let edge = format!("db=127.0.0.1:0->{upstream}");
    let (child, ready) = start(&place, &["--proxy", &edge, "--config", "edges.json"], "");
    assert!(get(ready["api_url"].as_str().unwrap(), "/proxies/db", "").contains("200"));
    for name in ["db", "of the file"] {
        let proxy = &ready["proxies"][name];
        assert_eq!(proxy["upstream"], upstream);
        let mut client = TcpStream::connect(proxy["listen"].as_str().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut passed, _) = server.accept().unwrap();
        let mut got = [0; 5];
        passed.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
    kill("-TERM", child.id());
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn it_ends_with_standard_input_when_asked_to_and_not_otherwise() {
    let place = Place::new();
    let (mut child, _) = start(&place, &["--stop-with-stdin"], "");
    drop(child.stdin.take());
    assert_eq!(end(child).0, Some(0));

    let (mut child, ready) = start(&place, &[], "");
    drop(child.stdin.take());
    assert!(get(ready["api_url"].as_str().unwrap(), "/version", "").contains("200"));
    kill("-INT", child.id());
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn a_token_may_come_from_the_environment() {
    let place = Place::new();
    let (mut child, ready) = start(&place, &["--stop-with-stdin"], "secret");
    assert!(!ready.to_string().contains("secret"), "{ready}");
    let url = ready["api_url"].as_str().unwrap();
    assert!(get(url, "/version", "").contains("401"));
    assert!(get(url, "/version", "Authorization: Bearer secret\r\n").contains("200"));
    drop(child.stdin.take());
    assert_eq!(end(child).0, Some(0));
}

#[test]
fn what_can_not_be_is_refused_with_a_reason() {
    let place = Place::new();
    place.write("wrong.json", "{}");
    for (args, code, told) in [
        (["--listen", "0.0.0.0:0"], 1, "LOADGEN_PROXY_TOKEN"),
        (["--proxy", "db"], 2, "NAME=LISTEN->UPSTREAM"),
        (["--config", "wrong.json"], 3, "wrong.json"),
        (["--config", "missing.json"], 3, "missing.json"),
    ] {
        let args = ["proxy"].into_iter().chain(args);
        let out = place.loadgen(args);
        let message = text(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{message}");
        assert!(message.contains(told), "{message}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let edge = format!("db={address}->127.0.0.1:1");
    for args in [
        vec!["proxy", "--listen", &address],
        vec!["proxy", "--listen", "127.0.0.1:0", "--proxy", &edge],
    ] {
        let out = place.loadgen(args);
        let message = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{message}");
        assert!(message.contains(&address), "{message}");
    }
}
