//! What goes to Redis in one write, and how its replies are read. Pure: sends nothing.
//!
//! A client is counted in one of three forms:
//! - [`Form::Plain`], one command: its window is known and far from its end, so the key has a time to live;
//! - [`Form::Open`], an atomic group: the first request of a window opens it, and a key never lacks a time to live;
//! - [`Form::Seed`]: tells Redis what this replica knows, which counts only where the key is gone.
//!
//! Two forms count nothing: [`Form::Mend`] makes sure that a key ends whose last count may have been late, and
//! [`Form::Replace`] writes a key again that holds something else than a count.
//!
//! `PEXPIRE LT` sets a time to live where a key has none or a longer one, as after a step of the server's clock.

use std::fmt::Write;

use redis::{Cmd, Pipeline, Value};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::metrics::Commands;
use super::verdict::Verdict;
use crate::identity::Identity;
use crate::redis::FailureKind;

/// A request that waits for its verdict. Dropped without one, the request is answered from the table.
pub(super) type Waiter = oneshot::Sender<Verdict>;

/// Those of one client: one, unless it sends several at once.
pub(super) type Waiters = SmallVec<[Waiter; 1]>;

/// How a client is counted. Times to live are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `INCRBY`.
    Plain,
    /// `MULTI`, `INCRBY`, `PEXPIRE LT`, `PTTL`, `EXEC`.
    Open { ttl: u64 },
    /// `SET NX PX`, `INCRBY`, `PEXPIRE LT`, `PTTL`.
    Seed { total: u32, ttl: u64 },
    /// `PEXPIRE LT`.
    Mend { ttl: u64 },
    /// `SET PX`.
    Replace { total: u32, ttl: u64 },
}

/// One client in a batch.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Identity,
    pub(super) form: Form,
    /// When the window ends, as known when the item was made; 0 when unknown.
    pub(super) reset: u64,
    /// The requests that wait.
    pub(super) waiters: Waiters,
    /// Requests passed in an outage, told now.
    pub(super) unsent: u32,
    /// What Redis had counted and lost, put back.
    pub(super) repair: u32,
}

impl Item {
    /// Requests that Redis has not counted before.
    pub(super) fn hits(&self) -> u64 {
        self.waiters.len() as u64 + u64::from(self.unsent)
    }

    /// What is added to the count.
    pub(super) fn amount(&self) -> u64 {
        self.hits() + u64::from(self.repair)
    }
}

/// One write: items in the order in which Redis runs them.
#[derive(Debug)]
pub(super) struct Batch {
    /// Counts the batches.
    pub(super) number: u64,
    /// When it was put together; a time to live counts from here, so a window never ends here later than in Redis.
    pub(super) sent: u64,
    pub(super) items: Vec<Item>,
    /// Whether it tells Redis what this replica knows; one such batch is under way at a time.
    pub(super) seeding: bool,
}

/// What Redis says of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The count, with this item's amount.
    pub(super) total: i64,
    /// What is left of the window, for the forms that ask.
    pub(super) ttl: Option<u64>,
    /// Whether the key was gone and has been put back.
    pub(super) seeded: bool,
}

