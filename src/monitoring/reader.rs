//! Asks replicas for their metrics, all at once and each within a deadline. One that does not answer has no reading.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};

use super::reading::Reading;
use crate::targets::admin;
use crate::targets::subject::Replica;

/// How long a replica may take to answer; below the time between two rounds.
const LIMIT: Duration = Duration::from_millis(1200);
/// Replicas that are asked at once.
const AT_ONCE: usize = 16;

/// What each replica reports, and the names of those that do not answer.
pub(super) async fn read(replicas: &[Replica]) -> (Vec<(String, Reading)>, Vec<String>) {
    let asked: Vec<_> = replicas
        .iter()
        .map(|replica| async move {
            let answer = tokio::time::timeout(LIMIT, ask(replica.admin.clone())).await;
            (replica.name.clone(), answer.ok().and_then(Result::ok))
        })
        .collect();
    let mut asked = stream::iter(asked).buffered(AT_ONCE);
    let (mut readings, mut silent) = (Vec::new(), Vec::new());
    while let Some((name, reading)) = asked.next().await {
        match reading {
            Some(reading) => readings.push((name, reading)),
            None => silent.push(name),
        }
    }
    (readings, silent)
}

async fn ask(base: String) -> Result<Reading> {
    let text = admin::metrics(admin::connect(base)).await?;
    Reading::parse(std::str::from_utf8(&text).context("the metrics are not text")?)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A listener that answers each request with this body, or not at all.
    async fn replica(name: &str, body: Option<&'static str>) -> Replica {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let admin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                match body {
                    Some(body) => {
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                        let _ = stream.write_all((head + body).as_bytes()).await;
                    }
                    None => std::future::pending().await,
                }
            }
        });
        Replica { name: name.to_owned(), admin }
    }

    #[tokio::test]
    async fn replica_that_does_not_answer_has_no_reading_and_delays_no_other() {
        let well = "process_start_time_seconds 7\n";
        let replicas = [
            replica("hangs", None).await,
            replica("well", Some(well)).await,
            replica("other", Some("<html>")).await,
            Replica { name: "gone".into(), admin: "http://127.0.0.1:1".into() },
        ];
        let (readings, silent) = read(&replicas).await;
        let names: Vec<&str> = readings.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["well"]);
        assert_eq!(silent, ["hangs", "other", "gone"]);
    }
}
