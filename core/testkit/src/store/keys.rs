// SPDX-License-Identifier: Apache-2.0
//! Keys: ordered byte strings with values.

use super::subject::{Bench, Check, batch, bytes, commit, ensure, keys, pattern, put, same};
use super::{Contract, Needs::Nothing, contract};
use sabir_host::Store;
use sabir_model::store::Op;

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.keys.order",
        Nothing,
        "Keys are scanned in byte order, whatever order they came in.",
        order,
    ),
    contract(
        "store.keys.ranges",
        Nothing,
        "A scan has its first key, leaves out its last, and stops at its limit.",
        ranges,
    ),
    contract(
        "store.keys.overwrite",
        Nothing,
        "A key has the value that it was given last; deleting what is not there is nothing.",
        overwrite,
    ),
    contract(
        "store.keys.lengths",
        Nothing,
        "Keys of 1 and of 1,024 bytes are kept; of 0 and 1,025 refused; values may be empty or 1 MiB.",
        lengths,
    ),
];

fn order(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let mut all: Vec<Vec<u8>> =
        (0..=255u8).flat_map(|byte| [vec![byte], vec![byte, 0], vec![byte, 255]]).collect();
    let shuffled = (0..all.len()).map(|n| &all[n * 101 % all.len()]);
    commit(&store, shuffled.map(|key| put(key, key)).collect())?;
    all.sort();
    let found: Vec<Vec<u8>> = keys(&store)?.into_iter().map(|(key, _)| key.to_vec()).collect();
    same("keys", found, all)
}

fn scan(store: &Store, from: &str, to: &str, limit: u64) -> Result<String, String> {
    let found = store.scan(from.as_bytes(), to.as_bytes(), limit).map_err(|error| error.to_string())?;
    Ok(found.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect())
}

fn ranges(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, "abcdefgh".chars().map(|key| put(key.to_string(), "v")).collect())?;
    for (from, to, limit, expected) in [
        ("", "", 0, "abcdefgh"),
        ("b", "e", 0, "bcd"),
        ("bb", "e", 0, "cd"),
        ("b", "", 3, "bcd"),
        ("", "c", 9, "ab"),
        ("c", "c", 0, ""),
        ("e", "b", 0, ""),
        ("x", "", 0, ""),
    ] {
        same(&format!("scan {from:?} to {to:?}"), scan(&store, from, to, limit)?, expected.to_owned())?;
    }
    Ok(())
}

fn overwrite(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    for round in 0..50 {
        commit(&store, vec![put("k", format!("{round}")), Op::Delete { key: bytes("never") }])?;
    }
    commit(
        &store,
        vec![put("gone", "x"), Op::Delete { key: bytes("gone") }, Op::Delete { key: bytes("gone") }],
    )?;
    same("keys", keys(&store)?, vec![(bytes("k"), bytes("49"))])
}

fn lengths(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    let (long, value) = (pattern(1, 1024), pattern(2, 1 << 20));
    commit(&store, vec![put("k", ""), put(&long, &value)])?;
    let found = keys(&store)?;
    let has = |key: &[u8], value: &[u8]| found.iter().any(|(k, v)| k == key && v == value);
    ensure!(found.len() == 2 && has(b"k", b"") && has(&long, &value), "keys or values differ");
    ensure!(store.submit(&batch(vec![put("", "v")])).is_err(), "an empty key was taken");
    ensure!(
        store.submit(&batch(vec![put(pattern(1, 1025), "v")])).is_err(),
        "a key of 1,025 bytes was taken"
    );
    Ok(())
}
