use std::time::Duration;

use rustls::pki_types::pem::PemObject;

use super::*;

/// Of `a.test` and 127.0.0.1, made by `openssl req -x509` with CA:TRUE; valid from 2026 to 2126.
const OWN: &[u8] = include_bytes!("../../../tests/it/fixtures/tls/own.pem");
/// Signed by another authority.
const SIGNED: &[u8] = include_bytes!("../../../tests/it/fixtures/tls/server.pem");

const IN_DATE: u64 = 1_800_000_000;

fn verify(trusted: &[&[u8]], shown: &[u8], name: &str, at: u64) -> Result<(), Error> {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
    let authorities = trusted.iter().map(|pem| read(pem)).collect();
    let trusted = Trusted::of(authorities, Arc::new(ring::default_provider())).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
    trusted.judge(&read(shown), &[], &name, now)
}

#[test]
fn certificate_that_is_its_own_authority_is_accepted() {
    verify(&[OWN], OWN, "a.test", IN_DATE).unwrap();
    verify(&[SIGNED, OWN], OWN, "127.0.0.1", IN_DATE).unwrap();
}

#[test]
fn certificate_is_refused_when_untrusted_or_of_another_name_or_day() {
    let refused = |error| match error {
        Err(Error::InvalidCertificate(reason)) => about(&reason, "b.test"),
        other => panic!("{other:?}"),
    };
    assert!(refused(verify(&[SIGNED], OWN, "a.test", IN_DATE)).contains("SSL_CERT_FILE"));
    assert!(refused(verify(&[OWN], SIGNED, "a.test", IN_DATE)).contains("SSL_CERT_FILE"));
    assert!(refused(verify(&[OWN], OWN, "b.test", IN_DATE)).contains("subjectAltName=DNS:b.test"));
    assert_eq!(refused(verify(&[OWN], OWN, "a.test", 9_000_000_000)), "renew the certificate");
    assert_eq!(refused(verify(&[OWN], OWN, "a.test", 1)), "check the clocks of both machines");
}

#[test]
fn certificate_of_the_stack_file_is_accepted_alone_and_under_any_name() {
    let read = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
    let Accept::Only(certificate) = Accept::first_of(std::str::from_utf8(SIGNED).unwrap()).unwrap() else {
        panic!("one certificate")
    };
    let given = Given(Some(certificate));
    let now = UnixTime::since_unix_epoch(Duration::from_secs(IN_DATE));
    let verify = |shown: &[u8]| {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        given.judge(&read(shown), &[], &name, now)
    };
    verify(SIGNED).unwrap();
    let error = verify(OWN).unwrap_err();
    assert!(matches!(refused(&error, "127.0.0.1"), Some(Refused::Another)), "{error}");
    let error = Accept::first_of("no certificate, but a password").unwrap_err();
    assert!(!format!("{error:?}").contains("password"), "{error:?}");
}
