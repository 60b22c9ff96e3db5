//! What can go wrong with a request before it has an answer, told apart by type and error number, never by text.

use std::io;

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorKind {
    /// Nothing listens at the address.
    Refused,
    /// The network does not reach the address.
    Unreachable,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// The server hung up before its answer was whole.
    Closed,
    /// The server reset the connection.
    Reset,
    /// The answer was not there in time.
    Timeout,
    /// The response is not HTTP/1.1.
    Protocol,
    /// This machine ran out of ports or file descriptors: the generator's limit, not the service's.
    Exhausted,
    /// The request was due but no connection was free until the end.
    NeverSent,
    /// Anything else.
    Other,
}

impl ErrorKind {
    /// All kinds, in the order of reports.
    pub const ALL: [Self; 11] = [
        Self::Refused,
        Self::Unreachable,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Closed,
        Self::Reset,
        Self::Timeout,
        Self::Protocol,
        Self::Exhausted,
        Self::NeverSent,
        Self::Other,
    ];

    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::Exhausted => "exhausted",
            Self::NeverSent => "never_sent",
            Self::Other => "other",
        }
    }

    /// What happened, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Refused => "connection refused",
            Self::Unreachable => "address unreachable",
            Self::ConnectTimeout => "connect timed out",
            Self::Tls => "TLS handshake failed",
            Self::Closed => "connection closed by the server before the response was complete",
            Self::Reset => "connection reset by the server",
            Self::Timeout => "response timed out",
            Self::Protocol => "response is not HTTP/1.1",
            Self::Exhausted => "this machine ran out of ports or file descriptors",
            Self::NeverSent => "not sent: no free connection",
            Self::Other => "other",
        }
    }

    /// The meaning of a [`ErrorKind::name`]; a name of another version stands for itself.
    pub fn meaning_of(name: &str) -> &str {
        match Self::ALL.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => kind.meaning(),
            None => name,
        }
    }

    /// The kind of an error of a socket.
    pub fn of_io(error: &io::Error) -> Self {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::ADDRINUSE | Errno::NOBUFS) => {
                return Self::Exhausted;
            }
            Some(Errno::HOSTUNREACH | Errno::NETUNREACH | Errno::NETDOWN | Errno::HOSTDOWN) => {
                return Self::Unreachable;
            }
            _ => {}
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Self::Closed,
            io::ErrorKind::TimedOut => Self::ConnectTimeout,
            io::ErrorKind::InvalidData => Self::Tls,
            _ => Self::Other,
        }
    }

    /// The kind of a failed handshake: whatever the peer said, it was no TLS that we take.
    pub(super) fn of_tls(error: &io::Error) -> Self {
        match Self::of_io(error) {
            Self::Reset => Self::Reset,
            _ => Self::Tls,
        }
    }
}
