//! Commands about the connection and the server: PING, HELLO, CLIENT, CONFIG, INFO and their kin.

use bytes::Bytes;

use crate::redis::VERSION;
use crate::redis::keys::matches;
use crate::redis::keyspace;
use crate::redis::protocol::Reply;
use crate::redis::session::{Answer, Call, SYNTAX};

const OK: Answer = Ok(Reply::Simple("OK"));

fn int(number: u64) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn ping(call: &mut Call<'_>) -> Answer {
    match call.args {
        [] => Ok(Reply::Simple("PONG")),
        [text] => Ok(Reply::Bulk(text.clone())),
        _ => Err(call.wrong_arity()),
    }
}

pub(super) fn echo(call: &mut Call<'_>) -> Answer {
    Ok(Reply::Bulk(call.arg(0).clone()))
}

pub(super) fn quit(call: &mut Call<'_>) -> Answer {
    call.session.closing = true;
    OK
}

pub(super) fn reset(call: &mut Call<'_>) -> Answer {
    call.session.leave();
    call.session.resp3 = false;
    call.session.name = Bytes::new();
    Ok(Reply::Simple("RESET"))
}

pub(super) fn select(call: &mut Call<'_>) -> Answer {
    match call.integer(0) {
        Ok(0) => OK,
        Ok(_) => Err("ERR DB index is out of range".into()),
        Err(error) => Err(error),
    }
}

pub(super) fn time(call: &mut Call<'_>) -> Answer {
    let now = call.keys().now();
    Ok(Reply::Array(vec![
        Reply::text((now / 1000).to_string()),
        Reply::text((now % 1000 * 1000).to_string()),
    ]))
}

/// There is no password; the user `default` may give any, as in Redis.
fn known_user(user: &[u8]) -> Result<(), String> {
    match user {
        b"default" => Ok(()),
        _ => Err("WRONGPASS invalid username-password pair or user is disabled.".into()),
    }
}

pub(super) fn auth(call: &mut Call<'_>) -> Answer {
    match call.args {
        [_] => Err(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure \
                    your configuration is correct?"
                .into(),
        ),
        [user, _] => known_user(user).and(OK),
        _ => Err(SYNTAX.into()),
    }
}

fn rename(call: &mut Call<'_>, name: &Bytes) -> Result<(), String> {
    if name.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return Err("ERR Client names cannot contain spaces, newlines or special characters.".into());
    }
    call.session.name = Bytes::copy_from_slice(name);
    Ok(())
}

pub(super) fn hello(call: &mut Call<'_>) -> Answer {
    let resp3 = match call.args.first().map(AsRef::as_ref) {
        None => call.session.resp3,
        Some(b"2") => false,
        Some(b"3") => true,
        Some(_) => match call.integer(0) {
            Ok(_) => return Err("NOPROTO unsupported protocol version".into()),
            Err(_) => return Err("ERR Protocol version is not an integer or out of range".into()),
        },
    };
    let (mut index, mut name) = (1, None);
    while index < call.args.len() {
        match (call.word(index).as_str(), call.args.len() - index) {
            ("AUTH", 3..) => {
                known_user(call.arg(index + 1))?;
                index += 3;
            }
            ("SETNAME", 2..) => {
                name = Some(call.arg(index + 1).clone());
                index += 2;
            }
            (word, _) => {
                return Err(format!("ERR Syntax error in HELLO option '{}'", word.to_ascii_lowercase()));
            }
        }
    }
    if let Some(name) = name {
        rename(call, &name)?;
    }
    call.session.resp3 = resp3;
    let pair = |key: &str, value| (Reply::text(key), value);
    Ok(Reply::Map(vec![
        pair("server", Reply::text("redis")),
        pair("version", Reply::text(VERSION)),
        pair("proto", Reply::Int(if resp3 { 3 } else { 2 })),
        pair("id", int(call.session.id)),
        pair("mode", Reply::text("standalone")),
        pair("role", Reply::text("master")),
        pair("modules", Reply::Array(Vec::new())),
    ]))
}

/// The error of a subcommand that is not there.
pub(super) fn no_subcommand(call: &Call<'_>) -> Answer {
    let name = call.name.to_ascii_uppercase();
    Err(format!("ERR unknown subcommand '{}'. Try {name} HELP.", String::from_utf8_lossy(call.arg(0))))
}

