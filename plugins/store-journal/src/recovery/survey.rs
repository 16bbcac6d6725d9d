// SPDX-License-Identifier: Apache-2.0
//! What is in a journal's directory, and whether it belongs together.

use super::corrupt;
use crate::files::{DataFile, Identity};
use crate::format::StoreId;
use crate::format::file::{self, FileHeader, HEADER_LEN, HeaderError, POINTER, Role};
use crate::format::pointer::{self, Pointer};
use crate::index::Index;
use crate::seeded::seeded;
use sabir_sdk::disk::{Disk, DiskEntry};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

/// A data file: readable, or why not.
type Found = std::result::Result<Arc<DataFile>, String>;

/// What is in the directory.
pub struct Survey {
    /// The store.
    pub store: StoreId,
    /// The highest epoch that left a trace.
    pub epoch: u64,
    /// One more than the highest number of a file.
    pub next_number: u32,
    /// Where the last checkpoint is, if that can be read.
    pub pointer: Option<Pointer>,
    /// Data files by number, with their names.
    pub files: BTreeMap<u32, (String, Found)>,
    /// Where epochs ended.
    pub seals: BTreeMap<u64, u64>,
    /// What is unusual.
    pub notes: Vec<String>,
    /// What is damaged and was mended.
    pub mended: Vec<String>,
    // Files that nobody needs.
    leftovers: Vec<String>,
}

impl Survey {
    /// Looks at every name, and at the header of every data file.
    pub fn of(disk: &dyn Disk) -> Result<Self> {
        let list = disk.list().map_err(|error| failed(disk, "its directory", &error))?;
        let mut survey = Survey {
            store: StoreId::default(),
            epoch: 0,
            next_number: 1,
            pointer: None,
            files: BTreeMap::new(),
            seals: BTreeMap::new(),
            notes: Vec::new(),
            mended: Vec::new(),
            leftovers: Vec::new(),
        };
        let mut strangers = Vec::new();
        let mut headers = Vec::new();
        for entry in &list {
            match Role::of(&entry.name) {
                None if entry.name.starts_with('.') || entry.name.starts_with(file::ASIDE) => {}
                None => strangers.push(entry.name.as_str()),
                Some(Role::Fixed) => survey.fixed(disk, entry)?,
                Some(role) => headers.extend(survey.numbered(disk, entry, role)?),
            }
        }
        survey.check_strangers(disk, &strangers)?;
        survey.check_store(disk, &headers)?;
        for seal in headers.iter().flat_map(|header| &header.seals) {
            let end = survey.seals.entry(seal.epoch).or_insert(seal.last_batch);
            *end = (*end).min(seal.last_batch);
        }
        Ok(survey)
    }

    fn fixed(&mut self, disk: &dyn Disk, entry: &DiskEntry) -> Result<()> {
        if entry.name != POINTER {
            if entry.name == file::POINTER_NEW {
                self.leftovers.push(entry.name.clone());
            }
            return Ok(());
        }
        let bytes = read(disk, &entry.name, pointer::LEN as u64 + 1)?;
        match Pointer::decode(&bytes) {
            Ok((pointer, whole)) => {
                if !whole {
                    self.mended.push(format!("one of the two copies in {} is damaged", entry.name));
                }
                self.epoch = self.epoch.max(pointer.epoch);
                self.next_number = self.next_number.max(pointer.begin_file + 1);
                self.pointer = Some(pointer);
            }
            Err(HeaderError::Version(version)) => return other_version(disk, &entry.name, version),
            Err(_) => self.notes.push(format!(
                "{} in {} is damaged: the checkpoint is searched for in the log",
                entry.name,
                disk.describe()
            )),
        }
        Ok(())
    }