impl Batch {
    /// The commands, for keys that begin with `prefix`.
    pub(super) fn pipeline(&self, prefix: &str) -> Pipeline {
        let mut pipe = Pipeline::with_capacity(self.items.len());
        let mut key = String::with_capacity(prefix.len() + 40);
        for item in &self.items {
            key.clear();
            key.push_str(prefix);
            // Writing to a String cannot fail.
            let _ = write!(key, "{}", item.key);
            let command = |name: &str, arguments: usize| {
                let mut command = Cmd::with_capacity(arguments, 16 + key.len() + arguments * 8);
                command.arg(name);
                command
            };
            let keyed = |name: &str, arguments: usize| {
                let mut command = command(name, arguments);
                command.arg(key.as_str());
                command
            };
            let mut add = |command: Cmd| {
                pipe.add_command(command);
            };
            let mut incrby = keyed("INCRBY", 3);
            incrby.arg(item.amount());
            let expire = |ttl: u64| {
                let mut expire = keyed("PEXPIRE", 4);
                expire.arg(ttl).arg("LT");
                expire
            };
            match item.form {
                Form::Plain => add(incrby),
                Form::Open { ttl } => {
                    add(command("MULTI", 1));
                    add(incrby);
                    add(expire(ttl));
                    add(keyed("PTTL", 2));
                    add(command("EXEC", 1));
                }
                Form::Seed { total, ttl } => {
                    let mut set = keyed("SET", 6);
                    set.arg(total).arg("PX").arg(ttl).arg("NX");
                    add(set);
                    add(incrby);
                    add(expire(ttl));
                    add(keyed("PTTL", 2));
                }
                Form::Mend { ttl } => add(expire(ttl)),
                Form::Replace { total, ttl } => {
                    let mut set = keyed("SET", 5);
                    set.arg(total).arg("PX").arg(ttl);
                    add(set);
                }
            }
        }
        pipe
    }

    /// How many items of each form it holds.
    pub(super) fn commands(&self) -> Commands {
        let mut commands = Commands::default();
        for item in &self.items {
            *match item.form {
                Form::Plain => &mut commands.plain,
                Form::Open { .. } => &mut commands.open,
                Form::Seed { .. } => &mut commands.seed,
                Form::Mend { .. } => &mut commands.mend,
                Form::Replace { .. } => &mut commands.replace,
            } += 1;
        }
        commands
    }
}

/// Takes the replies of one item.
///
/// # Errors
/// When one of them is an error, or not what the command replies; [`FailureKind::Value`] when only the key is to blame.
pub(super) fn read(form: Form, values: &mut impl Iterator<Item = Value>) -> Result<Reply, FailureKind> {
    match form {
        Form::Plain => {
            let [total] = take(values)?;
            Ok(Reply { total: count(&total)?, ttl: None, seeded: false })
        }
        Form::Open { .. } => {
            let replies: [Value; 5] = take(values)?;
            // The first error says more than the `EXECABORT` that follows it.
            sound(&replies)?;
            let [_, _, _, _, Value::Array(executed)] = replies else { return Err(FailureKind::Reply) };
            let [total, expire, ttl] = take(&mut executed.into_iter())?;
            let total = count(&total)?;
            sound(&[expire])?;
            Ok(Reply { total, ttl: time_left(&ttl)?, seeded: false })
        }
        Form::Seed { .. } => {
            let [set, total, expire, ttl] = take(values)?;
            let seeded = set == Value::Okay;
            sound(&[set])?;
            let total = count(&total)?;
            sound(&[expire])?;
            Ok(Reply { total, ttl: time_left(&ttl)?, seeded })
        }
        Form::Mend { .. } | Form::Replace { .. } => {
            sound(&take::<1>(values)?)?;
            Ok(Reply { total: 0, ttl: None, seeded: false })
        }
    }
}

/// The next `N` values, or the end of the session when some are missing.
fn take<const N: usize>(values: &mut impl Iterator<Item = Value>) -> Result<[Value; N], FailureKind> {
    let mut missing = false;
    let taken = std::array::from_fn(|_| {
        values.next().unwrap_or_else(|| {
            missing = true;
            Value::Nil
        })
    });
    if missing { Err(FailureKind::Reply) } else { Ok(taken) }
}

/// The first error among replies.
fn sound(values: &[Value]) -> Result<(), FailureKind> {
    values.iter().try_for_each(|value| match value {
        Value::ServerError(error) => Err(FailureKind::of_reply(error)),
        _ => Ok(()),
    })
}

