// SPDX-License-Identifier: Apache-2.0
//! What the broker has yet to answer, in the order in which the client asked.
//!
//! A receipt covers all earlier frames, so receipts leave in the order of requests, whatever the order of replies.
//! Frames that asked for none but must be safe before a later receipt is sent are counted in runs: a producer
//! without receipts costs a counter, not an entry per message.

use std::collections::VecDeque;

/// What is done when it and everything before it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing; later receipts wait for it.
    Silent,
    /// `CONNECTED` is sent.
    Connect,
    /// A receipt is sent.
    Receipt,
    /// A receipt is sent, if one was asked for, and the link closes.
    Disconnect,
}

#[derive(Debug)]
struct Entry {
    /// First token of the run.
    first: u64,
    /// Tokens in the run.
    count: u32,
    /// Of these not answered yet.
    left: u32,
    /// Length of the receipt's name; none: `u32::MAX`.
    text_len: u32,
    kind: Kind,
}

const NO_TEXT: u32 = u32::MAX;
/// Entries and bytes kept allocated while nothing is pending.
const KEPT_ENTRIES: usize = 16;
const KEPT_BYTES: usize = 256;

/// The queue of what is pending.
#[derive(Debug)]
pub struct Receipts {
    entries: VecDeque<Entry>,
    /// Names of receipts as they stood on the wire, those of the entries in order.
    texts: Vec<u8>,
    /// Where the first pending one begins.
    texts_start: usize,
    next_token: u64,
    named: usize,
}

impl Default for Receipts {
    fn default() -> Self {
        Receipts { entries: VecDeque::new(), texts: Vec::new(), texts_start: 0, next_token: 1, named: 0 }
    }
}

impl Receipts {
    /// The token that the next `push` will give; never 0, which stands for verbs without an entry.
    pub fn next_token(&self) -> u64 {
        self.next_token
    }

    /// Receipts that were asked for and not sent.
    pub fn named(&self) -> usize {
        self.named
    }

    /// Adds an entry for the token that `next_token` told. `text` is the receipt's name as it stands on the wire.
    pub fn push(&mut self, kind: Kind, text: Option<&str>) {
        let first = self.next_token;
        self.next_token += 1;
        if kind == Kind::Silent
            && let Some(last) = self.entries.back_mut()
            && last.kind == Kind::Silent
            && last.count < u32::MAX
        {
            // Tokens are given without gaps, so the run stays one.
            last.count += 1;
            last.left += 1;
            return;
        }
        let text_len = text.map_or(NO_TEXT, |text| u32::try_from(text.len()).unwrap_or(NO_TEXT));
        if let Some(text) = text {
            self.texts.extend_from_slice(text.as_bytes());
            self.named += 1;
        }
        self.entries.push_back(Entry { first, count: 1, left: 1, text_len, kind });
    }

    /// A verb was answered. `false`: it was not waited for.
    pub fn answered(&mut self, token: u64) -> bool {
        let at = self.entries.partition_point(|entry| entry.first + u64::from(entry.count) <= token);
        match self.entries.get_mut(at) {
            Some(entry) if entry.first <= token && entry.left > 0 => {
                entry.left -= 1;
                true
            }
            _ => false,
        }
    }

    /// The name of the receipt that the frame with this token has asked for.
    pub fn name_of(&self, token: u64) -> Option<&[u8]> {
        let mut at = self.texts_start;
        for entry in &self.entries {
            let len = if entry.text_len == NO_TEXT { 0 } else { entry.text_len as usize };
            if entry.first <= token && token < entry.first + u64::from(entry.count) {
                return (entry.text_len != NO_TEXT).then(|| self.texts.get(at..at + len)).flatten();
            }
            at += len;
        }
        None
    }

    /// The name of the receipt that the last frame has asked for.
    pub fn last_name(&self) -> Option<&[u8]> {
        self.name_of(self.next_token - 1)
    }

    /// The first entry, if it was answered: its kind, and the receipt's name.
    pub fn front(&self) -> Option<(Kind, Option<&[u8]>)> {
        let entry = self.entries.front().filter(|entry| entry.left == 0)?;
        let len = entry.text_len as usize;
        let text = (entry.text_len != NO_TEXT)
            .then(|| self.texts.get(self.texts_start..self.texts_start + len))
            .flatten();
        Some((entry.kind, text))
    }

    /// Removes the first entry.
    pub fn pop(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        if entry.text_len != NO_TEXT {
            self.texts_start += entry.text_len as usize;
            self.named -= 1;
        }
        if self.named == 0 {
            self.texts.clear();
            self.texts_start = 0;
            self.texts.shrink_to(KEPT_BYTES);
        } else if self.texts_start > KEPT_BYTES && self.texts_start * 2 > self.texts.len() {
            self.texts.drain(..self.texts_start);
            self.texts_start = 0;
        }
        if self.entries.is_empty() && self.entries.capacity() > KEPT_ENTRIES {
            self.entries.shrink_to(KEPT_ENTRIES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(receipts: &mut Receipts) -> Vec<String> {
        let mut sent = Vec::new();
        while let Some((_, text)) = receipts.front() {
            sent.extend(text.map(|text| String::from_utf8_lossy(text).into_owned()));
            receipts.pop();
        }
        sent
    }

    #[test]
    fn receipts_leave_in_the_order_of_requests_whatever_the_order_of_replies() {
        let mut receipts = Receipts::default();
        receipts.push(Kind::Receipt, Some("a"));
        receipts.push(Kind::Receipt, Some("b"));
        receipts.push(Kind::Receipt, Some("c"));
        assert!(receipts.answered(2));
        assert!(receipts.answered(3));
        assert_eq!(drain(&mut receipts), Vec::<String>::new());
        assert!(receipts.answered(1));
        assert_eq!(drain(&mut receipts), ["a", "b", "c"]);
        assert_eq!(receipts.named(), 0);
    }

    #[test]
    fn a_receipt_waits_for_earlier_frames_that_asked_for_none() {
        let mut receipts = Receipts::default();
        for _ in 0..1000 {
            receipts.push(Kind::Silent, None);
        }
        receipts.push(Kind::Receipt, Some("r"));
        assert_eq!(receipts.entries.len(), 2);
        assert!(receipts.answered(1001));
        for token in (1..=1000).rev() {
            assert_eq!(drain(&mut receipts), Vec::<String>::new());
            assert!(receipts.answered(token));
        }
        assert_eq!(drain(&mut receipts), ["r"]);
    }

    #[test]
    fn answers_to_nothing_are_told_apart() {
        let mut receipts = Receipts::default();
        assert!(!receipts.answered(0));
        assert!(!receipts.answered(1));
        receipts.push(Kind::Receipt, Some("x"));
        assert_eq!(receipts.name_of(1), Some(&b"x"[..]));
        assert_eq!(receipts.last_name(), Some(&b"x"[..]));
        assert!(!receipts.answered(2));
        assert!(receipts.answered(1));
        assert!(!receipts.answered(1));
    }

    #[test]
    fn names_keep_their_place_over_thousands_of_receipts() {
        let mut receipts = Receipts::default();
        for number in 0..5000u64 {
            receipts.push(Kind::Receipt, Some(&format!("receipt-{number}")));
            if number >= 100 {
                assert!(receipts.answered(number - 99));
                assert_eq!(drain(&mut receipts), [format!("receipt-{}", number - 100)]);
            }
        }
        assert!(receipts.texts.len() < 16 * 1024);
    }
}
