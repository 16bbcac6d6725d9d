// SPDX-License-Identifier: Apache-2.0
//! Checking a batch before anything of it takes effect, and turning it into stored operations.
//!
//! Two passes: the first checks every operation, finds out where links lead and bounds the batch's length, so that
//! a place can be found for it; the second, which cannot fail, encodes it for that place.

use crate::format::op::{Entry, Op, Target, op_bound, put_op};
use crate::format::record::{stored_len, sum, table_len};
use crate::reader::Found;
use crate::shared::{Class, Shared};
use crate::writer::Writer;
use bytes::Bytes;
use sabir_model::store::FORGET;
use sabir_sdk::store::{OpRef, Ops, Pieces};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::HashMap;

/// Longest label in bytes.
const LABEL_MAX: usize = 65_535;
/// Longest key in bytes.
const KEY_MAX: usize = 1024;
/// Longest record or value in bytes.
const RECORD_MAX: u64 = 1 << 31;

/// The bytes of a record.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// As they came.
    Pieces(Pieces<'a>),
    /// Read from the journal, to be stored again.
    Bytes(Bytes),
}

impl Body<'_> {
    fn len(&self) -> u64 {
        match self {
            Body::Pieces(pieces) => pieces.len_bytes() as u64,
            Body::Bytes(bytes) => bytes.len() as u64,
        }
    }

    fn each<'b>(&'b self, visit: &mut dyn FnMut(&'b [u8])) {
        match self {
            Body::Pieces(pieces) => pieces.iter().for_each(visit),
            Body::Bytes(bytes) => visit(bytes),
        }
    }
}

/// Stored operations of one class, in memory that is used again.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The operations.
    pub ops: Vec<u8>,
    /// Bytes of the records, tables included.
    pub records_len: u64,
    /// Whether the operations are the store's own and change nothing.
    pub state: bool,
    /// The tables of long records.
    pub tables: Vec<u8>,
}

impl Encoded {
    /// Forgets the operations, and keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.state = false;
        self.tables.clear();
        self.records_len = 0;
    }

    /// Shows what comes after the operations, in order.
    pub fn each_piece<'b>(&'b self, bodies: &'b [Body<'_>], visit: &mut dyn FnMut(&'b [u8])) {
        let mut tables = &self.tables[..];
        for body in bodies {
            let (table, rest) =
                tables.split_at_checked(table_len(body.len()) as usize).unwrap_or((tables, &[]));
            tables = rest;
            if !table.is_empty() {
                visit(table);
            }
            body.each(visit);
        }
    }
}

/// What a link leads to.
#[derive(Clone, Debug)]
enum Source<'a> {
    /// A record that the batch makes with this entry, in files of the same class.
    Here(u64, u64),
    /// A record that is there, in files of the same class.
    There(Found),
    /// A record of the other class: it is stored again.
    Copy { body: Body<'a>, span: u64, format: u32 },
}

/// Where the record of an entry that the batch makes comes from.
#[derive(Clone, Debug)]
enum Origin<'a> {
    Append { log: u64, seq: u64, record: Pieces<'a>, span: u64, format: u32 },
    There { log: u64, found: Found },
}

// What the operations of a batch so far have made.
struct Seen<'a> {
    has_links: bool,
    made: HashMap<(u64, u64), Origin<'a>>,
    // The log at hand, and one more than its highest number.
    last: Option<(u64, u64)>,
}

/// A batch that was checked.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// Whether it makes nothing.
    pub only_removes: bool,
    /// Whether numbers may stand for other records after it: what was remembered of entries must be forgotten.
    pub moves: bool,
    bounds: [u64; 2],
    // One per link, in order.
    sources: Vec<Source<'a>>,
}

fn refuse<T>(text: String) -> Result<T> {
    Err(Error::new(ErrorCode::Invalid, text))
}