/// What `INCRBY` replies. It fails over the key alone when that holds another type (`WRONGTYPE`), or a text that is not
/// an integer or has no room for one more (`ERR`).
fn count(value: &Value) -> Result<i64, FailureKind> {
    match value {
        Value::ServerError(error) if matches!(error.code(), "WRONGTYPE" | "ERR") => Err(FailureKind::Value),
        Value::ServerError(error) => Err(FailureKind::of_reply(error)),
        value => integer(value),
    }
}

fn integer(value: &Value) -> Result<i64, FailureKind> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::ServerError(error) => Err(FailureKind::of_reply(error)),
        _ => Err(FailureKind::Reply),
    }
}

/// `PTTL` says -2 for a key that has just ended: no time is left.
fn time_left(value: &Value) -> Result<Option<u64>, FailureKind> {
    integer(value).map(|ttl| Some(u64::try_from(ttl).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(form: Form) -> Item {
        let waiters = (0..2).map(|_| oneshot::channel().0).collect();
        Item { key: Identity::V4([10, 0, 0, 1].into()), form, reset: 0, waiters, unsent: 3, repair: 4 }
    }

    fn sent(form: Form) -> Vec<String> {
        let batch = Batch { number: 1, sent: 0, items: vec![item(form)], seeding: false };
        let words = |command: &Cmd| {
            let word = |argument| match argument {
                redis::Arg::Simple(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                _ => "?".into(),
            };
            command.args_iter().map(word).collect::<Vec<_>>().join(" ")
        };
        batch.pipeline("p:rl:100:900000:").cmd_iter().map(words).collect()
    }

    #[test]
    fn a_known_window_costs_one_command() {
        assert_eq!(sent(Form::Plain), ["INCRBY p:rl:100:900000:10.0.0.1 9"]);
    }

    #[test]
    fn a_window_is_opened_atomically_with_its_time_to_live() {
        let expected = [
            "MULTI",
            "INCRBY p:rl:100:900000:10.0.0.1 9",
            "PEXPIRE p:rl:100:900000:10.0.0.1 900 LT",
            "PTTL p:rl:100:900000:10.0.0.1",
            "EXEC",
        ];
        assert_eq!(sent(Form::Open { ttl: 900 }), expected);
    }

    #[test]
    fn a_seed_counts_only_where_the_key_is_gone() {
        let commands = sent(Form::Seed { total: 60, ttl: 900 });
        assert_eq!(commands.first().unwrap(), "SET p:rl:100:900000:10.0.0.1 60 PX 900 NX");
        assert_eq!(commands.len(), 4);
    }

    #[test]
    fn replies_are_read_one_item_after_the_other() {
        let group = Value::Array(vec![Value::Int(7), Value::Int(0), Value::Int(-2)]);
        let queued = || Value::SimpleString("QUEUED".into());
        let values = vec![Value::Int(5), Value::Okay, queued(), queued(), queued(), group, Value::Int(6)];
        let mut values = values.into_iter();
        let read = |form, values: &mut _| read(form, values).unwrap();
        assert_eq!(read(Form::Plain, &mut values), Reply { total: 5, ttl: None, seeded: false });
        let opened = Reply { total: 7, ttl: Some(0), seeded: false };
        assert_eq!(read(Form::Open { ttl: 1 }, &mut values), opened);
        assert_eq!(read(Form::Plain, &mut values).total, 6);
        assert_eq!(super::read(Form::Plain, &mut values), Err(FailureKind::Reply), "a reply is missing");
    }

    #[test]
    fn an_error_spoils_its_item_only() {
        let error = |text: &str| redis::parse_redis_value(text.as_bytes()).unwrap();
        let oom = || error("-OOM command not allowed\r\n");
        let abort = error("-EXECABORT Transaction discarded because of previous errors.\r\n");
        let mut values = vec![Value::Okay, oom(), oom(), oom(), abort, Value::Int(6)].into_iter();
        assert_eq!(read(Form::Open { ttl: 1 }, &mut values), Err(FailureKind::Oom));
        assert_eq!(read(Form::Plain, &mut values).unwrap().total, 6);
    }
}
