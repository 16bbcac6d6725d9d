// SPDX-License-Identifier: Apache-2.0
//! Moving entries until no file is left that is worth emptying.

use super::Progress;
use super::report::Report;
use crate::config::Options;
use crate::files::locked;
use crate::journal::Journal;
use crate::recovery;
use crate::shared::Class;
use sabir_sdk::disk::{Disk, DiskLock};
use sabir_sdk::store::Store;
use sabir_sdk::{Error, ErrorCode, Host, Result};
use std::sync::Arc;

/// A file of which at least so many percent live is left alone.
const WORTH_PERCENT: u64 = 90;

/// Compacts a journal that is not open.
pub fn compact(
    disk: Arc<dyn Disk>,
    options: Options,
    host: Host,
    lock: Box<dyn DiskLock>,
    progress: &mut Progress<'_>,
) -> Result<Report> {
    let recovered = recovery::recover(&*disk, &host)?;
    // Without a thread of its own: nothing happens but what is said here.
    let options = Options { background: false, ..options };
    let mut journal = Journal::assemble(disk, options, host, lock, recovered);
    journal.begin()?;
    let done = journal.compact(&mut |so_far| progress("compacting", so_far.copied_bytes, so_far.live_bytes));
    // What was moved stays moved, whatever ended it.
    let closed = journal.close();
    let Compacted { used_before, used_bytes, copied_bytes, live_bytes } = done?;
    closed?;
    let mut report = Report { good: true, done: copied_bytes > 0, ..Report::default() };
    report.figures.insert("used_before_bytes", used_before);
    report.figures.insert("used_bytes", used_bytes);
    report.figures.insert("copied_bytes", copied_bytes);
    report.figures.insert("live_bytes", live_bytes);
    Ok(report)
}

/// How far compacting has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes that the store took on its medium when it began.
    pub used_before: u64,
    /// Bytes that the store takes now.
    pub used_bytes: u64,
    /// Bytes that were copied so far.
    pub copied_bytes: u64,
    /// Bytes of the records that exist.
    pub live_bytes: u64,
}

impl Journal {
    /// Moves entries until no file is worth emptying, and gives the emptied files back; the store may be in use.
    /// `progress` is shown how far it has come after every piece (1 MiB, or a longer record), and ends it early by
    /// answering `false`: what was moved stays moved.
    ///
    /// # Errors
    /// [`ErrorCode::Full`]: there was no room left to move entries to. [`ErrorCode::Io`]: the store has stopped.
    pub fn compact(&self, progress: &mut dyn FnMut(&Compacted) -> bool) -> Result<Compacted> {
        let begin = self.stats();
        let mut so_far = Compacted {
            used_before: begin.used_bytes,
            used_bytes: begin.used_bytes,
            live_bytes: begin.live_bytes,
            copied_bytes: 0,
        };
        let shared = self.shared();
        let mut go_on = true;
        for class in [Class::Lasting, Class::Temporary] {
            loop {
                // Others may have a turn between two pieces.
                let mut keeping = locked(&shared.keeping);
                if keeping.moving.is_none()
                    && (!go_on || !shared.choose(&mut keeping, class, WORTH_PERCENT, u64::MAX))
                {
                    break;
                }
                let step = shared.move_piece(&mut keeping)?;
                if step.full {
                    let text = "there is no room to move entries to: what was moved so far stays moved";
                    return Err(Error::new(ErrorCode::Full, text));
                }
                if step.done {
                    shared.checkpoint(&mut keeping, false)?;
                    shared.sweep_temporary();
                }
                drop(keeping);
                let stats = self.stats();
                so_far.copied_bytes += step.copied_bytes;
                (so_far.used_bytes, so_far.live_bytes) = (stats.used_bytes, stats.live_bytes);
                go_on = progress(&so_far);
                if !go_on {
                    return Ok(so_far);
                }
            }
        }
        // Spare files that cannot be removed now are removed by the next start.
        let _ = shared.supply.shed();
        so_far.used_bytes = self.stats().used_bytes;
        Ok(so_far)
    }
}
