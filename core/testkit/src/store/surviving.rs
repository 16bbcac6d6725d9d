// SPDX-License-Identifier: Apache-2.0
//! What is there when a store is opened again, after it was closed or its process ended without a word.

use super::subject::{
    Bench, Check, append, bytes, close, commit, ensure, keys, link, pattern, put, read, remove, same, seqs,
    summaries, texts, whole,
};
use super::{Contract, Needs::Survival, contract};
use bytes::Bytes;
use sabir_host::{ErrorCode, Store};
use sabir_model::store::{LogRange, LogSummary, Op, Record, TEMPORARY};

pub(super) const CONTRACTS: &[Contract] = &[
    contract("store.reopen.same", Survival, "After close and open everything is as it was.", reopened),
    contract("store.reopen.empty", Survival, "A store that was never written to opens again, empty.", empty),
    contract(
        "store.reopen.summaries",
        Survival,
        "Recovery tells the runs of entries of every log, with counts and bytes.",
        runs,
    ),
    contract(
        "store.reopen.next-seq",
        Survival,
        "The next number of a log never goes back, whatever was removed.",
        next_seq,
    ),
    contract(
        "store.reopen.temporary",
        Survival,
        "Temporary logs are empty and untold after open; links out of them stay.",
        temporary,
    ),
    contract("store.reopen.often", Survival, "A store lives through many lives, each with its part.", often),
    contract(
        "store.crash.synced",
        Survival,
        "What was synced is there after the process ended without closing.",
        crashed,
    ),
    contract(
        "store.crash.again",
        Survival,
        "A crash right after recovery loses nothing either.",
        crashed_again,
    ),
    contract("store.lock", Survival, "A second opener is refused, and the first is not disturbed.", locked),
];

/// A store's entries and keys.
type Everything = (Vec<LogSummary>, Vec<Vec<Record>>, Vec<(Bytes, Bytes)>);

pub(super) const LOGS: u64 = 6;

pub(super) fn everything(store: &Store) -> Result<Everything, String> {
    let logs = (0..LOGS).map(|log| read(store, &whole(log))).collect::<Result<_, _>>()?;
    Ok((summaries(store)?, logs, keys(store)?))
}

/// Some of everything that a store can hold.
pub(super) fn furnish(store: &Store) -> Check {
    for round in 0..30u64 {
        let mut ops: Vec<Op> =
            (0..20).map(|n| append(1, round * 20 + n, pattern(n, 100 + n as usize))).collect();
        ops.push(append(2, round, pattern(round, 3000)));
        ops.push(link(3, round * 3, 2, round, "linked"));
        ops.push(link(4, round, 1, round * 20 + 7, ""));
        ops.push(remove(1, round * 20 + 5, round * 20 + 9));
        ops.push(put(format!("key-{}", round % 11), format!("value-{round}")));
        commit(store, ops)?;
    }
    commit(
        store,
        vec![append(5, 0, pattern(5, 200_000)), Op::Trim { log: 2, before: 10 }, remove(3, 0, 30)],
    )?;
    commit(store, vec![Op::Delete { key: bytes("key-3") }])
}

fn reopened(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    furnish(&store)?;
    let before = everything(&store)?;
    close(store)?;
    let store = bench.open()?;
    let after = everything(&store)?;
    same("summaries", &after.0, &before.0)?;
    ensure!(after == before, "entries or keys differ");
    commit(&store, vec![append(1, 600, "more")])
}

fn empty(bench: &Bench<'_>) -> Check {
    close(bench.open()?)?;
    let store = bench.open()?;
    same("logs", summaries(&store)?.len(), 0)?;
    same("keys", keys(&store)?.len(), 0)
}

