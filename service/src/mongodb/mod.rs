//! MongoDB: one pooled client that connects in the background, a state that is always known, operations that end.

mod failure;
mod operation;
mod pool;
mod reach;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use mongodb::bson::doc;
use mongodb::event::EventHandler;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use failure::Away;
pub(crate) use failure::describe;
use operation::Durations;
pub use operation::Operation;
use pool::Pool;
pub use reach::reach;

use crate::status::{MongodbStatus, StoreState};

/// How often a server that answers is asked whether it still does.
const PING_EVERY: Duration = Duration::from_secs(2);
/// The same for one that does not answer.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// How long the task that looks after the connection may take to end.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);
/// The database, when neither the settings nor the URI name one.
const DATABASE: &str = "appforge";

/// Where MongoDB is, and how to use it.
#[derive(Clone)]
pub struct Settings {
    /// `mongodb://` or `mongodb+srv://`; a secret, for it may carry a password.
    pub uri: String,
    /// The database; `None` takes the one of the URI.
    pub database: Option<String>,
    /// Most connections.
    pub max_pool_size: u32,
    /// Connections kept ready.
    pub min_pool_size: u32,
    /// An idle connection is closed after this.
    pub max_idle_time: Duration,
    /// How long an operation waits for a server.
    pub server_selection_timeout: Duration,
    /// How long one operation may take; the driver has no such limit, so it is kept here.
    pub socket_timeout: Duration,
    /// How this replica is called in the server's lists.
    pub app_name: String,
}

/// The document store, whether it answers or not.
#[derive(Clone)]
pub struct Mongodb {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    pool: Arc<Pool>,
    durations: Durations,
    state: watch::Sender<State>,
    client: Mutex<Option<Client>>,
    /// An operation has failed: look at once.
    doubt: Notify,
    up: Gauge,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Up,
    Down(String),
}

impl Mongodb {
    /// Starts to connect, in the background and for ever. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// When the URI is of no known scheme; the error does not repeat it.
    pub fn start(settings: Settings, registry: &mut Registry) -> Result<Self> {
        if !["mongodb://", "mongodb+srv://"].iter().any(|scheme| settings.uri.starts_with(scheme)) {
            anyhow::bail!("the MongoDB URI must start with mongodb:// or mongodb+srv://");
        }
        let pool = Arc::new(Pool::new(settings.max_pool_size, settings.min_pool_size, registry));
        let up = Gauge::default();
        registry.register("mongodb_client_up", "Whether MongoDB answers", up.clone());
        let durations = Durations::new(registry);
        let shared = Arc::new(Shared {
            settings,
            pool,
            durations,
            state: watch::Sender::new(State::Starting),
            client: Mutex::new(None),
            doubt: Notify::new(),
            up,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        shared.tasks.spawn(keep(shared.clone()));
        Ok(Self { shared })
    }

    /// Runs an operation, bounded by the socket timeout.
    ///
    /// # Errors
    /// [`Away`] when MongoDB does not answer: at once while that is known, else after the timeouts.
    pub async fn run<T, F>(&self, kind: Operation, operation: impl FnOnce(Database) -> F) -> Result<T, Away>
    where
        F: Future<Output = mongodb::error::Result<T>>,
    {
        let shared = &self.shared;
        let mut state = shared.state.subscribe();
        let known = state.wait_for(|state| *state != State::Starting);
        let state = match timeout(shared.settings.server_selection_timeout, known).await {
            Ok(Ok(state)) => state.clone(),
            _ => return Err(Away),
        };
        let (State::Up, Some(database)) = (state, self.database()) else { return Err(Away) };
        let began = Instant::now();
        let outcome = shared.pool.within(shared.settings.socket_timeout, operation(database)).await;
        shared.durations.observe(kind, matches!(outcome, Ok(Ok(_))), began.elapsed());
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::warn!("an operation of MongoDB failed: {}", failure::describe(&error));
                shared.doubt.notify_one();
                Err(Away)
            }
            Err(_) => {
                tracing::warn!(
                    "an operation of MongoDB took longer than {:?}",
                    shared.settings.socket_timeout
                );
                shared.doubt.notify_one();
                Err(Away)
            }
        }
    }

