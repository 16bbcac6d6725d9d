// SPDX-License-Identifier: Apache-2.0
//! What of a journal can be had although it is damaged: every batch that is whole, whatever is missing between.
//!
//! A start refuses a log in which something is missing that was stored. This is for the operator who says that it shall go
//! on all the same. It replays the log from as far back as there is one; every later checkpoint says exactly what it
//! covers, so that what was lost before it costs nothing but what the checkpoint cannot find either. It changes nothing.

use super::scan::{Scanner, Step};
use super::survey::Survey;
use super::{Recovered, Report};
use crate::files::{DataFile, Identity};
use crate::format::file::{self, Seal};
use crate::format::number::Reader;
use crate::format::op::{Op, Ops};
use crate::index::Index;
use crate::index::extent::Region;
use bytes::Bytes;
use sabir_sdk::Result;
use sabir_sdk::disk::Disk;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Batches that are missing or damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// The file in which, or before which, they should be.
    pub file: String,
    /// And the byte.
    pub offset: u64,
}

/// An entry that is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostEntry {
    /// Its log.
    pub log: u64,
    /// Its number.
    pub seq: u64,
    /// The first bytes of its record, where they could be read; nothing has verified them.
    pub front: Option<Bytes>,
    /// Where it should be.
    pub file: String,
}

/// What was saved, and what was not.
pub struct Salvaged {
    /// A journal that can go on.
    pub recovered: Recovered,
    /// What is missing of the log.
    pub gaps: Vec<Gap>,
    /// Entries that are known to be lost with it.
    pub lost: Vec<LostEntry>,
    /// Data files with gaps, which are still used.
    pub damaged: BTreeSet<u32>,
    /// Data files that cannot be used, with the reason.
    pub unusable: Vec<(String, String)>,
    /// Whether a whole checkpoint, or the log's beginning, was among what is left: otherwise there may have been entries of
    /// which nothing is known any more.
    pub complete: bool,
}

struct Salvage<'a> {
    survey: &'a Survey,
    index: Index,
    // The number of the next batch; `None` before the first.
    expected: Option<u64>,
    vouched: u64,
    // Nothing that counts comes any more.
    ended: bool,
    // Nothing is missing since a checkpoint began.
    unbroken: bool,
    complete: bool,
    gaps: Vec<Gap>,
    lost: Vec<LostEntry>,
    damaged: BTreeSet<u32>,
    report: Report,
}

/// Reads what is left of a journal.
pub fn salvage(disk: &dyn Disk) -> Result<Salvaged> {
    let survey = Survey::of(disk)?;
    let mut salvage = Salvage {
        survey: &survey,
        index: Index::default(),
        expected: None,
        vouched: vouched(&survey)?,
        ended: false,
        unbroken: false,
        complete: false,
        gaps: Vec::new(),
        lost: Vec::new(),
        damaged: BTreeSet::new(),
        report: Report { notes: survey.notes.clone(), mended: survey.mended.clone(), ..Report::default() },
    };
    let files: Vec<Arc<DataFile>> = survey.good_files().collect();
    for file in &files {
        if salvage.ended {
            break;
        }
        salvage.file(file)?;
    }
    salvage.check_end(files.last());
    salvage.drop_pinned();
    let last = salvage.expected.map_or(0, |next| next - 1).max(salvage.vouched);
    let Salvage { index, gaps, lost, damaged, complete, report, .. } = salvage;
    let mut seals: BTreeMap<u64, u64> = BTreeMap::new();
    for file in survey.all_good() {
        seals.entry(file.epoch).or_insert_with(|| survey.limit(file.epoch).min(last));
    }
    let seals = seals.into_iter().map(|(epoch, last_batch)| Seal { epoch, last_batch }).collect();
    let recovered = Recovered {
        index,
        files: survey.all_good().map(|file| (file.number, file)).collect(),
        identity: Identity { store: survey.store, epoch: survey.epoch + 1, seals },
        next_number: survey.next_number,
        last_batch: last,
        report,
    };
    let unusable = survey.bad().map(|(name, why)| (name.to_owned(), why.to_owned())).collect();
    Ok(Salvaged { recovered, gaps, lost, damaged, unusable, complete })
}

// The highest batch that is known to have been durable.
fn vouched(survey: &Survey) -> Result<u64> {
    let mut vouched = survey.pointer.map_or(0, |pointer| pointer.durable);
    vouched = vouched.max(survey.seals.values().copied().max().unwrap_or(0));
    for file in survey.good_files() {
        let limit = survey.limit(file.epoch);
        Scanner::new(&file, file::HEADER_LEN).search(&mut |header, _| {
            if header.number <= limit {
                vouched = vouched.max(header.durable);
            }
        })?;
    }
    Ok(vouched)
}

