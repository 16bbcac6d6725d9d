// SPDX-License-Identifier: Apache-2.0
//! What the writer, the readers and the keeper of one journal share.
//!
//! Locks are taken in this order: the keeping, the writer, the state. The state is held for memory work alone, never during
//! a call to the disk.

use crate::config::Options;
use crate::files::{DataFile, Identity, Supply};
use crate::index::Index;
use crate::keeper::Keeping;
use crate::seeded::seeded;
use crate::walk::Walks;
use crate::writer::Writer;
use sabir_sdk::disk::{Disk, DiskLock};
use sabir_sdk::{Error, ErrorCode, Host, Result};
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The two sorts of logs: which files their batches go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// They survive.
    Lasting = 0,
    /// They are forgotten when the store is opened.
    Temporary = 1,
}

impl Class {
    /// The sort of a log.
    pub fn of(log: u64) -> Class {
        if log & sabir_model::store::TEMPORARY == 0 { Class::Lasting } else { Class::Temporary }
    }
}

/// The end of the newest file of a class: what was submitted and may not be in the file yet.
#[derive(Default)]
pub struct Tail {
    /// The file.
    pub file: Option<Arc<DataFile>>,
    /// Where in the file `pending` begins.
    pub start: u64,
    /// Batches that wait.
    pub pending: Vec<u8>,
    /// What is being written, and where it begins.
    pub writing: Option<(u64, Arc<Vec<u8>>)>,
}

impl Tail {
    /// Where the next batch begins.
    pub fn end(&self) -> u64 {
        self.start + self.pending.len() as u64
    }
}

/// What readers see.
#[derive(Default)]
pub struct State {
    /// Which entries and keys exist.
    pub index: Index,
    /// The files that have batches, by number.
    pub files: BTreeMap<u32, Arc<DataFile>>,
    /// By class.
    pub tails: [Tail; 2],
}

impl State {
    /// The lasting files in which nothing lives, of those that a checkpoint which begins in file `before` makes
    /// needless.
    pub fn dead_files(&self, before: u32) -> impl Iterator<Item = u32> + '_ {
        let current = self.tails[Class::Lasting as usize].file.as_ref().map_or(0, |file| file.number);
        let log_ends = before.min(current);
        let mine = self.files.iter().filter(move |(number, file)| {
            // Files with moved entries are read for what lives in them alone, and the one being written is in use.
            !file.temporary && if file.moved { Arc::strong_count(file) == 1 } else { **number < log_ends }
        });
        mine.map(|(number, _)| *number).filter(|number| self.index.is_free(*number))
    }
}

/// Figures that only grow.
#[derive(Default)]
pub struct Counters {
    /// Syncs of data files.
    pub syncs: AtomicU64,
    /// Bytes written to data files.
    pub written_bytes: AtomicU64,
}

/// What the keeper's thread is told.
#[derive(Default)]
pub struct Orders {
    /// End.
    pub stop: bool,
    /// Something may be due.
    pub look: bool,
}

/// One journal.
pub struct Shared {
    /// Who is told of what goes wrong.
    pub host: Host,
    /// The medium.
    pub disk: Arc<dyn Disk>,
    /// The settings.
    pub options: Options,
    /// Who writes.
    pub identity: Identity,
    /// Files to come.
    pub supply: Supply,
    /// What only one may do at a time.
    pub writer: Mutex<Writer>,
    /// What readers see.
    pub state: RwLock<State>,
    /// Why the journal has stopped for good.
    pub failed: OnceLock<String>,
    /// For the keeper.
    pub orders: Mutex<Orders>,
    /// Wakes the keeper.
    pub wake: Condvar,
    /// What the keeper remembers.
    pub keeping: Mutex<Keeping>,
    /// Whether room is short, so that a checkpoint should free files.
    pub short: AtomicBool,
    /// Whether a file of the reserve was taken since the last checkpoint.
    pub reserve_used: AtomicBool,
    /// About the size of a checkpoint in bytes.
    pub state_bytes: AtomicU64,
    /// Where reads of long batches may go on.
    pub walks: Walks,
    /// Figures.
    pub counters: Counters,
    /// Keeps others out.
    pub lock: Box<dyn DiskLock>,
}

impl Shared {
    /// What readers see, to look at.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What readers see, to change.
    pub fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers the error with which the journal has stopped, if it has.
    pub fn check(&self) -> Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(_) if seeded("goes on after a failure") => Ok(()),
            Some(text) => Err(Error::new(ErrorCode::Io, text.clone())),
        }
    }

    /// Stops the journal for good: after a write or sync that failed nobody knows what the medium holds, and trying
    /// again can succeed without having written.
    pub fn fail(&self, what: &str, error: &io::Error) -> Error {
        let at = self.disk.describe();
        let text = format!(
            "the journal in {at} has stopped: {what} failed: {error}; restart to recover from what is on disk"
        );
        let text = self.failed.get_or_init(|| {
            crate::say::error(&self.host, &text);
            text
        });
        Error::new(ErrorCode::Io, text.clone())
    }

    /// Wakes the keeper.
    pub fn poke(&self) {
        crate::files::locked(&self.orders).look = true;
        self.wake.notify_one();
    }

    /// Reads from a file of the journal, or from memory what is not there yet.
    pub fn fill(&self, file: &DataFile, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut from_disk = into.len();
        {
            let state = self.state();
            let tail =
                state.tails.iter().find(|tail| tail.file.as_ref().is_some_and(|f| f.number == file.number));
            if let Some(tail) = tail {
                if let Some((start, bytes)) = &tail.writing {
                    from_disk = from_disk.min(overlay(into, offset, bytes, *start));
                }
                from_disk = from_disk.min(overlay(into, offset, &tail.pending, tail.start));
            }
        }
        let Some(wanted) = into.get_mut(..from_disk).filter(|wanted| !wanted.is_empty()) else {
            return Ok(());
        };
        let len = wanted.len();
        match file.handle.read_at(wanted, offset)? {
            read if read == len => Ok(()),
            read => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{} ends {} bytes before it should", file.name, len - read),
            )),
        }
    }
}

// Copies what of `memory`, which begins at `start`, belongs into `into`, which begins at `offset`. Answers how many
// bytes of `into` come before.
fn overlay(into: &mut [u8], offset: u64, memory: &[u8], start: u64) -> usize {
    let end = offset + into.len() as u64;
    if memory.is_empty() || end <= start || start + memory.len() as u64 <= offset {
        return into.len();
    }
    let skip = start.saturating_sub(offset) as usize;
    let from = offset.saturating_sub(start) as usize;
    let len = (into.len() - skip).min(memory.len() - from);
    if let (Some(to), Some(from)) = (into.get_mut(skip..skip + len), memory.get(from..from + len)) {
        to.copy_from_slice(from);
    }
    skip
}
