// SPDX-License-Identifier: Apache-2.0
//! What keeps a journal in order while it runs: files made ahead, checkpoints, files given back, periodic syncs.
//!
//! A thread of its own does it, so that commits wait for none of it but for one piece of a checkpoint at a time.

use crate::config::SyncPolicy;
use crate::files::{DataFile, is_full, locked};
use crate::format::batch::{FLAG_STATE, FLAG_STATE_BEGIN, FLAG_STATE_END};
use crate::format::file::{POINTER, POINTER_NEW};
use crate::format::op::{Op, op_bound, put_op};
use crate::format::pointer::Pointer;
use crate::index::extent::Region;
use crate::index::state::Progress;
use crate::mover::{Kept, Moving};
use crate::say;
use crate::seeded::seeded;
use crate::shared::{Class, Shared};
use crate::writer::Written;
use sabir_sdk::{ErrorCode, Result};
use std::collections::HashSet;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Bytes of a checkpoint that are written at a time: commits wait for no more.
const PIECE_BYTES: usize = 256 * 1024;

/// A checkpoint is put off until so many times its own size were written since the last one.
const WORTH: u64 = 4;

/// How often the keeper looks without being called.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it is looked whether the lock still keeps others out.
const LOCK_EVERY: Duration = Duration::from_secs(1);

/// What the keeper remembers. Whoever holds it makes the checkpoint.
pub struct Keeping {
    /// When the last checkpoint was made.
    pub checkpoint_at: Instant,
    /// How many bytes of log it took.
    pub checkpoint_bytes: u64,
    /// When the lock was last looked at.
    pub lock_at: Instant,
    /// The files that moved entries go to, by class.
    pub kept: [Option<Kept>; 2],
    /// The files that are being emptied.
    pub moving: Option<Moving>,
    /// Files of which something cannot be read: they stay as they are.
    pub stuck: HashSet<u32>,
    /// When there was no room to move entries to.
    pub full_at: Option<Instant>,
}

impl Keeping {
    /// Nothing was done before `now`.
    pub fn since(now: Instant) -> Self {
        Keeping {
            checkpoint_at: now,
            checkpoint_bytes: 0,
            lock_at: now,
            kept: [None, None],
            moving: None,
            stuck: HashSet::new(),
            full_at: None,
        }
    }
}

impl Shared {
    /// Runs until told to end.
    pub fn run_keeper(&self) {
        let mut pause = LOOK_EVERY;
        loop {
            {
                let mut orders = locked(&self.orders);
                if !orders.stop && !orders.look && !pause.is_zero() {
                    let wait = self.wake.wait_timeout(orders, pause);
                    orders = wait.unwrap_or_else(PoisonError::into_inner).0;
                }
                if orders.stop {
                    return;
                }
                orders.look = false;
            }
            match self.keep() {
                Ok(next) => pause = next.unwrap_or(LOOK_EVERY).min(LOOK_EVERY),
                Err(_) if self.failed.get().is_some() => return,
                Err(_) => pause = LOOK_EVERY,
            }
        }
    }

    /// Does what is due. Answers how long to wait before going on, if it has begun something that is not done.
    pub fn keep(&self) -> Result<Option<Duration>> {
        self.check()?;
        let mut keeping = locked(&self.keeping);
        if keeping.lock_at.elapsed() >= LOCK_EVERY {
            keeping.lock_at = Instant::now();
            self.lock.check().map_err(|error| self.fail("holding the lock", &error))?;
        }
        self.sync_when_due()?;
        self.make_ahead()?;
        if self.checkpoint_is_due(&keeping) {
            self.checkpoint_if_room(&mut keeping)?;
        }
        let pause = self.move_when_due(&mut keeping)?;
        self.sweep_temporary();
        Ok(pause)
    }

    /// Writes a checkpoint, unless there is no room for it: then it says so.
    pub fn checkpoint_if_room(&self, keeping: &mut Keeping) -> Result<()> {
        match self.checkpoint(keeping, false) {
            Err(error) if error.code == ErrorCode::Full => {
                say::warn(&self.host, &error.message);
                Ok(())
            }
            other => other,
        }
    }

    /// Writes a checkpoint because room is short.
    pub fn relieve(&self) -> Result<()> {
        match self.checkpoint(&mut locked(&self.keeping), false) {
            Err(error) if error.code == ErrorCode::Full => Ok(()),
            other => other,
        }
    }

