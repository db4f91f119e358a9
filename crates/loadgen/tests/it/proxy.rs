//! `loadgen proxy` as a process: the ready line, the ways to stop it, and what it refuses.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::program::{Place, Started, text};
use loadgen_program::{Input, Signal};

/// Starts it on free ports.
fn start(place: &Place, args: &[&str], token: &str, input: Input) -> Started {
    let mut command = place.command(["proxy", "--listen", "127.0.0.1:0"].iter().chain(args));
    command.env("LOADGEN_PROXY_TOKEN", token);
    let started = Started::new(command, input);
    assert_eq!(started.text("ready"), "proxy");
    started
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
    let args = ["--proxy", &edge, "--config", "edges.json"];
    let mut proxy = start(&place, &args, "", Input::Empty);
    assert!(get(proxy.text("api_url"), "/proxies/db", "").contains("200"));
    for name in ["db", "of the file"] {
        let edge = &proxy.ready["proxies"][name];
        assert_eq!(edge["upstream"], upstream);
        let mut client = TcpStream::connect(edge["listen"].as_str().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let (mut passed, _) = server.accept().unwrap();
        let mut got = [0; 5];
        passed.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hello");
    }
    proxy.child.signal(Signal::TERM);
    assert_eq!(proxy.end(), Some(0));
}

#[test]
fn it_ends_with_standard_input_when_asked_to_and_not_otherwise() {
    let place = Place::new();
    let mut proxy = start(&place, &["--stop-with-stdin"], "", Input::Held);
    proxy.child.ask_to_end();
    assert_eq!(proxy.end(), Some(0));

    let mut proxy = start(&place, &[], "", Input::Held);
    proxy.child.ask_to_end();
    assert!(get(proxy.text("api_url"), "/version", "").contains("200"));
    proxy.child.signal(Signal::INT);
    assert_eq!(proxy.end(), Some(0));
}

#[test]
fn a_token_may_come_from_the_environment() {
    let place = Place::new();
    let mut proxy = start(&place, &["--stop-with-stdin"], "secret", Input::Held);
    let ready = proxy.ready.to_string();
    assert!(!ready.contains("secret"), "{ready}");
    let url = proxy.text("api_url");
    assert!(get(url, "/version", "").contains("401"));
    assert!(get(url, "/version", "Authorization: Bearer secret\r\n").contains("200"));
    proxy.child.ask_to_end();
    assert_eq!(proxy.end(), Some(0));
}

#[test]
fn a_token_may_come_from_a_file() {
    let place = Place::new();
    place.write("token", "secret\n");
    let args = ["--token-file", "token"];
    let proxy = start(&place, &args, "of-the-variable", Input::Empty);
    let url = proxy.text("api_url");
    for (token, status) in [("secret", "200"), ("of-the-variable", "401")] {
        let header = format!("Authorization: Bearer {token}\r\n");
        assert!(get(url, "/version", &header).contains(status), "{token}");
    }
}

#[test]
fn what_can_not_be_is_refused_with_a_reason() {
    let place = Place::new();
    place.write("empty", "\n");
    place.write("wrong.json", "{}");
    for (args, code, told) in [
        (["--listen", "0.0.0.0:0"], 1, "LOADGEN_PROXY_TOKEN"),
        (["--proxy", "db"], 2, "NAME=LISTEN->UPSTREAM"),
        (["--config", "wrong.json"], 3, "wrong.json"),
        (["--config", "missing.json"], 3, "missing.json"),
        (["--token-file", "missing"], 3, "missing"),
        (["--token-file", "empty"], 3, "it must hold the token"),
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