impl Shared {
    /// Checks a batch. Nothing has happened when it is refused.
    pub fn plan<'a>(&self, writer: &mut Writer, ops: Ops<'a>) -> Result<Plan<'a>> {
        let mut plan = Plan { only_removes: true, ..Plan::default() };
        let has_links = ops.iter().any(|op| matches!(op, OpRef::Link { .. }));
        let mut seen = Seen { has_links, made: HashMap::new(), last: None };
        writer.next_seqs.clear();
        for op in ops.iter() {
            self.plan_op(writer, &mut plan, &mut seen, op)?;
        }
        Ok(plan)
    }

    fn plan_op<'a>(
        &self,
        writer: &mut Writer,
        plan: &mut Plan<'a>,
        seen: &mut Seen<'a>,
        op: OpRef<'a>,
    ) -> Result<()> {
        match op {
            OpRef::Append { log, seq, span, format, label, record } => {
                self.check_entry(writer, &mut seen.last, log, seq, span, label)?;
                plan.add_record(Class::of(log), label.len(), record.len_bytes() as u64)?;
                if seen.has_links {
                    seen.made.insert((log, seq), Origin::Append { log, seq, record, span, format });
                }
            }
            OpRef::Link { log, seq, from_log, from_seq, label } => {
                let origin = match seen.made.get(&(from_log, from_seq)) {
                    Some(origin) => origin.clone(),
                    None => {
                        Origin::There { log: from_log, found: self.linked_entry(writer, from_log, from_seq)? }
                    }
                };
                self.check_entry(writer, &mut seen.last, log, seq, origin.span(), label)?;
                plan.add_link(self, Class::of(log), label.len(), &origin)?;
                seen.made.insert((log, seq), origin);
            }
            OpRef::Remove { log, first, last } if first <= last => plan.add(Class::of(log), 0),
            OpRef::Remove { log, first, last } => {
                return refuse(format!("remove in log {log}: entry {first} comes after {last}"));
            }
            OpRef::Trim { log, before } => {
                if before == FORGET {
                    // Its numbers begin anew, so what was known of them is of no use.
                    self.next_seq(writer, &mut seen.last, log);
                    seen.last = Some((log, 0));
                    seen.made.retain(|(of, _), _| *of != log);
                    plan.moves = true;
                }
                plan.add(Class::of(log), 0);
            }
            OpRef::Replace { log, first, last, span, format, record } => {
                self.plan_replace(writer, plan, seen, (log, first, last), (span.max(1), format, record))?;
            }
            OpRef::Put { key, value } => {
                check_key(key)?;
                check_len(value.len_bytes() as u64)?;
                plan.only_removes = false;
                plan.add(Class::Lasting, key.len() as u64 + value.len_bytes() as u64);
            }
            OpRef::Delete { key } => {
                check_key(key)?;
                plan.add(Class::Lasting, key.len() as u64);
            }
            OpRef::Invalid(kind) => {
                return Err(Error::new(
                    ErrorCode::Unsupported,
                    format!("the batch has an operation of a kind that this journal does not know: {kind}"),
                ));
            }
        }
        Ok(())
    }

    fn plan_replace<'a>(
        &self,
        writer: &mut Writer,
        plan: &mut Plan<'a>,
        seen: &mut Seen<'a>,
        (log, first, last): (u64, u64, u64),
        (span, format, record): (u64, u32, Option<Pieces<'a>>),
    ) -> Result<()> {
        plan.moves = true;
        if first > last {
            return refuse(format!("replace in log {log}: entry {first} comes after {last}"));
        }
        check_span(log, first, span)?;
        let Some(record) = record else {
            plan.add(Class::of(log), 0);
            return Ok(());
        };
        plan.add_record(Class::of(log), 0, record.len_bytes() as u64)?;
        seen.made.insert((log, first), Origin::Append { log, seq: first, record, span, format });
        let next = self.next_seq(writer, &mut seen.last, log);
        seen.last = Some((log, next.max(last.saturating_add(1)).max(first + span)));
        Ok(())
    }

    // One more than the highest number of a log, as the operations so far leave it. The log at hand is in `last`, the
    // others in the map, because mostly one log follows itself.
    fn next_seq(&self, writer: &mut Writer, last: &mut Option<(u64, u64)>, log: u64) -> u64 {
        match *last {
            Some((current, next)) if current == log => return next,
            Some((other, next)) => {
                writer.next_seqs.insert(other, next);
            }
            None => {}
        }
        let known = writer.next_seqs.get(&log).copied();
        let next = known.unwrap_or_else(|| self.state().index.next_seq(log));
        *last = Some((log, next));
        next
    }

    fn check_entry(
        &self,
        writer: &mut Writer,
        last: &mut Option<(u64, u64)>,
        log: u64,
        seq: u64,
        span: u64,
        label: &[u8],
    ) -> Result<()> {
        check_span(log, seq, span)?;
        if label.len() > LABEL_MAX {
            return refuse(format!(
                "entry {seq} of log {log}: its label has {} bytes, {LABEL_MAX} at most",
                label.len()
            ));
        }
        let next = self.next_seq(writer, last, log);
        if seq < next {
            return refuse(format!(
                "entry {seq} of log {log}: numbers grow, and {} was given before",
                next - 1
            ));
        }
        *last = Some((log, seq + span));
        Ok(())
    }

    // The entry that a link leads to, which was there before the batch.
    fn linked_entry(&self, writer: &mut Writer, log: u64, seq: u64) -> Result<Found> {
        let known = |linked: &Option<(u64, Vec<Found>)>| {
            let (_, found) = linked.as_ref().filter(|(of, _)| *of == log)?;
            let at = found.binary_search_by_key(&seq, |entry| entry.seq).ok()?;
            found.get(at).cloned()
        };
        // Commits of long transactions link entry after entry: those around the last one are remembered. What is
        // remembered counts only while the entry exists.
        let exists = self.state().index.find(log, seq).is_some();
        if exists && let Some(found) = known(&writer.linked) {
            return Ok(found);
        }
        match self.locate_around(log, seq)? {
            Some(found) => {
                writer.linked = Some((log, found));
                known(&writer.linked).ok_or_else(|| {
                    Error::new(ErrorCode::Corrupt, format!("entry {seq} of log {log} was not found"))
                })
            }
            None => refuse(format!("a link leads to entry {seq} of log {log}, which does not exist")),
        }
    }
}

