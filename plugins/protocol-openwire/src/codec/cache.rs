// SPDX-License-Identifier: Apache-2.0
//! The marshalling cache: ids and destinations that were sent once are sent again as an index of two bytes.
//!
//! Each direction has its own. The writer gives out the indices, round and round; the reader stores what it is told. In the
//! tight encoding a value gets its index after the values within it, in the loose one before them, as Java has it.

use super::error::{Error, Place};
use super::id::{BrokerId, ConnectionId, ConsumerId, Destination, ProducerId, SessionId, TransactionId};
use std::collections::HashMap;
use std::sync::Arc;

/// What can stand in the cache: the ids and destinations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectId {
    /// A connection.
    Connection(Arc<ConnectionId>),
    /// A session.
    Session(Arc<SessionId>),
    /// A consumer.
    Consumer(Arc<ConsumerId>),
    /// A producer.
    Producer(Arc<ProducerId>),
    /// A broker.
    Broker(Arc<BrokerId>),
    /// A destination.
    Destination(Arc<Destination>),
    /// A transaction.
    Transaction(Arc<TransactionId>),
}

impl ObjectId {
    /// Where the value is: while an `Arc` is held, nothing else can be there.
    fn address(&self) -> usize {
        match self {
            ObjectId::Connection(id) => Arc::as_ptr(id).addr(),
            ObjectId::Session(id) => Arc::as_ptr(id).addr(),
            ObjectId::Consumer(id) => Arc::as_ptr(id).addr(),
            ObjectId::Producer(id) => Arc::as_ptr(id).addr(),
            ObjectId::Broker(id) => Arc::as_ptr(id).addr(),
            ObjectId::Destination(id) => Arc::as_ptr(id).addr(),
            ObjectId::Transaction(id) => Arc::as_ptr(id).addr(),
        }
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        const COUNTS: usize = 2 * size_of::<usize>();
        COUNTS
            + match self {
                ObjectId::Connection(id) => size_of::<ConnectionId>() + id.value.len(),
                ObjectId::Session(id) => size_of::<SessionId>() + id.connection_id.len(),
                ObjectId::Consumer(id) => size_of::<ConsumerId>() + id.connection_id.len(),
                ObjectId::Producer(id) => size_of::<ProducerId>() + id.connection_id.len(),
                ObjectId::Broker(id) => size_of::<BrokerId>() + id.value.len(),
                ObjectId::Destination(id) => size_of::<Destination>() + id.physical_name.len(),
                ObjectId::Transaction(id) => size_of::<TransactionId>() + id.heap_bytes(),
            }
    }
}

const CACHE: &Place = &Place { command: "cache", field: "values" };

#[derive(Debug, Clone, Default)]
enum Slot {
    /// Never written.
    #[default]
    Empty,
    /// Null is cached too.
    Null,
    Value(ObjectId),
}

/// What the peer has told us to keep.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadCache {
    /// Grows up to the size agreed, as indices are used.
    slots: Vec<Slot>,
    size: usize,
    bytes: usize,
    limit_bytes: usize,
}

impl ReadCache {
    pub(super) fn new(size: u16, limit_bytes: usize) -> ReadCache {
        ReadCache { slots: Vec::new(), size: size.into(), bytes: 0, limit_bytes }
    }

    pub(super) fn is_on(&self) -> bool {
        self.size > 0
    }

    /// The value at an index; an inner `None` is null.
    #[inline]
    pub(super) fn get(&self, index: i16) -> Option<Option<&ObjectId>> {
        match usize::try_from(index).ok().and_then(|index| self.slots.get(index)) {
            None | Some(Slot::Empty) => None,
            Some(Slot::Null) => Some(None),
            Some(Slot::Value(value)) => Some(Some(value)),
        }
    }

