//! HTTP/1.1 answers as bytes (RFC 9112): where the head ends, how the body is framed, whether the connection lives on.
//! Heads are parsed by `httparse`. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

/// A head longer than this is refused.
pub(super) const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 128;

/// The bytes are no HTTP/1.1 answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    /// Its length in bytes.
    pub length: usize,
    /// The status.
    pub status: u16,
    /// How the body is framed.
    pub body: Framing,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// The headers, when they were asked for.
    pub headers: HeaderMap,
}

/// How a body is framed; takes its bytes as they come.
#[derive(Debug)]
pub(super) enum Framing {
    /// This many bytes are left.
    Length(u64),
    /// Chunks.
    Chunked(Chunks),
    /// Everything until the connection ends.
    UntilClose,
}

/// Where in a chunked body (RFC 9112, section 7.1) we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the hexadecimal digits: the value so far, and how many there were.
    Size(u64, u8),
    /// In what follows the digits of a line, up to its end; then that much data.
    Extension(u64),
    /// In data, with that much left.
    Data(u64),
    /// Between data and the next size.
    DataEnd,
    /// In a line of the trailer, which has bytes so far or not.
    Trailer(bool),
    /// Past the end.
    Done,
}

/// Reads the head at the begin of `bytes`; `None` when it is not whole yet. `to_head`: the request was a HEAD.
pub(super) fn head(bytes: &[u8], to_head: bool, want_headers: bool) -> Result<Option<Head>, Malformed> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut slots);
    let length = match answer.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(Malformed),
    };
    let status = answer.code.ok_or(Malformed)?;
    let mut keep_alive = answer.version == Some(1);
    let (mut content_length, mut chunked, mut coded) = (None, false, false);
    for header in answer.headers.iter() {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = decimal(header.value)?;
                if content_length.is_some_and(|known| known != value) {
                    return Err(Malformed);
                }
                content_length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                coded = true;
                // The last coding frames the body; without `chunked` there, the end of the connection does.
                chunked =
                    tokens(header.value).last().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for token in tokens(header.value) {
                    match token {
                        close if close.eq_ignore_ascii_case(b"close") => keep_alive = false,
                        alive if alive.eq_ignore_ascii_case(b"keep-alive") => keep_alive = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let bodiless = to_head || status < 200 || status == 204 || status == 304;
    let body = match content_length {
        _ if bodiless => Framing::Length(0),
        _ if chunked => Framing::Chunked(Chunks::Size(0, 0)),
        Some(length) if !coded => Framing::Length(length),
        _ => Framing::UntilClose,
    };
    keep_alive &= !matches!(body, Framing::UntilClose);
    let headers = if want_headers { collected(answer.headers) } else { HeaderMap::new() };
    Ok(Some(Head { length, status, body, keep_alive, headers }))
}

impl Framing {
    /// Whether the body is whole.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunks::Done))
    }

    /// Takes what belongs to the body from the begin of `bytes` and returns how much that was; `keep` gets its content.
    pub(super) fn take(&mut self, bytes: &[u8], mut keep: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let count = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                keep(&bytes[..count]);
                *left -= count as u64;
                Ok(count)
            }
            Self::UntilClose => {
                keep(bytes);
                Ok(bytes.len())
            }
            Self::Chunked(chunks) => {
                let mut at = 0;
                while at < bytes.len() && *chunks != Chunks::Done {
                    if let Chunks::Data(left) = *chunks {
                        let count = (bytes.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
                        keep(&bytes[at..at + count]);
                        at += count;
                        let left = left - count as u64;
                        *chunks = if left == 0 { Chunks::DataEnd } else { Chunks::Data(left) };
                    } else {
                        *chunks = chunks.step(bytes[at])?;
                        at += 1;
                    }
                }
                Ok(at)
            }
        }
    }
}

