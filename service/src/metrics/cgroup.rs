//! The limits of the control group that this process is in, of version 1 or 2. What is not limited is absent.
//!
//! Limits are hierarchical: the least of a group and its parents applies. A container without a namespace of control groups reads
//! a path that its mount does not have; the groups that exist on the way to the root are read then, and the root itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Where control groups are mounted.
const ROOT: &str = "/sys/fs/cgroup";
/// Version 1 writes a number near 2^63 for no limit.
const NO_LIMIT: u64 = 1 << 62;

/// What limits this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// Most memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Most processor time, in cores.
    pub(super) cpu: Option<Cpu>,
}

/// A limit of processor time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cpu {
    /// Cores.
    pub(super) cores: f64,
    /// How long the group was stopped since its start because it had used up its share, in seconds.
    pub(super) throttled: f64,
}

impl Limits {
    /// The limits of this process.
    pub(super) fn read() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::read_below(Path::new(ROOT), &groups)
    }

    /// `groups` is the text of `/proc/self/cgroup`: lines `0::/path` of version 2, `4:cpu,cpuacct:/path` of version 1.
    fn read_below(root: &Path, groups: &str) -> Self {
        let path = |controller: &str| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                controllers.split(',').any(|name| name == controller).then_some(path)
            })
        };
        if root.join("cgroup.controllers").is_file() {
            let ways = upwards(root, path("").unwrap_or("/"));
            return Self {
                memory: ways.iter().filter_map(|group| whole(group, "memory.max")).min(),
                cpu: least(ways.iter().filter_map(|group| cpu_of_version_2(group))),
            };
        }
        let ways = |controller: &str| upwards(&root.join(controller), path(controller).unwrap_or("/"));
        let memory = ways("memory").iter().filter_map(|group| whole(group, "memory.limit_in_bytes")).min();
        Self {
            memory: memory.filter(|limit| *limit < NO_LIMIT),
            cpu: least(ways("cpu").iter().filter_map(|group| cpu_of_version_1(group))),
        }
    }
}

/// The group at `path` and its parents up to the root.
fn upwards(root: &Path, path: &str) -> Vec<PathBuf> {
    let relative = Path::new(path.trim_start_matches('/'));
    relative.ancestors().map(|ancestor| root.join(ancestor)).collect()
}

fn least(limits: impl Iterator<Item = Cpu>) -> Option<Cpu> {
    limits.min_by(|one, other| one.cores.total_cmp(&other.cores))
}

/// `max 100000`, or `50000 100000`: microseconds in each period.
fn cpu_of_version_2(group: &Path) -> Option<Cpu> {
    let text = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    let cores = quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?;
    Some(Cpu { cores, throttled: stat(group, "throttled_usec")? / 1e6 })
}

/// A quota of -1 means unlimited; times are in nanoseconds.
fn cpu_of_version_1(group: &Path) -> Option<Cpu> {
    let (quota, period) = (whole(group, "cpu.cfs_quota_us")?, whole(group, "cpu.cfs_period_us")?);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a second, and a few of them")]
    let cores = quota as f64 / period as f64;
    Some(Cpu { cores, throttled: stat(group, "throttled_time")? / 1e9 })
}

/// A file that is one whole number; `max` and -1 are none.
fn whole(group: &Path, file: &str) -> Option<u64> {
    fs::read_to_string(group.join(file)).ok()?.trim().parse().ok()
}

/// A number of `cpu.stat`.
fn stat(group: &Path, name: &str) -> Option<f64> {
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn least_limit_of_a_group_and_its_parents_applies() {
        let root = tree(&[
            ("cgroup.controllers", "cpu memory\n"),
            ("pod/memory.max", "536870912\n"),
            ("pod/app/memory.max", "max\n"),
            ("pod/cpu.max", "max 100000\n"),
            ("pod/app/cpu.max", "50000 100000\n"),
            ("pod/app/cpu.stat", "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n"),
        ]);
        let limits = Limits::read_below(root.path(), "0::/pod/app\n");
        let cpu = Some(Cpu { cores: 0.5, throttled: 2.5 });
        assert_eq!(limits, Limits { memory: Some(536_870_912), cpu });
        assert_eq!(Limits::read_below(root.path(), "0::/\n"), Limits::default());
    }

    #[test]
    fn limits_of_version_1_are_read_by_controller() {
        let root = tree(&[
            // As in a container without a namespace of control groups: its own group is at the root of the mount.
            ("memory/memory.limit_in_bytes", "268435456\n"),
            ("cpu/cpu.cfs_quota_us", "200000\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("cpu/cpu.stat", "nr_periods 10\nnr_throttled 1\nthrottled_time 1500000000\n"),
        ]);
        let groups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n";
        let cpu = Some(Cpu { cores: 2.0, throttled: 1.5 });
        assert_eq!(Limits::read_below(root.path(), groups), Limits { memory: Some(268_435_456), cpu });
    }

    #[test]
    fn unlimited_group_has_no_limit_rather_than_nought() {
        let root = tree(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(Limits::read_below(root.path(), "5:memory:/\n4:cpu:/\n"), Limits::default());
        assert_eq!(Limits::read_below(Path::new("/nowhere"), ""), Limits::default());
    }
}
