// SPDX-License-Identifier: Apache-2.0
//! Goes on without what is damaged. What a damaged file holds is kept beside the journal under another name first: nothing
//! is destroyed that somebody may read yet.

use super::check::verify;
use super::report::{Item, Moved, Report};
use super::{Progress, Wanted, stopped};
use crate::config::Options;
use crate::format::file::ASIDE;
use crate::journal::Journal;
use crate::recovery::salvage::{Gap, LostEntry, Salvaged, salvage};
use crate::recovery::{self, Recovered};
use sabir_model::store::{Batch, Level, LogId, Op};
use sabir_sdk::disk::{Disk, DiskLock};
use sabir_sdk::store::{Ops, Store};
use sabir_sdk::{Error, ErrorCode, Host, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Entries that are removed at a time.
const REMOVED_AT_A_TIME: usize = 1_000;

/// What is wrong, before anything is changed.
struct Found {
    recovered: Recovered,
    /// Whether the journal does not open.
    closed: bool,
    /// Files that are still used and damaged.
    damaged: BTreeSet<u32>,
    /// Files that cannot be used.
    unusable: Vec<String>,
}

/// Makes a journal whole again, if that may be.
pub fn repair(
    disk: Arc<dyn Disk>,
    options: Options,
    host: Host,
    lock: Box<dyn DiskLock>,
    wanted: Wanted,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let mut report = Report::default();
    if !progress("reading the log", 0, 0) {
        return Err(stopped());
    }
    recovery::belongs_together(&*disk)?;
    let Found { recovered, closed, mut damaged, unusable } = find(&*disk, &host, &mut report)?;
    let names: BTreeMap<u32, String> =
        recovered.files.iter().map(|(number, file)| (*number, file.name.clone())).collect();
    // Without a thread of its own: nothing happens but what is said here.
    let options = Options { background: false, ..options };
    let mut journal = Journal::assemble(disk.clone(), options, host, lock, recovered);
    let mut gone: Vec<(LogId, u64)> = Vec::new();
    verify(&journal, progress, &mut |item| {
        gone.extend(item.log.zip(item.seq));
        report.lost.push(item);
    })?;
    {
        let state = journal.shared().state();
        for (log, seq) in &gone {
            let extent = state.index.find(*log, *seq).map(|(_, extent)| extent);
            damaged.extend(extent.into_iter().flat_map(|extent| [extent.region.file, extent.record_file]));
        }
    }
    if !closed && report.lost.is_empty() {
        report.good = true;
        return Ok(report);
    }
    if !wanted.accept_loss {
        return Ok(report);
    }
    for name in damaged.iter().filter_map(|number| names.get(number)) {
        let to = copy_aside(&*disk, name).map_err(|error| cannot(&*disk, name, &error))?;
        report.moved.push(Moved { from: format!("{name} (a copy)"), to });
    }
    for name in &unusable {
        let to = free_name(&*disk, name)
            .and_then(|to| disk.rename(name, &to).map(|()| to))
            .map_err(|error| cannot(&*disk, name, &error))?;
        report.moved.push(Moved { from: name.clone(), to });
    }
    disk.sync_dir().map_err(|error| cannot(&*disk, "its directory", &error))?;
    journal.begin()?;
    remove(&journal, &gone)?;
    // Its last checkpoint is where the next start begins: what is damaged lies before it.
    journal.close()?;
    (report.good, report.done) = (true, true);
    Ok(report)
}

fn find(disk: &dyn Disk, host: &Host, report: &mut Report) -> Result<Found> {
    let recovered = match recovery::examine(disk, host) {
        Ok(recovered) => {
            let found = &recovered.report;
            report.notes.extend(found.notes.iter().chain(&found.mended).chain(&found.cut).cloned());
            let (damaged, unusable) = (BTreeSet::new(), Vec::new());
            return Ok(Found { recovered, closed: false, damaged, unusable });
        }
        Err(error) if error.code == ErrorCode::Corrupt => {
            report.notes.push(error.message);
            salvage(disk)?
        }
        Err(error) => return Err(error),
    };
    let Salvaged { recovered, gaps, lost, damaged, unusable, complete } = recovered;
    report.notes.extend(recovered.report.notes.iter().cloned());
    for (name, why) in &unusable {
        let costs = Some("what it holds alone".to_owned());
        let what = format!("{name} cannot be used: {why}");
        report.damaged.push(Item { what, place: Some(name.clone()), costs, ..Item::default() });
    }
    report.lost.extend(gaps.iter().map(of_gap));
    report.lost.extend(lost.iter().map(of_entry));
    if !complete {
        report.lost.push(Item {
            what: "no whole checkpoint is left, and the log's beginning is not there".to_owned(),
            costs: Some("entries may be lost of which nothing is known any more".to_owned()),
            ..Item::default()
        });
    }
    let unusable = unusable.into_iter().map(|(name, _)| name).collect();
    Ok(Found { recovered, closed: true, damaged, unusable })
}

fn of_gap(gap: &Gap) -> Item {
    let what = match gap.first == gap.last {
        true => format!("batch {} is missing or damaged", gap.first),
        false => format!("batches {} to {} are missing or damaged", gap.first, gap.last),
    };
    let costs =
        "what they stored is lost if it was not removed later, and what they removed may be there again";
    Item {
        what,
        place: Some(format!("{}, byte {}", gap.file, gap.offset)),
        costs: Some(costs.to_owned()),
        ..Item::default()
    }
}

fn of_entry(entry: &LostEntry) -> Item {
    let what = format!("entry {} of log {}", entry.seq, entry.log);
    let item = Item::entry(entry.log, entry.seq, &what, entry.front.as_deref());
    Item { place: Some(entry.file.clone()), ..item }
}

/// A name under which nothing is yet.
fn free_name(disk: &dyn Disk, name: &str) -> io::Result<String> {
    let there: BTreeSet<String> = disk.list()?.into_iter().map(|entry| entry.name).collect();
    let first = format!("{ASIDE}{name}");
    let more = (2..).map(|number| format!("{first}-{number}"));
    let free = std::iter::once(first.clone()).chain(more).find(|name| !there.contains(name));
    Ok(free.unwrap_or(first))
}

fn copy_aside(disk: &dyn Disk, name: &str) -> io::Result<String> {
    let from = disk.open(name)?;
    if disk.free_bytes()? < from.len_bytes()? {
        return Err(io::ErrorKind::StorageFull.into());
    }
    let to = free_name(disk, name)?;
    let copy = disk.create(&to)?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        let read = from.read_at(&mut buffer, offset)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            break;
        }
        copy.write_at(&[IoSlice::new(bytes)], offset)?;
        offset += read as u64;
    }
    copy.sync_data()?;
    Ok(to)
}

fn cannot(disk: &dyn Disk, name: &str, error: &io::Error) -> Error {
    let code = if crate::files::is_full(error) { ErrorCode::Full } else { ErrorCode::Io };
    let at = disk.describe();
    Error::new(
        code,
        format!("the journal in {at}: {name} cannot be put aside: {error}; nothing was repaired"),
    )
}

fn remove(journal: &Journal, gone: &[(LogId, u64)]) -> Result<()> {
    for some in gone.chunks(REMOVED_AT_A_TIME) {
        let remove = |(log, seq): &(LogId, u64)| Op::Remove { log: *log, first: *seq, last: *seq };
        let batch = Batch { ops: some.iter().map(remove).collect(), level: Level::Durable };
        let ticket = Ops::with_batch(&batch, |ops| journal.submit(ops, Level::Durable))?;
        journal.sync(ticket)?;
    }
    Ok(())
}
