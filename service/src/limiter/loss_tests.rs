//! Keys that are lost, broken or last too long, and replies of any kind.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use redis::Value;

use super::batch::Form;
use super::ledger::{Asked, Ledger, Mode, REFILL};
use super::ledger_tests::{CLIENT, WINDOW, forms, knowing, known, opened, seeded, send, shared};
use super::metrics::Source;
use crate::identity::Identity;
use crate::redis::FailureKind;

fn error(text: &str) -> Value {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap()
}

/// What Redis replies to an item that opens a window of a key that holds something else.
fn refused(text: &str) -> Vec<Value> {
    let mut replies = opened(0, WINDOW);
    let Some(Value::Array(executed)) = replies.last_mut() else { panic!("a group") };
    *executed.first_mut().unwrap() = error(text);
    replies
}

#[test]
fn only_its_client_is_decided_here_when_a_key_is_broken() {
    let broken =
        ["WRONGTYPE Operation against a key", "ERR value is not an integer", "ERR increment would overflow"];
    for text in broken {
        let mut ledger = knowing(60);
        let another = Identity::V4(Ipv4Addr::new(10, 0, 0, 2));
        let mut verdict = send(&mut ledger, 10);
        let Asked::Sent { verdict: mut other, .. } = ledger.ask(&another, 10) else { panic!("asks Redis") };
        let mut batch = ledger.next_batch(10).unwrap();
        batch.items.sort_by_key(|item| item.key == another);
        let mut late = send(&mut ledger, 10);
        let under_way = ledger.next_batch(10).unwrap();
        let mut replies = vec![error(text)];
        replies.extend(opened(1, WINDOW));
        let (settled, failed) = ledger.settle(batch, replies, 11);
        assert_eq!((settled.broken, settled.failed, failed.len()), (1, None, 0), "{text}");
        assert_eq!(other.try_recv().unwrap().source, Source::Allowed);
        assert!(verdict.try_recv().is_err(), "asks the table");
        assert_eq!(ledger.locally(CLIENT, 11).source, Source::AllowedFallback);

        assert!(ledger.has_work(11));
        let batch = ledger.next_batch(11).unwrap();
        assert_eq!(forms(&batch)[0], Form::Replace { total: 61, ttl: WINDOW - 10 });
        // What was sent before fails as well: one replacement is enough.
        ledger.settle(under_way, vec![error(text)], 12);
        assert!(late.try_recv().is_err());
        let replies = [vec![Value::Okay], seeded(false, 61, WINDOW - 10)].concat();
        let (settled, _) = ledger.settle(batch, replies, 12);
        assert_eq!((settled.broken, settled.failed), (0, None));
        assert!(ledger.broken.is_empty());
        assert_eq!(ledger.mode, Mode::Shared);
    }
}

#[test]
fn key_is_replaced_when_it_is_broken_before_its_window_is_known() {
    for replies in [refused("WRONGTYPE Operation against a key"), opened(-40, WINDOW), opened(0, WINDOW)] {
        let mut ledger = shared();
        let mut verdict = send(&mut ledger, 1);
        let batch = ledger.next_batch(1).unwrap();
        let (settled, _) = ledger.settle(batch, replies, 2);
        assert_eq!((settled.broken, settled.failed), (1, None));
        assert!(verdict.try_recv().is_err());
        assert_eq!(ledger.locally(CLIENT, 2).source, Source::AllowedFallback);
        assert_eq!(forms(&ledger.next_batch(3).unwrap())[0], Form::Replace { total: 1, ttl: WINDOW - 1 });
    }
}

#[test]
fn session_ends_when_a_key_cannot_be_replaced_or_redis_fails() {
    for text in ["ERR unknown command", "OOM command not allowed", "MISCONF no snapshots"] {
        let mut ledger = knowing(60);
        send(&mut ledger, 10);
        let batch = ledger.next_batch(10).unwrap();
        ledger.settle(batch, vec![error("WRONGTYPE Operation against a key")], 11);
        let batch = ledger.next_batch(11).unwrap();
        let (settled, failed) = ledger.settle(batch, vec![error(text)], 12);
        assert!(settled.failed.is_some() && failed.len() == 1, "{text}");
    }
    let mut ledger = knowing(60);
    send(&mut ledger, 10);
    let batch = ledger.next_batch(10).unwrap();
    let (settled, _) = ledger.settle(batch, vec![error("MISCONF no snapshots")], 11);
    assert_eq!(settled.failed, Some(FailureKind::Reply));
}

#[test]
fn window_keeps_its_length_when_its_key_lasts_longer() {
    for ttl in [WINDOW + 1, WINDOW * 5, i64::MAX as u64] {
        let mut ledger = shared();
        let mut verdict = send(&mut ledger, 1);
        let batch = ledger.next_batch(1).unwrap();
        ledger.settle(batch, opened(100, ttl), 2);
        assert_eq!(verdict.try_recv().unwrap().left, WINDOW - 1, "{ttl}");
        assert_eq!(known(&mut ledger, WINDOW), Source::DeniedLocal);
        send(&mut ledger, WINDOW + 1);
    }
}