    fn numbered(&mut self, disk: &dyn Disk, entry: &DiskEntry, role: Role) -> Result<Option<FileHeader>> {
        let numbers = entry.name.get(entry.name.len() - 29..entry.name.len() - 4).unwrap_or_default();
        if let Some(Role::Data { epoch, file }) = Role::of(&format!("data-{numbers}.sjl")) {
            self.epoch = self.epoch.max(epoch);
            self.next_number = self.next_number.max(file.saturating_add(1));
        }
        let Role::Data { epoch, file } = role else {
            self.leftovers.push(entry.name.clone());
            return Ok(None);
        };
        let bytes = read(disk, &entry.name, HEADER_LEN)?;
        let (found, header) = match FileHeader::decode(&bytes) {
            Ok((header, whole)) if (header.epoch, header.file) == (epoch, file) => {
                if !whole {
                    self.mended.push(format!("one of the two headers of {} is damaged", entry.name));
                }
                let handle = disk.open(&entry.name).map_err(|error| failed(disk, &entry.name, &error))?;
                let moved = header.flags & file::FLAG_MOVED != 0;
                if entry.len_bytes < header.size_bytes && !moved {
                    self.notes.push(format!(
                        "{} in {} was cut from {} to {} bytes",
                        entry.name,
                        disk.describe(),
                        header.size_bytes,
                        entry.len_bytes
                    ));
                }
                let of = Identity { store: header.store, epoch, seals: Vec::new() };
                let data = DataFile::of_log(&of, file, header.size_bytes, entry.name.clone(), handle);
                let data = DataFile { moved, grown: entry.len_bytes.into(), ..data };
                (Ok(Arc::new(data)), Some(header))
            }
            Ok(_) => (Err("its header is another file's".to_owned()), None),
            Err(HeaderError::Version(version)) => return other_version(disk, &entry.name, version),
            Err(HeaderError::NotAJournal) => {
                (Err("it does not begin as a journal's file does".to_owned()), None)
            }
            Err(HeaderError::Damaged) => (Err("its header is damaged".to_owned()), None),
        };
        if self.files.insert(file, (entry.name.clone(), found)).is_some() {
            return corrupt(format!("two files in {} have the number of {}", disk.describe(), entry.name));
        }
        Ok(header)
    }

    // A directory that is somebody else's is not to be filled with files.
    fn check_strangers(&mut self, disk: &dyn Disk, strangers: &[&str]) -> Result<()> {
        let Some(first) = strangers.first() else {
            return Ok(());
        };
        let at = disk.describe();
        if self.files.is_empty() && self.pointer.is_none() {
            return Err(Error::new(
                ErrorCode::Config,
                format!(
                    "{at} is no journal and not empty (it has {first:?}): give the journal a directory of its own"
                ),
            ));
        }
        self.notes.push(format!("{at} has files that are none of the journal's, {first:?} among them"));
        Ok(())
    }

    fn check_store(&mut self, disk: &dyn Disk, headers: &[FileHeader]) -> Result<()> {
        let stores =
            headers.iter().map(|header| header.store).chain(self.pointer.map(|pointer| pointer.store));
        let mut stores: Vec<StoreId> = stores.collect();
        stores.sort_unstable();
        stores.dedup();
        match stores.as_slice() {
            [] => self.store = new_store(),
            [store] => self.store = *store,
            _ => {
                return corrupt(format!(
                    "the files in {} belong to different stores: files were mixed by copying; put each store's into a directory of its own",
                    disk.describe()
                ));
            }
        }
        Ok(())
    }