fn check_span(log: u64, seq: u64, span: u64) -> Result<()> {
    if span == 0 || seq.checked_add(span).is_none() {
        return refuse(format!("entry {seq} of log {log}: a span of {span} does not fit"));
    }
    Ok(())
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.is_empty() || key.len() > KEY_MAX {
        return refuse(format!("a key has {} bytes: 1 to {KEY_MAX} are allowed", key.len()));
    }
    Ok(())
}

fn check_len(len: u64) -> Result<()> {
    if len > RECORD_MAX {
        let text = format!("a record or value has {len} bytes: {RECORD_MAX} at most are kept in one");
        return Err(Error::new(ErrorCode::Limit, text));
    }
    Ok(())
}

impl<'a> Origin<'a> {
    fn span(&self) -> u64 {
        match self {
            Origin::Append { span, .. } => *span,
            Origin::There { found, .. } => found.span,
        }
    }
}

impl<'a> Plan<'a> {
    /// Whether it does something in a class.
    pub fn has(&self, class: Class) -> bool {
        self.bounds[class as usize] > 0
    }

    /// Upper bound of the length of its part of a class in bytes, without the batch's header.
    pub fn bound(&self, class: Class) -> u64 {
        self.bounds[class as usize]
    }

    fn add(&mut self, class: Class, bytes: u64) {
        self.bounds[class as usize] += op_bound(bytes);
    }

    fn add_record(&mut self, class: Class, label: usize, len: u64) -> Result<()> {
        check_len(len)?;
        self.only_removes = false;
        self.add(class, label as u64 + stored_len(len));
        Ok(())
    }

    fn add_link(&mut self, shared: &Shared, class: Class, label: usize, origin: &Origin<'a>) -> Result<()> {
        self.only_removes = false;
        let source = match origin {
            Origin::Append { log, seq, .. } if Class::of(*log) == class => Source::Here(*log, *seq),
            Origin::Append { record, span, format, .. } => {
                Source::Copy { body: Body::Pieces(*record), span: *span, format: *format }
            }
            Origin::There { log, found } if Class::of(*log) == class => Source::There(found.clone()),
            Origin::There { log, found } => {
                let body = Body::Bytes(shared.read_record(*log, found)?);
                Source::Copy { body, span: found.span, format: found.format }
            }
        };
        match &source {
            Source::Copy { body, .. } => self.add_record(class, label, body.len())?,
            Source::Here(..) | Source::There(_) => self.add(class, label as u64),
        }
        self.sources.push(source);
        Ok(())
    }

