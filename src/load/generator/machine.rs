//! What the operating system tells of this machine and this thread.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::float;

/// CPU time that the calling thread has used.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time that all cores of the machine spent, since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy {
    total: u64,
    idle: u64,
}

impl Busy {
    /// Reads `/proc/stat`; `None` where there is none.
    pub(super) fn read() -> Option<Self> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; what follows is counted among the first two.
        let idle = fields.get(3)? + fields.get(4)?;
        Some(Self { total: fields.iter().take(8).sum(), idle })
    }

    /// The share of all cores that was used since.
    pub(super) fn share_since(self) -> Option<f64> {
        let now = Self::read()?;
        let total = now.total.saturating_sub(self.total);
        let idle = now.idle.saturating_sub(self.idle);
        (total > 0).then(|| 1.0 - (float::from_u64(idle) / float::from_u64(total)).min(1.0))
    }
}
