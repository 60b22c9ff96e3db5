//! A client of OP_MSG that sends any bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use appforge_testing::wait::DEADLINE;
use bson::{Document, doc};

pub(crate) struct Client {
    stream: TcpStream,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let mut client = Self::try_connect(address).unwrap();
        client.limit(DEADLINE);
        client
    }

    /// Connects and asks once.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        let mut client = Self { stream };
        client.limit(Duration::from_millis(500));
        client.try_raw(&doc! {"ping": 1, "$db": "admin"}.to_vec().unwrap())?;
        Ok(client)
    }

    fn limit(&mut self, limit: Duration) {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        self.stream.set_write_timeout(Some(limit)).unwrap();
    }

    /// Sends a command to the database `d` and returns the reply.
    #[track_caller]
    pub(crate) fn run(&mut self, mut command: Document) -> Document {
        command.insert("$db", "d");
        self.raw(&command.to_vec().unwrap())
    }

    /// Sends a body of these bytes.
    #[track_caller]
    pub(crate) fn raw(&mut self, body: &[u8]) -> Document {
        self.try_raw(body).unwrap()
    }

    fn try_raw(&mut self, body: &[u8]) -> io::Result<Document> {
        self.send(&[&[0], body].concat())
    }

    /// Sends an insert into `d.c` whose document comes as a section of its own.
    #[track_caller]
    pub(crate) fn insert_raw(&mut self, document: &[u8]) -> Document {
        let body = doc! {"insert": "c", "$db": "d"}.to_vec().unwrap();
        let name = b"documents\0";
        let size = u32::try_from(4 + name.len() + document.len()).unwrap().to_le_bytes();
        self.send(&[&[0][..], &body, &[1], &size, name, document].concat()).unwrap()
    }

    fn send(&mut self, sections: &[u8]) -> io::Result<Document> {
        let length = u32::try_from(20 + sections.len()).unwrap();
        let mut message = length.to_le_bytes().to_vec();
        message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        message.extend(2013_u32.to_le_bytes());
        message.extend([0; 4]);
        message.extend(sections);
        self.stream.write_all(&message)?;
        let mut head = [0; 21];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_le_bytes(head[..4].try_into().unwrap());
        let mut body = vec![0; length as usize - head.len()];
        self.stream.read_exact(&mut body)?;
        Document::from_reader(&body[..]).map_err(io::Error::other)
    }

    #[track_caller]
    pub(crate) fn count(&mut self) -> i32 {
        self.run(doc! {"count": "c"}).get_i32("n").unwrap()
    }
}

/// The code of a refusal, of the command or of its first write; 0 when all was done.
#[track_caller]
pub(crate) fn code(reply: &Document) -> i32 {
    if let Ok(code) = reply.get_i32("code") {
        return code;
    }
    assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply}");
    match reply.get_array("writeErrors") {
        Ok(errors) => errors[0].as_document().unwrap().get_i32("code").unwrap(),
        Err(_) => 0,
    }
}
