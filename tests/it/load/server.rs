//! A small HTTP/1.1 server on loopback that does exactly what a test tells it and remembers what it did.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use appforge_testing::wait::eventually;

/// What a handler sees.
pub(super) struct Request {
    /// From 0, in the order of arrival.
    pub number: u64,
    /// Since the first request.
    pub since_first: Duration,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What a handler wants done.
pub(super) enum Reply {
    /// This status and body, after this delay.
    Answer(u16, &'static str, Duration),
    /// Hang up without a word.
    HangUp,
}

pub(super) fn ok() -> Reply {
    Reply::Answer(200, "{\"ok\":true}", Duration::ZERO)
}

struct State {
    handler: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    first: Mutex<Option<Instant>>,
    requests: AtomicU64,
    gone: AtomicBool,
    /// From the request read to the answer written, in the order of their ends.
    served: Mutex<Vec<Duration>>,
    open: Mutex<Vec<TcpStream>>,
}

pub(super) struct Server {
    state: Arc<State>,
    port: u16,
}

impl Server {
    pub(super) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new(State {
            handler: Box::new(handler),
            first: Mutex::default(),
            requests: AtomicU64::new(0),
            gone: AtomicBool::new(false),
            served: Mutex::default(),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.gone.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let state = Arc::clone(&accepting);
                state.open.lock().expect("lock").push(stream.try_clone().expect("a socket"));
                std::thread::spawn(move || serve(&state, stream));
            }
        });
        Self { state, port }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// How long each request took here.
    pub(super) fn served(&self) -> Vec<Duration> {
        let mut served = self.state.served.lock().expect("lock").clone();
        served.sort_unstable();
        served
    }

    /// Closes the listener and every connection.
    pub(super) fn vanish(&self) {
        self.state.gone.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then drops the listener.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        for stream in self.state.open.lock().expect("lock").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Waits until this many requests have arrived.
    pub(super) fn await_requests(&self, count: u64) {
        eventually(&format!("{count} requests came"), || self.requests() >= count);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.vanish();
    }
}

fn serve(state: &State, stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let mut writer = stream.try_clone().expect("a socket");
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(state, &mut reader) {
        let begin = Instant::now();
        let Reply::Answer(status, body, delay) = (state.handler)(&request) else {
            let _ = writer.shutdown(Shutdown::Both);
            return;
        };
        std::thread::sleep(delay);
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
        state.served.lock().expect("lock").push(begin.elapsed());
    }
}

fn read(state: &State, reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let since_first = state.first.lock().expect("lock").get_or_insert_with(Instant::now).elapsed();
    let number = state.requests.fetch_add(1, Ordering::SeqCst);
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Request { number, since_first, method, path, headers, body })
}
