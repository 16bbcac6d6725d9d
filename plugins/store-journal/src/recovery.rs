// SPDX-License-Identifier: Apache-2.0
//! Opening: from files to an index.
//!
//! The log is replayed from the last checkpoint on. Where it ends, the question is whether it ends there or is
//! damaged there: every batch says how far the log was durable when it was written, so a later batch (or the header
//! of a later epoch's file, or the checkpoint's pointer) that vouches for a batch proves that it was lost, not
//! unfinished; then the store is not opened. An unfinished tail is cut. Recovery writes nothing but removals of what
//! nobody needs, so it can be interrupted anywhere and run again.

pub mod salvage;
mod scan;
mod survey;

use crate::files::{DataFile, Identity};
use crate::format::batch::{BatchHeader, FLAG_STATE, FLAG_STATE_BEGIN};
use crate::format::file::{self, Seal};
use crate::format::op::{Op, Ops};
use crate::index::Index;
use crate::index::extent::Region;
use crate::say;
use crate::seeded::seeded;
use sabir_sdk::disk::Disk;
use sabir_sdk::{Error, ErrorCode, Host, Result};
use scan::{Scanner, Step};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use survey::Survey;

/// So much log must be replayed before it is told how long a GiB takes.
const PACE_FROM_BYTES: u64 = 16 << 20;

/// What recovery found, for the operator and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether a checkpoint was found by its pointer.
    pub by_pointer: bool,
    /// Whether the replay began with a checkpoint, found by its pointer or not.
    pub from_checkpoint: bool,
    /// Bytes of log that were replayed.
    pub replayed_bytes: u64,
    /// Batches that were replayed.
    pub batches: u64,
    /// Where the log was cut, if something unfinished was found behind its end.
    pub cut: Option<String>,
    /// What is damaged and was mended, or did no harm, one line each.
    pub mended: Vec<String>,
    /// Records that are damaged, one line each; reading one is an error.
    pub damaged: Vec<String>,
    /// What else was unusual, one line each.
    pub notes: Vec<String>,
}

impl Report {
    /// How much log was replayed, from where on, and how long opening took, for people.
    pub fn pace(&self, took: Duration) -> String {
        let from = match (self.by_pointer, self.from_checkpoint) {
            (true, _) => "from the last checkpoint on",
            (false, true) => "from a checkpoint on that was searched for",
            (false, false) => "without a checkpoint",
        };
        let (bytes, seconds) = (self.replayed_bytes, took.as_secs_f64());
        let mut text = format!("{bytes} bytes of log were replayed {from}, in {seconds:.3} seconds");
        // Of less than that, opening files is most of it.
        if bytes >= PACE_FROM_BYTES {
            let per_gib = seconds * (1u64 << 30) as f64 / bytes as f64;
            text += &format!(": {per_gib:.2} seconds per GiB");
        }
        text
    }
}

/// A journal that can go on.
pub struct Recovered {
    /// Which entries and keys exist.
    pub index: Index,
    /// The files that are still needed, by number.
    pub files: BTreeMap<u32, Arc<DataFile>>,
    /// Who writes from now on.
    pub identity: Identity,
    /// The number of the next file.
    pub next_number: u32,
    /// The number of the last batch.
    pub last_batch: u64,
    /// What was found.
    pub report: Report,
}

/// Where a replay begins.
#[derive(Clone, Copy, Debug)]
struct Start {
    file: u32,
    offset: u64,
    batch: u64,
    // Whether a checkpoint begins there.
    state: bool,
}

/// Reads a journal, and removes the files that nobody needs.
pub fn recover(disk: &dyn Disk, host: &Host) -> Result<Recovered> {
    read(disk, host, true)
}

/// Reads a journal, and changes nothing.
pub fn examine(disk: &dyn Disk, host: &Host) -> Result<Recovered> {
    read(disk, host, false)
}