pub(super) fn client(call: &mut Call<'_>) -> Answer {
    match (call.word(0).as_str(), call.args.len()) {
        ("ID", 1) => Ok(int(call.session.id)),
        ("GETNAME", 1) if call.session.name.is_empty() => Ok(Reply::Nil),
        ("GETNAME", 1) => Ok(Reply::Bulk(call.session.name.clone())),
        ("SETNAME", 2) => {
            let name = call.arg(1).clone();
            rename(call, &name).and(OK)
        }
        ("SETINFO", 3) => match call.word(1).as_str() {
            "LIB-NAME" | "LIB-VER" => OK,
            _ => Err(format!("ERR Unrecognized option '{}'", String::from_utf8_lossy(call.arg(1)))),
        },
        ("INFO", 1) => Ok(Reply::text(call.session.line() + "\n")),
        ("LIST", 1) => {
            // The others' lines are of when they last spoke, its own is of now.
            call.store.clients.insert(call.session.id, call.session.line());
            Ok(Reply::text(call.store.clients.values().map(|line| format!("{line}\n")).collect::<String>()))
        }
        ("ID" | "GETNAME" | "SETNAME" | "SETINFO" | "INFO" | "LIST", _) => Err(format!(
            "ERR wrong number of arguments for 'client|{}' command",
            call.word(0).to_ascii_lowercase()
        )),
        _ => no_subcommand(call),
    }
}

pub(super) fn config(call: &mut Call<'_>) -> Answer {
    match (call.word(0).as_str(), call.args.get(1..).unwrap_or_default()) {
        ("GET", []) => Err("ERR wrong number of arguments for 'config|get' command".into()),
        ("GET", patterns) => {
            let keys = &call.store.keys;
            let settings = [
                ("appendfsync", "everysec".to_owned()),
                ("appendonly", "yes".to_owned()),
                ("databases", "1".to_owned()),
                ("maxmemory", keys.max_memory.to_string()),
                ("maxmemory-policy", keys.eviction.as_str().to_owned()),
                ("save", String::new()),
            ];
            let asked = |name: &str| {
                patterns.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name.as_bytes()))
            };
            let found = settings.into_iter().filter(|(name, _)| asked(name));
            Ok(Reply::Map(found.map(|(name, value)| (Reply::text(name), Reply::text(value))).collect()))
        }
        _ => no_subcommand(call),
    }
}

pub(super) fn memory(call: &mut Call<'_>) -> Answer {
    let key = call.arg(1).clone();
    match (call.word(0).as_str(), call.args.len()) {
        ("USAGE", 2 | 4) => {
            Ok(call.keys().peek(&key).map_or(Reply::Nil, |entry| int(keyspace::usage(&key, entry))))
        }
        ("USAGE", _) => Err("ERR wrong number of arguments for 'memory|usage' command".into()),
        _ => no_subcommand(call),
    }
}

pub(super) fn info(call: &mut Call<'_>) -> Answer {
    let asked = (0..call.args.len()).map(|index| call.word(index)).collect::<Vec<_>>();
    let everything = asked.is_empty()
        || asked.iter().any(|word| matches!(word.as_str(), "ALL" | "DEFAULT" | "EVERYTHING"));
    let store = &call.store;
    let (keys, stats) = (&store.keys, store.keys.stats);
    let sections = [
        (
            "Server",
            format!(
                "redis_version:{VERSION}\r\nredis_mode:standalone\r\nserver_name:appforge\r\nprocess_id:{}\r\n\
                 tcp_port:{}\r\nuptime_in_seconds:{}\r\n",
                std::process::id(),
                store.port,
                store.started.elapsed().as_secs()
            ),
        ),
        ("Clients", format!("connected_clients:{}\r\n", store.clients.len())),
        (
            "Memory",
            format!(
                "used_memory:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:{}\r\n",
                keys.memory(),
                keys.max_memory,
                keys.eviction.as_str()
            ),
        ),
        (
            "Persistence",
            format!(
                "loading:0\r\nrdb_changes_since_last_save:{}\r\naof_enabled:1\r\naof_last_write_status:{}\r\n",
                store.log.unsaved(),
                if keys.disk_works && store.log.works { "ok" } else { "err" }
            ),
        ),
        (
            "Stats",
            format!(
                "total_connections_received:{}\r\ntotal_commands_processed:{}\r\nexpired_keys:{}\r\n\
                 evicted_keys:{}\r\nkeyspace_hits:{}\r\nkeyspace_misses:{}\r\n",
                stats.connections, stats.commands, stats.expired, stats.evicted, stats.hits, stats.misses
            ),
        ),
        ("Replication", "role:master\r\nconnected_slaves:0\r\n".to_owned()),
        (
            "Keyspace",
            match keys.len() {
                0 => String::new(),
                count => format!("db0:keys={count},expires={},avg_ttl=0\r\n", keys.volatile()),
            },
        ),
    ];
    let wanted = |name: &str| everything || asked.iter().any(|word| word.eq_ignore_ascii_case(name));
    let shown = sections.iter().filter(|(name, _)| wanted(name));
    let text = shown.map(|(name, body)| format!("# {name}\r\n{body}")).collect::<Vec<_>>().join("\r\n");
    Ok(Reply::text(text))
}