impl Salvage<'_> {
    fn file(&mut self, file: &Arc<DataFile>) -> Result<()> {
        let limit = self.survey.limit(file.epoch);
        let mut scanner = Scanner::new(file, file::HEADER_LEN);
        loop {
            let at = scanner.position();
            let next = self.expected.unwrap_or(1);
            if let Step::Batch { offset, header, ops, damaged, .. } = scanner.step(next, limit)? {
                if !damaged.is_empty() && next > self.vouched {
                    // The unfinished tail.
                    self.ended = true;
                    return Ok(());
                }
                let region = Region { file: file.number, offset, len: header.total_len() };
                self.expected = Some(next + 1);
                self.complete |= next == 1;
                self.report.batches += 1;
                self.report.replayed_bytes += region.len;
                self.apply(region, &ops);
                continue;
            }
            let glimpsed = scanner.glimpse(next)?;
            let Some(number) = scanner.seek(next, limit)? else { return Ok(()) };
            match self.expected {
                None => self.expected = Some(number),
                Some(expected) if number == expected => {}
                Some(expected) if expected > self.vouched => {
                    self.ended = true;
                    return Ok(());
                }
                Some(expected) => {
                    self.gap(expected, number - 1, file, at);
                    self.lost.extend(glimpsed.into_iter().map(|(log, seq, front)| LostEntry {
                        log,
                        seq,
                        front: Some(front),
                        file: file.name.clone(),
                    }));
                    self.expected = Some(number);
                }
            }
        }
    }

    fn gap(&mut self, first: u64, last: u64, file: &DataFile, offset: u64) {
        self.damaged.insert(file.number);
        self.unbroken = false;
        self.gaps.push(Gap { first, last, file: file.name.clone(), offset });
    }

    fn apply(&mut self, region: Region, ops: &[u8]) {
        for op in Ops::new(ops) {
            let Ok(op) = op else {
                self.report
                    .notes
                    .push("an operation that this version does not know was passed over".to_owned());
                return;
            };
            match op {
                // What became of an entry later is known from here on.
                Op::Remove { log, first, last } => self.forget(log, first, last),
                Op::Replace { entry, last } => self.forget(entry.log, entry.seq, last),
                Op::Trim { log, before } => {
                    if let Some(last) = before.checked_sub(1) {
                        self.forget(log, 0, last);
                    }
                }
                Op::StateLog(body) => {
                    let mut numbers = Reader::new(body);
                    let mut next = || numbers.number();
                    if let (Some(log), Some(_), Some(first), Some(last)) = (next(), next(), next(), next()) {
                        self.forget(log, first, last);
                    }
                }
                Op::StateBegin => self.unbroken = true,
                Op::StateEnd { .. } => self.complete |= self.unbroken,
                _ => {}
            }
            if self.index.apply(&op, region).is_err() {
                self.report.notes.push("a piece of a checkpoint cannot be read".to_owned());
                self.unbroken = false;
            }
        }
    }

    fn forget(&mut self, log: u64, first: u64, last: u64) {
        self.lost.retain(|entry| entry.log != log || !(first..=last).contains(&entry.seq));
    }

    // What is known to have been stored and is nowhere.
    fn check_end(&mut self, last_file: Option<&Arc<DataFile>>) {
        let next = self.expected.unwrap_or(1);
        if next <= self.vouched {
            let (file, offset) = last_file.map_or(("no file".to_owned(), 0), |file| (file.name.clone(), 0));
            self.gaps.push(Gap { first: next, last: self.vouched, file, offset });
        }
    }

    // Entries whose operation or record lies in a file that is not there.
    fn drop_pinned(&mut self) {
        let missing: Vec<u32> = self
            .index
            .pins()
            .map(|(file, _)| file)
            .filter(|file| self.survey.good(*file).is_none())
            .collect();
        for number in missing {
            let name = match self.survey.files.get(&number) {
                Some((name, _)) => name.clone(),
                None => format!("the missing data file number {number:08x}"),
            };
            for (log, seq) in self.index.pinned_by(number) {
                self.lost.push(LostEntry { log, seq, front: None, file: name.clone() });
                let nowhere = Region { file: 0, offset: 0, len: 0 };
                // A removal is never refused.
                let _ = self.index.apply(&Op::Remove { log, first: seq, last: seq }, nowhere);
            }
        }
    }
}
