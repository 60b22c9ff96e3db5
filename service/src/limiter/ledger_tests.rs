//! The ledger against replies as Redis gives them, without Redis: what no timing on a real connection brings about for sure.

use std::net::Ipv4Addr;
use std::time::Duration;

use redis::Value;
use tokio::sync::oneshot;

use super::batch::{Batch, Form};
use super::ledger::{Asked, JOIN_AFTER, Ledger, Mode};
use super::metrics::Source;
use super::verdict::Verdict;
use super::{OnRedisFailure, Settings};
use crate::identity::Identity;
use crate::redis::FailureKind;

pub(super) const WINDOW: u64 = 900_000;
pub(super) const CLIENT: &Identity = &Identity::V4(Ipv4Addr::new(10, 0, 0, 1));

pub(super) fn ledger(on_redis_failure: OnRedisFailure, replicas: u32) -> Ledger {
    let settings =
        Settings { requests: 100, window: Duration::from_millis(WINDOW), on_redis_failure, replicas };
    Ledger::new(&settings, 1000)
}

/// A ledger that counts in Redis.
pub(super) fn shared() -> Ledger {
    let mut ledger = ledger(OnRedisFailure::Memory, 3);
    ledger.resend_all(1);
    assert!(ledger.next_batch(1).is_none());
    assert_eq!(ledger.mode, Mode::Shared);
    ledger
}

pub(super) fn send(ledger: &mut Ledger, now: u64) -> oneshot::Receiver<Verdict> {
    match ledger.ask(CLIENT, now) {
        Asked::Sent { verdict, .. } => verdict,
        Asked::Known(verdict) => panic!("answered by itself: {verdict:?}"),
        Asked::NotYet => panic!("not started"),
    }
}

pub(super) fn known(ledger: &mut Ledger, now: u64) -> Source {
    match ledger.ask(CLIENT, now) {
        Asked::Known(verdict) => verdict.source,
        _ => panic!("asks Redis"),
    }
}

/// The replies of an item that opens a window.
pub(super) fn opened(total: i64, ttl: u64) -> Vec<Value> {
    let queued = || Value::SimpleString("QUEUED".into());
    let ttl = i64::try_from(ttl).unwrap();
    let group = Value::Array(vec![Value::Int(total), Value::Int(1), Value::Int(ttl)]);
    vec![Value::Okay, queued(), queued(), queued(), group]
}

/// The replies of a seed.
pub(super) fn seeded(gone: bool, total: i64, ttl: u64) -> Vec<Value> {
    let set = if gone { Value::Okay } else { Value::Nil };
    vec![set, Value::Int(total), Value::Int(0), Value::Int(i64::try_from(ttl).unwrap())]
}

/// `client` is known at `total` from time 1 on.
pub(super) fn knowing(total: i64) -> Ledger {
    let mut ledger = shared();
    let mut verdict = send(&mut ledger, 1);
    let batch = ledger.next_batch(1).unwrap();
    ledger.settle(batch, opened(total, WINDOW), 2);
    verdict.try_recv().unwrap();
    ledger
}

pub(super) fn forms(batch: &Batch) -> Vec<Form> {
    batch.items.iter().map(|item| item.form).collect()
}

#[test]
fn requests_that_arrive_together_are_one_item_and_keep_their_order() {
    let mut ledger = shared();
    let verdicts: Vec<_> = (0..5).map(|_| send(&mut ledger, 1)).collect();
    let batch = ledger.next_batch(1).unwrap();
    assert_eq!(forms(&batch), [Form::Open { ttl: WINDOW }]);
    ledger.settle(batch, opened(102, 1000), 11);
    let got: Vec<_> = verdicts.into_iter().map(|mut verdict| verdict.try_recv().unwrap()).collect();
    let sources: Vec<_> = got.iter().map(|verdict| verdict.source).collect();
    let [passed, denied] = [Source::Allowed, Source::DeniedRedis];
    assert_eq!(sources, [passed, passed, passed, denied, denied], "98, 99, 100, 101, 102");
    assert_eq!(got.iter().map(|verdict| verdict.remaining).collect::<Vec<_>>(), [2, 1, 0, 0, 0]);
    assert!(got.iter().all(|verdict| verdict.left == 990), "counted from the sending");
    assert_eq!(known(&mut ledger, 12), Source::DeniedLocal);
    assert!(ledger.next_batch(12).is_none(), "costs Redis nothing");
    send(&mut ledger, 1001);
}

#[test]
fn near_its_end_a_window_may_be_over_in_redis() {
    let mut ledger = knowing(7);
    let end = 1 + WINDOW;
    send(&mut ledger, end - 501);
    assert_eq!(forms(&ledger.next_batch(end - 501).unwrap()), [Form::Plain]);
    let mut verdict = send(&mut ledger, end - 500);
    let batch = ledger.next_batch(end - 500).unwrap();
    assert_eq!(forms(&batch), [Form::Open { ttl: WINDOW }]);
    // It was over: that is no loss.
    let (settled, _) = ledger.settle(batch, opened(1, WINDOW), end - 499);
    assert_eq!(settled.windows_lost, 0);
    assert_eq!(verdict.try_recv().unwrap().remaining, 99);
}

