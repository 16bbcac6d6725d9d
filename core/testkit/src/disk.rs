// SPDX-License-Identifier: Apache-2.0
//! A disk in memory that loses power, tears and reorders what was not synced, fails and fills up, from a seed.
//!
//! It knows nothing of what is stored on it. Every operation that changes something is counted, so that a test can
//! run once to count them, and then once per operation, with the power going at that one.

use sabir_sdk::disk::{Disk, DiskEntry, DiskFile, DiskLock, LockError};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Numbers that look random, the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Dice(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll().checked_rem(bound).unwrap_or(0)
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What goes wrong, and when. Counts begin with 1 and with the disk, or with the last power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes at this operation: it may have happened, in part; it and all later ones fail.
    pub power_at: Option<u64>,
    /// This write fails, having written a part.
    pub write_fails: Option<u64>,
    /// This sync fails; the writes before it count as synced to the system, which forgets them at a power cut.
    pub sync_fails: Option<u64>,
    /// Bytes that fit; files beyond are refused with «no space».
    pub capacity_bytes: Option<u64>,
}

/// How many operations there were, of each kind that changes something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// All of them.
    pub all: u64,
    /// Writes.
    pub writes: u64,
    /// Bytes that were to be written.
    pub written_bytes: u64,
    /// Syncs of files.
    pub syncs: u64,
}

#[derive(Clone, Default)]
struct Inode {
    // What a reader sees.
    now: Vec<u8>,
    // What survives for certain.
    durable: Vec<u8>,
    // What was written since, in order; each part of it may survive.
    unsynced: Vec<(u64, Vec<u8>)>,
    // What was unsynced when a sync failed: never written again, and yet it may have survived.
    forgotten: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Set(String, usize),
    Move(String, String),
    Remove(String),
}

#[derive(Clone, Default)]
struct Inner {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    // Changes of names since the disk was made or the power last went, with the number of the operation.
    named: Vec<(u64, String)>,
    faults: Faults,
    done: Operations,
    // Handles of before a power cut are dead.
    generation: u64,
    off: bool,
    locked: Option<String>,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        SimDisk::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another disk with the same contents, all of it durable, and without faults.
    pub fn copy(&self) -> SimDisk {
        let inner = self.inner();
        let settle =
            |inode: &Inode| Inode { durable: inode.now.clone(), now: inode.now.clone(), ..Inode::default() };
        let copy = Inner {
            inodes: inner.inodes.iter().map(settle).collect(),
            names: inner.names.clone(),
            durable_names: inner.names.clone(),
            ..Inner::default()
        };
        SimDisk { inner: Arc::new(Mutex::new(copy)) }
    }

