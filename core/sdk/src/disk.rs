// SPDX-License-Identifier: Apache-2.0
//! A directory of files, as a store that keeps files sees it.
//!
//! Stores reach their medium through this trait alone, so that the same store runs on a real directory and on a
//! simulated one that loses power. The trait knows no format and keeps no policy: every call is one operation of
//! the operating system, in the order in which it was made.

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// A file of a [`Disk`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length in bytes.
    pub len_bytes: u64,
}

/// Why a lock was not given.
#[derive(Debug)]
pub enum LockError {
    /// Another opener has it; the text says what is known of the holder (its process id, usually).
    Held(String),
    /// The lock could not be tried.
    Io(io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockError::Held(by) => write!(f, "held by {by}"),
            LockError::Io(error) => write!(f, "{error}"),
        }
    }
}

/// One flat directory of files.
///
/// Nothing is durable by itself: file contents are after [`DiskFile::sync_data`], names (of files created, renamed
/// or removed) after [`Disk::sync_dir`].
pub trait Disk: Send + Sync {
    /// The files that are there, in no particular order. Directories are left out.
    fn list(&self) -> io::Result<Vec<DiskEntry>>;
    /// Makes a file for reading and writing; fails when the name exists.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file for reading only.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, replacing the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file's name. Open files stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes the names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Takes the lock `name`, held until the answer is dropped. `holder` is what another opener is told.
    fn lock(&self, name: &str, holder: &str) -> Result<Box<dyn DiskLock>, LockError>;
    /// Bytes that may still be written to the medium; `u64::MAX`: unknown.
    fn free_bytes(&self) -> io::Result<u64>;
    /// What to call this directory in a message to the operator.
    fn describe(&self) -> String;
}

/// A file of a [`Disk`].
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    fn len_bytes(&self) -> io::Result<u64>;
    /// Reads up to `into.len()` bytes at `offset`; fewer only at the end of the file.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all pieces, one after the other, at `offset`.
    fn write_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes what was written durable. After a failure the contents are unknown, and trying again proves nothing.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes durable what a process before this one may have written, and forgets what is cached, so that reads give
    /// what the medium has. After a sync that failed the system's cache shows bytes that the medium never got.
    fn settle(&self) -> io::Result<()>;
    /// Says that these bytes will be read soon. Only a hint.
    fn will_need(&self, _offset: u64, _len_bytes: u64) {}
}

/// A lock that is held.
pub trait DiskLock: Send + Sync {
    /// Fails when the lock does not keep others out any more, because its file was removed or replaced.
    fn check(&self) -> io::Result<()>;
}
