//! Certificates that a person names: of authorities, or the target's own.
//!
//! They are believed besides the system's roots. A certificate that signs itself is mostly marked as
//! an authority's, and such a one is refused as that of a server by the rules that apply otherwise
//! (RFC 5280, section 4.2.1.9, as webpki reads it). One that is named is believed all the same, for
//! its own names and for as long as it is valid, as in Go's programs, k6 among them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use loadgen_engine::RunOptions;
use reqwest::ClientBuilder;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::exit::{Exit, Failure};

/// Names a file of certificates where no flag does: also for processes that this one starts.
pub(crate) const VARIABLE: &str = "LOADGEN_CA";

/// Where OpenSSL, Go, and the system's roots here look.
const SYSTEM_VARIABLE: &str = "SSL_CERT_FILE";

/// TLS where a person names certificates; none: nobody does.
static NAMED: OnceLock<Option<ClientConfig>> = OnceLock::new();

/// Says which file of certificates [`client`] believes; the first call holds.
///
/// # Errors
/// The file can't be read, or has no certificate.
pub(crate) fn remember(file: Option<&Path>) -> Result<(), Failure> {
    let config = config(file).map_err(|why| Failure::new(Exit::BadInput, why))?;
    NAMED.get_or_init(|| config);
    Ok(())
}

/// The HTTP client's settings, with what was [remembered](remember), or else with what the variables
/// name.
pub(crate) fn client() -> ClientBuilder {
    let defaults = RunOptions::client_defaults();
    let of_variables = || {
        let file = std::env::var_os(VARIABLE).map(PathBuf::from);
        config(file.as_deref()).unwrap_or_default()
    };
    match NAMED.get_or_init(of_variables) {
        Some(config) => defaults.tls_backend_preconfigured(config.clone()),
        None => defaults,
    }
}

/// TLS that believes a file's certificates, and those that `SSL_CERT_FILE` names.
fn config(file: Option<&Path>) -> Result<Option<ClientConfig>, String> {
    let mut named = Vec::new();
    // The system's roots are read from there as well; what is wrong with it is theirs to say.
    if let Some(path) = std::env::var_os(SYSTEM_VARIABLE) {
        named.extend(read(Path::new(&path)).unwrap_or_default());
    }
    if let Some(path) = file {
        named.extend(read(path)?);
    }
    if named.is_empty() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(named.iter().cloned());
    let cannot = |why: String| format!("can't set up TLS: {why}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let usual = usual.build().map_err(|e| cannot(e.to_string()))?;
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|e| cannot(e.to_string()))?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Named { usual, named }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(config))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found: Vec<_> = found.map_err(|e| format!("can't read certificates from {shown}: {e}"))?;
    match found.is_empty() {
        true => Err(format!(
            "{shown} has no certificate: give a file that holds -----BEGIN CERTIFICATE-----"
        )),
        false => Ok(found),
    }
}

/// As webpki, but for servers whose own certificate is named.
#[derive(Debug)]
struct Named {
    usual: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.usual
                .verify_server_cert(own, intermediates, server_name, ocsp_response, now);
        match verified {
            // Whether it is valid at that time was looked at before that.
            Err(error) if is_authority(&error) && self.named.contains(own) => {
                verify_server_name(&ParsedCertificate::try_from(own)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether a server's certificate was refused because it is marked as an authority's.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else {
        return false;
    };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}