    /// Says what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.inner().faults = faults;
    }

    /// Operations since the disk was made or the power last went.
    pub fn operations(&self) -> Operations {
        self.inner().done
    }

    /// Whether the power has gone, so that nothing can be read either.
    pub fn is_off(&self) -> bool {
        self.inner().off
    }

    /// Which operation gave which name to a file, made or renamed, since the disk was made or the power last went.
    pub fn named(&self) -> Vec<(u64, String)> {
        self.inner().named.clone()
    }

    /// Cuts the power and gives it back: of what was not synced, some sectors survive and some names, by the dice.
    pub fn power_cut(&self, dice: &mut Dice) {
        let mut inner = self.inner();
        let sector = if dice.chance(50) { 512 } else { 4096 };
        // Sometimes all survives, sometimes nothing, mostly a part.
        let percent = [0, 100, 10, 50, 90, 99][dice.below(6) as usize];
        for inode in &mut inner.inodes {
            let mut unsynced = std::mem::take(&mut inode.forgotten);
            unsynced.append(&mut inode.unsynced);
            for (offset, bytes) in unsynced {
                survive(&mut inode.durable, offset, &bytes, sector, percent, dice);
            }
            inode.now = inode.durable.clone();
        }
        let mut names = std::mem::take(&mut inner.durable_names);
        let changes = std::mem::take(&mut inner.changes);
        // A journal of names keeps their order: up to some change all of them have happened.
        let kept = dice.below(changes.len() as u64 + 1) as usize;
        changes.iter().take(kept).for_each(|change| apply(&mut names, change));
        inner.durable_names = names.clone();
        inner.names = names;
        inner.generation += 1;
        (inner.off, inner.locked) = (false, None);
        (inner.faults, inner.done) = (Faults::default(), Operations::default());
        inner.named.clear();
    }

    /// The program ends without a word, and the machine goes on: nothing written is lost.
    pub fn kill(&self) {
        let mut inner = self.inner();
        inner.generation += 1;
        (inner.off, inner.locked) = (false, None);
        (inner.faults, inner.done) = (Faults::default(), Operations::default());
        inner.named.clear();
    }

    /// Names and lengths of the files.
    pub fn files(&self) -> Vec<(String, u64)> {
        let inner = self.inner();
        let len = |at: &usize| inner.inodes.get(*at).map_or(0, |inode| inode.now.len() as u64);
        inner.names.iter().map(|(name, at)| (name.clone(), len(at))).collect()
    }

    /// The contents of a file; empty if there is none.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let inner = self.inner();
        inner
            .names
            .get(name)
            .and_then(|at| inner.inodes.get(*at))
            .map(|inode| inode.now.clone())
            .unwrap_or_default()
    }

    /// Changes a file behind everybody's back.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.inner();
        let at = inner.names.get(name).copied();
        if let Some(inode) = at.and_then(|at| inner.inodes.get_mut(at)) {
            change(&mut inode.now);
            inode.durable = inode.now.clone();
            inode.unsynced.clear();
        }
    }

    /// Flips a bit of a file, counted from its first byte's lowest.
    pub fn flip(&self, name: &str, bit: u64) {
        self.damage(name, |bytes| {
            if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        });
    }

    /// Removes a file behind everybody's back.
    pub fn lose(&self, name: &str) {
        let mut inner = self.inner();
        inner.names.remove(name);
        inner.durable_names.remove(name);
    }

    /// Puts a file there behind everybody's back.
    pub fn plant(&self, name: &str, contents: &[u8]) {
        let mut inner = self.inner();
        let inode = Inode { now: contents.to_vec(), durable: contents.to_vec(), ..Inode::default() };
        inner.inodes.push(inode);
        let at = inner.inodes.len() - 1;
        inner.names.insert(name.to_owned(), at);
        inner.durable_names.insert(name.to_owned(), at);
    }
}

fn survive(durable: &mut Vec<u8>, offset: u64, bytes: &[u8], sector: u64, percent: u64, dice: &mut Dice) {
    let mut at = offset;
    let end = offset + bytes.len() as u64;
    while at < end {
        let next = ((at / sector + 1) * sector).min(end);
        if dice.chance(percent) {
            let piece = bytes.get((at - offset) as usize..(next - offset) as usize).unwrap_or_default();
            overwrite(durable, at, piece);
        }
        at = next;
    }
}

