//! The wire: OP_MSG in both directions, and OP_QUERY for the first word of older drivers. Knows no command.

use std::io;

use bson::Document;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::answer::Refusal;
use super::nesting::{self, Fault};

/// Longest message, as `hello` tells it.
pub(super) const MOST_MESSAGE: usize = 48_000_000;
const HEADER: usize = 16;
const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;
const CHECKSUM: u32 = 1;
const MORE_TO_COME: u32 = 1 << 1;
/// Flags below this bit must be understood.
const REQUIRED: u32 = 0xffff;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    /// Its number, which the reply repeats.
    pub(super) id: i32,
    /// The command, with the document sequences put in as arrays; a refusal when it was not decoded.
    pub(super) command: Result<Document, Refusal>,
    /// The client does not read a reply.
    pub(super) silent: bool,
    /// The client spoke OP_QUERY.
    pub(super) legacy: bool,
}

/// Takes the next whole request out of `input`.
///
/// # Errors
/// When this is not the protocol; the connection cannot go on.
pub(super) fn next(input: &mut BytesMut) -> io::Result<Option<Request>> {
    if input.len() < HEADER {
        return Ok(None);
    }
    let length = usize::try_from((&input[0..4]).get_i32_le()).unwrap_or(0);
    if !(HEADER..=MOST_MESSAGE).contains(&length) {
        return Err(broken("the length of a message makes no sense"));
    }
    if input.len() < length {
        input.reserve(length - input.len());
        return Ok(None);
    }
    let mut message = input.split_to(length).freeze();
    message.advance(4);
    let id = message.get_i32_le();
    message.advance(4);
    match message.get_i32_le() {
        OP_MSG => op_msg(id, message).map(Some),
        OP_QUERY => op_query(id, message).map(Some),
        _ => Err(broken("an operation other than OP_MSG")),
    }
}

fn op_msg(id: i32, mut message: Bytes) -> io::Result<Request> {
    let flags = message.try_get_u32_le().map_err(|_| broken("a message without flags"))?;
    if flags & REQUIRED & !(CHECKSUM | MORE_TO_COME) != 0 {
        return Err(broken("flags that must be understood and are not"));
    }
    if flags & CHECKSUM != 0 {
        // TCP has checked it.
        message.truncate(message.len().saturating_sub(4));
    }
    let (mut body, mut sequences) = (None, Vec::new());
    while message.has_remaining() {
        match message.get_u8() {
            0 => body = Some(take_document(&mut message)?),
            1 => {
                let size =
                    usize::try_from(message.try_get_i32_le().map_err(|_| broken("a section breaks off"))?);
                let size =
                    size.ok().and_then(|size| size.checked_sub(4)).filter(|size| *size <= message.len());
                let mut section = message.split_to(size.ok_or_else(|| broken("a section breaks off"))?);
                let end = section
                    .iter()
                    .position(|byte| *byte == 0)
                    .ok_or_else(|| broken("a name without an end"))?;
                let name = String::from_utf8(section.split_to(end).to_vec())
                    .map_err(|_| broken("a name is not valid UTF-8"))?;
                section.advance(1);
                let mut documents = Vec::new();
                while section.has_remaining() {
                    documents.push(take_document(&mut section)?);
                }
                sequences.push((name, documents));
            }
            _ => return Err(broken("an unknown section")),
        }
    }
    let body = body.ok_or_else(|| broken("a message without a body"))?;
    let silent = flags & MORE_TO_COME != 0;
    let documents = sequences.iter().flat_map(|(_, documents): &(String, Vec<Bytes>)| documents);
    for bytes in std::iter::once(&body).chain(documents) {
        if is_too_deep(bytes)? {
            return Ok(Request { id, command: Err(nesting::too_deep()), silent, legacy: false });
        }
    }
    let mut command = decode(&body)?;
    for (name, documents) in sequences {
        let documents = documents.iter().map(decode).collect::<io::Result<Vec<Document>>>()?;
        command.insert(name, documents);
    }
    Ok(Request { id, command: Ok(command), silent, legacy: false })
}