fn read(disk: &dyn Disk, host: &Host, tidy: bool) -> Result<Recovered> {
    disk.sync_dir().map_err(|error| {
        Error::new(ErrorCode::Io, format!("the journal in {} cannot be synced: {error}", disk.describe()))
    })?;
    let survey = Survey::of(disk)?;
    let mut report = report_of(&survey);
    let Replayed { index, expected, used, begin, floor } = replayed(disk, &survey, &mut report)?;
    survey.check_pins(&index)?;
    survey.check_unreadable(disk, floor)?;
    let needed = |file: &DataFile| {
        let replayed = file.number >= begin && used.is_some_and(|last| file.number <= last);
        !index.is_free(file.number) || (replayed && !file.moved)
    };
    let files = match tidy {
        true => survey.keep(disk, needed, &mut report.notes)?,
        false => survey.all_good().map(|file| (file.number, file)).collect(),
    };
    for line in report.notes.iter().chain(&report.mended).chain(&report.damaged).chain(&report.cut) {
        say::warn(host, line);
    }
    let last_batch = expected - 1;
    let mut seals: BTreeMap<u64, u64> = BTreeMap::new();
    for file in files.values() {
        seals.entry(file.epoch).or_insert_with(|| survey.limit(file.epoch).min(last_batch));
    }
    let seals = seals.into_iter().map(|(epoch, last_batch)| Seal { epoch, last_batch }).collect();
    let identity =
        Identity { store: survey.store, epoch: survey.epoch + u64::from(!seeded("epoch used again")), seals };
    Ok(Recovered { index, files, identity, next_number: survey.next_number, last_batch, report })
}

fn report_of(survey: &Survey) -> Report {
    Report { notes: survey.notes.clone(), mended: survey.mended.clone(), ..Report::default() }
}

// What a replay has come to.
struct Replayed {
    index: Index,
    // The number of the next batch.
    expected: u64,
    // The last file that had a batch.
    used: Option<u32>,
    // The first file.
    begin: u32,
    // The first file that may have something that nothing else tells of: without a checkpoint, any file.
    floor: u32,
}

// Replays from the last checkpoint, or, where that is damaged, from the last one before it from which on the log is whole.
fn replayed(disk: &dyn Disk, survey: &Survey, report: &mut Report) -> Result<Replayed> {
    let mut replay = Replay::new(disk, survey, report);
    let Some(start) = replay.start()? else {
        return Ok(replay.done(None));
    };
    let refused = match replay.run(start) {
        Ok(()) => return Ok(replay.done(Some(start))),
        Err(error) if error.code == ErrorCode::Corrupt => error,
        Err(error) => return Err(error),
    };
    let earlier = Replay::new(disk, survey, report).begins()?;
    for start in earlier.into_iter().rev().filter(|earlier| earlier.batch < start.batch) {
        *report = report_of(survey);
        let mut replay = Replay::new(disk, survey, report);
        if replay.run(start).is_ok() {
            let text =
                format!("the last checkpoint is damaged: batches from {} on were replayed", start.batch);
            replay.report.mended.push(text);
            return Ok(replay.done(Some(start)));
        }
    }
    Err(refused)
}

/// Refuses what is no damage: files of another version, or of several stores.
pub fn belongs_together(disk: &dyn Disk) -> Result<()> {
    Survey::of(disk).map(drop)
}

