//! Targets over HTTPS: whose certificates are believed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use crate::program::{Place, k6, text};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;

const FILE: &str = "
version: 1
flows: {default: {steps: [{path: /}]}}
scenarios: {one: {executor: per-vu-iterations, vus: 1, iterations: 2, max_duration: 5s}}
";

/// A certificate that signs itself, for an address. As `openssl req -x509` makes it, it is marked as an
/// authority's.
fn signed_by_itself(address: &str) -> CertificateParams {
    let mut params = CertificateParams::new([address.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A server over HTTPS that answers everything. Its URL, and its certificate as PEM.
fn serve(params: CertificateParams) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let config = config.clone();
            std::thread::spawn(move || {
                let mut tls = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::Stream::new(&mut tls, &mut socket);
                let mut request = [0; 4096];
                // A request of these fits into one read.
                while stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
                    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, certificate.pem())
}

/// How a run against a server ends: its exit code, and what it said.
fn run(place: &Place, url: &str, args: &[&str], variable: Option<&str>) -> (Option<i32>, String) {
    place.write("file.yaml", FILE);
    let base = ["run", "file.yaml", "--base-url", url, "--quiet"];
    let more = ["--no-client-spans", "--no-preflight"];
    let mut command = place.command(base.iter().chain(&more).chain(args));
    command.env("K6_BIN", k6::k6()).env_remove("SSL_CERT_FILE");
    if let Some(file) = variable {
        command.env("SSL_CERT_FILE", file);
    }
    let out = command.output().unwrap();
    (out.status.code(), text(&out.stderr).to_string())
}

#[test]
fn a_certificate_that_signs_itself_is_believed_where_it_is_named() {
    let (url, pem) = serve(signed_by_itself("127.0.0.1"));
    for engine in ["rust", "k6"] {
        let place = Place::new();
        place.write("own.pem", &pem);
        let args = |more: &[&'static str]| [&["--engine", engine][..], more].concat();
        let (code, said) = run(&place, &url, &args(&["--out", "a"]), None);
        assert_eq!(code, Some(4), "{engine}: {said}");
        assert!(said.contains("--ca"), "{said}");
        for (out, more, variable) in [
            ("b", &["--out", "b", "--ca", "own.pem"][..], None),
            ("c", &["--out", "c"], Some("own.pem")),
        ] {
            let (code, said) = run(&place, &url, &args(more), variable);
            assert_eq!(code, Some(0), "{engine} {more:?}: {said}");
            let summary = std::fs::read_to_string(place.path(out).join("summary.json")).unwrap();
            let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
            assert_eq!(summary["scenarios"][0]["failed"], 0, "{summary}");
        }
    }
}

#[test]
fn a_named_certificate_is_for_its_names_and_its_time_alone() {
    let mut expired = signed_by_itself("127.0.0.1");
    expired.not_before = date_time_ymd(2020, 1, 1);
    expired.not_after = date_time_ymd(2021, 1, 1);
    let of_another = signed_by_itself("other.example");
    for (params, why) in [(expired, "expired"), (of_another, "not valid for name")] {
        let (url, pem) = serve(params);
        let place = Place::new();
        place.write("own.pem", &pem);
        let (code, said) = run(&place, &url, &["--ca", "own.pem"], None);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn a_file_without_certificates_is_refused() {
    let place = Place::new();
    place.write("empty.pem", "nothing\n");
    for (file, why) in [
        ("empty.pem", "no certificate"),
        ("absent.pem", "absent.pem"),
    ] {
        let (code, said) = run(&place, "https://127.0.0.1:1", &["--ca", file], None);
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