#[test]
fn each_replica_passes_its_share_when_a_count_was_lost() {
    let mut ledger = knowing(60);
    let verdicts: Vec<_> = (0..50).map(|_| send(&mut ledger, 10)).collect();
    let batch = ledger.next_batch(10).unwrap();
    ledger.settle(batch, vec![Value::Int(50)], 11);
    let sources = verdicts.into_iter().map(|mut verdict| verdict.try_recv().unwrap().source);
    assert_eq!(sources.filter(|source| *source == Source::Allowed).count(), 14, "40 left, 3 replicas");
    assert_eq!(known(&mut ledger, 12), Source::DeniedLocal, "60 and 50");
}

#[test]
fn share_is_not_given_twice_when_all_counts_were_lost() {
    let mut ledger = knowing(60);
    let ask = |ledger: &mut Ledger, total: i64, now: u64| {
        let mut verdict = send(ledger, now);
        let batch = ledger.next_batch(now).unwrap();
        let replies = batch.items.iter().flat_map(|item| match item.form {
            Form::Plain => vec![Value::Int(total)],
            Form::Seed { .. } => seeded(false, total, WINDOW - now),
            _ => opened(total, WINDOW - now),
        });
        let replies = replies.collect();
        ledger.settle(batch, replies, now);
        verdict.try_recv().unwrap().source
    };
    let mut sources = vec![ask(&mut ledger, 1, 10)];
    sources.extend((62..65).map(|total| ask(&mut ledger, total, 11)));
    ledger.refill(12);
    assert_eq!(ledger.mode, Mode::Shared);
    sources.extend((65..90).map(|total| ask(&mut ledger, total, 13)));
    assert_eq!(sources.iter().filter(|source| **source == Source::Allowed).count(), 14);
    assert_eq!(sources.last(), Some(&Source::DeniedFallback));
    assert_eq!(ask(&mut ledger, 90, 13 + REFILL), Source::Allowed, "all is put back");
}

#[test]
fn single_replica_shares_on_when_counts_were_lost() {
    let mut ledger = knowing(60);
    ledger.replicas = 1;
    ledger.refill(10);
    assert_eq!(ledger.mode, Mode::Shared);
    let mut verdict = send(&mut ledger, 10);
    let batch = ledger.next_batch(10).unwrap();
    ledger.settle(batch, [seeded(true, 60, WINDOW - 9), vec![Value::Int(61)]].concat(), 11);
    assert_eq!(verdict.try_recv().unwrap().remaining, 39);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::Int),
        (-2..120_i64).prop_map(Value::Int),
        Just(Value::Okay),
        Just(Value::Nil),
        "[a-z]{0,4}".prop_map(Value::SimpleString),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::BulkString),
        prop::sample::select(vec!["WRONGTYPE x", "ERR x", "OOM x", "EXECABORT x", "", "x"]).prop_map(error),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::Array))
}

/// What a server may send instead of replies: anything, cut anywhere.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "+OK\r\n",
        "+QUEUED\r\n",
        ":1\r\n",
        ":-7\r\n",
        ":9223372036854775807\r\n",
        "*3\r\n",
        "*-1\r\n",
        "$3\r\nabc\r\n",
        "$-1\r\n",
        "-WRONGTYPE x\r\n",
        "-ERR x\r\n",
        "-\r\n",
        "_\r\n",
        "\r\n",
        "*99999999\r\n",
    ]);
    let lines = prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes());
    prop_oneof![lines, prop::collection::vec(any::<u8>(), 0..64)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn request_is_decided_whatever_redis_replies(
        batches in prop::collection::vec((1..4_usize, prop::collection::vec(value(), 0..9)), 1..6)
    ) {
        let mut ledger = knowing(60);
        let mut now = 10;
        for (requests, replies) in batches {
            now += 1;
            let mut passed = 0;
            let mut waiting = Vec::new();
            for _ in 0..requests {
                match ledger.ask(CLIENT, now) {
                    Asked::Sent { verdict, .. } => waiting.push(verdict),
                    Asked::Known(verdict) => prop_assert!(verdict.left <= WINDOW && verdict.remaining <= 100),
                    Asked::NotYet => prop_assert!(false),
                }
            }
            let Some(batch) = ledger.next_batch(now) else { continue };
            let (_, failed) = ledger.settle(batch, replies, now);
            drop(failed);
            for mut verdict in waiting {
                // One without a verdict asks the table, which never waits.
                let verdict = verdict.try_recv().unwrap_or_else(|_| ledger.locally(CLIENT, now));
                passed += u32::from(verdict.source == Source::Allowed);
                prop_assert!(verdict.left <= WINDOW && verdict.remaining <= 100);
            }
            prop_assert!(passed <= 100);
        }
    }

    #[test]
    fn replies_are_read_whatever_their_bytes(bytes in bytes()) {
        let mut replies = Vec::new();
        let mut rest = &bytes[..];
        while let Ok(value) = redis::parse_redis_value(rest) {
            replies.push(value);
            let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") else { break };
            rest = rest.get(end + 2..).unwrap_or_default();
        }
        let mut ledger = knowing(60);
        send(&mut ledger, 10);
        let batch = ledger.next_batch(10).unwrap();
        let (settled, failed) = ledger.settle(batch, replies, 11);
        prop_assert_eq!(settled.failed.is_some(), !failed.is_empty());
    }
}
