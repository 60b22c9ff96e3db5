//! A client of the Redis protocol that pipelines words.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use appforge_testing::wait::DEADLINE;

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let client = Self::try_connect(address).unwrap();
        client.limit(DEADLINE);
        client
    }

    /// Connects and asks once.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let mut client = Self { stream: BufReader::new(TcpStream::connect(address)?) };
        client.limit(Duration::from_millis(500));
        client.try_all(&["PING"])?;
        Ok(client)
    }

    fn limit(&self, limit: Duration) {
        self.stream.get_ref().set_read_timeout(Some(limit)).unwrap();
        self.stream.get_ref().set_write_timeout(Some(limit)).unwrap();
    }

    /// Sends lines of words in one write, and returns a reply for each: `+OK`, `:1`, `-ERR ...`, the text of a bulk string,
    /// `nil`; of an array its length.
    #[track_caller]
    pub(crate) fn all(&mut self, lines: &[&str]) -> Vec<String> {
        self.try_all(lines).unwrap()
    }

    #[track_caller]
    pub(crate) fn one(&mut self, line: &str) -> String {
        self.all(&[line]).remove(0)
    }

    pub(crate) fn try_all(&mut self, lines: &[&str]) -> io::Result<Vec<String>> {
        let mut bytes = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            write!(bytes, "*{}\r\n", words.len())?;
            for word in words {
                write!(bytes, "${}\r\n{word}\r\n", word.len())?;
            }
        }
        self.stream.get_mut().write_all(&bytes)?;
        lines.iter().map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let number = line[1..].parse::<i64>();
        match (line.as_bytes()[0], number) {
            (b'$', Ok(-1)) => Ok("nil".into()),
            (b'$', Ok(length)) => {
                let mut bytes = vec![0; usize::try_from(length).unwrap() + 2];
                self.stream.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(String::from_utf8(bytes).unwrap())
            }
            (b'*', Ok(count)) => {
                for _ in 0..count {
                    self.reply()?;
                }
                Ok(format!("*{count}"))
            }
            _ => Ok(line.to_owned()),
        }
    }
}