#[test]
fn a_lost_window_is_put_back_once_whatever_is_under_way() {
    let mut ledger = knowing(60);
    ledger.replicas = 1;
    let mut sent = Vec::new();
    for _ in 0..3 {
        let verdict = send(&mut ledger, 10);
        sent.push((verdict, ledger.next_batch(10).unwrap()));
    }
    // Redis lost all before the first of the three.
    let mut windows_lost = 0;
    for (total, (mut verdict, batch)) in (1..).zip(sent) {
        let (settled, _) = ledger.settle(batch, vec![Value::Int(total)], 12);
        windows_lost += settled.windows_lost + settled.regressed;
        assert_eq!(verdict.try_recv().unwrap().remaining, u32::try_from(40 - total).unwrap());
    }
    assert_eq!(windows_lost, 1);

    let mut verdict = send(&mut ledger, 13);
    let batch = ledger.next_batch(13).unwrap();
    let item = batch.items.first().unwrap();
    assert_eq!((item.repair, item.form), (60, Form::Open { ttl: WINDOW - 11 }));
    let (settled, _) = ledger.settle(batch, opened(64, WINDOW - 12), 14);
    assert_eq!((settled.windows_lost, settled.regressed), (0, 0));
    assert_eq!(verdict.try_recv().unwrap().remaining, 36);
}

#[test]
fn a_count_that_went_down_is_raised_again() {
    let mut ledger = knowing(60);
    let mut verdict = send(&mut ledger, 10);
    let batch = ledger.next_batch(10).unwrap();
    let (settled, _) = ledger.settle(batch, vec![Value::Int(51)], 12);
    assert_eq!((settled.windows_lost, settled.regressed), (0, 1));
    assert_eq!(verdict.try_recv().unwrap().remaining, 39);
    assert_eq!(ledger.next_batch(12).unwrap().items.first().unwrap().repair, 10);
}

#[test]
fn in_an_outage_each_replica_passes_its_share_of_what_is_left() {
    let mut ledger = knowing(60);
    assert!(ledger.lose(&mut std::iter::empty(), 5).is_empty());
    let passed = (0..50).filter(|_| known(&mut ledger, 6) == Source::AllowedFallback).count();
    assert_eq!(passed, 14, "40 left, 3 replicas");
    assert_eq!(known(&mut ledger, 7), Source::DeniedFallback);
    ledger.replicas = 1;
    assert_eq!(known(&mut ledger, 7), Source::DeniedFallback, "a share is worked out once an outage");
    assert_eq!(known(&mut ledger, 1 + WINDOW), Source::AllowedFallback, "the next window");
}

#[test]
fn open_passes_and_counts_while_closed_refuses() {
    let mut open = ledger(OnRedisFailure::Open, 3);
    open.lose(&mut std::iter::empty(), 1);
    assert!((0..150).all(|_| known(&mut open, 2) == Source::AllowedFallback));
    open.resend_all(3);
    assert_eq!(open.next_batch(3).unwrap().items.first().unwrap().unsent, 150);

    let mut closed = ledger(OnRedisFailure::Closed, 3);
    closed.lose(&mut std::iter::empty(), 1);
    assert_eq!(known(&mut closed, 2), Source::Unavailable);
    assert_eq!(closed.table.len(), 0);
}

#[test]
fn what_was_counted_here_is_told_before_the_count_is_shared_again() {
    let mut ledger = knowing(60);
    ledger.lose(&mut std::iter::empty(), 5);
    for _ in 0..10 {
        known(&mut ledger, 6);
    }
    ledger.resend_all(7);
    assert_eq!(known(&mut ledger, 8), Source::AllowedFallback, "still counted here");
    let batch = ledger.next_batch(9).unwrap();
    assert_eq!(forms(&batch), [Form::Seed { total: 60, ttl: WINDOW - 8 }]);
    assert_eq!(batch.items.first().unwrap().unsent, 11);
    let (settled, _) = ledger.settle(batch, seeded(false, 91, WINDOW - 8), 10);
    assert_eq!((settled.reconciled, settled.windows_lost), (11, 0));
    assert!(!ledger.has_work(10));

    // Until the others are back it decides by itself, by what Redis said, and tells each request.
    let shared_again = 7 + JOIN_AFTER;
    assert_eq!(known(&mut ledger, 11), Source::AllowedFallback);
    assert!(ledger.has_work(11));
    let batch = ledger.next_batch(11).unwrap();
    assert_eq!(batch.items.first().unwrap().unsent, 1);
    ledger.settle(batch, seeded(false, 99, WINDOW - 10), 12);
    assert_eq!(known(&mut ledger, 13), Source::AllowedFallback);
    assert_eq!(known(&mut ledger, 13), Source::DeniedFallback, "99 and one that is not told yet");
    assert!(ledger.has_work(shared_again));
    let last = ledger.next_batch(shared_again).unwrap();
    assert_eq!(ledger.mode, Mode::Shared);

    // The next goes behind it.
    let mut verdict = send(&mut ledger, shared_again);
    let next = ledger.next_batch(shared_again).unwrap();
    ledger.settle(last, seeded(false, 100, WINDOW - shared_again), shared_again);
    let (settled, _) = ledger.settle(next, vec![Value::Int(101)], shared_again);
    assert_eq!((settled.windows_lost, settled.regressed), (0, 0));
    assert_eq!(verdict.try_recv().unwrap().source, Source::DeniedRedis);
}

