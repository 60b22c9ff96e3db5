//! Bytes to requests, replies to bytes. Knows no command.
//!
//! A request is a flat array of bulk strings, so it is read here piece by piece: nothing is scanned twice, nothing recurses
//! and nothing is reserved on the word of a client. Replies are encoded by `redis-protocol`.

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::{resp2, resp3};

/// Longest inline request and longest header line, as in Redis (`PROTO_INLINE_MAX_SIZE`).
const LONGEST_LINE: usize = 64 * 1024;
/// Most arguments of a request, as in Redis.
const MOST_ARGUMENTS: i64 = 1024 * 1024;
/// Longest argument, as Redis's `proto-max-bulk-len`.
const LONGEST_ARGUMENT: i64 = 512 * 1024 * 1024;
/// Most bytes of one request, as Redis's `client-query-buffer-limit`.
const LARGEST_REQUEST: usize = 1024 * 1024 * 1024;

/// Why a connection cannot go on: the text that Redis answers before it closes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// A request that arrives in pieces.
#[derive(Debug, Default)]
pub(super) struct Parser {
    arguments: Vec<Bytes>,
    /// Arguments still to come; 0 between requests.
    missing: usize,
    /// Length of the argument that comes now, once its header was read.
    length: Option<usize>,
    /// Bytes of the arguments so far.
    taken: usize,
}

impl Parser {
    /// Takes the next whole request out of `buffer`; `None` when more bytes are needed.
    pub(super) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Broken> {
        loop {
            if self.missing == 0 {
                match buffer.first() {
                    None => return Ok(None),
                    Some(b'*') => {}
                    Some(_) => match inline(buffer)? {
                        Some(words) if words.is_empty() => continue,
                        other => return Ok(other),
                    },
                }
                let Some(line) = take_line(buffer, "too big mbulk count string")? else { return Ok(None) };
                let count = integer(line.get(1..).unwrap_or_default())
                    .filter(|count| *count <= MOST_ARGUMENTS)
                    .ok_or_else(|| broken("invalid multibulk length"))?;
                // An empty array is nothing, as in Redis.
                self.missing = usize::try_from(count).unwrap_or(0);
                self.taken = 0;
                continue;
            }
            if !self.argument(buffer)? {
                return Ok(None);
            }
            if self.missing == 0 {
                return Ok(Some(std::mem::take(&mut self.arguments)));
            }
        }
    }

    /// Takes one argument; false when more bytes are needed.
    fn argument(&mut self, buffer: &mut BytesMut) -> Result<bool, Broken> {
        let length = match self.length {
            Some(length) => length,
            None => {
                match buffer.first() {
                    None => return Ok(false),
                    Some(b'$') => {}
                    Some(other) => {
                        return Err(broken(&format!("expected '$', got '{}'", other.escape_ascii())));
                    }
                }
                let Some(line) = take_line(buffer, "too big bulk count string")? else { return Ok(false) };
                let length = integer(line.get(1..).unwrap_or_default())
                    .filter(|length| (0..=LONGEST_ARGUMENT).contains(length))
                    .and_then(|length| usize::try_from(length).ok())
                    .ok_or_else(|| broken("invalid bulk length"))?;
                self.taken = self.taken.saturating_add(length);
                if self.taken > LARGEST_REQUEST {
                    return Err(broken("too big request"));
                }
                *self.length.insert(length)
            }
        };
        if buffer.len() < length + 2 {
            return Ok(false);
        }
        let argument = buffer.split_to(length).freeze();
        if !buffer.starts_with(b"\r\n") {
            return Err(broken("expected CRLF after a bulk string"));
        }
        buffer.advance(2);
        self.arguments.push(argument);
        self.length = None;
        self.missing -= 1;
        Ok(true)
    }
}

fn broken(what: &str) -> Broken {
    Broken(format!("ERR Protocol error: {what}"))
}

/// A line without its end, or `None` when it is not whole.
fn take_line(buffer: &mut BytesMut, too_long: &str) -> Result<Option<Bytes>, Broken> {
    let window = buffer.get(..buffer.len().min(LONGEST_LINE)).unwrap_or_default();
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if buffer.len() >= LONGEST_LINE { Err(broken(too_long)) } else { Ok(None) };
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    Ok(Some(match line.last() {
        Some(b'\r') => line.slice(..line.len() - 1),
        _ => line,
    }))
}

/// A request typed by hand: words with blanks between.
fn inline(buffer: &mut BytesMut) -> Result<Option<Vec<Bytes>>, Broken> {
    let typed = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if let Some(other) = buffer.first().filter(|byte| !typed(byte)) {
        return Err(broken(&format!("expected '*', got '{}'", other.escape_ascii())));
    }
    let Some(line) = take_line(buffer, "too big inline request")? else { return Ok(None) };
    let words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| line.slice_ref(word))
        .collect::<Vec<_>>();
    // A browser that was lured here must not get a command through in the body of its request; Redis does the same.
    match words.first() {
        Some(word) if word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:") => {
            Err(broken("this is not an HTTP server"))
        }
        _ => Ok(Some(words)),
    }
}

/// An integer as Redis writes it: no plus sign, no leading zeros, no blanks.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    match text {
        [b'+', ..] | [b'0', _, ..] | [b'-', b'0', ..] => None,
        _ => std::str::from_utf8(text).ok()?.parse().ok(),
    }
}

