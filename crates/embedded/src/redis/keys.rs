//! Commands on keys whatever they hold: DEL, EXPIRE, TTL, SCAN and their kin.

use crate::redis::protocol::Reply;
use crate::redis::session::{Answer, Call, SYNTAX};

fn count(number: usize) -> Reply {
    Reply::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// DEL and UNLINK.
pub(super) fn del(call: &mut Call<'_>) -> Answer {
    let keys = call.args;
    // A key that has ended is gone already, so it does not count.
    Ok(count(keys.iter().filter(|key| call.keys().peek(key).is_some() && call.keys().remove(key)).count()))
}

/// EXISTS and TOUCH: a key named twice counts twice.
pub(super) fn exists(call: &mut Call<'_>) -> Answer {
    let keys = call.args;
    Ok(count(keys.iter().filter(|key| call.keys().get(key).is_some()).count()))
}

pub(super) fn kind(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    Ok(Reply::Simple(if call.keys().peek(&key).is_some() { "string" } else { "none" }))
}

pub(super) fn dbsize(call: &mut Call<'_>) -> Answer {
    Ok(count(call.keys().len()))
}

/// FLUSHALL and FLUSHDB.
pub(super) fn flush(call: &mut Call<'_>) -> Answer {
    match call.word(0).as_str() {
        "" | "SYNC" | "ASYNC" if call.args.len() < 2 => {
            call.keys().clear();
            Ok(Reply::Simple("OK"))
        }
        _ => Err(SYNTAX.into()),
    }
}

/// EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT.
pub(super) fn expire(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    let unit = if call.name.starts_with('p') { 1 } else { 1000 };
    let from = if call.name.ends_with("at") { 0 } else { call.keys().now() };
    let ends = call
        .integer(1)?
        .checked_mul(unit)
        .and_then(|number| number.checked_add(from))
        .ok_or_else(|| format!("ERR invalid expire time in '{}' command", call.name))?;
    let (mut absent, mut present, mut greater, mut less) = (false, false, false, false);
    for index in 2..call.args.len() {
        match call.word(index).as_str() {
            "NX" => absent = true,
            "XX" => present = true,
            "GT" => greater = true,
            "LT" => less = true,
            _ => return Err(format!("ERR Unsupported option {}", call.arg(index).escape_ascii())),
        }
    }
    if absent && (present || greater || less) {
        return Err("ERR NX and XX, GT or LT options at the same time are not compatible".into());
    }
    if greater && less {
        return Err("ERR GT and LT options at the same time are not compatible".into());
    }
    let Some(now) = call.keys().peek(&key).map(|entry| entry.expires) else { return Ok(Reply::Int(0)) };
    // A key that does not end ends later than any other.
    let refused = (absent && now.is_some())
        || (present && now.is_none())
        || (greater && now.is_none_or(|now| ends <= now))
        || (less && now.is_some_and(|now| ends >= now));
    Ok(Reply::Int(i64::from(!refused && call.keys().expire(&key, Some(ends)))))
}

pub(super) fn persist(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    let ends = call.keys().peek(&key).is_some_and(|entry| entry.expires.is_some());
    Ok(Reply::Int(i64::from(ends && call.keys().expire(&key, None))))
}

/// TTL, PTTL, EXPIRETIME and PEXPIRETIME: -2 without such a key, -1 when it does not end.
pub(super) fn ttl(call: &mut Call<'_>) -> Answer {
    let key = call.arg(0).clone();
    let now = call.keys().now();
    Ok(Reply::Int(match call.keys().peek(&key).map(|entry| entry.expires) {
        None => -2,
        Some(None) => -1,
        Some(Some(ends)) => match call.name {
            "pttl" => ends - now,
            "ttl" => (ends - now).saturating_add(500) / 1000,
            "expiretime" => ends / 1000,
            _ => ends,
        },
    }))
}

pub(super) fn keys(call: &mut Call<'_>) -> Answer {
    let pattern = call.arg(0).clone();
    let all = call.keys().scan(0, usize::MAX).1;
    Ok(Reply::Array(all.into_iter().filter(|key| matches(&pattern, key)).map(Reply::Bulk).collect()))
}

pub(super) fn scan(call: &mut Call<'_>) -> Answer {
    let cursor = str::from_utf8(call.arg(0)).ok().and_then(|text| text.parse::<usize>().ok());
    let cursor = cursor.ok_or("ERR invalid cursor")?;
    let (mut pattern, mut number, mut strings) = (None, 10, true);
    for index in (1..call.args.len()).step_by(2) {
        if index + 1 == call.args.len() {
            return Err(SYNTAX.into());
        }
        match call.word(index).as_str() {
            "MATCH" => pattern = Some(call.arg(index + 1).clone()),
            "COUNT" => {
                number = usize::try_from(call.integer(index + 1)?).ok().filter(|n| *n > 0).ok_or(SYNTAX)?;
            }
            "TYPE" => strings = call.word(index + 1) == "STRING",
            _ => return Err(SYNTAX.into()),
        }
    }
    let (next, found) = call.keys().scan(cursor, number);
    let fits = |key: &[u8]| strings && pattern.as_ref().is_none_or(|pattern| matches(pattern, key));
    let found = found.into_iter().filter(|key| fits(key)).map(Reply::Bulk).collect();
    Ok(Reply::Array(vec![Reply::text(next.to_string()), Reply::Array(found)]))
}

/// Redis's glob: `*`, `?`, `[a-z]`, `[^a]`, `\`. Goes back to the last star only, so no pattern takes exponential time.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(at..).unwrap_or_default();
        if rest.first() == Some(&b'*') {
            at += 1;
            star = Some((at, here));
            continue;
        }
        match text.get(here) {
            None if rest.is_empty() => return true,
            None => return false,
            Some(byte) => {
                if let Some(width) = one(rest, *byte) {
                    at += width;
                    here += 1;
                    continue;
                }
            }
        }
        let Some((after, from)) = star else { return false };
        at = after;
        here = from + 1;
        star = Some((after, here));
    }
}

/// How many bytes of the pattern took this byte, or `None` when it does not fit.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', set @ ..] => {
            let (negated, mut rest) = match set {
                [b'^', rest @ ..] => (true, rest),
                _ => (false, set),
            };
            let mut found = false;
            loop {
                let used = match rest {
                    [] | [b']', ..] => break,
                    [b'\\', escaped, ..] => {
                        found |= *escaped == byte;
                        2
                    }
                    [low, b'-', high, ..] => {
                        found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                        3
                    }
                    [other, ..] => {
                        found |= *other == byte;
                        1
                    }
                };
                rest = rest.get(used..).unwrap_or_default();
            }
            // With the closing bracket, where there is one.
            (found != negated).then_some(pattern.len() - rest.len() + usize::from(!rest.is_empty()))
        }
        [other, ..] => (*other == byte).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("rl:*", "rl:1", true),
            ("rl:*", "cache", false),
            ("h?llo", "hello", true),
            ("h[ae]llo", "hallo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hcllo", false),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("[", "a", false),
            ("abc", "ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches("a*".repeat(100).as_bytes(), "b".repeat(10_000).as_bytes()));
        assert!(!matches(("*a".repeat(50) + "b").as_bytes(), "a".repeat(5000).as_bytes()));
    }
}
