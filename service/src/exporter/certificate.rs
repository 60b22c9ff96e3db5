//! The certificates that a server shows: whether they are of its name and in date, and when the first of them expires. Pure.
//!
//! Who signed them is not judged: the exporter's image has no list of authorities, and a private one would have to be known to it. The
//! exporter sends nothing secret.

use std::sync::{Mutex, PoisonError};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error};

use crate::certificates::Judge;

/// A sequence of other values.
const SEQUENCE: u8 = 0x30;
/// The tag `[0]` before the version of a certificate.
const VERSION: u8 = 0xa0;
/// A time of two digits of the year, up to 2049.
const UTC_TIME: u8 = 0x17;
/// A time of four digits of the year.
const GENERALIZED_TIME: u8 = 0x18;

/// Accepts certificates of the server's name that are in date, and notes when the first of the chain expires.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Seconds since 1970.
    expiry: Mutex<Option<i64>>,
}

impl Noted {
    /// When the first certificate of the chain expires, in seconds since 1970, once a server has shown it.
    pub(super) fn expiry(&self) -> Option<i64> {
        *self.expiry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Judge for Noted {
    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain = std::iter::once(own).chain(others);
        let validities: Option<Vec<(i64, i64)>> = chain.map(|certificate| validity(certificate)).collect();
        let validities = validities.ok_or(CertificateError::BadEncoding)?;
        let expiry = validities.iter().map(|(_, until)| *until).min();
        *self.expiry.lock().unwrap_or_else(PoisonError::into_inner) = expiry;
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if validities.iter().any(|(_, until)| *until < now) {
            return Err(CertificateError::Expired.into());
        }
        if validities.iter().any(|(from, _)| *from > now) {
            return Err(CertificateError::NotValidYet.into());
        }
        verify_server_name(&ParsedCertificate::try_from(own)?, name)
    }
}

/// From when and until when a certificate is valid, in seconds since 1970 (RFC 5280, 4.1).
pub(super) fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (_, certificate, _) = value(certificate)?;
    let (SEQUENCE, body, _) = value(certificate)? else { return None };
    let (tag, _, rest) = value(body)?;
    // The version is left out where it is 1; the serial number, the algorithm and the issuer follow.
    let mut rest = if tag == VERSION { rest } else { body };
    for _ in 0..3 {
        (_, _, rest) = value(rest)?;
    }
    let (SEQUENCE, validity, _) = value(rest)? else { return None };
    let (from_tag, from, rest) = value(validity)?;
    let (until_tag, until, _) = value(rest)?;
    Some((time(from_tag, from)?, time(until_tag, until)?))
}

/// The tag and the content of the first DER value, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, in seconds since 1970.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let at = jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, 0x82];
        bytes.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        bytes.extend(content);
        bytes
    }

    fn certificate(from: (u8, &str), until: (u8, &str), with_version: bool) -> Vec<u8> {
        let validity = [der(from.0, from.1.as_bytes()), der(until.0, until.1.as_bytes())].concat();
        let version = if with_version { der(VERSION, &der(2, &[2])) } else { Vec::new() };
        let body = [version, der(2, &[7]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), der(SEQUENCE, &validity)]
            .concat();
        der(SEQUENCE, &[der(SEQUENCE, &body), der(SEQUENCE, &[])].concat())
    }

    #[test]
    fn validity_is_read_in_both_forms_of_time() {
        let dates = Some((1_767_225_600, 4_922_899_199));
        let until = (GENERALIZED_TIME, "21251231235959Z");
        assert_eq!(validity(&certificate((UTC_TIME, "260101000000Z"), until, true)), dates);
        assert_eq!(validity(&certificate((GENERALIZED_TIME, "20260101000000Z"), until, false)), dates);
        assert_eq!(validity(&certificate((UTC_TIME, "500101000000Z"), until, true)).unwrap().0, -631_152_000);
    }

    #[test]
    fn malformed_certificate_has_no_validity() {
        let whole = certificate((UTC_TIME, "260101000000Z"), (UTC_TIME, "270101000000Z"), true);
        for length in 0..whole.len() {
            let _ = validity(&whole[..length]);
        }
        assert_eq!(validity(&whole[..whole.len() - 1]), None);
        assert_eq!(
            validity(&certificate((UTC_TIME, "269901000000Z"), (UTC_TIME, "270101000000Z"), true)),
            None
        );
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(validity(&[]), None);
    }
}
