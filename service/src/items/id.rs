//! Ids of new items, in the order of their creation over all replicas.
//!
//! An ObjectId begins with the second. The driver's own continues with what is random for each process, so that within a second
//! items are in the order of replicas, and a reader that follows the list by its cursor misses what another replica adds
//! before that. Here the fraction of the second comes next, in steps of 16 microseconds, and then what is random.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use mongodb::bson::oid::ObjectId;

/// The time of the last id of this process, in steps of 2^-16 seconds.
static LAST: Mutex<u64> = Mutex::new(0);

/// The next id: greater than all before of this process, whatever the clock does.
pub(super) fn next() -> ObjectId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let steps = (now.as_secs() << 16) | ((u64::from(now.subsec_nanos()) << 16) / 1_000_000_000);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    *last = steps.max(*last + 1);
    of(*last, random())
}

fn of(steps: u64, random: u64) -> ObjectId {
    let mut bytes = [0; 12];
    // 32 bits of seconds and 16 of their fraction; the seconds last until 2106.
    let halves = steps.to_be_bytes().into_iter().skip(2).chain(random.to_be_bytes().into_iter().skip(2));
    for (byte, value) in bytes.iter_mut().zip(halves) {
        *byte = value;
    }
    ObjectId::from_bytes(bytes)
}

/// Should the system have no random bits, those of an ObjectId will do.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let own = ObjectId::new().bytes();
        own.into_iter().skip(4).fold(0, |number, byte| (number << 8) | u64::from(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_the_order_of_their_creation() {
        let ids: Vec<_> = (0..10_000).map(|_| next()).collect();
        assert!(ids.is_sorted_by(|one, next| one.bytes() < next.bytes()));
        let age = SystemTime::now().duration_since(ids[0].timestamp().to_system_time()).unwrap();
        assert!(age.as_secs() < 60, "{age:?}");
    }

    #[test]
    fn id_of_another_replica_is_in_order_too() {
        let second = 1_700_000_000 << 16;
        assert!(of(second + 1, u64::MAX).bytes() < of(second + 2, 0).bytes());
        assert!(of(second + 0xffff, u64::MAX).bytes() < of(second + 0x1_0000, 0).bytes());
        assert_eq!(of(second + 2, 3).to_hex(), "6553f1000002000000000003");
    }
}