#[test]
fn a_count_is_raised_to_what_the_best_informed_replica_knows() {
    let mut ledger = knowing(60);
    ledger.lose(&mut std::iter::empty(), 5);
    ledger.resend_all(7);
    let batch = ledger.next_batch(7).unwrap();
    // Redis came back empty, and another replica that knew of 40 was first.
    ledger.settle(batch, seeded(false, 40, WINDOW - 8), 8);
    assert!(ledger.has_work(8));
    assert_eq!(ledger.next_batch(8).unwrap().items.first().unwrap().repair, 20);
}

#[test]
fn a_hit_whose_fate_is_unknown_is_not_told_again() {
    let mut ledger = knowing(60);
    ledger.lose(&mut std::iter::empty(), 5);
    known(&mut ledger, 6);
    ledger.resend_all(7);
    let batch = ledger.next_batch(7).unwrap();
    ledger.lose(&mut std::iter::once(batch), 8);
    ledger.resend_all(9);
    let batch = ledger.next_batch(9).unwrap();
    let item = batch.items.first().unwrap();
    assert_eq!((item.unsent, item.form), (0, Form::Seed { total: 61, ttl: WINDOW - 8 }));
}

#[test]
fn a_count_that_may_arrive_after_its_window_leaves_no_key_for_ever() {
    let mut ledger = knowing(60);
    let end = 1 + WINDOW;
    send(&mut ledger, end - 600);
    let batch = ledger.next_batch(end - 600).unwrap();
    assert_eq!(forms(&batch), [Form::Plain]);
    ledger.lose(&mut std::iter::once(batch), end - 550);
    ledger.resend_all(end);
    let batch = ledger.next_batch(end).unwrap();
    assert_eq!(forms(&batch), [Form::Mend { ttl: WINDOW }]);
    let (settled, failed) = ledger.settle(batch, vec![Value::Int(1)], end + 1);
    assert_eq!((settled.failed, failed.len(), ledger.table.live(CLIENT, end + 1)), (None, 0, None));
    assert!(!ledger.has_work(end + 1));
}

#[test]
fn many_clients_are_told_in_portions_while_requests_are_counted_here() {
    let mut ledger = ledger(OnRedisFailure::Memory, 3);
    ledger.lose(&mut std::iter::empty(), 1);
    for number in 0..1000 {
        ledger.ask(&Identity::V4(Ipv4Addr::from_bits(number)), 1);
    }
    ledger.resend_all(2);
    let first = ledger.next_batch(2).unwrap();
    assert_eq!((first.items.len(), ledger.mode), (512, Mode::Merging));
    assert!(ledger.next_batch(2).is_none(), "one at a time");
    assert_eq!(known(&mut ledger, 2), Source::AllowedFallback, "new, and counted here");
    let replies = (0..512).flat_map(|_| seeded(true, 1, WINDOW)).collect();
    let (settled, failed) = ledger.settle(first, replies, 3);
    assert_eq!((settled.reconciled, failed.len()), (512, 0));
    let second = ledger.next_batch(3).unwrap();
    assert_eq!((second.items.len(), ledger.mode), (489, Mode::Merging));
    let replies = (0..489).flat_map(|_| seeded(true, 1, WINDOW)).collect();
    ledger.settle(second, replies, 4);
    assert!(!ledger.has_work(4), "all is told");
    assert!(ledger.next_batch(2 + JOIN_AFTER).is_none());
    assert_eq!(ledger.mode, Mode::Shared);
}

#[test]
fn a_failed_item_is_answered_here_while_the_others_keep_their_reply() {
    let mut ledger = knowing(60);
    let mut verdict = send(&mut ledger, 10);
    let another = Identity::V4(Ipv4Addr::new(10, 0, 0, 2));
    let Asked::Sent { verdict: mut other, .. } = ledger.ask(&another, 10) else { panic!("asks Redis") };
    let mut batch = ledger.next_batch(10).unwrap();
    batch.items.sort_by_key(|item| item.key == another);
    let oom = || redis::parse_redis_value(b"-OOM command not allowed\r\n").unwrap();
    let mut replies = vec![Value::Int(61)];
    replies.extend((0..5).map(|_| oom()));
    let (settled, failed) = ledger.settle(batch, replies, 11);
    assert_eq!(settled.failed, Some(FailureKind::Oom));
    assert_eq!(verdict.try_recv().unwrap().source, Source::Allowed);
    assert_eq!(failed.len(), 1);
    assert!(other.try_recv().is_err());
}

#[test]
fn before_redis_was_tried_nothing_is_decided() {
    let mut ledger = ledger(OnRedisFailure::Memory, 3);
    assert!(matches!(ledger.ask(CLIENT, 1), Asked::NotYet));
}
