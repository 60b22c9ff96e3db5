//! What was counted and measured in one interval: sums that can be added, over replicas and over time, without loss. Pure.

use super::names::BOUNDS_MS;
use super::reading::{BUCKETS, Reading, Totals};
use crate::float;

/// A sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Milliseconds over which was counted.
    Millis,
    /// Moments at which gauges were read: what is measured is divided by it.
    Readings,
    /// Replicas that answered, over the readings.
    Replicas,
    /// Replicas that there should be, over the readings.
    Desired,
    Ok,
    Limited,
    Failed,
    CpuMicros,
    /// Bytes, over the readings.
    Memory,
    PoolInUse,
    PoolOpen,
    PoolMax,
    Hits,
    Misses,
    /// Readings of replicas that counted in Redis.
    Shared,
    /// Readings of replicas that counted by themselves.
    Local,
}

const FIELDS: usize = Field::Local as usize + 1;
const NUMBERS: usize = FIELDS + BUCKETS;

/// The sums of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figures([u64; NUMBERS]);

impl Figures {
    /// Nothing was read.
    pub(super) const NONE: Self = Self([0; NUMBERS]);

    /// What one replica reports, and what it counted within `millis`; `None` when that cannot be known.
    pub(super) fn of(reading: &Reading, counted: Option<(u64, &Totals)>) -> Self {
        let mut figures = Self::NONE;
        let mut set = |field: Field, value: u64| figures.0[field as usize] = value;
        set(Field::Readings, 1);
        set(Field::Replicas, 1);
        set(Field::Memory, reading.memory.unwrap_or_default());
        let pool = reading.pool.unwrap_or_default();
        set(Field::PoolInUse, pool.in_use);
        set(Field::PoolOpen, pool.open);
        set(Field::PoolMax, pool.max);
        set(Field::Shared, (reading.limit_shared == Some(true)).into());
        set(Field::Local, (reading.limit_shared == Some(false)).into());
        if let Some((millis, totals)) = counted {
            set(Field::Millis, millis);
            set(Field::Ok, totals.ok);
            set(Field::Limited, totals.limited);
            set(Field::Failed, totals.failed);
            set(Field::CpuMicros, totals.cpu_micros);
            set(Field::Hits, totals.hits);
            set(Field::Misses, totals.misses);
            figures.0[FIELDS..].copy_from_slice(&totals.buckets);
        }
        figures
    }

