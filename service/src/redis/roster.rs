//! How many replicas there are. Each keeps a place of its own in Redis while it lives, and counts the places that are taken:
//! plain keys with a time to live, so that no clocks are compared and nobody has to be told when a replica comes or goes.

use std::collections::VecDeque;

use redis::RedisError;

use super::Connection;

/// How long a place outlives its replica, in milliseconds: several beats.
const TTL_MS: u64 = 5000;
/// Places that are looked at, at least and at most.
const FEWEST: usize = 64;
const MOST: usize = 1024;
/// Replicas that start together take the same free place; whoever is second tries the next, so often at a time.
const ATTEMPTS: usize = 8;
/// A count stands for so many beats, unless a higher one comes: a Redis that lost its keys counts from one again.
const STANDS: usize = 5;

/// How many replicas keep a place in Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// So many were seen.
    pub replicas: u32,
    /// Whether all that started together had the time to take a place. Before, there are at least so many.
    pub settled: bool,
}

/// This replica among the others.
pub(super) struct Roster {
    prefix: String,
    name: String,
    place: Option<usize>,
    counts: VecDeque<usize>,
}

impl Roster {
    /// Not in Redis yet. `name` is this process's alone.
    pub(super) fn new(prefix: &str, name: String) -> Self {
        Self { prefix: format!("{prefix}replica:"), name, place: None, counts: VecDeque::new() }
    }

    /// Keeps the place, takes the first that is free when there is none or a lower one, and counts.
    pub(super) async fn beat(&mut self, connection: &mut Connection) -> Result<Count, RedisError> {
        let known = self.counts.back().copied().unwrap_or(0);
        let wide = (known * 2).next_power_of_two().clamp(FEWEST, MOST);
        let wide = wide.max(self.place.map_or(0, |place| place + 1));
        let mut pipe = redis::pipe();
        if let Some(place) = self.place {
            pipe.cmd("PEXPIRE").arg(self.key(place)).arg(TTL_MS).ignore();
        }
        pipe.cmd("MGET").arg((0..wide).map(|place| self.key(place)).collect::<Vec<_>>());
        let (places,) = pipe.query_async::<(Vec<Option<Vec<u8>>>,)>(connection).await?;
        let taken = places.iter().flatten().count();
        let old = self.place.take();
        self.place = old.filter(|place| {
            places.get(*place).is_some_and(|name| name.as_deref() == Some(self.name.as_bytes()))
        });
        let mut count = taken;
        // Places are counted from the first; one that lies behind as many as there are is seen by few.
        if self.place.is_none_or(|place| place >= taken)
            && let Some(place) = self.take(&places, connection).await?
        {
            match self.place.replace(place) {
                Some(old) => redis::cmd("DEL").arg(self.key(old)).exec_async(connection).await?,
                None => count += 1,
            }
        }
        self.counts.push_back(count);
        if self.counts.len() > STANDS {
            self.counts.pop_front();
        }
        let count = self.counts.iter().max().copied().unwrap_or(0);
        let replicas = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Count { replicas, settled: self.counts.len() == STANDS })
    }

    /// Gives the place up, so that the others count right at once.
    pub(super) async fn leave(&mut self, connection: &mut Connection) -> Result<(), RedisError> {
        match self.place.take() {
            Some(place) => redis::cmd("DEL").arg(self.key(place)).exec_async(connection).await,
            None => Ok(()),
        }
    }

    async fn take(
        &self,
        places: &[Option<Vec<u8>>],
        connection: &mut Connection,
    ) -> Result<Option<usize>, RedisError> {
        let free = places.iter().enumerate().filter(|(_, name)| name.is_none()).map(|(place, _)| place);
        for place in free.take_while(|place| self.place.is_none_or(|own| *place < own)).take(ATTEMPTS) {
            let mut set = redis::cmd("SET");
            set.arg(self.key(place)).arg(&self.name).arg("PX").arg(TTL_MS).arg("NX");
            if set.query_async::<Option<String>>(connection).await?.is_some() {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn key(&self, place: usize) -> String {
        format!("{}{place}", self.prefix)
    }
}
