// SPDX-License-Identifier: Apache-2.0
//! What this machine can do at best, measured in the same run: rows that stand beside these say more than numbers.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const BLOCK: [u8; 4096] = [0xA5; 4096];
/// Blocks that were written before they are written over.
const WRITTEN_BLOCKS: u64 = 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// Rates of the machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Limits {
    /// Writes of 4 KiB over what was written before, each with fdatasync, per second.
    pub overwrite_syncs_per_s: f64,
    /// Writes of 4 KiB at the end of a file, each with fdatasync, per second.
    pub append_syncs_per_s: f64,
    /// Messages of 64 bytes to and fro between two threads over loopback TCP, per second.
    pub round_trips_per_s: f64,
    /// Bytes one way over loopback TCP, per second.
    pub loopback_bytes_per_s: f64,
}

/// Bare writes of 4 KiB, each with fdatasync.
#[derive(Clone, Copy, Debug)]
pub struct Syncs {
    pub per_s: f64,
    /// What each costs the thread that asks for it, in µs of CPU time.
    pub cpu_us: f64,
}

/// A file on the brokers' file system whose bytes were all written before: how often writing 4 KiB over them can be
/// synced. Disks change their minds within minutes, so this is asked right before and right after a row.
pub struct SyncProbe {
    file: File,
    folder: TempDir,
}

impl SyncProbe {
    /// Writes the file in a folder under `under`.
    pub fn new(under: &Path) -> Result<SyncProbe> {
        let folder = super::broker::folder(under)?;
        let file = File::create(folder.path().join("overwritten"))?;
        for block in 0..WRITTEN_BLOCKS {
            file.write_all_at(&BLOCK, block * BLOCK.len() as u64)?;
        }
        file.sync_all()?;
        Ok(SyncProbe { file, folder })
    }

    /// What syncs come to now.
    pub fn syncs(&self, each: Duration) -> Result<Syncs> {
        let before_us = thread_cpu_us();
        let mut syncs = 0;
        let per_s = repeat(each, |count| {
            syncs += 1;
            self.file.write_all_at(&BLOCK, count % WRITTEN_BLOCKS * BLOCK.len() as u64)?;
            Ok(self.file.sync_data()?)
        })
        .context("cannot measure overwriting")?;
        Ok(Syncs { per_s, cpu_us: (thread_cpu_us() - before_us) / f64::from(syncs.max(1)) })
    }

    /// What 99 of 100 syncs take at most, in microseconds, where so many are due each second. It counts from when each was
    /// due, as latencies of messages do: nobody who syncs before confirming can be faster.
    pub fn paced_p99_us(&self, per_s: u64, each: Duration) -> Result<f64> {
        let interval = Duration::from_secs(1) / u32::try_from(per_s).context("too many syncs a second")?;
        let start = Instant::now();
        let mut took_us = Vec::new();
        for count in 0.. {
            let due = start + interval * count;
            if due >= start + each {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let offset = u64::from(count) % WRITTEN_BLOCKS * BLOCK.len() as u64;
            self.file.write_all_at(&BLOCK, offset)?;
            self.file.sync_data()?;
            took_us.push(due.elapsed().as_secs_f64() * 1e6);
        }
        took_us.sort_by(f64::total_cmp);
        took_us.get(took_us.len() * 99 / 100).copied().context("no sync was due")
    }
}

/// Measures each for `each`.
pub fn measure(probe: &SyncProbe, each: Duration) -> Result<Limits> {
    Ok(Limits {
        overwrite_syncs_per_s: probe.syncs(each)?.per_s,
        append_syncs_per_s: append(probe.folder.path(), each).context("cannot measure appending")?,
        round_trips_per_s: round_trips(each)?,
        loopback_bytes_per_s: bytes(each).context("cannot measure loopback bytes")?,
    })
}

fn append(folder: &Path, each: Duration) -> Result<f64> {
    let path = folder.join("appended");
    let file = File::create(&path)?;
    let rate = repeat(each, |count| {
        file.write_all_at(&BLOCK, count * BLOCK.len() as u64)?;
        Ok(file.sync_data()?)
    })?;
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Messages of 64 bytes to and fro between two threads over loopback TCP, per second.
pub fn round_trips(each: Duration) -> Result<f64> {
    let (mut near, mut far) = pair().context("cannot measure loopback round trips")?;
    let echo = std::thread::spawn(move || {
        let mut message = [0; 64];
        while far.read_exact(&mut message).is_ok() && far.write_all(&message).is_ok() {}
    });
    let mut message = [0; 64];
    let rate = repeat(each, |_| {
        near.write_all(&message)?;
        Ok(near.read_exact(&mut message)?)
    })?;
    drop(near);
    echo.join().ok().context("the echo has panicked")?;
    Ok(rate)
}

fn bytes(each: Duration) -> Result<f64> {
    let (mut near, mut far) = pair()?;
    let sink = std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK_BYTES];
        while far.read(&mut chunk).is_ok_and(|count| count > 0) {}
    });
    let chunk = vec![0; CHUNK_BYTES];
    let rate = repeat(each, |_| Ok(near.write_all(&chunk)?))?;
    drop(near);
    sink.join().ok().context("the sink has panicked")?;
    Ok(rate * CHUNK_BYTES as f64)
}

fn thread_cpu_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn pair() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// Does something for a time; answers how often per second.
fn repeat(each: Duration, mut work: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < each {
        work(count)?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
