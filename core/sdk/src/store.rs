// SPDX-License-Identifier: Apache-2.0
//! Stores: logs, sequence numbers, batches, keys. They know nothing of consumers, acknowledgements or topics.
//!
//! The meaning of logs, entries, records, links, labels and keys, and the promises (atomic, ordered, durable, a
//! failed write or sync is final), are those of the contract: see the store part of `sabir-abi`.

use crate::{Error, Host, Result};
pub use sabir_boundary::batch::{BatchOps, OpRef, Ops, Pieces};
pub use sabir_boundary::{Maintenance, Stats};
pub use sabir_model::store::{Batch, Level, LogId, LogRange, LogSummary, Op, Read, Record, TEMPORARY, Want};
use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

/// Where a file has the record of an entry: what [`Store::region`] answers.
pub struct Region {
    /// The file. The bytes of the record stay in it, where they are, until this is dropped, whatever happens to the entry
    /// meanwhile.
    pub file: Box<dyn AsFd + Send + Sync>,
    /// Where in the file the record begins.
    pub offset: u64,
    /// Length of the record in bytes.
    pub len_bytes: u64,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_fd();
        f.debug_struct("Region").field("file", &file).field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// A kind of store: an instance is one store. `submit` and `sync` are called from one thread at a time, the others
/// from any thread at any time. All of them may block.
pub trait Store: Send + Sync + Sized + 'static {
    /// The name in the configuration: `[a-z][a-z0-9-]*`, at most 32 bytes.
    const NAME: &'static str;
    /// `sabir_abi::SABIR_CAP_STORE_*`. What is said here is called: see the functions that name a capability.
    const CAPABILITIES: u64;
    /// `sabir_abi::SABIR_CAP_HOST_*` that it cannot do without.
    const REQUIRED_HOST_CAPABILITIES: u64 = 0;
    /// JSON Schema of the configuration; empty: it has none.
    const CONFIG_SCHEMA: &'static str = "";

    /// Opens the store, recovering from an unclean end. [`ErrorCode::Locked`](crate::ErrorCode::Locked) when another
    /// process has it.
    fn open(host: Host, config: &str) -> Result<Self>;

    /// Shows the summary of every log. Called before the first `submit`. An error of `visit` is passed on.
    fn recover(&self, visit: &mut dyn FnMut(&LogSummary) -> Result<()>) -> Result<()>;

    /// Takes a batch; answers its ticket: 1 for the first batch after `open`, growing. The batch is visible to
    /// `read` and `scan` when this returns.
    fn submit(&self, ops: Ops<'_>, level: Level) -> Result<u64>;

    /// Returns when all batches up to `ticket` are durable by the store's configured meaning; answers the highest
    /// ticket that is.
    fn sync(&self, ticket: u64) -> Result<u64>;

    /// Shows entries in order while `visit` answers true. An entry whose record is damaged is
    /// [`ErrorCode::Corrupt`](crate::ErrorCode::Corrupt) after those before it were shown.
    fn read(&self, what: &Read, visit: &mut dyn FnMut(Record) -> bool) -> Result<()>;

    /// Shows the keys from `from` (inclusive) to `to` (exclusive; empty: no end) with their values in byte order, at
    /// most `limit` (0: no bound), while `visit` answers true. `visit` must not call the store.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        limit: u64,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()>;

    /// Figures.
    fn stats(&self) -> Stats;

    /// Becomes the store's only writer: answers the new epoch, which is larger than every one before it, or nothing
    /// while another is the writer (the host asks again). Only with `SABIR_CAP_STORE_LOCK`.
    fn lock_acquire(&self) -> Result<Option<u64>> {
        Err(Error::unsupported("locking this store"))
    }

    /// Shows that this process is still alive. [`ErrorCode::Locked`](crate::ErrorCode::Locked): it has lost the store,
    /// and must stop at once. Only with `SABIR_CAP_STORE_LOCK`.
    fn lock_keep(&self) -> Result<()> {
        Err(Error::unsupported("locking this store"))
    }

    /// Finds the file that holds the record of an entry, and keeps it there until the answer is dropped.
    /// [`ErrorCode::NotFound`](crate::ErrorCode::NotFound) when there is no such entry. Only with
    /// `SABIR_CAP_STORE_REGION`.
    fn region(&self, log: LogId, seq: u64) -> Result<Region> {
        let _ = (log, seq);
        Err(Error::unsupported("regions of files with this store"))
    }

    /// Writes a consistent copy into the directory `path`, while the store goes on. Only with
    /// `SABIR_CAP_STORE_BACKUP`.
    fn backup(&self, path: &Path) -> Result<()> {
        let _ = path;
        Err(Error::unsupported("copying this store"))
    }

    /// Looks after a store that is not open; `config` is what [`open`](Store::open) takes, `options` a JSON object or
    /// empty. Answers a report, as JSON: see `docs/plugin-abi.md`. [`ErrorCode::Locked`](crate::ErrorCode::Locked) while
    /// anybody has the store. `progress` is told what is being done, how much of it is done, and how much there is (0:
    /// unknown); false from it: stop as soon as that leaves nothing half done. Only with `SABIR_CAP_STORE_MAINTAIN`.
    fn maintain(
        host: Host,
        config: &str,
        verb: Maintenance,
        options: &str,
        progress: &mut dyn FnMut(&str, u64, u64) -> bool,
    ) -> Result<String> {
        let _ = (host, config, verb, options, progress);
        Err(Error::unsupported("looking after this store"))
    }

    /// Makes everything submitted durable, and ends the store's threads. The store is gone whatever it answers.
    fn close(self) -> Result<()>;
}