    // What waits to be used again was promised when more lived.
    fn shed_what_is_too_much(&self) {
        while !self.space(0).is_kept() {
            match self.supply.shed_one() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    return say::warn(&self.host, &format!("a file that waited cannot be removed: {error}"));
                }
            }
        }
    }

    fn make_ahead(&self) -> Result<()> {
        self.shed_what_is_too_much();
        let provided = self.supply.provide_reserve(self.reserve_bytes());
        match provided.and_then(|()| self.supply.provide(self.may_make_ahead())) {
            Ok(()) => Ok(()),
            Err(error) if is_full(&error) => {
                self.short.store(true, Relaxed);
                Ok(())
            }
            Err(error) => Err(self.fail("making a data file", &error)),
        }
    }

    // With `periodic` the medium gets what waits at every interval; with the others nothing waits in memory for long.
    fn sync_when_due(&self) -> Result<()> {
        let interval = Duration::from_millis(match self.options.sync {
            SyncPolicy::Periodic => self.options.sync_interval_ms,
            SyncPolicy::Always | SyncPolicy::Never => return Ok(()),
        });
        let mut writer = locked(&self.writer);
        if writer.synced_at.elapsed() >= interval {
            self.sync_files(&mut writer)?;
        }
        Ok(())
    }

    /// Whether it is time for a checkpoint.
    pub fn checkpoint_is_due(&self, keeping: &Keeping) -> bool {
        let since = locked(&self.writer).since_checkpoint;
        // What the last checkpoint itself took is no reason for another.
        if since <= keeping.checkpoint_bytes {
            return false;
        }
        let interval = Duration::from_millis(self.options.checkpoint_interval_ms);
        let dead = self.dead_bytes();
        let short = self.short.load(Relaxed) && dead > 0;
        // Room that was promised is worth as much writing as it gives back.
        let pressed = dead > keeping.checkpoint_bytes && self.space(0).is_pressed(false);
        let enough = since >= self.options.checkpoint_bytes.max(WORTH * keeping.checkpoint_bytes);
        enough || short || pressed || keeping.checkpoint_at.elapsed() >= interval
    }

    /// Bytes of the files that the next checkpoint gives back.
    pub fn dead_bytes(&self) -> u64 {
        let state = self.state();
        let files = state.dead_files(u32::MAX);
        files.filter_map(|number| state.files.get(&number)).map(|file| file.disk_bytes()).sum()
    }

    /// Writes the index into the log, notes where, and gives back the files that this makes needless.
    pub fn checkpoint(&self, keeping: &mut Keeping, closing: bool) -> Result<()> {
        let mut progress = Progress::START;
        let mut begin: Option<Written> = None;
        let mut ops = Vec::new();
        let (begin, durable, dead, bytes): (_, _, Vec<u32>, _) = loop {
            let mut writer = locked(&self.writer);
            self.check()?;
            ops.clear();
            if begin.is_none() {
                writer.since_checkpoint = 0;
                put_op(&mut ops, &Op::StateBegin);
            }
            progress = self.state().index.put_state(progress, PIECE_BYTES, &mut ops);
            let done = progress == Progress::Done;
            let bound = ops.len() as u64 + op_bound(0);
            let written = self.put_own(&mut writer, bound, false, |number, region, out| {
                out.extend_from_slice(&ops);
                let first = begin.map_or((number, region), |begin| (begin.number, begin.region));
                if done {
                    put_op(out, &self.end_of_state(first));
                }
                let begins = if begin.is_none() { FLAG_STATE_BEGIN } else { 0 };
                FLAG_STATE | begins | if done { FLAG_STATE_END } else { 0 }
            })?;
            let first = *begin.get_or_insert(written);
            if done {
                if seeded("pointer before the checkpoint") {
                    self.write_pointer(first, writer.next_batch - 1, closing)?;
                }
                if seeded("files given back before the checkpoint") {
                    let dead = self.state().dead_files(first.region.file).collect();
                    self.give_back(dead);
                }
                self.sync_files(&mut writer)?;
                // Everything submitted is durable now, so what frees a file cannot be lost any more.
                break (
                    first,
                    writer.durable_batch,
                    self.state().dead_files(first.region.file).collect(),
                    writer.since_checkpoint,
                );
            }
            // Large pieces do not gather in the buffer.
            self.write_out(&mut writer, Class::Lasting)?;
        };
        self.write_pointer(begin, durable, closing)?;
        self.give_back(dead);
        (keeping.checkpoint_at, keeping.checkpoint_bytes) = (Instant::now(), bytes);
        let state_bytes = self.state().index.state_bytes();
        self.state_bytes.store(state_bytes, Relaxed);
        self.short.store(false, Relaxed);
        self.reserve_used.store(false, Relaxed);
        Ok(())
    }

    fn end_of_state(&self, (number, region): (u64, Region)) -> Op<'static> {
        Op::StateEnd {
            begin_batch: number,
            begin_epoch: self.identity.epoch,
            begin_file: region.file,
            begin_offset: region.offset,
        }
    }

    fn write_pointer(&self, begin: Written, durable: u64, closed: bool) -> Result<()> {
        let pointer = Pointer {
            store: self.identity.store,
            epoch: self.identity.epoch,
            begin_batch: begin.number,
            begin_offset: begin.region.offset,
            begin_file: begin.region.file,
            begin_epoch: self.identity.epoch,
            durable,
            closed,
        };
        let write = || {
            match self.disk.remove(POINTER_NEW) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(POINTER_NEW)?;
            file.write_at(&[IoSlice::new(&pointer.encode())], 0)?;
            file.sync_data()?;
            self.disk.rename(POINTER_NEW, POINTER)?;
            self.disk.sync_dir()
        };
        write().map_err(|error| match is_full(&error) {
            true => {
                let text = format!("no room to note a checkpoint in {}: {error}", self.disk.describe());
                sabir_sdk::Error::new(ErrorCode::Full, text)
            }
            false => self.fail("noting a checkpoint", &error),
        })
    }

    // Files that a reader still has open are given back the next time.
    fn give_back(&self, dead: Vec<u32>) {
        for number in dead {
            let file: Option<Arc<DataFile>> = {
                let mut state = self.state_mut();
                match state.files.remove(&number) {
                    Some(file) if Arc::strong_count(&file) > 1 => {
                        state.files.insert(number, file);
                        None
                    }
                    file => file,
                }
            };
            let Some(file) = file else { continue };
            // One that is used again need not be written with zeros first, which costs as much as the log itself.
            let may_keep = self.space(file.disk_bytes()).is_kept();
            if let Err(error) = self.supply.give_back(&file, self.reserve_bytes(), may_keep) {
                say::warn(
                    &self.host,
                    &format!("{} cannot be given back: {error}; the next start removes it", file.name),
                );
            }
        }
    }
}