fn runs(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let spans = |seq, span| Op::Append {
        log: 2,
        seq,
        span,
        format: 0,
        label: Bytes::new(),
        record: [bytes("12345"), Bytes::new()],
    };
    commit(&store, (0..100).map(|n| append(1, n, vec![1; n as usize])).collect())?;
    commit(&store, vec![remove(1, 10, 19), remove(1, 99, 99), append(1, 105, "12"), append(1, 106, "3")])?;
    commit(&store, vec![spans(0, 10), spans(10, 5), spans(20, 1)])?;
    close(store)?;
    let found = summaries(&bench.open()?)?;
    let range = |first, last, count, bytes| LogRange { first, last, count, bytes };
    let expected = vec![
        LogSummary {
            log: 1,
            next_seq: 107,
            ranges: vec![range(0, 9, 10, 45), range(20, 98, 79, (20..99).sum()), range(105, 106, 2, 3)],
        },
        LogSummary { log: 2, next_seq: 21, ranges: vec![range(0, 14, 2, 10), range(20, 20, 1, 5)] },
    ];
    same("summaries", found, expected)
}

fn next_seq(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..100).map(|n| append(1, n, "x")).collect())?;
    commit(&store, vec![remove(1, 0, 99)])?;
    close(store)?;
    for _ in 0..3 {
        close(bench.open()?)?;
    }
    let store = bench.open()?;
    same("summaries", summaries(&store)?, vec![LogSummary { log: 1, next_seq: 100, ranges: Vec::new() }])?;
    commit(&store, vec![append(1, 100, "next")])?;
    same("entries", seqs(&store, 1)?, vec![100])
}

fn temporary(bench: &Bench<'_>) -> Check {
    let temp = TEMPORARY | 1;
    let store = bench.open()?;
    commit(&store, vec![append(temp, 0, "passing"), append(1, 0, "lasting"), link(temp, 1, 1, 0, "")])?;
    commit(&store, vec![link(1, 1, temp, 0, "kept"), append(temp, 2, "both"), link(1, 2, temp, 2, "")])?;
    close(store)?;
    let store = bench.open()?;
    let told: Vec<u64> = summaries(&store)?.iter().map(|summary| summary.log).collect();
    same("logs", told, vec![1])?;
    same("temporary", seqs(&store, temp)?.len(), 0)?;
    same("lasting", texts(&store, 1)?, ["lasting", "passing", "both"].map(str::to_owned).to_vec())?;
    commit(&store, vec![append(temp, 0, "anew")])?;
    same("temporary", texts(&store, temp)?, vec!["anew".to_owned()])
}

fn often(bench: &Bench<'_>) -> Check {
    for life in 0..12u64 {
        let store = bench.open()?;
        let expected: Vec<u64> = (0..life).flat_map(|n| [n * 10, n * 10 + 2]).collect();
        same("entries", seqs(&store, 1)?, expected)?;
        same("keys", keys(&store)?.len() as u64, life)?;
        let ops =
            (0..3).map(|n| append(1, life * 10 + n, "x")).chain([put(format!("{life:03}"), "")]).collect();
        commit(&store, ops)?;
        commit(&store, vec![remove(1, life * 10 + 1, life * 10 + 1)])?;
        close(store)?;
    }
    Ok(())
}

fn crashed(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    furnish(&store)?;
    let before = everything(&store)?;
    // The files as they are while the store is open are what its end without a word would leave.
    bench.copy("copy")?;
    let copy = bench.try_open("copy").map_err(|error| format!("the copy does not open: {error}"))?;
    let after = everything(&copy)?;
    same("summaries", &after.0, &before.0)?;
    ensure!(after == before, "entries or keys differ");
    Ok(())
}

fn crashed_again(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    furnish(&store)?;
    let before = everything(&store)?;
    close(store)?;
    for life in 0..3 {
        let store = bench.open()?;
        bench.copy("copy")?;
        drop(store);
        let copy = bench.try_open("copy").map_err(|error| format!("life {life} does not open: {error}"))?;
        ensure!(everything(&copy)? == before, "entries or keys differ in life {life}");
    }
    Ok(())
}

fn locked(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 0, "one")])?;
    match bench.try_open("store") {
        Err(error) => same("code", error.code, ErrorCode::Locked)?,
        Ok(_) => return Err("a second opener got it".to_owned()),
    }
    commit(&store, vec![append(1, 1, "two")])?;
    close(store)?;
    same("entries", seqs(&bench.open()?, 1)?, vec![0, 1])
}