    /// Encodes the operations of one class for a place with this seed; answers the records in order.
    pub fn encode(&self, ops: Ops<'a>, class: Class, seed: u32, out: &mut Encoded) -> Vec<Body<'a>> {
        let mut encoder =
            Encoder { seed, out, bodies: Vec::new(), made: HashMap::new(), keep: !self.sources.is_empty() };
        let mut sources = self.sources.iter();
        let mine = |log: u64| Class::of(log) == class;
        for op in ops.iter() {
            match op {
                OpRef::Append { log, seq, span, format, label, record } if mine(log) => {
                    encoder.append(Item { log, seq, span, format, label }, Body::Pieces(record), None);
                }
                OpRef::Link { log, seq, label, .. } => {
                    let source = sources.next();
                    if let (Some(source), true) = (source, mine(log)) {
                        encoder.link(Item { log, seq, span: 1, format: 0, label }, source);
                    }
                }
                OpRef::Remove { log, first, last } if mine(log) => {
                    put_op(&mut encoder.out.ops, &Op::Remove { log, first, last });
                }
                OpRef::Trim { log, before } if mine(log) => {
                    put_op(&mut encoder.out.ops, &Op::Trim { log, before });
                }
                OpRef::Replace { log, first, last, span, format, record } if mine(log) => match record {
                    Some(record) => {
                        let item = Item { log, seq: first, span: span.max(1), format, label: &[] };
                        encoder.append(item, Body::Pieces(record), Some(last));
                    }
                    None => put_op(&mut encoder.out.ops, &Op::Remove { log, first, last }),
                },
                OpRef::Put { key, value } if class == Class::Lasting => {
                    let joined;
                    let mut pieces = value.iter();
                    let value = match (pieces.next(), pieces.next()) {
                        (None, _) => &[][..],
                        (Some(one), None) => one,
                        _ => {
                            joined = value.to_vec();
                            &joined
                        }
                    };
                    put_op(&mut encoder.out.ops, &Op::Put { key, value });
                }
                OpRef::Delete { key } if class == Class::Lasting => {
                    put_op(&mut encoder.out.ops, &Op::Delete { key });
                }
                _ => {}
            }
        }
        encoder.bodies
    }
}

#[derive(Clone, Copy)]
struct Item<'a> {
    log: u64,
    seq: u64,
    span: u64,
    format: u32,
    label: &'a [u8],
}

struct Encoder<'a, 'b> {
    seed: u32,
    out: &'b mut Encoded,
    bodies: Vec<Body<'a>>,
    // The entries that have a record in this batch, if something links to one.
    made: HashMap<(u64, u64), (Entry<'static>, u64)>,
    keep: bool,
}

impl<'a> Encoder<'a, '_> {
    fn append(&mut self, item: Item<'_>, body: Body<'a>, replaces: Option<u64>) {
        let (at, len) = (self.out.records_len, body.len());
        let mut runs: Vec<&[u8]> = Vec::new();
        let crc = match &body {
            Body::Pieces(pieces) => sum(self.seed, at, len, pieces.iter(), &mut self.out.tables),
            Body::Bytes(bytes) => {
                runs.push(bytes);
                sum(self.seed, at, len, runs.drain(..), &mut self.out.tables)
            }
        };
        self.out.records_len += stored_len(len);
        let Item { log, seq, span, format, label } = item;
        let target = Target::Here { at, linked: false };
        let entry = Entry { log, seq, span, format, label, len, crc, target };
        let op = match replaces {
            Some(last) => Op::Replace { entry, last },
            None => Op::Entry(entry),
        };
        put_op(&mut self.out.ops, &op);
        if self.keep {
            self.made.insert((log, seq), (Entry { label: &[], ..entry }, at));
        }
        self.bodies.push(body);
    }

    fn link(&mut self, item: Item<'_>, source: &Source<'a>) {
        let Item { log, seq, label, .. } = item;
        let entry = match source {
            Source::Copy { body, span, format } => {
                return self.append(Item { span: *span, format: *format, ..item }, body.clone(), None);
            }
            Source::Here(from_log, from_seq) => match self.made.get(&(*from_log, *from_seq)) {
                Some((entry, at)) => {
                    Entry { log, seq, label, target: Target::Here { at: *at, linked: true }, ..*entry }
                }
                // The plan saw it made by an earlier operation.
                None => return,
            },
            Source::There(found) => {
                let Found { span, format, len, crc, place, .. } = *found;
                Entry { log, seq, span, format, label, len, crc, target: Target::There(place) }
            }
        };
        put_op(&mut self.out.ops, &Op::Entry(entry));
    }
}