    /// Stores a value where the peer says; -1 means nowhere.
    pub(super) fn set(
        &mut self,
        index: i16,
        value: Option<ObjectId>,
        what: &'static Place,
    ) -> Result<(), Error> {
        if index == -1 {
            return Ok(());
        }
        let place = usize::try_from(index).ok().filter(|place| *place < self.size);
        let place = place.ok_or(Error::Cache { what, index })?;
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::Empty);
        }
        let Some(slot) = self.slots.get_mut(place) else { return Ok(()) };
        if let Slot::Value(old) = slot {
            self.bytes -= old.bytes();
        }
        self.bytes += value.as_ref().map_or(0, ObjectId::bytes);
        *slot = value.map_or(Slot::Null, Slot::Value);
        match self.bytes > self.limit_bytes {
            true => {
                Err(Error::TooLarge { what: CACHE, size: self.bytes as u64, limit: self.limit_bytes as u64 })
            }
            false => Ok(()),
        }
    }
}

/// Smaller caches than this are not used for writing: a value might overwrite another of the same frame.
const LEAST_SIZE: usize = 16;

/// Addresses that are remembered with their index.
const HINTS: usize = 64;

/// What we have told the peer to keep.
#[derive(Debug, Default)]
pub(super) struct WriteCache {
    /// By index. What is here is alive, so that an address means a value.
    slots: Vec<Slot>,
    size: usize,
    next: usize,
    by_value: HashMap<ObjectId, i16>,
    null: Option<i16>,
    /// Most values are written again from the same `Arc`: its address tells the index without a look at the value. A hint
    /// counts only while the slot holds that very `Arc`.
    hints: Vec<(usize, i16)>,
}

impl WriteCache {
    pub(super) fn new(size: u16) -> WriteCache {
        let hints = if size > 0 { vec![(0, -1); HINTS] } else { Vec::new() };
        WriteCache { size: size.into(), hints, ..WriteCache::default() }
    }

    pub(super) fn is_on(&self) -> bool {
        self.size > 0
    }

    /// Forgets everything: what the peer still holds is overwritten index by index.
    pub(super) fn clear(&mut self) {
        self.by_value.clear();
        self.null = None;
        self.slots.fill(Slot::Empty);
    }

    pub(super) fn null(&self) -> Option<i16> {
        self.null
    }

    fn slot(&mut self, index: i16) -> Option<&mut Slot> {
        usize::try_from(index).ok().and_then(|index| self.slots.get_mut(index))
    }

    /// The index of the `Arc` at this address, without knowing its value.
    #[inline]
    pub(super) fn find_address(&self, address: usize) -> Option<i16> {
        let (known, index) = *self.hints.get(hint(address))?;
        if known != address {
            return None;
        }
        match self.slots.get(usize::try_from(index).ok()?)? {
            Slot::Value(value) if value.address() == address => Some(index),
            _ => None,
        }
    }

    /// The index of an equal value.
    pub(super) fn find(&mut self, value: &ObjectId) -> Option<i16> {
        let index = *self.by_value.get(value)?;
        // From now on this is the `Arc` that is held.
        *self.slot(index)? = Slot::Value(value.clone());
        self.remember(value.address(), index);
        Some(index)
    }

    fn remember(&mut self, address: usize, index: i16) {
        if let Some(place) = self.hints.get_mut(hint(address)) {
            *place = (address, index);
        }
    }

    /// Gives the next index to a value; -1: it is not cached.
    pub(super) fn add(&mut self, value: Option<ObjectId>) -> i16 {
        if self.size < LEAST_SIZE {
            return -1;
        }
        let place = self.next;
        self.next = (self.next + 1) % self.size;
        let Ok(index) = i16::try_from(place) else { return -1 };
        if place >= self.slots.len() {
            self.slots.resize(place + 1, Slot::Empty);
        }
        match self.slot(index).map(std::mem::take) {
            Some(Slot::Value(old)) => {
                self.by_value.remove(&old);
            }
            Some(Slot::Null) => self.null = None,
            _ => {}
        }
        let Some(value) = value else {
            self.null = Some(index);
            if let Some(slot) = self.slot(index) {
                *slot = Slot::Null;
            }
            return index;
        };
        self.remember(value.address(), index);
        self.by_value.insert(value.clone(), index);
        if let Some(slot) = self.slot(index) {
            *slot = Slot::Value(value);
        }
        index
    }
}

fn hint(address: usize) -> usize {
    // Allocations are aligned to sixteen bytes.
    (address >> 4) % HINTS
}
