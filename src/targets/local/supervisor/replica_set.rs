//! A MongoDB that was found on PATH as a replica set of one, which transactions, change streams and snapshot reads need. Only
//! for a new data folder: one that a server made alone stays as it is.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bson::{Document, doc};

use crate::files;
use crate::targets::local::supervisor::direct;

/// The name of the set.
pub(super) const NAME: &str = "appforge";
/// In the data folder of a set, from before its first start on.
const MARK: &str = "appforge-replica-set";
/// What a MongoDB leaves in its data folder.
const DATA: &str = "WiredTiger";
/// The set has no configuration yet; the configuration is not that of this address
/// (<https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml>).
const NOT_YET_INITIALIZED: i32 = 94;
const INVALID_CONFIG: i32 = 93;

/// Whether the server of this data folder runs as a set; a folder without data becomes one.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn is_set(data: &Path) -> Result<bool> {
    let mark = data.join(MARK);
    if files::read_private(&mark)?.is_some() {
        return Ok(true);
    }
    if data.join(DATA).symlink_metadata().is_ok() {
        return Ok(false);
    }
    files::write_private(&mark, NAME.as_bytes(), 0o600)?;
    Ok(true)
}

/// Makes the server at `address` the primary of its set and returns its version once it is. A configuration of another port,
/// from an earlier start, is replaced.
///
/// # Errors
/// When it does not answer, or is not the primary yet: the caller asks again.
pub(super) async fn primary(address: SocketAddr) -> Result<String> {
    let client = direct::client(address).await?;
    let outcome = bring(&client.database("admin"), &address.to_string()).await;
    client.shutdown().immediate(true).await;
    outcome
}

async fn bring(admin: &mongodb::Database, host: &str) -> Result<String> {
    match admin.run_command(doc! {"replSetGetConfig": 1}).await {
        Ok(answer) => {
            let config = answer.get_document("config").context("the set has no configuration")?;
            if host_of(config) != Some(host) {
                let version = config.get_i32("version").unwrap_or(1);
                let command = doc! {"replSetReconfig": configuration(host, version + 1), "force": true};
                admin.run_command(command).await?;
            }
        }
        Err(error) if [NOT_YET_INITIALIZED, INVALID_CONFIG].contains(&code(&error)) => {
            admin.run_command(doc! {"replSetInitiate": configuration(host, 1)}).await?;
        }
        Err(error) => return Err(error.into()),
    }
    let hello = admin.run_command(doc! {"hello": 1}).await?;
    if !hello.get_bool("isWritablePrimary").unwrap_or(false) {
        bail!("the server is not the primary yet");
    }
    Ok(admin.run_command(doc! {"buildInfo": 1}).await?.get_str("version")?.to_owned())
}

fn configuration(host: &str, version: i32) -> Document {
    doc! {"_id": NAME, "version": version, "members": [{"_id": 0, "host": host}]}
}

fn host_of(config: &Document) -> Option<&str> {
    config.get_array("members").ok()?.first()?.as_document()?.get_str("host").ok()
}

