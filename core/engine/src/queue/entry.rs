// SPDX-License-Identifier: Apache-2.0
//! One message in one queue.

use crate::seeded::seeded;
use bytes::Bytes;
use sabir_model::message::Message;
use sabir_model::selector::{DeliveryState, Selector};
use sabir_model::{Destination, Now, fields};

/// What an entry costs beside its message, in bytes: its places in the engine's structures.
const OVERHEAD_BYTES: usize = 160;

/// Where the record of an entry lies, besides perhaps in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere else.
    Memory,
    /// In the lane's temporary log.
    Temporary,
    /// In the lane's log.
    Durable,
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub seq: u64,
    /// `None`: it lies in the store only.
    pub message: Option<Message>,
    /// What belongs to this entry alone: origin and cause of a dead letter.
    pub label: Option<Box<Bytes>>,
    pub size: u32,
    /// How often it was delivered in vain.
    pub attempts: u32,
    pub place: Place,
    pub redelivered: bool,
    /// Its attempts are written down under a key.
    pub counted: bool,
    /// It belongs to a transaction: it is not to be seen before that is committed, wherever it lies.
    pub together: bool,
    /// The number of its group; 0: it has none, or groups do not matter here.
    pub group: u32,
}

impl Entry {
    /// Bytes of memory that it is charged with while its message is there.
    pub fn cost(&self) -> usize {
        self.message.as_ref().map_or_else(|| cost(self.size), cost_of)
    }

    /// Whether it has outlived its expiration. A dead letter never does.
    pub fn expired(&self, now: Now) -> bool {
        let Some(message) = &self.message else { return false };
        let expiration_ms = message.head().expiration_ms();
        expiration_ms != 0 && expiration_ms <= now.unix_ms && self.label.is_none()
    }

    /// When it expires, as far as its message is at hand; 0: never. A dead letter never does.
    pub fn expires_ms(&self) -> i64 {
        let message = self.message.as_ref().filter(|_| self.label.is_none());
        message.map_or(0, |message| message.head().expiration_ms())
    }

    /// Whether it may be seen, where all below `committed` has arrived in the store: what lies in memory alone waits for
    /// no commit, unless it is part of one.
    pub fn visible(&self, committed: u64) -> bool {
        self.seq < committed
            || seeded("delivered before the commit")
            || (self.place == Place::Memory && !self.together)
    }

    /// Whether the selector is true of the entry as it would be delivered now; false while its message is not there.
    pub fn satisfies(&self, selector: &Selector) -> bool {
        let delivery = DeliveryState { redelivered: self.redelivered, redelivery_count: self.attempts };
        self.message.as_ref().is_some_and(|message| selector.matches_delivery(&message.head(), delivery))
    }

    /// The label, empty mostly.
    pub fn label(&self) -> Bytes {
        self.label.as_ref().map_or_else(Bytes::new, |label| (**label).clone())
    }

    /// The label, and from which queue it comes, for who takes from several.
    pub fn label_from(&self, queue: &Destination) -> Bytes {
        let mut label = self.label.as_ref().map_or_else(Vec::new, |label| label.to_vec());
        fields::put(&mut label, fields::LABEL_QUEUE, queue.to_string().as_bytes());
        label.into()
    }
}

/// Bytes of memory that an entry of this size is charged with.
pub(crate) fn cost(size: u32) -> usize {
    size as usize + OVERHEAD_BYTES
}

/// The same for the entry of this message.
pub(crate) fn cost_of(message: &Message) -> usize {
    cost(u32::try_from(message.held_bytes()).unwrap_or(u32::MAX))
}

/// The label in the form that entries keep.
pub(crate) fn boxed(label: Bytes) -> Option<Box<Bytes>> {
    if label.is_empty() { None } else { Some(Box::new(label)) }
}
