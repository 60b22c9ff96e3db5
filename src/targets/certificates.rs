//! Which certificates of servers are accepted: those of the machine's authorities, or of the ones that `SSL_CERT_FILE` and `SSL_CERT_DIR`
//! name; of a gateway that the stack itself gave a certificate, that one.

use std::sync::Arc;

use anyhow::{Context, Result};
use appforge_service::certificates::{Judge, Verifier};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, OtherError, RootCertStore};

use crate::error::{ExitStatus, Failure};

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Those that this machine trusts, for the name that was asked for.
    Trusted,
    /// This one alone, under any name.
    Only(CertificateDer<'static>),
    /// Any. The connection is encrypted, but may end at anyone.
    Any,
}

impl Accept {
    /// The first certificate of a PEM file, which is the server's own; the others are of its authorities.
    ///
    /// # Errors
    /// When the text has no certificate.
    pub(crate) fn first_of(pem: &str) -> Result<Self> {
        // Its own error could quote the text, which may be another file.
        let first = CertificateDer::from_pem_slice(pem.as_bytes()).ok();
        first.map(Self::Only).context("the file has no certificate in PEM format")
    }
}

/// The TLS configuration of a client, without ALPN.
///
/// # Errors
/// Unreachable when this machine trusts no authority at all.
pub(crate) fn client(accept: &Accept) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match accept {
        Accept::Trusted => Arc::new(Verifier::new(Trusted::of_machine(Arc::clone(&provider))?, &provider)),
        Accept::Only(certificate) => Arc::new(Verifier::new(Given(Some(certificate.clone())), &provider)),
        Accept::Any => Arc::new(Verifier::new(Given(None), &provider)),
    };
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Accepts what the trusted authorities signed, and a certificate that is itself one of them.
#[derive(Debug)]
struct Trusted {
    signed: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn of_machine(provider: Arc<CryptoProvider>) -> Result<Self> {
        let found = rustls_native_certs::load_native_certs();
        Self::of(found.certs, provider).map_err(|error| {
            let failure = Failure::new(ExitStatus::Unreachable, "this machine has no trusted certificates")
                .hint("install `ca-certificates`, or name a file of certificates in `SSL_CERT_FILE`");
            match found.errors.into_iter().next() {
                Some(cause) => failure.caused_by(cause).into(),
                None => failure.caused_by(error).into(),
            }
        })
    }

    fn of(authorities: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Self { signed, authorities })
    }
}

impl Judge for Trusted {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.signed.verify_server_cert(own, others, name, &[], now) {
            // `openssl req -x509` makes a certificate that is an authority and a server's at once, which webpki refuses
            // in the second role, after it has found the dates valid. Its owner trusts this very certificate.
            Err(error) if is_authority(&error) && self.authorities.contains(own) => {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)
            }
            other => other.map(drop),
        }
    }
}

/// Accepts one certificate, or any without one.
#[derive(Debug)]
struct Given(Option<CertificateDer<'static>>);

/// The server has another certificate than [`Accept::Only`].
#[derive(Debug)]
struct AnotherCertificate;

impl std::fmt::Display for AnotherCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is not the certificate of the stack file")
    }
}

impl std::error::Error for AnotherCertificate {}

impl Judge for Given {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: UnixTime,
    ) -> Result<(), Error> {
        if self.0.as_ref().is_some_and(|accepted| accepted != own) {
            let another = CertificateError::Other(OtherError(Arc::new(AnotherCertificate)));
            return Err(Error::InvalidCertificate(another));
        }
        Ok(())
    }
}

/// Whether a certificate was refused since it is an authority.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Why a handshake failed.
pub(crate) enum Refused {
    /// The certificate is not accepted; what to do about it.
    Certificate(String),
    /// The certificate is another one than [`Accept::Only`].
    Another,
    /// What came is not TLS.
    NoTls,
}

/// Why a handshake failed, if that is why `error` happened. `host` is what the certificate should be for.
pub(crate) fn refused(error: &(dyn std::error::Error + 'static), host: &str) -> Option<Refused> {
    let mut at = Some(error);
    while let Some(error) = at {
        match error.downcast_ref::<Error>() {
            Some(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.is::<AnotherCertificate>() =>
            {
                return Some(Refused::Another);
            }
            Some(Error::InvalidCertificate(reason)) => {
                return Some(Refused::Certificate(about(reason, host)));
            }
            Some(Error::InvalidMessage(_)) => return Some(Refused::NoTls),
            _ => {}
        }
        // The source of an IO error skips the error that it carries.
        at = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn about(reason: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    match reason {
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!(
                "use a name that the certificate has, or issue it for `{host}` (`openssl req -addext subjectAltName=DNS:{host}`)"
            )
        }
        E::Expired | E::ExpiredContext { .. } => "renew the certificate".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "check the clocks of both machines".to_owned(),
        _ => "name the file of the certificate, or of its authority, in `SSL_CERT_FILE`".to_owned(),
    }
}

#[cfg(test)]
mod tests;
