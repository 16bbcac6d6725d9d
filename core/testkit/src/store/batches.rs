// SPDX-License-Identifier: Apache-2.0
//! Batches are atomic and ordered, and have tickets.

use super::subject::{
    Bench, Check, append, batch, commit, ensure, keys, link, put, remove, same, seqs, texts,
};
use super::{Contract, Needs::Nothing, contract};
use sabir_model::store::{Batch, Level};

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.batch.visible",
        Nothing,
        "A batch is visible to read and scan when submit returns, before any sync.",
        visible,
    ),
    contract(
        "store.batch.refused-whole",
        Nothing,
        "A batch with an operation that is refused has no effect at all.",
        refused_whole,
    ),
    contract(
        "store.batch.in-order",
        Nothing,
        "Operations of a batch take effect one after the other.",
        in_order,
    ),
    contract(
        "store.batch.numbers-grow",
        Nothing,
        "An entry below one that its log had is refused.",
        numbers_grow,
    ),
    contract("store.batch.empty", Nothing, "A batch of nothing has a ticket, and can be synced.", empty),
    contract(
        "store.ticket.grows",
        Nothing,
        "Tickets begin with 1 and grow; one sync covers all before it.",
        tickets,
    ),
    contract("store.batch.large", Nothing, "A batch of ten thousand operations is one batch.", large),
];

fn visible(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let lazy = Batch { ops: vec![append(1, 0, "one"), put("k", "v")], level: Level::Written };
    store.submit(&lazy).map_err(|error| error.to_string())?;
    same("records", texts(&store, 1)?, vec!["one".to_owned()])?;
    same("keys", keys(&store)?.len(), 1)
}

fn refused_whole(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 0, "zero"), put("k", "old")])?;
    let bad = [
        link(2, 0, 1, 99, ""),
        append(1, 0, "again"),
        put("", "no key"),
        remove(1, 5, 4),
        put("k".repeat(1025), ""),
    ];
    for last in bad {
        let text = format!("{last:?}");
        let ops = vec![append(1, 1, "one"), put("k", "new"), remove(1, 0, 0), last];
        ensure!(store.submit(&batch(ops)).is_err(), "a batch was taken in spite of {text}");
        same("entries", seqs(&store, 1)?, vec![0])?;
        same("keys", keys(&store)?.iter().map(|(_, value)| value.to_vec()).collect(), vec![b"old".to_vec()])?;
    }
    commit(&store, vec![append(1, 1, "one")])?;
    same("entries", seqs(&store, 1)?, vec![0, 1])
}

fn in_order(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let ops = vec![
        append(1, 0, "zero"),
        link(2, 0, 1, 0, ""),
        link(3, 0, 2, 0, ""),
        remove(1, 0, 0),
        append(1, 1, "one"),
        put("k", "first"),
        put("k", "second"),
    ];
    commit(&store, ops)?;
    same("log 1", texts(&store, 1)?, vec!["one".to_owned()])?;
    same("log 2", texts(&store, 2)?, vec!["zero".to_owned()])?;
    same("log 3", texts(&store, 3)?, vec!["zero".to_owned()])?;
    same("values", keys(&store)?.iter().map(|(_, value)| value.to_vec()).collect(), vec![b"second".to_vec()])
}

fn numbers_grow(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 5, "five"), append(1, 9, "nine"), remove(1, 9, 9)])?;
    for seq in [4, 5, 7, 9] {
        ensure!(
            store.submit(&batch(vec![append(1, seq, "late")])).is_err(),
            "entry {seq} was taken after entry 9"
        );
    }
    commit(&store, vec![append(1, 10, "ten")])?;
    same("entries", seqs(&store, 1)?, vec![5, 10])
}

fn empty(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, Vec::new())?;
    commit(&store, vec![append(1, 0, "")])
}

fn tickets(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    for expected in 1..=20u64 {
        let ticket =
            store.submit(&batch(vec![append(1, expected, "x")])).map_err(|error| error.to_string())?;
        same("ticket", ticket, expected)?;
    }
    let durable = store.sync(15).map_err(|error| error.to_string())?;
    ensure!((15..=20).contains(&durable), "ticket 15 was synced, and {durable} is durable");
    let durable = store.sync(3).map_err(|error| error.to_string())?;
    ensure!(durable >= 15, "what was durable before is not any more: {durable}");
    same("entries", seqs(&store, 1)?.len(), 20)
}

fn large(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, (0..10_000).map(|n| append(n % 7, n, n.to_string())).collect())?;
    for log in 0..7 {
        let expected: Vec<u64> = (0..10_000).filter(|n| n % 7 == log).collect();
        same("entries", seqs(&store, log)?, expected)?;
    }
    commit(&store, (0..10_000).map(|n| remove(n % 7, n, n)).collect())?;
    same("entries", seqs(&store, 3)?.len(), 0)
}
