//! Follows where each request of a connection ends, to find a head that says it twice: by `Content-Length` and by
//! `Transfer-Encoding` (RFC 9112, 6.3). The HTTP parser drops the one and serves the other, so only the bytes show it. A head that
//! follows a line of chunks which this and the parser could read differently is in doubt, too. Decides nothing else: where else the two
//! differ, the parser refuses the request by itself.

/// What is kept of a line: enough for the name and the value of `Content-Length`. A longer one is in doubt.
const KEPT: usize = 64;

/// The requests of one connection so far.
#[derive(Default)]
pub(super) struct Framing {
    part: Part,
    line: Line,
    head: Head,
    heads: u32,
}

/// What comes next.
#[derive(Clone, Copy, Default)]
enum Part {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    Trailer,
}

/// The start of a line.
struct Line {
    bytes: [u8; KEPT],
    length: usize,
    last: Option<u8>,
}

/// What the head that is coming has said.
#[derive(Default)]
struct Head {
    begun: bool,
    chunked: bool,
    length: Option<u64>,
    doubtful: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { bytes: [0; KEPT], length: 0, last: None }
    }
}

impl Line {
    fn push(&mut self, part: &[u8]) {
        let room = self.bytes.get_mut(self.length.min(KEPT)..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(part) {
            *place = *byte;
        }
        self.length = self.length.saturating_add(part.len());
        self.last = part.last().copied().or(self.last);
    }

    fn clear(&mut self) {
        (self.length, self.last) = (0, None);
    }

    fn is_whole(&self) -> bool {
        self.length <= KEPT
    }

    /// Without its end.
    fn text(&self) -> &[u8] {
        let text = self.bytes.get(..self.length.min(KEPT)).unwrap_or_default();
        text.strip_suffix(b"\r").unwrap_or(text)
    }
}

impl Framing {
    /// Takes the next bytes; the number of the first request in them, counted from 0, whose head is in doubt.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Option<u32> {
        let mut doubtful = None;
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Body(left) => self.skip(bytes, left, Part::Body, Part::Head),
                Part::Chunk(left) => self.skip(bytes, left, Part::Chunk, Part::ChunkSize),
                Part::Head | Part::ChunkSize | Part::Trailer => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        self.line.push(bytes);
                        return doubtful;
                    };
                    let (line, rest) = bytes.split_at(end);
                    self.line.push(line);
                    if self.line.last != Some(b'\r') && !matches!(self.part, Part::Head) {
                        // Within chunks the parser takes a bare LF for no end of a line, so what follows is in doubt.
                        doubtful = doubtful.or(Some(self.heads));
                    }
                    doubtful = doubtful.or(self.line_ended());
                    self.line.clear();
                    rest.get(1..).unwrap_or_default()
                }
            };
        }
        doubtful
    }

    fn skip<'a>(&mut self, bytes: &'a [u8], left: u64, part: fn(u64) -> Part, next: Part) -> &'a [u8] {
        let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - skipped as u64;
        self.part = if left == 0 { next } else { part(left) };
        bytes.get(skipped..).unwrap_or_default()
    }

    fn line_ended(&mut self) -> Option<u32> {
        let text = self.line.text();
        match self.part {
            Part::Head if text.is_empty() && self.head.begun => return self.head_ended(),
            Part::Head if text.is_empty() => {}
            Part::Head if self.head.begun => self.head.take(&self.line),
            // The request line.
            Part::Head => self.head.begun = true,
            Part::Trailer if text.is_empty() => self.part = Part::Head,
            Part::ChunkSize => {
                let digits = text.split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
                let size =
                    std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
                self.part = match size {
                    // Its end is behind it.
                    Some(size @ 1..) => Part::Chunk(size.saturating_add(2)),
                    _ => Part::Trailer,
                };
            }
            Part::Trailer | Part::Body(_) | Part::Chunk(_) => {}
        }
        None
    }

    fn head_ended(&mut self) -> Option<u32> {
        let number = self.heads;
        self.heads = self.heads.wrapping_add(1);
        let head = std::mem::take(&mut self.head);
        self.part = match head.length {
            _ if head.chunked => Part::ChunkSize,
            Some(length @ 1..) => Part::Body(length),
            _ => Part::Head,
        };
        (head.doubtful || (head.chunked && head.length.is_some())).then_some(number)
    }
}

impl Head {
    fn take(&mut self, line: &Line) {
        let text = line.text();
        // Of each line: nearly none begins so.
        if !matches!(text.first(), Some(b'c' | b'C' | b't' | b'T')) {
            return;
        }
        let Some(colon) = text.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = text.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            self.doubtful |= length.is_none() || !line.is_whole();
            self.length = Some(length.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &str = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";

    fn found(text: &str) -> Option<u32> {
        let whole = Framing::default().read(text.as_bytes());
        let mut framing = Framing::default();
        let single = text.as_bytes().chunks(1).fold(None, |found, byte| found.or(framing.read(byte)));
        assert_eq!(whole, single, "however it is cut: {text:?}");
        whole
    }

    #[test]
    fn head_with_both_lengths_is_found() {
        assert_eq!(found(BOTH), Some(0));
        assert_eq!(
            found("POST / HTTP/1.1\nTRANSFER-ENCODING: chunked\nhost: x\ncontent-length:5\n\n"),
            Some(0)
        );
        assert_eq!(
            found("\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding:x\r\nContent-Length:\t0\r\n\r\n"),
            Some(0)
        );
        let padded = format!("POST / HTTP/1.1\r\nContent-Length:{}1\r\n\r\n", " ".repeat(KEPT));
        assert_eq!(found(&padded), Some(0), "a length that is not seen");
    }

    #[test]
    fn head_with_both_lengths_is_found_behind_other_requests() {
        for before in [
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\r\n\r",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\n\r\n\r\nA\r\n0123456789\r\n0\r\nt: x\r\n\r\n",
        ] {
            assert_eq!(found(&format!("{before}{BOTH}")), Some(1), "{before:?}");
        }
    }

    #[test]
    fn head_behind_a_bare_line_end_in_chunks_is_found() {
        let begin = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let next = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        for bare in ["0\r\nt: x\n\n", "0\r\n\n", "0\n\r\n", "1\nx\r\n0\r\n\r\n", "0\r\nt: x\ny\r\n\r\n"] {
            assert_eq!(found(&format!("{begin}{bare}{next}")), Some(1), "{bare:?}");
        }
        assert_eq!(found(&format!("{begin}3\r\n\n\n\n\r\n0\r\nt: x\r\n\r\n{next}")), None);
    }

    #[test]
    fn body_is_never_taken_for_a_head() {
        let body = "x: y\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let length = body.len();
        assert_eq!(found(&format!("PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")), None);
        let chunked = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(found(&format!("{chunked}{length:x}\r\n{body}\r\n0\r\n\r\n")), None);
        assert_eq!(found("GET / HTTP/1.1\r\ncontent-length-x: 1\r\ntransfer-encodings: x\r\n\r\n"), None);
    }
}
