//! The ways in which Redis fails, told apart by the protocol's error codes, never by the text of a message.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use redis::{ErrorKind, RedisError, ServerError};

/// Why a call to Redis failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No reply within the time given.
    Timeout,
    /// The connection broke, or could not be made.
    Io,
    /// A server that takes no writes (`READONLY`): a replica, or a master on its way out.
    Readonly,
    /// A master that too few replicas follow (`NOREPLICAS`), as one on the small side of a partition.
    Noreplicas,
    /// No memory left and nothing to evict (`OOM`).
    Oom,
    /// Still reading its data (`LOADING`), or cut off from its master (`MASTERDOWN`).
    Loading,
    /// The credentials are missing, wrong, or not enough (`NOAUTH`, `WRONGPASS`, `NOPERM`).
    Auth,
    /// A node of a cluster that does not serve the slot of the keys: another does (`MOVED`, `ASK`), the slot is on its way there
    /// (`TRYAGAIN`), or none does (`CLUSTERDOWN`).
    Slot,
    /// One key holds something else than what is kept there; the connection and all other keys are sound.
    Value,
    /// Any other error, or a reply that makes no sense.
    Reply,
}

/// The label of a failure counter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    kind: FailureKind,
}

impl FailureKind {
    /// What an error of the driver means.
    pub fn of(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        // The errors of a pipeline are told apart only one by one.
        if let Some((_, first)) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
            return Self::of_reply(first);
        }
        match (error.code(), error.kind()) {
            (Some(code), _) => Self::of_code(code),
            (None, ErrorKind::AuthenticationFailed) => Self::Auth,
            (None, ErrorKind::Io | ErrorKind::Client) => Self::Io,
            (None, _) => Self::Reply,
        }
    }

    /// What an error reply means.
    pub fn of_reply(error: &ServerError) -> Self {
        Self::of_code(error.code())
    }

    /// From the first word of an error reply.
    fn of_code(code: &str) -> Self {
        match code {
            "READONLY" => Self::Readonly,
            "NOREPLICAS" => Self::Noreplicas,
            "OOM" => Self::Oom,
            "LOADING" | "MASTERDOWN" => Self::Loading,
            "NOAUTH" | "WRONGPASS" | "NOPERM" => Self::Auth,
            "MOVED" | "ASK" | "TRYAGAIN" | "CLUSTERDOWN" => Self::Slot,
            "WRONGTYPE" => Self::Value,
            _ => Self::Reply,
        }
    }

    /// As the label of a counter.
    pub fn label(self) -> KindLabel {
        KindLabel { kind: self }
    }
}

impl EncodeLabelValue for FailureKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        let name = match self {
            Self::Timeout => "timeout",
            Self::Io => "io",
            Self::Readonly => "readonly",
            Self::Noreplicas => "noreplicas",
            Self::Oom => "oom",
            Self::Loading => "loading",
            Self::Auth => "auth",
            Self::Slot => "slot",
            Self::Value => "value",
            Self::Reply => "reply",
        };
        name.encode(encoder)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no reply in time",
            Self::Io => "the connection broke",
            Self::Readonly => "it takes no writes (READONLY)",
            Self::Noreplicas => "too few replicas follow it (NOREPLICAS)",
            Self::Oom => "it is out of memory (OOM)",
            Self::Loading => "it is still loading its data",
            Self::Auth => "it refuses the credentials",
            Self::Slot => "this node of the cluster does not serve the keys of the stack",
            Self::Value => "a key holds another type of value (WRONGTYPE)",
            Self::Reply => "it answers with an error",
        })
    }
}

/// An error in words for the status page: the kind, and for a broken connection the system's reason. No credentials.
pub(super) fn describe(error: &RedisError) -> String {
    let kind = FailureKind::of(error);
    match kind {
        FailureKind::Io => error.to_string(),
        FailureKind::Reply => match error.code() {
            Some(code) => format!("{kind} ({code})"),
            None => format!("{kind} ({})", error.category()),
        },
        _ => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_replies_are_told_apart_by_their_code() {
        let of = |text: &str| {
            let reply = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
            FailureKind::of(&reply.extract_error().unwrap_err())
        };
        assert_eq!(of("READONLY You can't write against a read only replica."), FailureKind::Readonly);
        assert_eq!(of("NOREPLICAS Not enough good replicas to write."), FailureKind::Noreplicas);
        assert_eq!(of("OOM command not allowed when used memory > 'maxmemory'."), FailureKind::Oom);
        assert_eq!(of("LOADING Redis is loading the dataset in memory"), FailureKind::Loading);
        assert_eq!(of("NOAUTH Authentication required."), FailureKind::Auth);
        assert_eq!(of("NOPERM No permissions to access a key"), FailureKind::Auth);
        assert_eq!(of("WRONGTYPE Operation against a key of another kind"), FailureKind::Value);
        for text in ["MOVED 1 h:1", "ASK 1 h:1", "TRYAGAIN Multiple keys", "CLUSTERDOWN The cluster is down"]
        {
            assert_eq!(of(text), FailureKind::Slot);
        }
        assert_eq!(of("ERR something about OOM"), FailureKind::Reply);
    }

    #[test]
    fn a_refused_connection_says_so() {
        let refused = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(FailureKind::of(&refused), FailureKind::Io);
        assert!(describe(&refused).contains("refused"), "{}", describe(&refused));
    }

    #[test]
    fn a_reply_that_did_not_come_is_a_timeout() {
        let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        assert_eq!(FailureKind::of(&late), FailureKind::Timeout);
    }
}