    /// The data files with batches of the log that can be read, in order.
    pub fn good_files(&self) -> impl DoubleEndedIterator<Item = Arc<DataFile>> + '_ {
        let good = self.files.values().filter_map(|(_, found)| found.as_ref().ok().cloned());
        good.filter(|file| !file.moved)
    }

    /// All data files that can be read, also those with moved entries.
    pub fn all_good(&self) -> impl Iterator<Item = Arc<DataFile>> + '_ {
        self.files.values().filter_map(|(_, found)| found.as_ref().ok().cloned())
    }

    /// A data file, if it can be read.
    pub fn good(&self, number: u32) -> Option<Arc<DataFile>> {
        self.files.get(&number).and_then(|(_, found)| found.as_ref().ok().cloned())
    }

    /// The data files that cannot be read, with the reason.
    pub fn bad_names(&self) -> Vec<String> {
        let bad = self
            .files
            .values()
            .filter_map(|(name, found)| Some(format!("{name}: {}", found.as_ref().err()?)));
        bad.collect()
    }

    /// The data files that cannot be read, and why.
    pub fn bad(&self) -> impl Iterator<Item = (&str, &str)> + '_ {
        self.files.values().filter_map(|(name, found)| Some((name.as_str(), found.as_ref().err()?.as_str())))
    }

    /// The last batch of an epoch that counts.
    pub fn limit(&self, epoch: u64) -> u64 {
        if seeded("batches beyond the seal count") {
            return u64::MAX;
        }
        // An epoch whose own end is not known any more did not outlast its successors.
        self.seals.range(epoch..).map(|(_, last)| *last).min().unwrap_or(u64::MAX)
    }

    /// Refuses when a file is missing that has something live.
    pub fn check_pins(&self, index: &Index) -> Result<()> {
        let mut missing: Vec<(u32, u64)> =
            index.pins().filter(|(file, _)| self.good(*file).is_none()).collect();
        missing.sort_unstable();
        let Some((file, pins)) = missing.first() else {
            return Ok(());
        };
        let what = match self.files.get(file) {
            Some((name, Err(why))) => format!("{name} cannot be used: {why}"),
            _ => format!("data file number {file:08x} is missing"),
        };
        corrupt(format!(
            "{what}; it holds {pins} entries that are still needed: put it back from a copy, or go on without them with `sabir store repair --accept-loss`; nothing was changed"
        ))
    }

    /// Refuses when a file cannot be read that belongs to the log from where it was replayed: its header was on the
    /// medium before it had its name, so it was damaged since, and nothing else may tell of the batches in it.
    pub fn check_unreadable(&self, disk: &dyn Disk, begin: u32) -> Result<()> {
        if seeded("unreadable file passed over") {
            return Ok(());
        }
        let mut files = self.files.range(begin..);
        let Some((name, why)) = files.find_map(|(_, (name, found))| Some((name, found.as_ref().err()?)))
        else {
            return Ok(());
        };
        corrupt(format!(
            "{name} in {} cannot be used: {why}; it may hold what was stored last: put it back from a copy; nothing was changed",
            disk.describe()
        ))
    }

    /// Removes the files that nobody needs; answers the others.
    pub fn keep(
        &self,
        disk: &dyn Disk,
        needed: impl Fn(&DataFile) -> bool,
        notes: &mut Vec<String>,
    ) -> Result<BTreeMap<u32, Arc<DataFile>>> {
        let mut kept = BTreeMap::new();
        let mut unneeded: Vec<&str> = self.leftovers.iter().map(String::as_str).collect();
        for (number, (name, found)) in &self.files {
            match found {
                Ok(file) if needed(file) => {
                    kept.insert(*number, file.clone());
                }
                _ => unneeded.push(name),
            }
        }
        for name in unneeded {
            disk.remove(name).map_err(|error| failed(disk, name, &error))?;
        }
        notes.truncate(100);
        Ok(kept)
    }
}

fn failed(disk: &dyn Disk, name: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorCode::Denied,
        _ => ErrorCode::Io,
    };
    Error::new(code, format!("the journal in {}: {name}: {error}", disk.describe()))
}

fn read(disk: &dyn Disk, name: &str, most: u64) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = vec![0; most as usize];
        let len = disk.open(name)?.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        Ok(bytes)
    };
    read().map_err(|error: io::Error| failed(disk, name, &error))
}

fn other_version<T>(disk: &dyn Disk, name: &str, version: u32) -> Result<T> {
    let ours = crate::format::VERSION;
    corrupt(format!(
        "{name} in {} was written in version {version} of the journal's format, and this program reads version {ours}: use the program that wrote it",
        disk.describe()
    ))
}

// Every hasher of the standard library has keys of its own, taken from the system's random numbers.
fn new_store() -> StoreId {
    let mut store = StoreId::default();
    for half in store.chunks_exact_mut(8) {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        half.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    store
}
