// SPDX-License-Identifier: Apache-2.0
//! Ids and destinations that come again and again, so that their texts are read once and the codec's cache sees the same
//! object each time.

use super::{destination, message_id};
use crate::codec::{Destination, MessageId, ProducerId};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Longest text that is remembered, in bytes.
const MAX_TEXT_BYTES: usize = 1100;
/// Places of a table that was just made.
const FIRST_SLOTS: usize = 4;

/// What was made of the texts of the last messages. Per connection.
#[derive(Debug)]
pub struct Names {
    destinations: Recent<Option<Arc<Destination>>>,
    producers: Recent<Option<Arc<ProducerId>>>,
    foreign: Recent<Option<Arc<ProducerId>>>,
}

impl Names {
    /// Remembers at most about so many of each.
    pub fn new(max_entries: usize) -> Self {
        let slots = max_entries.max(FIRST_SLOTS).checked_next_power_of_two().unwrap_or(FIRST_SLOTS);
        Names { destinations: Recent::new(slots), producers: Recent::new(slots), foreign: Recent::new(slots) }
    }

    /// The destination with this text form; `None`: OpenWire has none like it.
    pub fn destination(&mut self, text: &str) -> Option<Arc<Destination>> {
        self.destinations.get(text, |text| destination::parse(text).map(Arc::new))
    }

    /// A message's id from its text.
    pub fn message_id(&mut self, text: &str) -> MessageId {
        if let Some((producer, sequence)) = message_id::split_native(text)
            && let Some(producer_id) =
                self.producers.get(producer, |text| message_id::producer(text).map(Arc::new))
        {
            return MessageId {
                text_view: None,
                producer_id: Some(producer_id),
                producer_sequence_id: sequence,
                broker_sequence_id: 0,
            };
        }
        let (stem, sequence) = message_id::split_foreign(text);
        let producer_id = self.foreign.get(stem, |stem| Some(Arc::new(message_id::foreign_producer(stem))));
        MessageId {
            text_view: Some(text.into()),
            producer_id,
            producer_sequence_id: sequence,
            broker_sequence_id: 0,
        }
    }
}

/// A table in which each text has one place; another text with the same place takes it over.
#[derive(Debug)]
struct Recent<T> {
    slots: Vec<Option<(Box<str>, T)>>,
    max_slots: usize,
    /// Where the last one was found: mostly the next is the same.
    last: usize,
    hasher: RandomState,
}

impl<T: Clone> Recent<T> {
    /// `max_slots` is a power of two.
    fn new(max_slots: usize) -> Self {
        Recent { slots: Vec::new(), max_slots, last: 0, hasher: RandomState::new() }
    }

    #[inline]
    fn get(&mut self, text: &str, make: impl FnOnce(&str) -> T) -> T {
        if let Some(Some((known, value))) = self.slots.get(self.last)
            && **known == *text
        {
            return value.clone();
        }
        self.find(text, make)
    }

    fn find(&mut self, text: &str, make: impl FnOnce(&str) -> T) -> T {
        if text.len() > MAX_TEXT_BYTES {
            return make(text);
        }
        let hash = self.hasher.hash_one(text);
        loop {
            if self.slots.is_empty() {
                self.slots.resize(FIRST_SLOTS, None);
            }
            let may_grow = self.slots.len() < self.max_slots;
            let place = place_of(hash, self.slots.len());
            match self.slots.get_mut(place) {
                Some(Some((known, value))) if **known == *text => {
                    self.last = place;
                    return value.clone();
                }
                Some(Some(_)) if may_grow => self.grow(),
                Some(slot) => {
                    let value = make(text);
                    *slot = Some((text.into(), value.clone()));
                    self.last = place;
                    return value;
                }
                None => return make(text),
            }
        }
    }

    fn grow(&mut self) {
        let len = self.slots.len() * 2;
        let old = std::mem::replace(&mut self.slots, vec![None; len]);
        for (text, value) in old.into_iter().flatten() {
            let place = place_of(self.hasher.hash_one(&*text), len);
            if let Some(slot) = self.slots.get_mut(place) {
                *slot = Some((text, value));
            }
        }
    }
}

fn place_of(hash: u64, slots: usize) -> usize {
    (hash as usize) & (slots - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_is_the_same_object_and_the_table_stays_bounded() {
        let mut names = Names::new(16);
        let first = names.destination("queue://A").unwrap();
        assert!(Arc::ptr_eq(&first, &names.destination("queue://A").unwrap()));
        for round in 0..3 {
            for number in 0..1000 {
                let text = format!("queue://{number}");
                let found = names.destination(&text).unwrap();
                assert_eq!(found.to_string(), text, "round {round}");
                let id = format!("ID:h-{number}:1:1:1:{round}");
                assert_eq!(names.message_id(&id).to_string(), id);
            }
        }
        assert_eq!(names.destinations.slots.len(), 16);
        assert!(names.destination(&format!("queue://{}", "x".repeat(5000))).is_some());
    }
}
