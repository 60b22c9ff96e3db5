//! The table of commands, and how one is run: known, well-formed, queued or executed. `MULTI` and `WATCH` live here.

use bytes::Bytes;

use crate::redis::keyspace::Keyspace;
use crate::redis::protocol::{self, Reply};
use crate::redis::session::{Access, Session, Store};
use crate::redis::{admin, keys, strings};

/// A reply, or the text of an error as Redis words it.
pub(super) type Answer = Result<Reply, String>;

/// One command as it is run.
pub(super) struct Call<'a> {
    pub(super) store: &'a mut Store,
    pub(super) session: &'a mut Session,
    /// The name in lower case.
    pub(super) name: &'static str,
    /// What follows the name; the table has checked how many there are.
    pub(super) args: &'a [Bytes],
}

impl Call<'_> {
    pub(super) fn keys(&mut self) -> &mut Keyspace {
        &mut self.store.keys
    }

    /// An argument, empty where there is none.
    pub(super) fn arg(&self, index: usize) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.args.get(index).unwrap_or(&NONE)
    }

    /// An argument as an integer.
    pub(super) fn integer(&self, index: usize) -> Result<i64, String> {
        protocol::integer(self.arg(index)).ok_or_else(|| NOT_AN_INTEGER.into())
    }

    /// An argument in upper case, to compare with a keyword.
    pub(super) fn word(&self, index: usize) -> String {
        String::from_utf8_lossy(self.arg(index)).to_ascii_uppercase()
    }

    /// The error of a wrong number of arguments.
    pub(super) fn wrong_arity(&self) -> String {
        wrong_arity(self.name)
    }
}

pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";
pub(super) const SYNTAX: &str = "ERR syntax error";
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(super) const DISK: &str =
    "MISCONF Errors writing to the AOF file: the disk cannot be written, see the log";

/// What a command does to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Read,
    /// Writes, but takes no memory.
    Write,
    /// Writes and may need room.
    Grow,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// As in `COMMAND INFO`: with the name; negative is "at least".
    pub(super) arity: i64,
    pub(super) kind: Kind,
    /// First key, last key, step, as in `COMMAND INFO`.
    pub(super) keys: (i64, i64, i64),
    run: fn(&mut Call<'_>) -> Answer,
}

const fn row(
    name: &'static str,
    arity: i64,
    kind: Kind,
    keys: (i64, i64, i64),
    run: fn(&mut Call<'_>) -> Answer,
) -> Command {
    Command { name, arity, kind, keys, run }
}

const NONE: (i64, i64, i64) = (0, 0, 0);
const ONE: (i64, i64, i64) = (1, 1, 1);
const ALL: (i64, i64, i64) = (1, -1, 1);

/// All commands, by name.
pub(super) static COMMANDS: &[Command] = &[
    row("append", 3, Kind::Grow, ONE, strings::append),
    row("auth", -2, Kind::Other, NONE, admin::auth),
    row("client", -2, Kind::Other, NONE, admin::client),
    row("command", -1, Kind::Other, NONE, admin::command),
    row("config", -2, Kind::Other, NONE, admin::config),
    row("dbsize", 1, Kind::Read, NONE, keys::dbsize),
    row("decr", 2, Kind::Grow, ONE, strings::increment),
    row("decrby", 3, Kind::Grow, ONE, strings::increment),
    row("del", -2, Kind::Write, ALL, keys::del),
    row("discard", 1, Kind::Other, NONE, discard),
    row("echo", 2, Kind::Other, NONE, admin::echo),
    row("exec", 1, Kind::Other, NONE, exec),
    row("exists", -2, Kind::Read, ALL, keys::exists),
    row("expire", -3, Kind::Write, ONE, keys::expire),
    row("expireat", -3, Kind::Write, ONE, keys::expire),
    row("expiretime", 2, Kind::Read, ONE, keys::ttl),
    row("flushall", -1, Kind::Write, NONE, keys::flush),
    row("flushdb", -1, Kind::Write, NONE, keys::flush),
    row("get", 2, Kind::Read, ONE, strings::get),
    row("getdel", 2, Kind::Write, ONE, strings::getdel),
    row("getset", 3, Kind::Grow, ONE, strings::getset),
    row("hello", -1, Kind::Other, NONE, admin::hello),
    row("incr", 2, Kind::Grow, ONE, strings::increment),
    row("incrby", 3, Kind::Grow, ONE, strings::increment),
    row("info", -1, Kind::Other, NONE, admin::info),
    row("keys", 2, Kind::Read, NONE, keys::keys),
    row("memory", -2, Kind::Read, (2, 2, 1), admin::memory),
    row("mget", -2, Kind::Read, ALL, strings::mget),
    row("mset", -3, Kind::Grow, (1, -1, 2), strings::mset),
    row("multi", 1, Kind::Other, NONE, multi),
    row("persist", 2, Kind::Write, ONE, keys::persist),
    row("pexpire", -3, Kind::Write, ONE, keys::expire),
    row("pexpireat", -3, Kind::Write, ONE, keys::expire),
    row("pexpiretime", 2, Kind::Read, ONE, keys::ttl),
    row("ping", -1, Kind::Other, NONE, admin::ping),
    row("psetex", 4, Kind::Grow, ONE, strings::setex),
    row("pttl", 2, Kind::Read, ONE, keys::ttl),
    row("quit", -1, Kind::Other, NONE, admin::quit),
    row("reset", 1, Kind::Other, NONE, admin::reset),
    row("scan", -2, Kind::Read, NONE, keys::scan),
    row("select", 2, Kind::Other, NONE, admin::select),
    row("set", -3, Kind::Grow, ONE, strings::set),
    row("setex", 4, Kind::Grow, ONE, strings::setex),
    row("setnx", 3, Kind::Grow, ONE, strings::setnx),
    row("strlen", 2, Kind::Read, ONE, strings::strlen),
    row("time", 1, Kind::Other, NONE, admin::time),
    row("touch", -2, Kind::Read, ALL, keys::exists),
    row("ttl", 2, Kind::Read, ONE, keys::ttl),
    row("type", 2, Kind::Read, ONE, keys::kind),
    row("unlink", -2, Kind::Write, ALL, keys::del),
    row("unwatch", 1, Kind::Other, NONE, unwatch),
    row("watch", -2, Kind::Other, ALL, watch),
];

/// The row of a command, whatever the case of its name.
pub(super) fn find(name: &[u8]) -> Option<&'static Command> {
    let name = name.to_ascii_lowercase();
    let index = COMMANDS.binary_search_by(|row| row.name.as_bytes().cmp(&name)).ok()?;
    COMMANDS.get(index)
}

