//! What a process has used, as the kernel counts it in `/proc`.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};

/// Ticks of `/proc/<pid>/stat` in a second: `USER_HZ`, which is 100 on every Linux that Envoy runs on.
const TICKS_PER_SECOND: u32 = 100;

/// CPU time that a process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// User and system time of `/proc/<pid>/stat`, in steps of 10 ms.
    pub ticked: Duration,
    /// The same sum before the kernel rounds it to ticks: the run time of each thread in
    /// `/proc/<pid>/task/*/schedstat`, in nanoseconds. It falls short by what threads that have ended used.
    pub exact: Duration,
}

impl CpuTime {
    /// Of a process that runs.
    ///
    /// # Errors
    /// If it is gone, or the kernel keeps no schedstat.
    pub fn of(pid: u32) -> Result<Self> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let stat = fs::read_to_string(folder.join("stat"))?;
        let mut exact = Duration::ZERO;
        for thread in fs::read_dir(folder.join("task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            exact += run_time(&schedstat).context("a line of schedstat")?;
        }
        ensure!(!exact.is_zero(), "the kernel keeps no schedstat");
        let ticked = user_and_system(&stat).context("a line of /proc/<pid>/stat")?;
        Ok(Self { ticked, exact })
    }

    /// What was used between then and now.
    #[must_use]
    pub fn since(self, then: Self) -> Self {
        Self {
            ticked: self.ticked.saturating_sub(then.ticked),
            exact: self.exact.saturating_sub(then.exact),
        }
    }
}

/// MiB of memory of a process that no file backs: heaps and the VMs' linear memory.
///
/// # Errors
/// If the process is gone.
pub fn anonymous_mib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    anonymous(&status).context("no RssAnon in /proc/<pid>/status")
}

/// KiB of a process that are in memory now, what files back included. By its page tables: the VmRSS of
/// `status` is kept for each CPU and added up only now and then.
///
/// # Errors
/// If the process is gone.
pub fn resident_kib(pid: u32) -> Result<f64> {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    kib(&maps, "Rss:").context("no Rss in /proc/<pid>/smaps_rollup")
}

/// The most KiB of a process that were ever in memory at once.
///
/// # Errors
/// If the process is gone.
pub fn peak_kib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib(&status, "VmHWM:").context("no VmHWM in /proc/<pid>/status")
}

/// File descriptors that a process has open.
///
/// # Errors
/// If the process is gone.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// The 14th and 15th field; the second, the name, may hold blanks and parentheses itself.
fn user_and_system(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs(1) * (user + system) / TICKS_PER_SECOND)
}

/// The first field: nanoseconds on a CPU.
fn run_time(schedstat: &str) -> Option<Duration> {
    let nanoseconds = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn anonymous(status: &str) -> Option<f64> {
    Some(kib(status, "RssAnon:")? / 1024.0)
}

fn kib(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_user_and_system_behind_a_name_with_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 5 0 0 0 250 50 9 9 20 0 3 0 100 1 1 18446744073709551615";
        assert_eq!(user_and_system(stat), Some(Duration::from_secs(3)));
        assert_eq!(user_and_system("7 (a) S 1"), None);
    }

    #[test]
    fn reads_run_time_and_memory() {
        assert_eq!(
            run_time("843548 0 2\n"),
            Some(Duration::from_nanos(843_548))
        );
        assert_eq!(run_time(""), None);
        assert_eq!(anonymous("VmRSS:\t 9 kB\nRssAnon:\t 2048 kB\n"), Some(2.0));
        assert_eq!(anonymous("VmRSS:\t 9 kB\n"), None);
    }

    #[test]
    fn our_own_use_can_be_read() {
        let before = CpuTime::of(std::process::id()).unwrap();
        let after = CpuTime::of(std::process::id()).unwrap();
        assert!(after.exact >= before.exact && after.ticked >= before.ticked);
        assert!(anonymous_mib(std::process::id()).unwrap() > 0.0);
        assert!(resident_kib(std::process::id()).unwrap() > 0.0);
        assert!(peak_kib(std::process::id()).unwrap() > 0.0);
        assert!(descriptors(std::process::id()).unwrap() > 2);
    }
}
