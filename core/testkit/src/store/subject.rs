// SPDX-License-Identifier: Apache-2.0
//! The store that is looked at, how to open it, and short words for batches and reads.

use bytes::Bytes;
use sabir_host::abi::{
    SABIR_CAP_STORE_BACKUP, SABIR_CAP_STORE_LOCK, SABIR_CAP_STORE_PERSISTENT, SABIR_CAP_STORE_REGION,
    SABIR_CAP_STORE_REPLACE,
};
use sabir_host::{Component, Error, Store};
use sabir_model::store::{Batch, Level, LogId, LogSummary, Op, Read, Record, Want};
use std::fs;
use std::path::{Path, PathBuf};

/// What a contract comes to.
pub(super) type Check = Result<(), String>;

/// Fails a contract with a text, unless something holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}
pub(super) use ensure;

/// Opens the store in a directory; stores without files ignore it.
type Open = dyn Fn(&Path) -> Result<Store, Error> + Send + Sync;

/// A store that is looked at.
pub struct Subject {
    capabilities: u64,
    open: Box<Open>,
    scratch: PathBuf,
}

impl Subject {
    /// The store that `open` opens, with these `SABIR_CAP_STORE_*`. The suite makes directories below `scratch` and
    /// removes them again.
    pub fn new(
        capabilities: u64,
        scratch: impl Into<PathBuf>,
        open: impl Fn(&Path) -> Result<Store, Error> + Send + Sync + 'static,
    ) -> Self {
        Subject { capabilities, open: Box::new(open), scratch: scratch.into() }
    }

    /// A component that was loaded. If its configuration has a `path`, it is told the directory there.
    pub fn of(component: Component, scratch: impl Into<PathBuf>) -> Self {
        let has_path = component.config_schema().contains("\"path\"");
        Subject::new(component.capabilities(), scratch, move |directory| {
            let text = directory.display().to_string();
            let path = text.replace('\\', "\\\\").replace('"', "\\\"");
            component.open_store(&if has_path { format!("{{\"path\":\"{path}\"}}") } else { "{}".to_owned() })
        })
    }

    pub(super) fn survives(&self) -> bool {
        self.capabilities & SABIR_CAP_STORE_PERSISTENT != 0
    }

    pub(super) fn has_regions(&self) -> bool {
        self.capabilities & SABIR_CAP_STORE_REGION != 0
    }

    pub(super) fn locks(&self) -> bool {
        self.capabilities & SABIR_CAP_STORE_LOCK != 0
    }

    pub(super) fn copies(&self) -> bool {
        self.capabilities & SABIR_CAP_STORE_BACKUP != 0
    }

    pub(super) fn replaces(&self) -> bool {
        self.capabilities & SABIR_CAP_STORE_REPLACE != 0
    }
}

/// What one contract has to work with.
pub(super) struct Bench<'a> {
    subject: &'a Subject,
    directory: PathBuf,
}

/// How often a living store's files are copied until none vanishes meanwhile.
const COPIES: usize = 100;

impl<'a> Bench<'a> {
    pub(super) fn new(subject: &'a Subject, number: usize) -> Self {
        Bench {
            subject,
            directory: subject.scratch.join(format!("contract-{}-{number}", std::process::id())),
        }
    }

    /// Opens the store, for the first time or again.
    pub(super) fn open(&self) -> Result<Store, String> {
        self.try_open("store").map_err(|error| format!("opening failed: {error}"))
    }

    pub(super) fn try_open(&self, name: &str) -> Result<Store, Error> {
        (self.subject.open)(&self.path(name))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Copies the store's files as they are now: what a killed process leaves behind. The store lives meanwhile and may
    /// rename or remove a file between its being listed and its being copied: such a copy is no moment of its life, and
    /// another is made.
    pub(super) fn copy(&self, name: &str) -> Result<Vec<PathBuf>, String> {
        let copy = || {
            let to = self.path(name);
            let _ = fs::remove_dir_all(&to);
            copy_directory(&self.path("store"), &to)
        };
        let mut copied = copy();
        for _ in 1..COPIES {
            match &copied {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => copied = copy(),
                _ => break,
            }
        }
        copied.map_err(|error| format!("copying the store's files: {error}"))
    }

    pub(super) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

// Answers the copied files.
fn copy_directory(from: &Path, to: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs::create_dir_all(to)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            files.extend(copy_directory(&entry.path(), &target)?);
        } else {
            fs::copy(entry.path(), &target)?;
            files.push(target);
        }
    }
    files.sort();
    Ok(files)
}

pub(super) fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

/// Bytes that differ from place to place and from one seed to the next.
pub(super) fn pattern(seed: u64, len: usize) -> Bytes {
    let mut dice = crate::disk::Dice::new(seed);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&dice.roll().to_le_bytes());
    }
    bytes.truncate(len);
    Bytes::from(bytes)
}

pub(super) fn append(log: LogId, seq: u64, record: impl AsRef<[u8]>) -> Op {
    let record = [bytes(record), Bytes::new()];
    Op::Append { log, seq, span: 1, format: 0, label: Bytes::new(), record }
}

pub(super) fn link(log: LogId, seq: u64, from_log: LogId, from_seq: u64, label: &str) -> Op {
    Op::Link { log, seq, from_log, from_seq, label: bytes(label) }
}

pub(super) fn remove(log: LogId, first: u64, last: u64) -> Op {
    Op::Remove { log, first, last }
}

pub(super) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Op {
    Op::Put { key: bytes(key), value: bytes(value) }
}

pub(super) fn batch(ops: Vec<Op>) -> Batch {
    Batch { ops, level: Level::Durable }
}

/// Submits and syncs.
pub(super) fn commit(store: &Store, ops: Vec<Op>) -> Check {
    let ticket = store.submit(&batch(ops)).map_err(|error| format!("a batch was refused: {error}"))?;
    let durable = store.sync(ticket).map_err(|error| format!("a sync failed: {error}"))?;
    ensure!(durable >= ticket, "ticket {ticket} was synced and {durable} is said to be durable");
    Ok(())
}

/// A read of a whole log.
pub(super) fn whole(log: LogId) -> Read {
    Read { log, from: 0, last: u64::MAX, max_records: 0, max_bytes: 0, want: Want::All }
}

pub(super) fn read(store: &Store, what: &Read) -> Result<Vec<Record>, String> {
    store.read(what).map_err(|error| format!("reading log {}: {error}", what.log))
}

/// The numbers of the entries of a log.
pub(super) fn seqs(store: &Store, log: LogId) -> Result<Vec<u64>, String> {
    Ok(read(store, &whole(log))?.iter().map(|record| record.seq).collect())
}

/// The records of a log, as text.
pub(super) fn texts(store: &Store, log: LogId) -> Result<Vec<String>, String> {
    let text = |record: &Record| String::from_utf8_lossy(&record.data).into_owned();
    Ok(read(store, &whole(log))?.iter().map(text).collect())
}

pub(super) fn keys(store: &Store) -> Result<Vec<(Bytes, Bytes)>, String> {
    store.scan(&[], &[], 0).map_err(|error| format!("scanning: {error}"))
}

pub(super) fn summaries(store: &Store) -> Result<Vec<LogSummary>, String> {
    store.recover().map_err(|error| format!("recover: {error}"))
}

pub(super) fn close(store: Store) -> Check {
    store.close().map_err(|error| format!("closing failed: {error}"))
}

pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Check {
    ensure!(found == expected, "{what}: {found:?} was found, {expected:?} is expected");
    Ok(())
}
