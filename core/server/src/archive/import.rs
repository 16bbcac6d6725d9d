// SPDX-License-Identifier: Apache-2.0
//! Frames into a store. A mark says that it has not finished, and goes with the last batch: half a store is never taken
//! for a whole one.

use super::frame::{FrameError, Item, Reader, Totals};
use super::{MARK, MARKS, each_key, is_empty};
use bytes::Bytes;
use sabir_host::Store;
use sabir_model::store::{Batch, FORGET, Level, LogId, Op};
use std::io::Read;

/// A batch is handed over with so many operations, or bytes of records.
const BATCH_OPS: usize = 4_096;
const BATCH_BYTES: usize = 4 << 20;
/// And made durable after so many bytes.
const SYNC_BYTES: usize = 64 << 20;

/// Why a store could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store does not take it.
    #[error("{0}")]
    Store(#[from] sabir_host::Error),
    /// The file cannot be read.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The store holds something.
    #[error("the store is not empty: give another one, or say --replace to lose what it holds")]
    NotEmpty,
    /// An entry comes before any log.
    #[error("the file has an entry that belongs to no log")]
    NoLog,
}

/// Whether an import into the store, of a file or of what another broker has stored, has begun and not finished.
pub fn is_unfinished(store: &Store) -> sabir_host::Result<bool> {
    Ok(!store.scan(MARKS[0], MARKS[1], 1)?.is_empty())
}

struct Import<'a> {
    store: &'a Store,
    batch: Batch,
    bytes: usize,
    unsynced: usize,
    /// The log at hand: its number, and the highest it ever had; and one more than its highest entry.
    log: Option<(LogId, u64, u64)>,
}

/// Puts all that a file holds into a store, which must be empty unless `replace` says that what is in it may go. `progress` is
/// told how many bytes of the file were read.
pub fn import(
    store: &Store,
    from: impl Read,
    replace: bool,
    progress: &mut dyn FnMut(u64),
) -> Result<Totals, ImportError> {
    let mut reader = Reader::new(from)?;
    let mut import = Import { store, batch: Batch::default(), bytes: 0, unsynced: 0, log: None };
    if !is_empty(store)? {
        if !replace {
            return Err(ImportError::NotEmpty);
        }
        import.clear()?;
    }
    import.add(Op::Put { key: Bytes::from_static(MARK), value: Bytes::new() }, 0)?;
    import.flush(true)?;
    while let Some(item) = reader.next_item()? {
        import.item(item)?;
        progress(reader.position());
    }
    import.end_log()?;
    // Everything must be there before the mark goes.
    import.flush(true)?;
    import.add(Op::Delete { key: Bytes::from_static(MARK) }, 0)?;
    import.flush(true)?;
    Ok(reader.totals())
}

impl Import<'_> {
    /// Removes what the store holds. The mark stands first, so that nothing is lost halfway without a word.
    fn clear(&mut self) -> Result<(), ImportError> {
        let logs = self.store.recover()?;
        let mut keys = Vec::new();
        each_key::<ImportError>(self.store, &mut |key, _| {
            keys.push(Bytes::copy_from_slice(key));
            Ok(())
        })?;
        self.add(Op::Put { key: Bytes::from_static(MARK), value: Bytes::new() }, 0)?;
        self.flush(true)?;
        for log in logs {
            self.add(Op::Trim { log: log.log, before: FORGET }, 0)?;
        }
        for key in keys.into_iter().filter(|key| key != MARK) {
            self.add(Op::Delete { key }, 0)?;
        }
        self.flush(true)
    }

    fn item(&mut self, item: Item) -> Result<(), ImportError> {
        match item {
            Item::Log { log, next_seq } => {
                self.end_log()?;
                self.log = Some((log, next_seq, 0));
            }
            Item::Entry { seq, span, format, label, record } => {
                let (log, _, next) = self.log.as_mut().ok_or(ImportError::NoLog)?;
                *next = seq.saturating_add(span);
                let bytes = record.len() + label.len();
                let log = *log;
                self.add(
                    Op::Append { log, seq, span, format, label, record: [record, Bytes::new()] },
                    bytes,
                )?;
            }
            Item::Link { seq, span, from_log, from_seq, label } => {
                let (log, _, next) = self.log.as_mut().ok_or(ImportError::NoLog)?;
                *next = seq.saturating_add(span);
                let (log, bytes) = (*log, label.len());
                self.add(Op::Link { log, seq, from_log, from_seq, label }, bytes)?;
            }
            Item::Key { key, value } => {
                self.end_log()?;
                let bytes = key.len() + value.len();
                self.add(Op::Put { key, value }, bytes)?;
            }
        }
        Ok(())
    }

    /// Numbers of a log are never given twice, also those of entries that have gone.
    fn end_log(&mut self) -> Result<(), ImportError> {
        let Some((log, next_seq, next)) = self.log.take() else { return Ok(()) };
        let Some(last) = next_seq.checked_sub(1).filter(|last| *last >= next) else { return Ok(()) };
        let (label, record) = (Bytes::new(), [Bytes::new(), Bytes::new()]);
        self.add(Op::Append { log, seq: last, span: 1, format: 0, label, record }, 0)?;
        self.add(Op::Remove { log, first: last, last }, 0)
    }

    fn add(&mut self, op: Op, bytes: usize) -> Result<(), ImportError> {
        self.batch.ops.push(op);
        self.bytes += bytes;
        // The two operations that end a log go together.
        let ends = matches!(self.batch.ops.last(), Some(Op::Append { record, .. }) if record[0].is_empty());
        if !ends && (self.batch.ops.len() >= BATCH_OPS || self.bytes >= BATCH_BYTES) {
            self.flush(false)?;
        }
        Ok(())
    }

    fn flush(&mut self, durable: bool) -> Result<(), ImportError> {
        self.unsynced += self.bytes;
        let sync = durable || self.unsynced >= SYNC_BYTES;
        if !self.batch.is_empty() {
            self.batch.level = if sync { Level::Durable } else { Level::Written };
            let ticket = self.store.submit(&self.batch)?;
            self.batch.clear();
            self.bytes = 0;
            if sync {
                self.store.sync(ticket)?;
                self.unsynced = 0;
            }
        }
        Ok(())
    }
}
