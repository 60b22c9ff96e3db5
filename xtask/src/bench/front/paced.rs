//! A steady load far below saturation, which shows what a proxy adds to each answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::median;
use crate::bench::process::{Core, stay_on};

/// Requests a second.
pub(super) const RATE: u32 = 2000;
/// Connections, each with a thread.
const CONNECTIONS: u32 = 8;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The median time of an answer in ms, from the first byte sent to the last one received.
pub(super) fn run(port: u16, path: &str, length: Duration) -> Result<f64> {
    let interval = Duration::from_secs(1) * CONNECTIONS / RATE;
    let begin = Instant::now();
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let (path, begin) = (path.to_owned(), begin + interval * number / CONNECTIONS);
            std::thread::spawn(move || connection(port, &path, begin, interval, length))
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().ok().context("a thread of the load has panicked")??);
    }
    Ok(median(&mut times))
}

fn connection(
    port: u16,
    path: &str,
    begin: Instant,
    interval: Duration,
    length: Duration,
) -> Result<Vec<f64>> {
    stay_on(Core::Client)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let mut times = Vec::new();
    let mut turn = begin;
    while begin.elapsed() < length {
        std::thread::sleep(turn.saturating_duration_since(Instant::now()));
        let sent = Instant::now();
        stream.get_mut().write_all(request.as_bytes())?;
        receive(&mut stream)?;
        times.push(sent.elapsed().as_secs_f64() * 1e3);
        turn += interval;
    }
    Ok(times)
}

/// Reads one answer, demands that it is a 200, and drops its body.
pub(super) fn receive(stream: &mut BufReader<TcpStream>) -> Result<u64> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    ensure!(line.starts_with("HTTP/1.1 200 "), "the answer is `{}`", line.trim_end());
    let mut length = 0;
    loop {
        line.clear();
        ensure!(stream.read_line(&mut line)? > 0, "the connection ended within a head");
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.split_once(':').context("a field has a value")?;
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let read = std::io::copy(&mut stream.take(length), &mut std::io::sink())?;
    ensure!(read == length, "{read} of {length} bytes arrived");
    Ok(read)
}