fn op_query(id: i32, mut message: Bytes) -> io::Result<Request> {
    message.try_get_u32_le().map_err(|_| broken("a query without flags"))?;
    let end = message.iter().position(|byte| *byte == 0).ok_or_else(|| broken("a name without an end"))?;
    let name = message.split_to(end);
    message.advance(1);
    if !name.ends_with(b".$cmd") || message.len() < 8 {
        return Err(broken("a query of the old protocol"));
    }
    message.advance(8);
    let body = take_document(&mut message)?;
    let command = if is_too_deep(&body)? { Err(nesting::too_deep()) } else { Ok(decode(&body)?) };
    Ok(Request { id, command, silent: false, legacy: true })
}

/// The bytes of the next document, which are not decoded yet.
fn take_document(bytes: &mut Bytes) -> io::Result<Bytes> {
    let length =
        bytes.get(..4).map(|mut length| length.get_i32_le()).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length >= 4 && *length <= bytes.len());
    Ok(bytes.split_to(length.ok_or_else(|| broken("a document breaks off"))?))
}

/// Whether a document may not be decoded.
fn is_too_deep(bytes: &Bytes) -> io::Result<bool> {
    match nesting::scan(bytes, nesting::MOST_COMMAND) {
        Ok(()) => Ok(false),
        Err(Fault::TooDeep) => Ok(true),
        Err(Fault::Broken) => Err(broken("a document is not valid BSON")),
    }
}

fn decode(bytes: &Bytes) -> io::Result<Document> {
    Document::from_reader(&bytes[..]).map_err(|_| broken("a document is not valid BSON"))
}

/// Writes the reply to `request`.
///
/// # Errors
/// When the document cannot be written.
pub(super) fn reply(request: &Request, document: &Document, output: &mut BytesMut) -> io::Result<()> {
    let body = document.to_vec().map_err(|_| broken("a reply cannot be written"))?;
    let head = if request.legacy { 20 } else { 5 };
    let length = i32::try_from(HEADER + head + body.len()).map_err(|_| broken("a reply is too long"))?;
    output.put_i32_le(length);
    output.put_i32_le(request.id);
    output.put_i32_le(request.id);
    if request.legacy {
        output.put_i32_le(OP_REPLY);
        output.put_bytes(0, 16);
        output.put_i32_le(1);
    } else {
        output.put_i32_le(OP_MSG);
        output.put_u32_le(0);
        output.put_u8(0);
    }
    output.put_slice(&body);
    Ok(())
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use proptest::prelude::*;

    use super::*;

    fn message(operation: i32, body: &[u8]) -> BytesMut {
        let mut message = BytesMut::new();
        message.put_i32_le(i32::try_from(HEADER + body.len()).unwrap());
        message.put_i32_le(7);
        message.put_i32_le(0);
        message.put_i32_le(operation);
        message.put_slice(body);
        message
    }

    proptest! {
        /// A message with a true length and any content: a request or an error, and never more bytes taken than its own.
        #[test]
        fn no_bytes_make_the_parser_panic(
            content in prop::collection::vec(any::<u8>(), 0..300),
            flags in prop_oneof![Just(0_u32), Just(CHECKSUM), Just(MORE_TO_COME), any::<u32>()],
            kind in 0..3_u8,
            length in any::<u32>(),
        ) {
            let mut body = flags.to_le_bytes().to_vec();
            body.push(kind);
            for length in [length, u32::try_from(content.len() + 4).unwrap()] {
                let body = [&body[..], &length.to_le_bytes(), &content].concat();
                for operation in [OP_MSG, OP_QUERY] {
                    let mut input = message(operation, &body);
                    input.put_slice(b"next");
                    let _ = next(&mut input);
                    prop_assert_eq!(&input[..], b"next");
                }
            }
            let _ = next(&mut BytesMut::from(&content[..]));
        }

        #[test]
        fn command_is_the_same_however_it_is_cut(text in ".{0,40}", number in any::<i64>(), piece in 1..40_usize) {
            let command = doc! {"insert": &text, "n": number, "in": {"a": [number, &text]}};
            let body = [&0_u32.to_le_bytes()[..], &[0], &command.to_vec().unwrap()].concat();
            let (mut input, mut found) = (BytesMut::new(), Vec::new());
            for part in message(OP_MSG, &body).chunks(piece) {
                input.put_slice(part);
                found.extend(next(&mut input).unwrap());
            }
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].id, found[0].command.as_ref().unwrap()), (7, &command));
        }
    }
}
