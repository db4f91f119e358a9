use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Option<(Head, usize)>, SendError> {
    Head::parse(text.as_bytes(), &Method::GET)
}

/// Framing, whether the connection stays, and the length of a head that is whole and right.
fn of(text: &str) -> (Framing, bool, usize) {
    let (head, length) = parse(text).unwrap().unwrap();
    (head.framing, head.keeps_connection, length)
}

#[test]
fn a_request_is_written_with_the_length_of_its_body() {
    let url = Url::parse("http://shop.example:8080/a%20b?q=1#top").unwrap();
    let mut request = Request::new(Method::POST, url);
    let headers = request.headers_mut();
    headers.insert("x-anomaly-type", HeaderValue::from_static("none"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("99"));
    *request.body_mut() = Some("{}".into());
    let message = Message::of(&request);
    let text = String::from_utf8(message.bytes).unwrap();
    assert_eq!(
        text,
        "POST /a%20b?q=1 HTTP/1.1\r\nhost: shop.example:8080\r\naccept: */*\r\n\
         x-anomaly-type: none\r\ncontent-length: 2\r\n\r\n{}"
    );
    assert!(!message.is_last);
}

#[test]
fn what_a_step_sets_itself_stays() {
    let mut request = Request::new(Method::PUT, Url::parse("http://[::1]/").unwrap());
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("other.example"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/x"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(CONNECTION, HeaderValue::from_static("Foo, Close"));
    let message = Message::of(&request);
    let text = String::from_utf8(message.bytes).unwrap();
    assert_eq!(
        text,
        "PUT / HTTP/1.1\r\nhost: other.example\r\naccept: text/x\r\ncontent-length: 0\r\n\
         connection: Foo, Close\r\n\r\n"
    );
    assert!(message.is_last);
}

#[test]
fn the_end_of_a_body_is_told_as_rfc_9112_says() {
    use Framing::{Chunked, Length, UntilClose};
    for (fields, framing, stays) in [
        ("content-length: 12\r\n", Length(12), true),
        ("Content-Length: 12, 12\r\n", Length(12), true),
        (
            "content-length: 0\r\nconnection: close\r\n",
            Length(0),
            false,
        ),
        ("transfer-encoding: gzip, Chunked\r\n", Chunked, true),
        ("transfer-encoding: gzip\r\n", UntilClose, false),
        ("", UntilClose, false),
        // Smuggling: the coding counts, and the connection ends.
        (
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            Chunked,
            false,
        ),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\nrest");
        assert_eq!(of(&text), (framing, stays, text.len() - 4), "{fields}");
    }
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n";
    assert_eq!(of(old), (Length(1), false, old.len()));
    let old = "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 1\r\n\r\n";
    assert_eq!(of(old), (Length(1), true, old.len()));
    for status in ["204 No Content", "304 Not Modified"] {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: 7\r\n\r\n");
        assert_eq!(of(&text), (Length(0), true, text.len()));
    }
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
    let (head, _) = Head::parse(text, &Method::HEAD).unwrap().unwrap();
    assert_eq!(head.framing, Length(0));
}

#[test]
fn fields_that_are_looked_at_are_kept() {
    let text = "HTTP/1.1 302 \r\nSet-Cookie: a=1\r\nx-other: 1\r\nset-cookie: b=2\r\n\
                Location: /there\r\nContent-Type: text/html\r\n\r\n";
    let (head, _) = parse(text).unwrap().unwrap();
    assert_eq!(head.status, StatusCode::FOUND);
    assert_eq!(head.headers[LOCATION], "/there");
    assert_eq!(head.headers[CONTENT_TYPE], "text/html");
    let cookies: Vec<_> = head.headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert!(!head.headers.contains_key("x-other"));
}

#[test]
fn interim_answers_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";
    assert_eq!(of(text), (Framing::Length(2), true, text.len()));
    assert!(
        parse("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2")
            .unwrap()
            .is_none()
    );
    assert!(parse("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
}

#[test]
fn what_is_no_answer_is_an_error() {
    let many = "x: 1\r\n".repeat(FIELDS + 1);
    let long = format!("x: {}", "1".repeat(LONGEST));
    for wrong in [
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        &format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        &format!("HTTP/1.1 200 OK\r\n{long}"),
    ] {
        assert!(parse(wrong).is_err(), "{}", &wrong[..wrong.len().min(80)]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes: Vec<u8>, after in "[ -~\r\n]{0,60}") {
        let _ = Head::parse(&bytes, &Method::GET);
        let _ = parse(&format!("HTTP/1.1 200 OK\r\n{after}"));
    }

    #[test]
    fn a_head_is_whole_only_when_all_of_it_has_come(to in 0usize..60) {
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\netag: \"0123456789\"\r\n\r\n";
        let to = to.min(text.len());
        prop_assert_eq!(parse(&text[..to]).unwrap().is_some(), to == text.len());
    }
}
