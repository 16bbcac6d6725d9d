// SPDX-License-Identifier: Apache-2.0
//! The real disk: a directory of the operating system. The only module that calls it.

use rustix::fs::{Advice, FlockOperation, OFlags};
use rustix::io::Errno;
use sabir_sdk::disk::{Disk, DiskEntry, DiskFile, DiskLock, LockError};
use std::fs::{self, File};
use std::io::{self, IoSlice, Read as _, Write as _};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory.
pub struct Directory {
    path: PathBuf,
    // Held open: names are synced through it, and it is locked itself, because a lock file can be removed.
    handle: File,
}

impl Directory {
    /// Opens a directory, and makes it if it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        make(path)?;
        Ok(Directory { path: path.to_owned(), handle: File::open(path)? })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<DiskEntry>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push(DiskEntry { name, len_bytes: meta.len() });
        }
        Ok(found)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).create_new(true).open(self.at(name))?;
        Ok(Arc::new(OpenFile { file }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenFile { file: File::open(self.at(name))? }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.at(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn lock(&self, name: &str, holder: &str) -> Result<Box<dyn DiskLock>, LockError> {
        let path = self.at(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file: OwnedFd = rustix::fs::open(&path, flags, rustix::fs::Mode::from_raw_mode(0o644))
            .map_err(|error| LockError::Io(error.into()))?;
        let mut file = File::from(file);
        let try_lock = |file: &File| match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(LockError::Io(error.into())),
        };
        // A file system that cannot lock directories still locks files.
        let directory = try_lock(&self.handle).unwrap_or(true);
        if !directory || !try_lock(&file)? {
            let mut by = String::new();
            let _ = (&mut file).take(200).read_to_string(&mut by);
            let by = if by.trim().is_empty() { "an unknown process" } else { by.trim() };
            return Err(LockError::Held(by.to_owned()));
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.write_all(holder.as_bytes())
        };
        write(&mut file).map_err(LockError::Io)?;
        let directory = self.handle.try_clone().map_err(LockError::Io)?;
        Ok(Box::new(HeldLock { path, file, _directory: directory }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}

// Makes a directory and those above it. Each is on the medium once the one that names it was synced.
fn make(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new(""));
    make(parent)?;
    fs::create_dir(path)?;
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    File::open(parent)?.sync_all()
}

struct HeldLock {
    path: PathBuf,
    file: File,
    // The lock on the directory goes with the last handle of its open file.
    _directory: File,
}

impl DiskLock for HeldLock {
    fn check(&self) -> io::Result<()> {
        let (held, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
        if (held.dev(), held.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        Err(io::Error::other("another file stands in its place"))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // The directory's handle may outlive the lock: the lock must not.
        let _ = rustix::fs::flock(&self._directory, FlockOperation::Unlock);
    }
}

struct OpenFile {
    file: File,
}

impl DiskFile for OpenFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            match self.file.read_at(&mut into[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // The kernel takes no more pieces in one call.
        const MOST: usize = 1024;
        for group in pieces.chunks(MOST) {
            let mut rest: Vec<IoSlice<'_>> = group.to_vec();
            let mut rest: &mut [IoSlice<'_>] = &mut rest;
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.file, rest, offset) {
                    Ok(0) if rest.iter().all(|piece| piece.is_empty()) => break,
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => {
                        offset += written as u64;
                        IoSlice::advance_slices(&mut rest, written);
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn settle(&self) -> io::Result<()> {
        self.file.sync_data()?;
        // The cache is clean now, whatever became of its pages earlier: what stays of it is a lie or can be read again.
        rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed)?;
        Ok(())
    }

    fn will_need(&self, offset: u64, len_bytes: u64) {
        // Only a hint: where it fails, reading is slower.
        let _ = rustix::fs::fadvise(&self.file, offset, NonZeroU64::new(len_bytes), Advice::WillNeed);
    }
}