/// What the log yields when it is replayed from as far back as it is there without a gap, if that is further than where a
/// start begins: what the last checkpoint should say.
pub fn rebuild(disk: &dyn Disk) -> Result<Option<Index>> {
    let survey = Survey::of(disk)?;
    let mut report = Report::default();
    let usual = Replay::new(disk, &survey, &mut report).start()?;
    let Some(usual) = usual else { return Ok(None) };
    let earlier = Replay::new(disk, &survey, &mut report).begins()?;
    for start in earlier.into_iter().filter(|start| start.batch < usual.batch) {
        let mut replay = Replay::new(disk, &survey, &mut report);
        match replay.run(start) {
            Ok(()) => return Ok(Some(replay.index)),
            // Files between it and a later checkpoint were given back.
            Err(error) if error.code == ErrorCode::Corrupt => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

struct Replay<'a> {
    disk: &'a dyn Disk,
    survey: &'a Survey,
    index: Index,
    // The number of the next batch.
    expected: u64,
    // Whether the checkpoint that the replay began with has ended.
    complete: bool,
    // The highest batch that anything vouches for, once that was looked for.
    vouched: Option<u64>,
    // The last file that had a batch.
    used: Option<u32>,
    report: &'a mut Report,
}

impl<'a> Replay<'a> {
    // Nothing was replayed.
    fn new(disk: &'a dyn Disk, survey: &'a Survey, report: &'a mut Report) -> Self {
        Replay {
            disk,
            survey,
            index: Index::default(),
            expected: 1,
            complete: true,
            vouched: None,
            used: None,
            report,
        }
    }

    fn done(self, start: Option<Start>) -> Replayed {
        self.report.from_checkpoint = start.is_some_and(|start| start.state);
        let begin = start.map_or(0, |start| start.file);
        let floor = start.filter(|start| start.state).map_or(0, |start| start.file);
        Replayed { index: self.index, expected: self.expected, used: self.used, begin, floor }
    }

    // The last complete checkpoint, or the log's first batch. `None`: there is no log.
    fn start(&mut self) -> Result<Option<Start>> {
        if self.survey.files.is_empty() {
            return match self.survey.pointer {
                None => Ok(None),
                Some(_) => corrupt(format!(
                    "the data files of the journal in {} are missing: put them back, or empty the directory to begin anew and lose what was stored",
                    self.disk.describe()
                )),
            };
        }
        if let Some(pointer) = &self.survey.pointer {
            let start = Start {
                file: pointer.begin_file,
                offset: pointer.begin_offset,
                batch: pointer.begin_batch,
                state: true,
            };
            if self.begins_at(start)? {
                self.report.by_pointer = true;
                return Ok(Some(start));
            }
            self.report
                .notes
                .push("the checkpoint is not where its pointer says: the log is searched for it".to_owned());
        }
        // What is found by searching is only worth what is on the medium.
        self.settle(self.survey.good_files())?;
        for file in self.survey.good_files().rev() {
            for (start, end) in self.checkpoints_of(&file)?.into_iter().rev() {
                if self.begins_at(start)? && self.reaches(start, end)? {
                    return Ok(Some(start));
                }
            }
        }
        let first = self.survey.good_files().next().map_or(0, |file| file.number);
        Ok(Some(Start { file: first, offset: file::HEADER_LEN, batch: 1, state: false }))
    }

    // Where a replay could begin: the log's first batch, if it is still there, and every checkpoint that is whole.
    fn begins(&self) -> Result<Vec<Start>> {
        let mut found = Vec::new();
        for file in self.survey.good_files() {
            let first = Scanner::new(&file, file::HEADER_LEN).header_at(file::HEADER_LEN)?;
            if first.is_some_and(|header| header.number == 1) {
                found.push(Start { file: file.number, offset: file::HEADER_LEN, batch: 1, state: false });
            }
            for (start, end) in self.checkpoints_of(&file)? {
                if self.begins_at(start)? && self.reaches(start, end)? {
                    found.push(start);
                }
            }
        }
        Ok(found)
    }

    fn begins_at(&self, start: Start) -> Result<bool> {
        let Some(file) = self.survey.good(start.file) else {
            return Ok(false);
        };
        let mut scanner = Scanner::new(&file, start.offset);
        let found = scanner.header_at(start.offset)?;
        Ok(found.is_some_and(|header| header.number == start.batch && header.flags & FLAG_STATE_BEGIN != 0))
    }

    // What the process before this one wrote may be in the system's cache alone. The next epoch vouches for all that
    // is replayed here, so it must be on the medium first, and be read from there.
    fn settle(&self, files: impl Iterator<Item = Arc<DataFile>>) -> Result<()> {
        if seeded("replayed without a sync") {
            return Ok(());
        }
        for file in files {
            file.handle.settle().map_err(|error| {
                let text = format!("{} in {} cannot be synced: {error}", file.name, self.disk.describe());
                Error::new(ErrorCode::Io, text)
            })?;
        }
        Ok(())
    }

    // The checkpoints that end in a file, with the batch that ends each.
    fn checkpoints_of(&self, file: &Arc<DataFile>) -> Result<Vec<(Start, u64)>> {
        let limit = self.survey.limit(file.epoch);
        let mut found = Vec::new();
        Scanner::new(file, file::HEADER_LEN).search(&mut |header, ops| {
            if header.number > limit {
                return;
            }
            for op in Ops::new(ops).map_while(|op| op.ok()) {
                if let Op::StateEnd { begin_batch, begin_file, begin_offset, .. } = op {
                    let start =
                        Start { file: begin_file, offset: begin_offset, batch: begin_batch, state: true };
                    found.push((start, header.number));
                }
            }
        })?;
        Ok(found)
    }

    // Whether the log is whole from a checkpoint's beginning to its end. The last checkpoint may have been under way
    // when the power went: its end may be there without its middle. What lies before it is still there then.
    fn reaches(&self, start: Start, end: u64) -> Result<bool> {
        let mut expected = start.batch;
        let mut offset = start.offset;
        for file in self.survey.good_files().filter(|file| file.number >= start.file) {
            let limit = self.survey.limit(file.epoch);
            let mut scanner = Scanner::new(&file, std::mem::replace(&mut offset, file::HEADER_LEN));
            while let Step::Batch { .. } = scanner.step(expected, limit)? {
                if expected == end {
                    return Ok(true);
                }
                expected += 1;
            }
        }
        Ok(false)
    }

    fn run(&mut self, start: Start) -> Result<()> {
        self.expected = start.batch;
        self.complete = !start.state;
        let files: Vec<Arc<DataFile>> =
            self.survey.good_files().filter(|file| file.number >= start.file).collect();
        self.settle(files.iter().cloned())?;
        let mut offset = start.offset;
        let mut stopped = None;
        for file in &files {
            let from = std::mem::replace(&mut offset, file::HEADER_LEN);
            let before = self.expected;
            let end = self.run_file(file, from, &files)?;
            if self.expected > before {
                stopped = Some((file.clone(), end));
            } else {
                stopped.get_or_insert((file.clone(), end));
            }
        }
        self.used = stopped.as_ref().map(|(file, _)| file.number).filter(|_| self.expected > start.batch);
        self.check_end(&files, stopped)
    }

    // Replays a file; answers where it stopped.
    fn run_file(&mut self, file: &Arc<DataFile>, from: u64, files: &[Arc<DataFile>]) -> Result<u64> {
        let limit = self.survey.limit(file.epoch);
        let mut scanner = Scanner::new(file, from);
        loop {
            let at = scanner.position();
            match scanner.step(self.expected, limit)? {
                Step::End => return Ok(at),
                Step::Lost { offset, header } => {
                    if !self.passes(file, offset, &header, files)? {
                        return Ok(at);
                    }
                    scanner.go_on_at(offset + header.total_len());
                    self.expected += 1;
                }
                Step::Batch { offset, header, ops, whole, damaged } => {
                    if !whole {
                        self.report.mended.push(format!(
                            "batch {} was damaged before its records and is mended, in {} at byte {offset}",
                            header.number, file.name
                        ));
                    }
                    if !damaged.is_empty() {
                        // Were these records durable, or is this batch the unfinished tail?
                        let number = header.number;
                        if self.vouched(files)? < number {
                            return Ok(at);
                        }
                        for (log, seq, byte) in damaged {
                            self.report.damaged.push(format!(
                                "entry {seq} of log {log} is damaged, in {} in its record at byte {byte}",
                                file.name
                            ));
                        }
                    }
                    let region = Region { file: file.number, offset, len: header.total_len() };
                    self.apply(file, region, &ops)?;
                    self.expected += 1;
                    self.report.batches += 1;
                    self.report.replayed_bytes += region.len;
                }
            }
        }
    }

    // Whether the replay may go on behind a batch whose operations are lost.
    fn passes(
        &mut self,
        file: &Arc<DataFile>,
        offset: u64,
        header: &BatchHeader,
        files: &[Arc<DataFile>],
    ) -> Result<bool> {
        // A checkpoint says nothing new to a replay that began before it. Whether it was stored is asked last: that
        // takes a look at everything.
        let passes = header.flags & FLAG_STATE != 0 && self.complete && self.vouched(files)? >= header.number;
        if passes {
            self.report.mended.push(format!(
                "batch {} is damaged, in {} at byte {offset}; it is a part of a checkpoint that is not needed",
                header.number, file.name
            ));
        }
        Ok(passes)
    }

    fn apply(&mut self, file: &DataFile, region: Region, ops: &[u8]) -> Result<()> {
        let foreign = || {
            let text = format!(
                "{} has an operation at byte {} that this version does not know",
                file.name, region.offset
            );
            Error::new(ErrorCode::Corrupt, format!("{text}: use the version that wrote it"))
        };
        for op in Ops::new(ops) {
            let op = op.map_err(|_| foreign())?;
            if let Op::StateEnd { .. } = op {
                self.complete = true;
            }
            self.index.apply(&op, region).map_err(|_| foreign())?;
            if seeded("half of a batch applied") {
                break;
            }
        }
        Ok(())
    }

    // The highest batch that is known to have been durable.
    fn vouched(&mut self, files: &[Arc<DataFile>]) -> Result<u64> {
        if let Some(vouched) = self.vouched {
            return Ok(vouched);
        }
        let mut vouched = self.survey.pointer.map_or(0, |pointer| pointer.durable);
        vouched = vouched.max(self.survey.seals.values().copied().max().unwrap_or(0));
        for file in files {
            let limit = self.survey.limit(file.epoch);
            Scanner::new(file, file::HEADER_LEN).search(&mut |header, _| {
                if header.number <= limit {
                    vouched = vouched.max(header.durable);
                }
            })?;
        }
        self.vouched = Some(vouched);
        Ok(vouched)
    }

    // Which files are the reason.
    fn hint(&self) -> String {
        let mut why: Vec<String> =
            self.survey.bad_names().into_iter().map(|bad| format!("unreadable: {bad}")).collect();
        if let Some(pointer) =
            self.survey.pointer.filter(|pointer| self.survey.good(pointer.begin_file).is_none())
        {
            let number = pointer.begin_file;
            why.push(format!(
                "the last checkpoint was in data file number {number:08x}, which cannot be read"
            ));
        }
        if why.is_empty() { String::new() } else { format!(" ({})", why.join("; ")) }
    }

    // The log has ended before batch `expected`: rightly, or is something missing?
    fn check_end(&mut self, files: &[Arc<DataFile>], stopped: Option<(Arc<DataFile>, u64)>) -> Result<()> {
        let last = self.expected - 1;
        let (name, at) =
            stopped.map_or_else(|| ("no file".to_owned(), 0), |(file, end)| (file.name.clone(), end));
        let closed = self.survey.pointer.is_some_and(|pointer| pointer.closed && pointer.durable == last);
        if closed && self.complete {
            return Ok(());
        }
        let (mut vouched, mut seen) = (self.survey.pointer.map_or(0, |pointer| pointer.durable), 0);
        vouched = vouched.max(self.survey.seals.values().copied().max().unwrap_or(0));
        for file in files.iter().rev() {
            let from = if file.name == name { at } else { file::HEADER_LEN };
            let limit = self.survey.limit(file.epoch);
            Scanner::new(file, from).search(&mut |header, _| {
                if header.number > last && header.number <= limit {
                    vouched = vouched.max(header.durable);
                    seen = seen.max(header.number);
                }
            })?;
            if file.name == name {
                break;
            }
        }
        let missing = vouched > last && !seeded("damage in the middle taken for the tail");
        if missing || !self.complete {
            let hint = self.hint();
            return corrupt(format!(
                "the journal in {} is damaged or a file is missing: batch {} is not found after byte {at} of {name}, and batches up to {vouched} are known to have been stored{hint}; put the files back from a copy, or go on without what is lost with `sabir store repair --accept-loss`: nothing was changed",
                self.disk.describe(),
                last + 1,
            ));
        }
        if seen > last {
            self.report.cut = Some(format!(
                "the journal's unfinished tail was cut after batch {last}, at byte {at} of {name}"
            ));
        }
        Ok(())
    }
}

fn corrupt<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorCode::Corrupt, text))
}