/// A reply, before the version of the protocol is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Simple(&'static str),
    Error(String),
    Int(i64),
    Bulk(Bytes),
    Nil,
    Array(Vec<Reply>),
    /// A map in RESP3, a flat array in RESP2.
    Map(Vec<(Reply, Reply)>),
}

impl Reply {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// Writes it to the end of `out`.
    pub(super) fn encode(self, resp3: bool, out: &mut BytesMut) -> Result<(), RedisProtocolError> {
        if resp3 {
            resp3::encode::complete::extend_encode(out, &self.into_resp3(), false)?;
        } else {
            resp2::encode::extend_encode(out, &self.into_resp2(), false)?;
        }
        Ok(())
    }

    fn into_resp2(self) -> resp2::types::BytesFrame {
        use resp2::types::BytesFrame as Frame;
        match self {
            Self::Simple(text) => Frame::SimpleString(Bytes::from_static(text.as_bytes())),
            Self::Error(text) => Frame::Error(one_line(text).into()),
            Self::Int(number) => Frame::Integer(number),
            Self::Bulk(data) => Frame::BulkString(data),
            Self::Nil => Frame::Null,
            Self::Array(items) => Frame::Array(items.into_iter().map(Self::into_resp2).collect()),
            Self::Map(pairs) => Frame::Array(
                pairs.into_iter().flat_map(|(key, value)| [key.into_resp2(), value.into_resp2()]).collect(),
            ),
        }
    }

    fn into_resp3(self) -> resp3::types::BytesFrame {
        use resp3::types::BytesFrame as Frame;
        let attributes = None;
        match self {
            Self::Simple(text) => {
                Frame::SimpleString { data: Bytes::from_static(text.as_bytes()), attributes }
            }
            Self::Error(text) => Frame::SimpleError { data: one_line(text).into(), attributes },
            Self::Int(data) => Frame::Number { data, attributes },
            Self::Bulk(data) => Frame::BlobString { data, attributes },
            Self::Nil => Frame::Null,
            Self::Array(items) => {
                Frame::Array { data: items.into_iter().map(Self::into_resp3).collect(), attributes }
            }
            Self::Map(pairs) => Frame::Map {
                data: pairs.into_iter().map(|(key, value)| (key.into_resp3(), value.into_resp3())).collect(),
                attributes,
            },
        }
    }
}

/// An error reply ends at the first line end, so what a client sent must not bring one.
fn one_line(text: String) -> String {
    if text.contains(['\r', '\n']) { text.replace(['\r', '\n'], " ") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(input: &[u8], piece: usize) -> Result<Vec<Vec<Bytes>>, Broken> {
        let (mut parser, mut buffer, mut requests) = (Parser::default(), BytesMut::new(), Vec::new());
        for part in input.chunks(piece) {
            buffer.extend_from_slice(part);
            while let Some(request) = parser.next(&mut buffer)? {
                requests.push(request);
            }
        }
        Ok(requests)
    }

    #[test]
    fn a_request_is_the_same_however_it_is_cut() {
        let input = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*0\r\n\r\nPING  hello\r\n*1\r\n$0\r\n\r\n";
        let whole = all(input, input.len()).unwrap();
        assert_eq!(whole, [vec!["GET", "a\r\nb"], vec!["PING", "hello"], vec![""]]);
        for piece in 1..input.len() {
            assert_eq!(all(input, piece).unwrap(), whole, "cut into pieces of {piece}");
        }
    }

    #[test]
    fn malformed_requests_are_refused_and_reserve_nothing() {
        let deep = b"*1\r\n".repeat(100_000);
        let long = vec![b'a'; LONGEST_LINE];
        let cases: [&[u8]; 8] = [
            b"*99999999999\r\n",
            b"*x\r\n",
            b"*1\r\n$-5\r\n",
            b"*1\r\n$99999999999999999999\r\n",
            b"*1\r\n$1\r\nabc\r\n",
            b"\x16\x03\x01\x02",
            &deep,
            &long,
        ];
        for case in cases {
            assert!(
                all(case, 1000).is_err(),
                "{}",
                case.escape_ascii().take(40).map(char::from).collect::<String>()
            );
        }
        assert_eq!(all(b"*1000000\r\n$500000000\r\nabc", 1000), Ok(vec![]));
    }

    proptest! {
        /// Bytes of the protocol in any order, and any bytes: an answer or an error, the same however they are cut.
        #[test]
        fn no_bytes_make_the_parser_panic(
            near in "[*$0-9\r\na-]{0,60}",
            any in prop::collection::vec(any::<u8>(), 0..200),
            piece in 1..40_usize,
        ) {
            for input in [near.as_bytes(), &any] {
                prop_assert_eq!(all(input, piece), all(input, input.len().max(1)));
            }
        }

        #[test]
        fn arguments_of_any_bytes_arrive_as_they_were_sent(
            arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            piece in 1..40_usize,
        ) {
            let mut input = format!("*{}\r\n", arguments.len()).into_bytes();
            for argument in &arguments {
                input.extend(format!("${}\r\n", argument.len()).bytes());
                input.extend_from_slice(argument);
                input.extend_from_slice(b"\r\n");
            }
            prop_assert_eq!(all(&input, piece).unwrap(), [arguments]);
        }
    }

    #[test]
    fn an_error_with_a_line_end_stays_one_reply() {
        let mut out = BytesMut::new();
        Reply::Error("ERR a\r\n+OK".into()).encode(false, &mut out).unwrap();
        assert_eq!(out, "-ERR a  +OK\r\n");
    }
}
