//! The table of commands, and how one is run: known, well-formed, queued or executed. `COMMAND`, `MULTI` and `WATCH` live here.

use std::sync::Once;

use bytes::Bytes;

use crate::beyond;
use crate::redis::protocol::Reply;
use crate::redis::session::{Access, Answer, Call, Command, Kind, SYNTAX, Session, Store, wrong_arity};
use crate::redis::{admin, keys, strings};

const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";
pub(super) const DISK: &str =
    "MISCONF Errors writing to the AOF file: the disk cannot be written, see the log";

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
    row("command", -1, Kind::Other, NONE, command),
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

static SAID: Once = Once::new();

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
    beyond::once(&SAID, &String::from_utf8_lossy(name), "Redis", "redis.mode");
    format!("ERR unknown command '{}', with args beginning with: {shown}", cut(name, 128))
}

fn command(call: &mut Call<'_>) -> Answer {
    let names = call.args.get(1..).unwrap_or_default();
    match (call.word(0).as_str(), names) {
        ("", _) | ("INFO", []) => Ok(Reply::Array(COMMANDS.iter().map(describe).collect())),
        ("INFO", _) => {
            Ok(Reply::Array(names.iter().map(|name| find(name).map_or(Reply::Nil, describe)).collect()))
        }
        ("COUNT", []) => Ok(Reply::Int(i64::try_from(COMMANDS.len()).unwrap_or(i64::MAX))),
        ("LIST", []) => Ok(Reply::Array(COMMANDS.iter().map(|row| Reply::text(row.name)).collect())),
        // No documentation is kept; clients take an empty map for "no hints".
        ("DOCS", _) => Ok(Reply::Map(Vec::new())),
        _ => admin::no_subcommand(call),
    }
}

fn describe(row: &Command) -> Reply {
    let (flags, categories) = match row.kind {
        Kind::Other => (vec![], vec![]),
        Kind::Read => (vec![Reply::Simple("readonly")], vec![Reply::Simple("@read")]),
        Kind::Write => (vec![Reply::Simple("write")], vec![Reply::Simple("@write")]),
        Kind::Grow => (vec![Reply::Simple("write"), Reply::Simple("denyoom")], vec![Reply::Simple("@write")]),
    };
    let none = || Reply::Array(Vec::new());
    let (first, last, step) = row.keys;
    Reply::Array(vec![
        Reply::text(row.name),
        Reply::Int(row.arity),
        Reply::Array(flags),
        Reply::Int(first),
        Reply::Int(last),
        Reply::Int(step),
        Reply::Array(categories),
        // Tips, key specifications and subcommands: they are empty, but clients count on their places.
        none(),
        none(),
        none(),
    ])
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
