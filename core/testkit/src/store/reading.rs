// SPDX-License-Identifier: Apache-2.0
//! Reading: bounds, parts, large records, long backlogs, and readers beside a writer.

use super::subject::{Bench, Check, append, batch, commit, ensure, pattern, read, remove, same, seqs, whole};
use super::{Contract, Needs::Nothing, contract};
use sabir_host::Store;
use sabir_model::store::{Read, Want};
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.read.bounds",
        Nothing,
        "A read begins at the next entry that exists, and keeps to its last entry and its count.",
        bounds,
    ),
    contract(
        "store.read.bytes",
        Nothing,
        "A read stops before the entry that would exceed its bytes, but gives one.",
        byte_bound,
    ),
    contract(
        "store.read.head",
        Nothing,
        "A read of heads gives at least the bytes asked for, and the whole length.",
        head,
    ),
    contract(
        "store.read.range",
        Nothing,
        "A read of a range gives those bytes of the first record alone.",
        range,
    ),
    contract("store.read.large", Nothing, "Records of 1 MiB and 50 MiB come back as they went in.", large),
    contract(
        "store.read.backlog",
        Nothing,
        "A long backlog is read page by page, in order, without a gap.",
        backlog,
    ),
    contract("store.read.nothing", Nothing, "A log that never was, or is empty, gives nothing.", nothing),
    contract(
        "store.read.beside-writer",
        Nothing,
        "Readers beside a writer see entries whole, in order, and none twice.",
        beside_writer,
    ),
];

fn fill(store: &Store, sizes: &[usize]) -> Check {
    let ops = sizes.iter().zip(0..).map(|(size, seq)| append(1, seq * 2, pattern(seq, *size))).collect();
    commit(store, ops)
}

fn bounds(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    fill(&store, &[100; 50])?;
    commit(&store, vec![remove(1, 20, 29)])?;
    for (from, last, max, expected) in [
        (0, 8, 0, vec![0, 2, 4, 6, 8]),
        (1, 5, 0, vec![2, 4]),
        (16, 99, 4, vec![16, 18, 30, 32]),
        (21, 29, 0, vec![]),
        (98, u64::MAX, 0, vec![98]),
        (99, u64::MAX, 0, vec![]),
        (u64::MAX, u64::MAX, 0, vec![]),
        (9, 4, 0, vec![]),
    ] {
        let what = Read { from, last, max_records: max, ..whole(1) };
        let found: Vec<u64> = read(&store, &what)?.iter().map(|record| record.seq).collect();
        same(&format!("{from} to {last}, {max} at most"), found, expected)?;
    }
    Ok(())
}

fn byte_bound(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    fill(&store, &[100, 200, 300, 5000, 10])?;
    for (from, bytes, expected) in
        [(0, 1, 1), (0, 300, 2), (0, 599, 2), (0, 600, 3), (6, 10, 1), (6, 5010, 2), (0, 0, 5)]
    {
        let what = Read { from, max_bytes: bytes, ..whole(1) };
        same(&format!("{bytes} bytes from {from}"), read(&store, &what)?.len(), expected)?;
    }
    Ok(())
}

fn head(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let sizes = [10, 1000, 100_000, 300_000];
    fill(&store, &sizes)?;
    for len in [0, 1, 500, 70_000, 1 << 40] {
        let found = read(&store, &Read { want: Want::Head { len }, ..whole(1) })?;
        same("entries", found.len(), sizes.len())?;
        for ((record, size), seed) in found.iter().zip(sizes).zip(0..) {
            same("length", record.total_len, size as u64)?;
            let least = size.min(usize::try_from(len).unwrap_or(usize::MAX));
            ensure!(record.data.len() >= least, "{} bytes of {least} were given", record.data.len());
            ensure!(
                pattern(seed, size).starts_with(&record.data),
                "the head of a record of {size} bytes differs"
            );
        }
    }
    Ok(())
}

fn range(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    fill(&store, &[1000, 300_000])?;
    for (from, size) in [(0u64, 1000u64), (1, 300_000)] {
        let bytes = pattern(from, size as usize);
        for (offset, len) in [
            (0, 10),
            (0, size),
            (900, 200),
            (65_535, 2),
            (65_536, 65_536),
            (200_001, 99_999),
            (size, 5),
            (size + 9, 5),
            (5, u64::MAX),
        ] {
            let found = read(&store, &Read { from, want: Want::Range { offset, len }, ..whole(1) })?;
            same("entries", found.len(), 1)?;
            let (start, end) = (offset.min(size) as usize, offset.saturating_add(len).min(size) as usize);
            ensure!(found[0].data == bytes[start..end], "bytes {start} to {end} of {size} differ");
            same("length", found[0].total_len, size)?;
        }
    }
    Ok(())
}

fn large(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    for (seq, size) in [(0, 1 << 20), (1, 50 << 20), (2, 10), (3, 1 << 20)] {
        commit(&store, vec![append(1, seq, pattern(seq, size)), append(2, seq, "beside")])?;
    }
    for (seq, size) in [(1, 50 << 20), (0, 1 << 20), (3, 1 << 20), (2, 10)] {
        let found = read(&store, &Read { from: seq, max_records: 1, ..whole(1) })?;
        ensure!(
            found.first().is_some_and(|r| r.data == pattern(seq, size)),
            "the record of {size} bytes differs"
        );
    }
    same("the others", seqs(&store, 2)?.len(), 4)
}

fn backlog(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    const COUNT: u64 = 20_000;
    for first in (0..COUNT).step_by(50) {
        let ops =
            (first..first + 50).flat_map(|n| [append(1, n, pattern(n, 256)), append(2 + n % 5, n, "other")]);
        store.submit(&batch(ops.collect())).map_err(|error| error.to_string())?;
    }
    commit(&store, Vec::new())?;
    let mut next = 0;
    while next < COUNT {
        let page = read(&store, &Read { from: next, max_records: 333, max_bytes: 1 << 20, ..whole(1) })?;
        ensure!(!page.is_empty(), "nothing is found from {next} on");
        for record in page {
            same("number", record.seq, next)?;
            ensure!(record.data == pattern(next, 256), "record {next} differs");
            next += 1;
        }
    }
    same("after the end", read(&store, &Read { from: COUNT, ..whole(1) })?.len(), 0)
}

fn nothing(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    same("a log that never was", seqs(&store, 77)?.len(), 0)?;
    commit(&store, vec![append(1, 0, "x")])?;
    commit(&store, vec![remove(1, 0, 0)])?;
    same("an empty log", seqs(&store, 1)?.len(), 0)
}

fn beside_writer(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    const COUNT: u64 = 4000;
    let done = AtomicBool::new(false);
    let reader = || {
        let mut next = 0;
        loop {
            let last = done.load(Ordering::SeqCst);
            let page = read(&store, &Read { from: next, max_records: 100, ..whole(1) })?;
            let empty = page.is_empty();
            for record in page {
                same("number", record.seq, next)?;
                ensure!(record.data == pattern(next, (next % 500) as usize), "record {next} differs");
                next += 1;
            }
            if empty && last {
                return same("entries seen", next, COUNT);
            }
        }
    };
    std::thread::scope(|scope| {
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        let write = || {
            for first in (0..COUNT).step_by(20) {
                let ops = (first..first + 20).map(|n| append(1, n, pattern(n, (n % 500) as usize)));
                commit(&store, ops.collect())?;
            }
            Ok(())
        };
        let written: Check = write();
        done.store(true, Ordering::SeqCst);
        written?;
        readers
            .into_iter()
            .try_for_each(|reader| reader.join().map_err(|_| "a reader panicked".to_owned())?)
    })
}