    /// Whether it is known that MongoDB does not answer.
    pub fn is_away(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Down(_))
    }

    /// Whether MongoDB answers, and the pool.
    pub fn status(&self) -> MongodbStatus {
        let (status, error) = match &*self.shared.state.borrow() {
            State::Up => (StoreState::Up, None),
            State::Starting => (StoreState::Down, Some("not connected yet".to_owned())),
            State::Down(why) => (StoreState::Down, Some(why.clone())),
        };
        MongodbStatus { status, error, pool: self.shared.pool.status() }
    }

    /// Closes the pool and ends the task that looks after it.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let client = self.shared.client();
        let end = async {
            self.shared.tasks.wait().await;
            if let Some(client) = client {
                client.shutdown().immediate(true).await;
            }
        };
        if timeout(CLOSE_LIMIT, end).await.is_err() {
            tracing::warn!("the connections to MongoDB did not end in time");
        }
    }

    fn database(&self) -> Option<Database> {
        let client = self.shared.client()?;
        Some(self.shared.database(&client))
    }
}

impl Shared {
    fn client(&self) -> Option<Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn database(&self, client: &Client) -> Database {
        match (&self.settings.database, client.default_database()) {
            (Some(name), _) => client.database(name),
            (None, Some(database)) => database,
            (None, None) => client.database(DATABASE),
        }
    }

    /// Reading a `mongodb+srv` URI asks the DNS, which may be away too.
    async fn connect(&self) -> mongodb::error::Result<Client> {
        let settings = &self.settings;
        let mut options = ClientOptions::parse(&settings.uri).await?;
        options.app_name = Some(settings.app_name.clone());
        options.max_pool_size = Some(settings.max_pool_size);
        options.min_pool_size = Some(settings.min_pool_size);
        options.max_idle_time = Some(settings.max_idle_time);
        options.server_selection_timeout = Some(settings.server_selection_timeout);
        options.connect_timeout = Some(settings.server_selection_timeout);
        let pool = self.pool.clone();
        options.cmap_event_handler = Some(EventHandler::callback(move |event| pool.saw(&event)));
        let client = Client::with_options(options)?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client.clone());
        Ok(client)
    }

    async fn ping(&self) -> Result<(), String> {
        let ask = async {
            let client = match self.client() {
                Some(client) => client,
                None => self.connect().await?,
            };
            self.database(&client).run_command(doc! {"ping": 1}).await
        };
        let limit = self.settings.server_selection_timeout;
        match timeout(limit + Duration::from_secs(1), ask).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure::describe(&error)),
            Err(_) => Err(format!("no answer within {limit:?}")),
        }
    }

    fn learned(&self, outcome: Result<(), String>) {
        let next = match outcome {
            Ok(()) => State::Up,
            Err(why) => State::Down(why),
        };
        let before = self.state.send_replace(next.clone());
        self.up.set((next == State::Up).into());
        match (&before, &next) {
            (State::Up, State::Up) | (State::Down(_), State::Down(_)) => {}
            (_, State::Up) => {
                let most = self.settings.max_pool_size;
                tracing::info!("MongoDB connected successfully with {most} max connections");
            }
            (_, State::Down(why)) => tracing::warn!("MongoDB is unavailable, items cannot be served: {why}"),
            (_, State::Starting) => {}
        }
    }
}

/// Learns again and again whether MongoDB answers.
async fn keep(shared: Arc<Shared>) {
    while let Some(outcome) = shared.stop.run_until_cancelled(shared.ping()).await {
        let pause = if outcome.is_ok() { PING_EVERY } else { RETRY_EVERY };
        shared.learned(outcome);
        tokio::select! {
            () = shared.stop.cancelled() => {}
            () = shared.doubt.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
