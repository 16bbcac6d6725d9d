// SPDX-License-Identifier: Apache-2.0
//! What was asked of the store, and why. A page may take two reads, whose answers are put together here.

use crate::config::Limits;
use crate::delayed::DueKey;
use crate::output::{Outputs, ReadId, ReadRequest};
use crate::queue::Queue;
use crate::queue::entry::Place;
use crate::queue::paging::Page;
use crate::slab::Key;
use crate::subscription::Subscription;
use sabir_model::store::{LogId, Read, Record, TEMPORARY, Want};
use std::collections::BTreeMap;

/// Why something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be delivered through a view.
    Feed { queue: Key<Queue>, view: u32, priority: u8 },
    /// To be delivered again.
    Released { queue: Key<Queue>, priority: u8 },
    /// To be looked at.
    Browse { subscription: Key<Subscription> },
    /// To find expired messages.
    Sweep { queue: Key<Queue>, priority: u8 },
    /// To know what becomes due.
    Bucket(LogId),
    /// To be routed, now that it is due.
    Due(DueKey),
}

#[derive(Debug)]
struct Waiting {
    purpose: Purpose,
    page: Page,
    /// Reads not answered.
    open: usize,
    parts: Vec<Part>,
}

/// What one read of a page gave.
#[derive(Debug)]
pub(crate) struct Part {
    pub place: Place,
    pub records: Vec<Record>,
    /// The next record is damaged.
    pub failed: bool,
}

/// What a page gave.
#[derive(Debug)]
pub(crate) struct Answered {
    pub purpose: Purpose,
    pub page: Page,
    pub parts: Vec<Part>,
}

/// Reads under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    last: u64,
    /// Which page each read belongs to: that of its first read.
    pages: BTreeMap<ReadId, (ReadId, Place)>,
    waiting: BTreeMap<ReadId, Waiting>,
}

impl Reads {
    /// Asks for a page. Answers the number under which it is under way.
    pub fn page(&mut self, page: Page, purpose: Purpose, limits: &Limits, out: &mut Outputs) -> ReadId {
        let reads = page.reads(limits.page_records, limits.page_bytes, Want::All).collect();
        self.start(page, purpose, reads, out)
    }

    /// Asks for the fixed heads of a page's messages.
    pub fn heads(
        &mut self,
        page: Page,
        len: usize,
        purpose: Purpose,
        max_records: u64,
        out: &mut Outputs,
    ) -> ReadId {
        let want = Want::Head { len: len as u64 };
        let reads = page.reads(max_records, 0, want).collect();
        self.start(page, purpose, reads, out)
    }

    /// Asks for something else.
    pub fn single(&mut self, read: Read, purpose: Purpose, out: &mut Outputs) -> ReadId {
        let page = Page {
            log: read.log & !TEMPORARY,
            from: read.from,
            last: read.last,
            durable: read.log & TEMPORARY == 0,
            temporary: read.log & TEMPORARY != 0,
        };
        self.start(page, purpose, vec![read], out)
    }

    fn start(&mut self, page: Page, purpose: Purpose, reads: Vec<Read>, out: &mut Outputs) -> ReadId {
        let first = ReadId(self.last + 1);
        let open = reads.len();
        for read in reads {
            self.last += 1;
            let id = ReadId(self.last);
            let place = if read.log & TEMPORARY == 0 { Place::Durable } else { Place::Temporary };
            self.pages.insert(id, (first, place));
            out.reads.push(ReadRequest { id, read });
        }
        self.waiting.insert(first, Waiting { purpose, page, open, parts: Vec::new() });
        first
    }

    /// A read was answered. Gives the page when that was the last of it.
    pub fn answer(&mut self, id: ReadId, records: Vec<Record>, failed: bool) -> Option<(ReadId, Answered)> {
        let (first, place) = self.pages.remove(&id)?;
        let waiting = self.waiting.get_mut(&first)?;
        waiting.parts.push(Part { place, records, failed });
        waiting.open -= 1;
        if waiting.open > 0 {
            return None;
        }
        let Waiting { purpose, page, parts, .. } = self.waiting.remove(&first)?;
        Some((first, Answered { purpose, page, parts }))
    }
}
