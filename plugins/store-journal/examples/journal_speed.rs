// SPDX-License-Identifier: Apache-2.0
//! What a journal does on a real directory, beside what the disk does by itself.
//!
//! `cargo run --release -p sabir-store-journal --example journal_speed -- DIRECTORY`

use bytes::Bytes;
use sabir_model::store::{Batch, Level, Op, Read, Want};
use sabir_sdk::disk::Disk;
use sabir_sdk::store::{Ops, Store};
use sabir_sdk::{Host, Result};
use sabir_store_journal::sys::Directory;
use sabir_store_journal::{Journal, Options, SyncPolicy};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MIB: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let base = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "journal-throughput".to_owned()));
    if base.exists() {
        eprintln!("{} exists: name a directory that can be made and removed", base.display());
        std::process::exit(2);
    }
    for _ in 0..3 {
        let raw = raw_syncs(&base.join("raw"))?;
        let commits = commits(&base.join("commits"))?;
        println!("{:<44} {raw:>12.0} /s", "4 KiB overwrites with fdatasync, raw");
        println!("{:<44} {commits:>12.0} /s   {:.2} of raw", "1 KiB records, one sync each", commits / raw);
    }
    bulk(&base.join("bulk"), "1 KiB records, 256 per sync", 1024, 256, 409_600)?;
    bulk(&base.join("large"), "1 MiB records, 4 per sync", 1 << 20, 4, 1024)?;
    backlog(&base.join("backlog"), 1_000_000)?;
    backlog(&base.join("backlog-10"), 10_000_000)?;
    start(&base.join("start"))?;
    let _ = std::fs::remove_dir_all(&base);
    Ok(())
}

fn open(path: &Path, sync: SyncPolicy) -> Result<Journal> {
    let options = Options { path: path.display().to_string(), sync, ..Options::default() };
    Journal::open_on(std::sync::Arc::new(Directory::open(path)?), options, Host::none())
}

fn submit(store: &Journal, batch: &Batch) -> Result<u64> {
    Ops::with_batch(batch, |ops| store.submit(ops, batch.level))
}

fn records(first: u64, count: u64, body: &Bytes) -> Batch {
    let op = |seq| Op::Append {
        log: 1,
        seq,
        span: 1,
        format: 0,
        label: Bytes::new(),
        record: [body.slice(..body.len().min(100)), body.slice(body.len().min(100)..)],
    };
    Batch { ops: (first..first + count).map(op).collect(), level: Level::Durable }
}

// What the disk does: overwriting a file that was written and synced before, in order.
fn raw_syncs(path: &Path) -> Result<f64> {
    const SIZE: u64 = 16 << 20;
    let disk = Directory::open(path)?;
    let _ = disk.remove("raw");
    let file = disk.create("raw")?;
    file.write_at(&[IoSlice::new(&vec![0; SIZE as usize])], 0)?;
    file.sync_data()?;
    let page = [7u8; 4096];
    let (begin, mut count) = (Instant::now(), 0u64);
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_at(&[IoSlice::new(&page)], count * 4096 % SIZE)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

fn commits(path: &Path) -> Result<f64> {
    let store = open(path, SyncPolicy::Always)?;
    let body = Bytes::from(vec![5; 1024]);
    let next = store.summaries().first().map_or(0, |summary| summary.next_seq);
    // The first files are small: let the journal come to its working size.
    let warm = records(next, 20_000, &body);
    store.sync(submit(&store, &warm)?)?;
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        let seq = next + 20_000 + count;
        let mut batch = records(seq, 1, &body);
        batch.ops.push(Op::Trim { log: 1, before: seq });
        store.sync(submit(&store, &batch)?)?;
        count += 1;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    store.close()?;
    Ok(rate)
}

fn bulk(path: &Path, what: &str, size: usize, per_sync: u64, count: u64) -> Result<()> {
    let store = open(path, SyncPolicy::Always)?;
    let body = Bytes::from(vec![5; size]);
    let begin = Instant::now();
    let mut submitting = Duration::ZERO;
    for first in (0..count).step_by(per_sync as usize) {
        let batch = records(first, per_sync, &body);
        let at = Instant::now();
        let ticket = submit(&store, &batch)?;
        submitting += at.elapsed();
        store.sync(ticket)?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let mib = (count as usize * size) as f64 / MIB;
    println!(
        "{what:<44} {:>12.0} /s   {:.0} MiB/s; {:.2} us per record in submit",
        count as f64 / seconds,
        mib / seconds,
        submitting.as_secs_f64() * 1e6 / count as f64
    );
    read_back(&store, count, size)?;
    store.close()?;
    let _ = std::fs::remove_dir_all(path);
    Ok(())
}

fn read_back(store: &Journal, count: u64, size: usize) -> Result<()> {
    let (begin, mut next, mut bytes) = (Instant::now(), 0, 0);
    while next < count {
        let page = Read {
            log: 1,
            from: next,
            last: u64::MAX,
            max_records: 256,
            max_bytes: 4 << 20,
            want: Want::All,
        };
        store.read(&page, &mut |record| {
            next = record.seq + 1;
            bytes += record.data.len();
            true
        })?;
    }
    assert_eq!(bytes, count as usize * size);
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{:<44} {:>12.0} /s   {:.0} MiB/s",
        "  read back in pages",
        count as f64 / seconds,
        bytes as f64 / MIB / seconds
    );
    Ok(())
}

fn backlog(path: &Path, count: u64) -> Result<()> {
    let body = Bytes::from(vec![5; 256]);
    {
        let store = open(path, SyncPolicy::Never)?;
        let begin = Instant::now();
        for first in (0..count).step_by(100) {
            store.sync(submit(&store, &records(first, 100, &body))?)?;
        }
        let rate = count as f64 / begin.elapsed().as_secs_f64();
        let what = format!("{count} records of 256 B, 100 per batch, sync = never");
        println!("{what:<44} {rate:>12.0} /s   index {:.2} MiB", store.stats().index_bytes as f64 / MIB);
        // Dropped without closing: what a kill leaves.
    }
    for what in ["  start after a kill", "  start after closing", "  start, the checkpoint's pointer removed"]
    {
        let begin = Instant::now();
        let store = open(path, SyncPolicy::Never)?;
        let seconds = begin.elapsed().as_secs_f64();
        let entries: u64 =
            store.summaries().iter().flat_map(|log| &log.ranges).map(|range| range.count).sum();
        assert_eq!(entries, count);
        println!("{what:<44} {:>12.1} ms  {} batches replayed", seconds * 1e3, store.report().batches);
        if what.ends_with("kill") {
            read_back(&store, count, 256)?;
        }
        store.close()?;
        if what.ends_with("closing") {
            std::fs::remove_file(path.join("checkpoint"))?;
        }
    }
    let _ = std::fs::remove_dir_all(path);
    Ok(())
}

fn start(path: &Path) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let _ = std::fs::remove_dir_all(path);
        let begin = Instant::now();
        let store = open(path, SyncPolicy::Never)?;
        times.push(begin.elapsed());
        store.close()?;
    }
    times.sort();
    println!("{:<44} {:>12.1} ms", "start on an empty directory, median", times[4].as_secs_f64() * 1e3);
    Ok(())
}