impl Chunks {
    /// One byte outside data. Line ends may lack their CR, as everywhere in HTTP parsers.
    fn step(self, byte: u8) -> Result<Self, Malformed> {
        let after_line = |size| if size == 0 { Self::Trailer(false) } else { Self::Data(size) };
        match (self, byte) {
            (Self::Size(size, digits), _) if byte.is_ascii_hexdigit() && digits < 15 => {
                let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
                Ok(Self::Size(size * 16 + u64::from(digit), digits + 1))
            }
            (Self::Size(_, 0), _) => Err(Malformed),
            (Self::Size(size, _) | Self::Extension(size), b'\n') => Ok(after_line(size)),
            (Self::Size(size, _), b';' | b'\r' | b' ' | b'\t') => Ok(Self::Extension(size)),
            (Self::Extension(size), _) => Ok(Self::Extension(size)),
            (Self::DataEnd, b'\r') => Ok(Self::DataEnd),
            (Self::DataEnd, b'\n') => Ok(Self::Size(0, 0)),
            (Self::Trailer(false), b'\n') => Ok(Self::Done),
            (Self::Trailer(_), b'\n') => Ok(Self::Trailer(false)),
            (Self::Trailer(begun), b'\r') => Ok(Self::Trailer(begun)),
            (Self::Trailer(_), _) => Ok(Self::Trailer(true)),
            _ => Err(Malformed),
        }
    }
}

fn decimal(value: &[u8]) -> Result<u64, Malformed> {
    let text = value.trim_ascii();
    // A sign would pass `parse`, but not as a length.
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| plain).and_then(|text| text.parse().ok()).ok_or(Malformed)
}

fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn collected(headers: &[httparse::Header<'_>]) -> HeaderMap {
    let pairs = headers.iter().filter_map(|header| {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(header.value).ok()?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds an answer byte by byte and at once; both must agree. The body, what is left over, and whether it lives on.
    fn read(answer: &str, to_head: bool) -> Result<(u16, String, usize, bool), Malformed> {
        let bytes = answer.as_bytes();
        let Some(mut head) = head(bytes, to_head, false)? else { return Err(Malformed) };
        let mut whole = Vec::new();
        let mut at = head.length;
        while at < bytes.len() && !head.body.is_done() {
            at += head.body.take(&bytes[at..=at], |part| whole.extend_from_slice(part))?;
        }
        let mut again = self::head(bytes, to_head, false)?.ok_or(Malformed)?;
        let mut at_once = Vec::new();
        let taken = again.body.take(&bytes[again.length..], |part| at_once.extend_from_slice(part))?;
        assert_eq!((&whole, at), (&at_once, again.length + taken), "{answer}");
        let done = head.body.is_done() || matches!(head.body, Framing::UntilClose);
        if !done {
            return Err(Malformed);
        }
        Ok((head.status, String::from_utf8(whole).unwrap(), bytes.len() - at, head.keep_alive))
    }

    #[test]
    fn bodies_are_framed_as_their_heads_say() {
        type Read = (u16, &'static str, usize, bool);
        let cases: [(&str, bool, Read); 9] = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, (200, "hi", 0, true)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: Close\r\n\r\nhi",
                false,
                (200, "hi", 0, false),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi!", false, (200, "hi", 1, true)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", false, (200, "", 0, false)),
            ("HTTP/1.1 200 OK\r\n\r\nall of it", false, (200, "all of it", 0, false)),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, (204, "", 0, true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", true, (200, "", 0, true)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nA;x=y\r\n0123456789\r\n0\r\na: b\r\n\r\n",
                false,
                (200, "hi0123456789", 0, true),
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
                false,
                (200, "", 0, true),
            ),
        ];
        for (answer, to_head, (status, body, left, keep_alive)) in cases {
            assert_eq!(read(answer, to_head), Ok((status, body.to_owned(), left, keep_alive)), "{answer}");
        }
    }

    #[test]
    fn what_is_no_answer_is_malformed_and_half_a_head_is_waited_for() {
        for answer in [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ] {
            assert_eq!(read(answer, false), Err(Malformed), "{answer}");
        }
        assert!(matches!(head(b"HTTP/1.1 200 OK\r\ncontent-le", false, false), Ok(None)));
        let endless = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MAX_HEAD));
        assert!(head(endless.as_bytes(), false, false).is_err());
    }
}
