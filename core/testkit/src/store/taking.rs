// SPDX-License-Identifier: Apache-2.0
//! Becoming the only writer of a store that several processes can open, and taking a copy of one that goes on.

use super::subject::{Bench, Check, append, close, commit, ensure, keys, put, same, texts};
use super::{
    Contract,
    Needs::{Backup, Lock},
    contract,
};
use sabir_host::Store;

pub(super) const CONTRACTS: &[Contract] = &[
    contract(
        "store.lock.one-writer",
        Lock,
        "While one is the writer another waits; once it has closed the other follows, with a larger epoch.",
        one_writer,
    ),
    contract(
        "store.backup.opens",
        Backup,
        "A copy opens as a store with what there was, and no more.",
        backup,
    ),
];

fn acquire(store: &Store) -> Result<Option<u64>, String> {
    store.lock_acquire().map_err(|error| format!("lock_acquire: {error}"))
}

fn one_writer(bench: &Bench<'_>) -> Check {
    let first = bench.open()?;
    let Some(epoch) = acquire(&first)? else { return Err("nobody is the writer, and one waits".to_owned()) };
    let second = bench.open()?;
    let waiting = acquire(&second)?;
    ensure!(waiting.is_none(), "two are writers at once, with the epochs {epoch} and {waiting:?}");
    first.lock_keep().map_err(|error| format!("the writer cannot keep its lock: {error}"))?;
    close(first)?;
    let Some(later) = acquire(&second)? else { return Err("the writer has gone, and one waits".to_owned()) };
    ensure!(later > epoch, "the epoch {later} follows the epoch {epoch}");
    second.lock_keep().map_err(|error| format!("the new writer cannot keep its lock: {error}"))?;
    close(second)
}

fn backup(bench: &Bench<'_>) -> Check {
    let store = bench.open()?;
    commit(&store, vec![append(1, 1, "one"), append(1, 2, "two"), put("key", "value")])?;
    let copy = bench.path("copy");
    store.backup(&copy.display().to_string()).map_err(|error| format!("backup: {error}"))?;
    commit(&store, vec![append(1, 3, "three")])?;
    same("the store itself", texts(&store, 1)?.len(), 3)?;
    let copied = bench.try_open("copy").map_err(|error| format!("opening the copy: {error}"))?;
    same("the copy", texts(&copied, 1)?, vec!["one".to_owned(), "two".to_owned()])?;
    let key = keys(&copied)?.first().map(|(key, value)| (key.to_vec(), value.to_vec()));
    same("the copy's key", key, Some((b"key".to_vec(), b"value".to_vec())))?;
    close(copied)?;
    close(store)
}
