//! The ways in which MongoDB fails, told apart by the driver's kinds, in words without credentials.

use mongodb::error::{Error, ErrorKind};

/// MongoDB did not do it. Why is in the log and in the status; a client can only come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// An error in words. The driver's own text may quote the URI.
pub(crate) fn describe(error: &Error) -> String {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } => "no server answers".into(),
        ErrorKind::Authentication { .. } => "it refuses the credentials".into(),
        ErrorKind::Io(error) => format!("the connection broke ({})", error.kind()),
        ErrorKind::ConnectionPoolCleared { .. } => "the connection broke".into(),
        ErrorKind::DnsResolve { .. } => "its name cannot be resolved".into(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS settings of the URI are wrong".into(),
        ErrorKind::InvalidArgument { .. } => "the URI is malformed".into(),
        ErrorKind::Command(command) => format!("it refuses a command ({})", command.code_name),
        ErrorKind::Write(_) | ErrorKind::InsertMany(_) | ErrorKind::BulkWrite(_) => {
            "it refuses a write".into()
        }
        _ => "it gives an answer that makes no sense".into(),
    }
}