    /// The sums of several replicas at the same moment, of which there should be `desired`.
    pub(super) fn together<'a>(replicas: impl Iterator<Item = &'a Self>, desired: u32) -> Self {
        let mut whole = replicas.fold(Self::NONE, |mut whole, replica| {
            let (millis, readings) = (whole.get(Field::Millis), whole.get(Field::Readings));
            whole.add(replica);
            whole.0[Field::Millis as usize] = millis.max(replica.get(Field::Millis));
            whole.0[Field::Readings as usize] = readings.max(replica.get(Field::Readings));
            whole
        });
        whole.0[Field::Desired as usize] = u64::from(desired) * whole.get(Field::Readings);
        whole
    }

    /// Adds a later interval.
    pub(super) fn add(&mut self, other: &Self) {
        for (sum, value) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(value);
        }
    }

    /// A sum.
    pub(super) fn get(&self, field: Field) -> u64 {
        self.0.get(field as usize).copied().unwrap_or_default()
    }

    /// Whether nothing was read.
    pub(super) fn is_gap(&self) -> bool {
        self.get(Field::Readings) == 0
    }

    /// A counter per second; `None` where nothing was counted over time.
    pub(super) fn rate(&self, field: Field) -> Option<f64> {
        let millis = self.get(Field::Millis);
        (millis > 0).then(|| float::from_u64(self.get(field)) * 1000.0 / float::from_u64(millis))
    }

    /// All requests per second.
    pub(super) fn requests(&self) -> Option<f64> {
        Some(self.rate(Field::Ok)? + self.rate(Field::Limited)? + self.rate(Field::Failed)?)
    }

    /// A gauge; `None` where it was not reported.
    pub(super) fn mean(&self, field: Field) -> Option<f64> {
        let (sum, readings) = (self.get(field), self.get(Field::Readings));
        let is_reported = match field {
            Field::PoolInUse | Field::PoolOpen => self.get(Field::PoolMax) > 0,
            Field::Memory | Field::PoolMax => sum > 0,
            _ => true,
        };
        (readings > 0 && is_reported).then(|| float::from_u64(sum) / float::from_u64(readings))
    }

    /// Cores in use; `None` where the system reports none.
    pub(super) fn cpu(&self) -> Option<f64> {
        self.mean(Field::Memory)?;
        self.rate(Field::CpuMicros).map(|micros| micros / 1e6)
    }

    /// What part of `one` and `others` is `one`, between 0 and 1; `None` without any.
    pub(super) fn share(&self, one: Field, others: &[Field]) -> Option<f64> {
        let one = self.get(one);
        let all = others.iter().fold(one, |sum, other| sum.saturating_add(self.get(*other)));
        (all > 0).then(|| float::from_u64(one) / float::from_u64(all))
    }

    /// A sum as a part of another, between 0 and 1; `None` where the other is 0.
    pub(super) fn share_of(&self, part: Field, whole: Field) -> Option<f64> {
        let whole = self.get(whole);
        (whole > 0).then(|| float::from_u64(self.get(part)) / float::from_u64(whole))
    }

    /// The duration in milliseconds that a share `q` of the requests did not exceed, evenly spread within its bucket; `None`
    /// without requests. Beyond the last bound it is that bound.
    pub(super) fn percentile(&self, q: f64) -> Option<f64> {
        let buckets = &self.0[FIELDS..];
        let all: u64 = buckets.iter().sum();
        if all == 0 {
            return None;
        }
        let rank = q * float::from_u64(all);
        let (mut below, mut lower) = (0.0, 0.0);
        for (count, upper) in buckets.iter().zip(BOUNDS_MS) {
            let (count, upper) = (float::from_u64(*count), f64::from(upper));
            if count > 0.0 && below + count >= rank {
                return Some(lower + (upper - lower) * ((rank - below) / count).clamp(0.0, 1.0));
            }
            below += count;
            lower = upper;
        }
        Some(lower)
    }

    /// All sums, small ones in few bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NUMBERS * 2);
        for mut number in self.0 {
            loop {
                let low = u8::try_from(number & 0x7f).unwrap_or_default();
                number >>= 7;
                if number == 0 {
                    bytes.push(low);
                    break;
                }
                bytes.push(low | 0x80);
            }
        }
        bytes
    }

    /// Reads what [`Figures::encode`] wrote; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut figures = Self::NONE;
        let mut rest = bytes.iter();
        for number in &mut figures.0 {
            let mut shift = 0;
            loop {
                let byte = *rest.next()?;
                *number |= u64::from(byte & 0x7f).checked_shl(shift)?;
                if byte & 0x80 == 0 {
                    break;
                }
                shift += 7;
            }
        }
        rest.next().is_none().then_some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(ok: u64, buckets: &[(usize, u64)]) -> Figures {
        let mut totals = Totals { ok, cpu_micros: 500_000, ..Totals::default() };
        for (bucket, count) in buckets {
            totals.buckets[*bucket] = *count;
        }
        let reading = Reading { memory: Some(1000), limit_shared: Some(true), ..Reading::default() };
        Figures::of(&reading, Some((2000, &totals)))
    }

    #[test]
    fn replicas_add_up_at_a_moment_and_average_over_time() {
        let mut whole = Figures::together([replica(10, &[]), replica(30, &[])].iter(), 3);
        assert_eq!((whole.rate(Field::Ok), whole.mean(Field::Memory)), (Some(20.0), Some(2000.0)));
        assert_eq!(
            (whole.cpu(), whole.mean(Field::Replicas), whole.mean(Field::Desired)),
            (Some(0.5), Some(2.0), Some(3.0))
        );
        whole.add(&Figures::together([replica(0, &[])].iter(), 1));
        assert_eq!((whole.rate(Field::Ok), whole.mean(Field::Memory)), (Some(10.0), Some(1500.0)));
        assert_eq!((whole.mean(Field::Replicas), whole.mean(Field::Desired)), (Some(1.5), Some(2.0)));
    }

    #[test]
    fn what_was_not_reported_is_nothing_and_not_nought() {
        let bare = Figures::of(&Reading::default(), None);
        assert!(!bare.is_gap() && Figures::NONE.is_gap());
        assert_eq!((bare.requests(), bare.cpu(), bare.percentile(0.5)), (None, None, None));
        assert_eq!((bare.mean(Field::Memory), bare.mean(Field::PoolInUse)), (None, None));
        assert_eq!(bare.share(Field::Hits, &[Field::Misses]), None);
        assert_eq!(bare.share(Field::Shared, &[Field::Local]), None);
    }

    #[test]
    fn percentile_is_within_the_bucket_that_has_it() {
        // 90 up to 1 ms, 9 between 100 and 250 ms, 1 beyond the last bound.
        let figures = replica(100, &[(0, 90), (6, 9), (BUCKETS - 1, 1)]);
        assert_eq!(figures.percentile(0.45), Some(0.5));
        assert_eq!(figures.percentile(0.99), Some(250.0));
        assert_eq!(figures.percentile(1.0), Some(10_000.0));
    }

    #[test]
    fn encoding_is_read_back_and_damage_is_noticed() {
        let mut figures = replica(10, &[(3, u64::MAX), (1, 300)]);
        figures.0[0] = u64::MAX;
        let bytes = figures.encode();
        assert_eq!(Figures::decode(&bytes), Some(figures));
        assert_eq!(Figures::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Figures::decode(&[bytes.clone(), vec![0]].concat()), None);
        assert_eq!(Figures::decode(&[0xff; 200]), None);
    }
}
