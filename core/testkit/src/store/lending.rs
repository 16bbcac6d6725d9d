// SPDX-License-Identifier: Apache-2.0
//! Regions: the file that holds a record, for those who send files without reading them.

use super::subject::{Bench, Check, append, commit, ensure, link, pattern, remove};
use super::{Contract, Needs::Region, contract};
use sabir_host::{ErrorCode, Store};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

pub(super) const CONTRACTS: &[Contract] = &[
    contract("store.region.bytes", Region, "A region of a file holds the record, byte for byte.", bytes),
    contract(
        "store.region.pinned",
        Region,
        "A region keeps its bytes until it is given back, though its entry goes and others come.",
        pinned,
    ),
    contract("store.region.missing", Region, "There is no region of an entry that does not exist.", missing),
];

/// What the file of a region holds.
fn held(region: &sabir_host::Region) -> Result<Vec<u8>, String> {
    let read = || {
        let file = File::from(region.as_fd().try_clone_to_owned()?);
        let len = usize::try_from(region.len_bytes()).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, region.offset())?;
        Ok(bytes)
    };
    read().map_err(|error: std::io::Error| format!("reading the file of a region: {error}"))
}

fn region(store: &Arc<Store>, log: u64, seq: u64) -> Result<sabir_host::Region, String> {
    store.region(log, seq).map_err(|error| format!("the region of entry {seq} of log {log}: {error}"))
}

fn bytes(bench: &Bench<'_>) -> Check {
    let store = Arc::new(bench.open()?);
    let records: Vec<_> = [1, 100, 4_096, 300_000].into_iter().zip(1..).collect();
    let all = records.iter().map(|(len, seq)| append(1, *seq, pattern(*seq, *len)));
    commit(&store, all.collect())?;
    commit(&store, vec![link(2, 7, 1, 4, "label")])?;
    let mut regions = Vec::new();
    for (len, seq) in &records {
        regions.push((region(&store, 1, *seq)?, pattern(*seq, *len)));
    }
    regions.push((region(&store, 2, 7)?, pattern(4, 300_000)));
    for (region, expected) in &regions {
        let found = held(region)?;
        ensure!(found == *expected, "a region of {} bytes differs from its record", expected.len());
    }
    Ok(())
}

fn pinned(bench: &Bench<'_>) -> Check {
    let store = Arc::new(bench.open()?);
    let record = pattern(9, 50_000);
    commit(&store, vec![append(1, 1, &record)])?;
    let pinned = region(&store, 1, 1)?;
    commit(&store, vec![remove(1, 1, 1)])?;
    for seq in 2..100 {
        commit(&store, vec![append(1, seq, pattern(seq, 50_000)), remove(1, 1, seq - 1)])?;
        let other = held(&region(&store, 1, seq)?)?;
        ensure!(other == pattern(seq, 50_000), "another region differs from its record");
    }
    ensure!(held(&pinned)? == record, "the bytes of a pinned region have changed");
    drop(pinned);
    Ok(())
}

fn missing(bench: &Bench<'_>) -> Check {
    let store = Arc::new(bench.open()?);
    commit(&store, vec![append(1, 1, "here")])?;
    for (log, seq) in [(1, 2), (2, 1)] {
        match store.region(log, seq) {
            Err(error) if error.code == ErrorCode::NotFound => {}
            Err(error) => return Err(format!("entry {seq} of log {log} gives {error}, not «not found»")),
            Ok(_) => return Err(format!("entry {seq} of log {log} does not exist, and has a region")),
        }
    }
    Ok(())
}