fn overwrite(contents: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (from, to) = (offset as usize, offset as usize + bytes.len());
    if contents.len() < to {
        contents.resize(to, 0);
    }
    if let Some(slot) = contents.get_mut(from..to) {
        slot.copy_from_slice(bytes);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Set(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        NameChange::Move(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

fn medium_failed() -> io::Error {
    io::Error::from_raw_os_error(5)
}

impl Inner {
    // Counts an operation; answers whether the power goes with it.
    fn count(&mut self) -> io::Result<bool> {
        if self.off {
            return Err(no_power());
        }
        self.done.all += 1;
        self.off = self.faults.power_at.is_some_and(|at| self.done.all >= at);
        Ok(self.off)
    }

    fn change(&mut self, change: NameChange) -> io::Result<()> {
        let goes = self.count()?;
        apply(&mut self.names, &change);
        if let NameChange::Set(name, _) | NameChange::Move(_, name) = &change {
            self.named.push((self.done.all, name.clone()));
        }
        self.changes.push(change);
        if goes { Err(no_power()) } else { Ok(()) }
    }

    fn inode(&mut self, at: usize, generation: u64) -> io::Result<&mut Inode> {
        if generation != self.generation || self.off {
            return Err(no_power());
        }
        self.inodes.get_mut(at).ok_or_else(no_power)
    }

    fn used_bytes(&self) -> u64 {
        self.names.values().filter_map(|at| self.inodes.get(*at)).map(|inode| inode.now.len() as u64).sum()
    }

    fn write(&mut self, at: usize, generation: u64, mut bytes: Vec<u8>, offset: u64) -> io::Result<()> {
        self.inode(at, generation)?;
        let goes = self.count()?;
        self.done.writes += 1;
        self.done.written_bytes += bytes.len() as u64;
        let grows = (offset + bytes.len() as u64).saturating_sub(self.inodes[at].now.len() as u64);
        if grows > 0 && self.faults.capacity_bytes.is_some_and(|most| self.used_bytes() + grows > most) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fails = self.faults.write_fails == Some(self.done.writes);
        if fails {
            bytes.truncate(bytes.len() / 2);
        }
        let inode = &mut self.inodes[at];
        overwrite(&mut inode.now, offset, &bytes);
        inode.unsynced.push((offset, bytes));
        match (goes, fails) {
            (true, _) => Err(no_power()),
            (_, true) => Err(medium_failed()),
            _ => Ok(()),
        }
    }

    fn sync(&mut self, at: usize, generation: u64) -> io::Result<()> {
        self.inode(at, generation)?;
        let goes = self.count()?;
        self.done.syncs += 1;
        let fails = self.faults.sync_fails == Some(self.done.syncs);
        let inode = &mut self.inodes[at];
        if goes {
            return Err(no_power());
        }
        let mut unsynced = std::mem::take(&mut inode.unsynced);
        if fails {
            inode.forgotten.append(&mut unsynced);
            return Err(medium_failed());
        }
        unsynced.iter().for_each(|(offset, bytes)| overwrite(&mut inode.durable, *offset, bytes));
        Ok(())
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<DiskEntry>> {
        if self.inner().off {
            return Err(no_power());
        }
        Ok(self.files().into_iter().map(|(name, len_bytes)| DiskEntry { name, len_bytes }).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.inner();
        if inner.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        inner.inodes.push(Inode::default());
        let inode = inner.inodes.len() - 1;
        inner.change(NameChange::Set(name.to_owned(), inode))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, generation: inner.generation, writable: true }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner();
        if inner.off {
            return Err(no_power());
        }
        let inode = *inner.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, generation: inner.generation, writable: false }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.change(NameChange::Move(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.inner();
        if !inner.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        inner.change(NameChange::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.inner();
        if inner.count()? {
            return Err(no_power());
        }
        inner.changes.clear();
        inner.durable_names = inner.names.clone();
        Ok(())
    }

    fn lock(&self, _name: &str, holder: &str) -> Result<Box<dyn DiskLock>, LockError> {
        let mut inner = self.inner();
        if let Some(by) = &inner.locked {
            return Err(LockError::Held(by.clone()));
        }
        inner.locked = Some(holder.to_owned());
        Ok(Box::new(SimLock { disk: self.clone(), generation: inner.generation }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let inner = self.inner();
        Ok(inner.faults.capacity_bytes.map_or(u64::MAX, |most| most.saturating_sub(inner.used_bytes())))
    }

    fn describe(&self) -> String {
        "the simulated disk".to_owned()
    }
}

struct SimLock {
    disk: SimDisk,
    generation: u64,
}

impl DiskLock for SimLock {
    fn check(&self) -> io::Result<()> {
        if self.disk.inner().generation == self.generation { Ok(()) } else { Err(no_power()) }
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner();
        if inner.generation == self.generation {
            inner.locked = None;
        }
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    generation: u64,
    writable: bool,
}

impl DiskFile for SimFile {
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.disk.inner().inode(self.inode, self.generation)?.now.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.inner();
        let now = &inner.inode(self.inode, self.generation)?.now;
        let there = now.get(offset as usize..).unwrap_or_default();
        let len = there.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..len), there.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }

    fn write_at(&self, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut joined = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
        pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
        self.disk.inner().write(self.inode, self.generation, joined, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.inner().sync(self.inode, self.generation)
    }

    fn settle(&self) -> io::Result<()> {
        let mut inner = self.disk.inner();
        inner.sync(self.inode, self.generation)?;
        let inode = &mut inner.inodes[self.inode];
        (inode.now, inode.forgotten) = (inode.durable.clone(), Vec::new());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &Arc<dyn DiskFile>, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_at(&[IoSlice::new(bytes)], offset)
    }

    #[test]
    fn what_was_synced_survives_every_power_cut_and_what_was_not_sometimes_does_not() {
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..50 {
            let disk = SimDisk::new();
            let file = disk.create("a").unwrap();
            disk.sync_dir().unwrap();
            write(&file, b"synced", 0).unwrap();
            file.sync_data().unwrap();
            write(&file, b"not", 5000).unwrap();
            disk.power_cut(&mut Dice::new(seed));
            let contents = disk.contents("a");
            assert!(contents.starts_with(b"synced"));
            if contents.ends_with(b"not") {
                kept += 1
            } else {
                lost += 1
            }
            assert!(write(&file, b"x", 0).is_err());
        }
        assert!(kept > 0 && lost > 0, "{kept} {lost}");
    }

    #[test]
    fn names_that_were_not_synced_can_be_lost_in_order_only() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let disk = SimDisk::new();
            disk.create("a").unwrap();
            disk.rename("a", "b").unwrap();
            disk.create("c").unwrap();
            disk.power_cut(&mut Dice::new(seed));
            seen.insert(disk.files().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(""));
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["", "a", "b", "bc"]);
    }

    #[test]
    fn the_operations_that_name_files_are_known() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        write(&file, b"x", 0).unwrap();
        disk.rename("a", "b").unwrap();
        assert_eq!(disk.named(), [(1, "a".to_owned()), (3, "b".to_owned())]);
        disk.kill();
        assert_eq!(disk.named(), []);
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let mut lost = 0;
        for seed in 0..50 {
            let disk = SimDisk::new();
            let file = disk.create("a").unwrap();
            disk.sync_dir().unwrap();
            write(&file, b"gone", 0).unwrap();
            disk.set_faults(Faults { sync_fails: Some(1), ..Faults::default() });
            assert!(file.sync_data().is_err());
            assert!(file.sync_data().is_ok());
            disk.power_cut(&mut Dice::new(seed));
            lost += usize::from(disk.contents("a").is_empty());
        }
        assert!(lost > 0);
    }

    #[test]
    fn the_power_goes_at_the_operation_that_was_told_and_stays_off() {
        let disk = SimDisk::new();
        disk.set_faults(Faults { power_at: Some(2), ..Faults::default() });
        let file = disk.create("a").unwrap();
        assert!(write(&file, b"x", 0).is_err());
        assert!(disk.sync_dir().is_err() && disk.open("a").is_err());
        disk.power_cut(&mut Dice::new(1));
        assert!(disk.sync_dir().is_ok());
    }

    #[test]
    fn a_full_disk_refuses_to_grow_and_still_overwrites() {
        let disk = SimDisk::new();
        let file = disk.create("a").unwrap();
        disk.set_faults(Faults { capacity_bytes: Some(10), ..Faults::default() });
        write(&file, &[1; 10], 0).unwrap();
        assert_eq!(write(&file, &[1; 1], 10).unwrap_err().kind(), io::ErrorKind::StorageFull);
        write(&file, &[2; 5], 3).unwrap();
    }

    #[test]
    fn a_disk_has_one_holder_at_a_time() {
        let disk = SimDisk::new();
        let lock = disk.lock("lock", "me").unwrap();
        assert!(matches!(disk.lock("lock", "you"), Err(LockError::Held(by)) if by == "me"));
        drop(lock);
        assert!(disk.lock("lock", "you").is_ok());
    }
}
