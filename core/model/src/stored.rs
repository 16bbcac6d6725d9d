// SPDX-License-Identifier: Apache-2.0
//! Bodies that are too long to be held in memory: they lie in the store, as pieces in a log of their own.
//!
//! Whoever holds a [`StoredBody`] may read its pieces. The engine, which has made it, learns from [`Returns`] when the
//! last holder has let go, and has the store forget the log then. Nothing here reads or writes.

use crate::store::LogId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A body in the store: the entries of its log, in order, are its pieces.
#[derive(Debug)]
pub struct StoredBody {
    at: StoredAt,
    /// The last batch with operations of which this body's log must not get ahead.
    mark: AtomicU64,
    returns: Returns,
}

/// Where a body lies, as records and keys say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredAt {
    /// The log that holds its pieces and nothing else.
    pub log: LogId,
    /// Bytes in all.
    pub len: u64,
}

/// Length of the written form of a [`StoredAt`].
pub const STORED_AT_BYTES: usize = 16;

impl StoredAt {
    /// The written form: `{u64 log, u64 length}`, little-endian.
    pub fn encode(self) -> [u8; STORED_AT_BYTES] {
        let mut bytes = [0; STORED_AT_BYTES];
        bytes[..8].copy_from_slice(&self.log.to_le_bytes());
        bytes[8..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// From its written form, which has exactly this length.
    pub fn decode(bytes: &[u8]) -> Option<StoredAt> {
        let (log, len) = bytes.split_at_checked(8)?;
        Some(StoredAt {
            log: u64::from_le_bytes(log.try_into().ok()?),
            len: u64::from_le_bytes(len.try_into().ok()?),
        })
    }
}

/// A log that nobody holds any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenBack {
    /// The log.
    pub log: LogId,
    /// See [`StoredBody::touch`].
    pub mark: u64,
}

/// Where bodies go whose last holder has let go. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Returns(Arc<Mutex<Vec<GivenBack>>>);

impl Returns {
    /// Takes out what has come back.
    pub fn take(&self, into: &mut Vec<GivenBack>) {
        into.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn push(&self, one: GivenBack) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

impl StoredBody {
    /// A body that lies there; when its last holder lets go, `returns` is told.
    pub fn new(at: StoredAt, mark: u64, returns: &Returns) -> StoredBody {
        StoredBody { at, mark: AtomicU64::new(mark), returns: returns.clone() }
    }

    /// Where it lies.
    pub fn at(&self) -> StoredAt {
        self.at
    }

    /// Notes that the batch with this number has operations, of entries with this body, that must come before the end of
    /// its log.
    pub fn touch(&self, mark: u64) {
        self.mark.fetch_max(mark, Ordering::Relaxed);
    }
}

impl Drop for StoredBody {
    fn drop(&mut self) {
        self.returns.push(GivenBack { log: self.at.log, mark: self.mark.load(Ordering::Relaxed) });
    }
}

impl PartialEq for StoredBody {
    fn eq(&self, other: &StoredBody) -> bool {
        self.at == other.at
    }
}

impl Eq for StoredBody {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_when_its_last_holder_lets_go_with_the_latest_mark() {
        let (returns, mut back) = (Returns::default(), Vec::new());
        let first = Arc::new(StoredBody::new(StoredAt { log: 7, len: 9 }, 3, &returns));
        let second = first.clone();
        second.touch(5);
        second.touch(4);
        drop(first);
        returns.take(&mut back);
        assert_eq!(back, []);
        drop(second);
        returns.take(&mut back);
        assert_eq!(back, [GivenBack { log: 7, mark: 5 }]);
    }

    #[test]
    fn a_place_is_read_back_as_it_was_written() {
        let at = StoredAt { log: 3 << 60 | 5, len: 100 << 20 };
        assert_eq!(StoredAt::decode(&at.encode()), Some(at));
        assert_eq!(StoredAt::decode(&at.encode()[1..]), None);
        assert_eq!(StoredAt::decode(&[0; 17]), None);
    }
}