/// Runs one request of a connection.
pub(super) fn execute(store: &mut Store, session: &mut Session, request: Vec<Bytes>) -> Reply {
    store.keys.stats.commands += 1;
    store.access = Access::None;
    store.keys.tick();
    dispatch(store, session, request).unwrap_or_else(Reply::Error)
}

fn dispatch(store: &mut Store, session: &mut Session, mut request: Vec<Bytes>) -> Answer {
    let Some((name, args)) = request.split_first() else { return Err(SYNTAX.into()) };
    let command = match find(name) {
        None => Err(unknown(name, args)),
        Some(command) if !arity_holds(command.arity, request.len()) => Err(wrong_arity(command.name)),
        Some(command) => Ok(command),
    };
    let command = command.inspect_err(|_| session.spoiled = session.queue.is_some())?;
    let at_once = matches!(command.name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset");
    if let Some(queue) = session.queue.as_mut().filter(|_| !at_once) {
        request.remove(0);
        queue.push((command, request));
        return Ok(Reply::Simple("QUEUED"));
    }
    run(store, session, command, args)
}

fn run(store: &mut Store, session: &mut Session, command: &'static Command, args: &[Bytes]) -> Answer {
    store.access = store.access.max(match command.kind {
        Kind::Other => Access::None,
        Kind::Read => Access::Read,
        Kind::Write | Kind::Grow => Access::Write,
    });
    if matches!(command.kind, Kind::Write | Kind::Grow) && !store.keys.disk_works {
        return Err(DISK.into());
    }
    if command.kind == Kind::Grow && !store.keys.make_room() {
        return Err(OUT_OF_MEMORY.into());
    }
    (command.run)(&mut Call { store, session, name: command.name, args })
}

fn arity_holds(arity: i64, count: usize) -> bool {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    if arity < 0 { count >= -arity } else { count == arity }
}

fn wrong_arity(name: &str) -> String {
    format!("ERR wrong number of arguments for '{name}' command")
}

/// Redis's words; it shows at most 128 bytes of the name and of the arguments.
fn unknown(name: &[u8], args: &[Bytes]) -> String {
    let cut = |text: &[u8], room: usize| {
        String::from_utf8_lossy(text.get(..text.len().min(room)).unwrap_or_default()).into_owned()
    };
    let mut shown = String::new();
    for arg in args {
        let Some(room) = 128_usize.checked_sub(shown.len()).filter(|room| *room > 0) else { break };
        shown.push_str(&format!("'{}' ", cut(arg, room)));
    }
    format!("ERR unknown command '{}', with args beginning with: {shown}", cut(name, 128))
}

fn multi(call: &mut Call<'_>) -> Answer {
    if call.session.queue.is_some() {
        return Err("ERR MULTI calls can not be nested".into());
    }
    call.session.queue = Some(Vec::new());
    Ok(Reply::Simple("OK"))
}

fn discard(call: &mut Call<'_>) -> Answer {
    if call.session.queue.is_none() {
        return Err("ERR DISCARD without MULTI".into());
    }
    call.session.leave();
    Ok(Reply::Simple("OK"))
}

fn exec(call: &mut Call<'_>) -> Answer {
    let Some(queue) = call.session.queue.take() else { return Err("ERR EXEC without MULTI".into()) };
    let spoiled = call.session.spoiled;
    let watched = std::mem::take(&mut call.session.watched);
    call.session.leave();
    if spoiled {
        return Err("EXECABORT Transaction discarded because of previous errors.".into());
    }
    if watched.iter().any(|(key, version)| call.store.keys.version(key) != *version) {
        return Ok(Reply::Nil);
    }
    let mut replies = Vec::with_capacity(queue.len());
    for (command, args) in queue {
        replies.push(run(call.store, call.session, command, &args).unwrap_or_else(Reply::Error));
    }
    Ok(Reply::Array(replies))
}

fn watch(call: &mut Call<'_>) -> Answer {
    if call.session.queue.is_some() {
        return Err("ERR WATCH inside MULTI is not allowed".into());
    }
    for key in call.args {
        // Copied: the request's buffer must not live as long as the connection.
        let version = call.store.keys.version(key);
        call.session.watched.push((Bytes::copy_from_slice(key), version));
    }
    Ok(Reply::Simple("OK"))
}

fn unwatch(call: &mut Call<'_>) -> Answer {
    call.session.watched.clear();
    Ok(Reply::Simple("OK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_command_is_found() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(COMMANDS.iter().all(|row| find(row.name.to_uppercase().as_bytes()).is_some()));
        assert!(find(b"nope").is_none());
    }
}
