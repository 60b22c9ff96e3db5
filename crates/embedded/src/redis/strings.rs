//! Commands on string values: GET, SET and their kin, and the counters.

use bytes::Bytes;

use crate::redis::protocol::{self, Reply};
use crate::redis::session::{Answer, Call, NOT_AN_INTEGER, SYNTAX};

fn value(call: &mut Call<'_>, key: &[u8]) -> Reply {
    call.keys().get(key).map_or(Reply::Nil, |entry| Reply::Bulk(entry.value.clone()))
}

pub(super) fn get(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    Ok(value(call, &key))
}

pub(super) fn mget(call: &mut Call<'_>) -> Answer {
    Ok(Reply::Array(call.args.iter().map(|key| value(call, key)).collect()))
}

pub(super) fn strlen(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    Ok(Reply::Int(call.keys().get(&key).map_or(0, |entry| length(&entry.value))))
}

fn length(value: &[u8]) -> i64 {
    i64::try_from(value.len()).unwrap_or(i64::MAX)
}

pub(super) fn append(call: &mut Call<'_>) -> Answer {
    let (key, tail) = (call.arg(0).clone(), call.arg(1).clone());
    let (mut whole, expires) =
        call.keys().get(&key).map_or((Vec::new(), None), |entry| (entry.value.to_vec(), entry.expires));
    whole.extend_from_slice(&tail);
    call.keys().set(&key, &whole, expires);
    Ok(Reply::Int(length(&whole)))
}

pub(super) fn getdel(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    let old = value(call, &key);
    call.keys().remove(&key);
    Ok(old)
}

pub(super) fn getset(call: &mut Call<'_>) -> Answer {
    let (key, new) = (call.arg(0).clone(), call.arg(1).clone());
    let old = value(call, &key);
    call.keys().set(&key, &new, None);
    Ok(old)
}

pub(super) fn setnx(call: &mut Call<'_>) -> Answer {
    let (key, new) = (call.arg(0).clone(), call.arg(1).clone());
    if call.keys().peek(&key).is_some() {
        return Ok(Reply::Int(0));
    }
    call.keys().set(&key, &new, None);
    Ok(Reply::Int(1))
}

pub(super) fn mset(call: &mut Call<'_>) -> Answer {
    if !call.args.len().is_multiple_of(2) {
        return Err(call.wrong_arity());
    }
    for pair in call.args.chunks_exact(2) {
        if let [key, new] = pair {
            call.store.keys.set(key, new, None);
        }
    }
    Ok(Reply::Simple("OK"))
}

/// SETEX and PSETEX.
pub(super) fn setex(call: &mut Call<'_>) -> Answer {
    let unit = if call.name == "setex" { 1000 } else { 1 };
    let ends = ends(call, 1, unit, false)?;
    let (key, new) = (call.arg(0).clone(), call.arg(2).clone());
    call.keys().set(&key, &new, Some(ends));
    Ok(Reply::Simple("OK"))
}

/// The end that an argument tells, in milliseconds since 1970.
fn ends(call: &mut Call<'_>, index: usize, unit: i64, absolute: bool) -> Result<i64, String> {
    let number = call.integer(index)?;
    let from = if absolute { 0 } else { call.keys().now() };
    let ends = number.checked_mul(unit).and_then(|number| number.checked_add(from));
    ends.filter(|_| number > 0).ok_or_else(|| format!("ERR invalid expire time in '{}' command", call.name))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Absent,
    Present,
}

/// SET with all its options.
pub(super) fn set(call: &mut Call<'_>) -> Answer {
    let (key, new) = (call.arg(0).clone(), call.arg(1).clone());
    let (mut condition, mut expires, mut keep, mut get) = (None, None, false, false);
    let mut index = 2;
    while index < call.args.len() {
        let word = call.word(index);
        let fresh = expires.is_none() && !keep;
        match word.as_str() {
            "NX" if condition != Some(Condition::Present) => condition = Some(Condition::Absent),
            "XX" if condition != Some(Condition::Absent) => condition = Some(Condition::Present),
            "GET" => get = true,
            "KEEPTTL" if expires.is_none() => keep = true,
            "EX" | "PX" | "EXAT" | "PXAT" if fresh && index + 1 < call.args.len() => {
                index += 1;
                let unit = if word.starts_with('E') { 1000 } else { 1 };
                expires = Some(ends(call, index, unit, word.ends_with("AT"))?);
            }
            _ => return Err(SYNTAX.into()),
        }
        index += 1;
    }
    let old = if get { value(call, &key) } else { Reply::Nil };
    let before = call.keys().peek(&key).map(|entry| entry.expires);
    let holds = match condition {
        None => true,
        Some(Condition::Absent) => before.is_none(),
        Some(Condition::Present) => before.is_some(),
    };
    if !holds {
        return Ok(old);
    }
    let expires = if keep { before.flatten() } else { expires };
    if expires.is_some_and(|at| at <= call.keys().now()) {
        call.keys().remove(&key);
    } else {
        call.keys().set(&key, &new, expires);
    }
    Ok(if get { old } else { Reply::Simple("OK") })
}

/// INCR, INCRBY, DECR and DECRBY; the end of the key stays.
pub(super) fn increment(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    let by = if call.name.ends_with("by") { call.integer(1)? } else { 1 };
    let (now, expires) = match call.keys().get(&key) {
        None => (0, None),
        Some(entry) => (protocol::integer(&entry.value).ok_or(NOT_AN_INTEGER)?, entry.expires),
    };
    let sum = if call.name.starts_with("decr") {
        if by == i64::MIN {
            return Err("ERR decrement would overflow".into());
        }
        now.checked_sub(by)
    } else {
        now.checked_add(by)
    };
    let sum = sum.ok_or("ERR increment or decrement would overflow")?;
    call.keys().set(&key, &Bytes::from(sum.to_string()), expires);
    Ok(Reply::Int(sum))
}
