//! What is measured of the process, read at each scrape. What the system does not report is left out, never 0.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::cgroup::Limits;

/// The series of this process.
#[derive(Debug)]
pub(crate) struct Process {
    /// When it started, in seconds since 1970.
    started: i64,
}

impl Process {
    /// Begins now.
    pub(crate) fn starts() -> Self {
        Self { started: jiff::Timestamp::now().as_second() }
    }
}

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut write = Writer(encoder);
        let (usage, limits) = (Usage::read(), Limits::read());
        write.gauge(
            "process_start_time",
            "When it started, since 1970",
            Some(&Unit::Seconds),
            self.started,
        )?;
        if let Some(memory) = usage.memory {
            write.gauge("process_resident_memory", "Memory in use", Some(&Unit::Bytes), memory)?;
        }
        if let Some(limit) = limits.memory.and_then(|limit| i64::try_from(limit).ok()) {
            write.gauge(
                "process_memory_limit",
                "Most memory of its control group",
                Some(&Unit::Bytes),
                limit,
            )?;
        }
        if let Some(files) = usage.files {
            write.gauge("process_open_fds", "Open files and sockets", None, files)?;
        }
        if let Some(files) = usage.most_files {
            write.gauge("process_max_fds", "Most files and sockets", None, files)?;
        }
        if let Some(time) = usage.cpu {
            write.counter("process_cpu", "Time on the processor", Some(&Unit::Seconds), time)?;
        }
        if let Some(cpu) = limits.cpu {
            let help = "Most processor time of its control group";
            write.gauge("process_cpu_limit_cores", help, None, cpu.cores)?;
            let help = "Time that its control group was stopped because it had used up its share";
            write.counter("process_cpu_throttled", help, Some(&Unit::Seconds), cpu.throttled)?;
        }
        Ok(())
    }
}

/// Writes one series at a time.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn gauge<N>(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let gauge = ConstGauge::new(value);
        let kind = gauge.metric_type();
        gauge.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        let kind = counter.metric_type();
        counter.encode(self.0.encode_descriptor(name, help, unit, kind)?)
    }
}

/// What the process uses, as far as `/proc` has it.
struct Usage {
    /// Bytes.
    memory: Option<i64>,
    files: Option<i64>,
    /// The soft limit, which is the one that applies.
    most_files: Option<i64>,
    /// Seconds.
    cpu: Option<f64>,
}

impl Usage {
    fn read() -> Self {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            // `VmRSS:   1234 kB`, and `Max open files  1024  4096  files`.
            memory: number(&read("status"), "VmRSS:").map(|kibibytes| kibibytes * 1024),
            files: files.and_then(|files| i64::try_from(files).ok()),
            most_files: number(&read("limits"), "Max open files"),
            cpu: cpu_time(&read("stat")),
        }
    }
}

/// User and system time of a process, in seconds: 100 ticks a second on every Linux that Rust runs on.
fn cpu_time(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / 100.0)
}

/// The first number on the line that begins so.
fn number(text: &str, begin: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(begin))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}
