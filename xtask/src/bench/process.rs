// SPDX-License-Identifier: Apache-2.0
//! What the system tells of a process: its CPU time and its memory.

use anyhow::{Context, Result};

/// CPU time of all threads of a process, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// User and system.
    pub all_s: f64,
    /// What the kernel took of it.
    pub kernel_s: f64,
}

impl Cpu {
    /// What it is more than it was.
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { all_s: self.all_s - before.all_s, kernel_s: self.kernel_s - before.kernel_s }
    }
}

/// CPU time that a process has taken so far.
pub fn cpu(pid: u32) -> Result<Cpu> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let (user, system) = parse_cpu_ticks(&stat).with_context(|| format!("cannot understand {path}"))?;
    let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Ok(Cpu { all_s: seconds(user + system), kernel_s: seconds(system) })
}

/// The same, in seconds.
pub fn cpu_s(pid: u32) -> Result<f64> {
    Ok(cpu(pid)?.all_s)
}

/// The name of a process may hold anything, so fields are counted from its closing bracket on.
fn parse_cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Resident memory of a process in bytes: now, and at most so far.
pub fn memory_bytes(pid: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let field = |name: &str| parse_kib(&status, name).with_context(|| format!("{path} has no {name}"));
    Ok((field("VmRSS:")? * 1024, field("VmHWM:")? * 1024))
}

fn parse_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_figures_are_read() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 13 14";
        assert_eq!(parse_cpu_ticks(stat), Some((30, 12)));
        assert_eq!(parse_kib("VmHWM:\t  9 kB\nVmRSS:\t  512 kB\n", "VmRSS:"), Some(512));
        let (now, most) = memory_bytes(std::process::id()).expect("this process lives");
        assert!(now > 0 && most >= now);
    }
}