fn code(error: &mongodb::error::Error) -> i32 {
    match &*error.kind {
        mongodb::error::ErrorKind::Command(error) => error.code,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What the documented replies of a `mongod --replSet` make of its state: no configuration, then one.
    #[derive(Default)]
    struct Mongod {
        config: Option<Document>,
        /// Asked so often since it was configured.
        asked: u32,
        commands: Vec<String>,
    }

    impl Mongod {
        fn answer(&mut self, command: &Document) -> Document {
            let (name, value) = command.iter().next().unwrap();
            self.commands.push(name.clone());
            match (name.as_str(), &self.config) {
                ("replSetGetConfig", Some(config)) => doc! {"config": config.clone(), "ok": 1.0},
                ("replSetGetConfig", None) => {
                    doc! {"ok": 0.0, "code": 94, "codeName": "NotYetInitialized", "errmsg": "no replset config has been received"}
                }
                ("replSetInitiate" | "replSetReconfig", _) => {
                    (self.config, self.asked) = (value.as_document().cloned(), 0);
                    doc! {"ok": 1.0}
                }
                ("buildInfo", _) => doc! {"version": "8.0.1", "ok": 1.0},
                // An election takes a moment.
                _ => {
                    self.asked += 1;
                    let primary = self.config.is_some() && self.asked > 2;
                    doc! {"isWritablePrimary": primary, "maxWireVersion": 25, "minWireVersion": 0,
                    "maxBsonObjectSize": 16_777_216, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "ok": 1.0}
                }
            }
        }
    }

    async fn serve(mut stream: TcpStream, mongod: Arc<Mutex<Mongod>>) -> std::io::Result<()> {
        loop {
            let mut head = [0; 16];
            stream.read_exact(&mut head).await?;
            let number = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
            let mut body = vec![0; usize::try_from(number(0)).unwrap() - head.len()];
            stream.read_exact(&mut body).await?;
            // OP_MSG has flags and a kind before the document, OP_QUERY flags, a name and two numbers.
            let message = number(12) == 2013;
            let at =
                if message { 5 } else { 4 + body[4..].iter().position(|byte| *byte == 0).unwrap() + 1 + 8 };
            let command: Document = bson::deserialize_from_slice(&body[at..]).unwrap();
            let answer = bson::serialize_to_vec(&mongod.lock().unwrap().answer(&command)).unwrap();
            let mut reply = Vec::new();
            if message {
                reply.extend([0; 5]);
            } else {
                reply.extend([0; 16]);
                reply.extend(1_i32.to_le_bytes());
            }
            reply.extend(answer);
            let length = i32::try_from(reply.len() + 16).unwrap();
            let code = if message { 2013 } else { 1 };
            for word in [length, 1, number(4), code] {
                stream.write_all(&word.to_le_bytes()).await?;
            }
            stream.write_all(&reply).await?;
        }
    }

    async fn mongod() -> (SocketAddr, Arc<Mutex<Mongod>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, mongod) = (listener.local_addr().unwrap(), Arc::<Mutex<Mongod>>::default());
        let state = mongod.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        (address, mongod)
    }

    async fn until_primary(address: SocketAddr) -> String {
        for _ in 0..50 {
            if let Ok(version) = primary(address).await {
                return version;
            }
        }
        panic!("not the primary after 50 questions");
    }

    fn count(mongod: &Mutex<Mongod>, name: &str) -> usize {
        mongod.lock().unwrap().commands.iter().filter(|command| *command == name).count()
    }

    #[tokio::test]
    async fn new_server_is_made_a_set_of_one_once() {
        let (address, mongod) = mongod().await;
        assert_eq!(until_primary(address).await, "8.0.1");
        assert_eq!(until_primary(address).await, "8.0.1");
        assert_eq!((count(&mongod, "replSetInitiate"), count(&mongod, "replSetReconfig")), (1, 0));
        let config = mongod.lock().unwrap().config.clone().unwrap();
        assert_eq!(host_of(&config), Some(address.to_string().as_str()));
    }

    #[tokio::test]
    async fn set_that_had_another_port_gets_its_new_one() {
        let (address, mongod) = mongod().await;
        mongod.lock().unwrap().config = Some(configuration("127.0.0.1:1", 4));
        until_primary(address).await;
        let config = mongod.lock().unwrap().config.clone().unwrap();
        assert_eq!(
            (host_of(&config), config.get_i32("version").ok()),
            (Some(address.to_string().as_str()), Some(5))
        );
        assert_eq!(count(&mongod, "replSetInitiate"), 0);
    }

    #[test]
    fn data_of_a_server_that_was_alone_stays_alone() {
        let old = tempfile::tempdir().unwrap();
        std::fs::write(old.path().join(DATA), "WiredTiger").unwrap();
        assert!(!is_set(old.path()).unwrap());
        let new = tempfile::tempdir().unwrap();
        std::fs::set_permissions(new.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert!(is_set(new.path()).unwrap());
        std::fs::write(new.path().join(DATA), "WiredTiger").unwrap();
        assert!(is_set(new.path()).unwrap(), "it was made as a set");
    }
}
