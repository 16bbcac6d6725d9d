// SPDX-License-Identifier: Apache-2.0
//! Frames that are too long to be waited for where they were read: they are taken as they come, into memory of their own,
//! whose bytes are then handed on without another copy. A long content does not come into it: it is handed on as it comes.

use bytes::Bytes;
use std::ops::Range;

/// What grows by so much at the least.
const LEAST_GROWTH_BYTES: usize = 64 * 1024;
/// While the place of the content is not known, so much is taken at once: what is taken of the content itself is copied.
const SEEKING_BYTES: usize = 1024;

/// A frame that is being gathered.
#[derive(Debug)]
pub struct Gather {
    bytes: Vec<u8>,
    len: usize,
    content: Content,
}

/// What is known of the frame's content.
#[derive(Debug)]
enum Content {
    /// It may be long: its place is sought once there are so many bytes.
    Sought(usize),
    /// It is gathered with the rest.
    Gathered,
    /// It lies there, and so much of it has been passed on. What was taken of it before that was known waits.
    Apart { span: Range<usize>, passed: usize, early: Bytes },
}

impl Gather {
    /// For a frame of this length, its own included. Memory is taken as bytes come, whatever the length says.
    pub fn new(len: usize) -> Self {
        Gather { bytes: Vec::new(), len, content: Content::Gathered }
    }

    /// The same for one whose content may be handed on as it comes.
    pub fn seeking(len: usize) -> Self {
        Gather { content: Content::Sought(SEEKING_BYTES.min(len)), ..Gather::new(len) }
    }

    /// The bytes so far, if it is time to look for the content in them.
    pub fn to_be_searched(&self) -> Option<&[u8]> {
        match self.content {
            Content::Sought(at) if self.bytes.len() >= at => Some(&self.bytes),
            _ => None,
        }
    }

    /// The content is to be looked for again when there are so many bytes.
    pub fn search_at(&mut self, len: usize) {
        self.content = Content::Sought(len.max(self.bytes.len() + 1).min(self.len));
    }

    /// There is no content, or none that is worth it.
    pub fn gather_all(&mut self) {
        self.content = Content::Gathered;
    }

    /// The content lies there in the frame, its length in front included.
    pub fn part_at(&mut self, span: Range<usize>) {
        let from = span.start.min(self.bytes.len());
        let early = Bytes::from(self.bytes.split_off(from));
        self.content = Content::Apart { span, passed: 0, early };
    }

    /// Bytes of the content that are to be passed on: those that were taken early, and how many of what comes.
    pub fn passing(&self) -> Option<(&Bytes, usize)> {
        match &self.content {
            Content::Apart { span, passed, early } if *passed < span.len() => {
                Some((early, span.len() - passed - early.len()))
            }
            _ => None,
        }
    }

    /// Whether none of the content was passed on yet.
    pub fn is_first(&self) -> bool {
        matches!(self.content, Content::Apart { passed: 0, .. })
    }

    /// What was taken early, and so many bytes more, were passed on.
    pub fn pass(&mut self, len: usize) {
        if let Content::Apart { passed, early, .. } = &mut self.content {
            *passed += early.len() + len;
            *early = Bytes::new();
        }
    }

    /// Length of the content that was passed on.
    pub fn content_len(&self) -> Option<usize> {
        match &self.content {
            Content::Apart { span, .. } => Some(span.len()),
            _ => None,
        }
    }

    /// Takes what belongs to the frame. Answers how much that was.
    pub fn take(&mut self, input: &[u8]) -> usize {
        let missing = match self.content {
            Content::Sought(at) => at.saturating_sub(self.bytes.len()),
            _ => self.missing(),
        };
        let taken = input.get(..missing).unwrap_or(input);
        let needed = self.bytes.len() + taken.len();
        if needed > self.bytes.capacity() {
            let grown = needed.max(self.bytes.capacity() * 2).max(LEAST_GROWTH_BYTES).min(self.len);
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        self.bytes.extend_from_slice(taken);
        taken.len()
    }

    /// Length of the whole frame.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes that are missing, less those of a content that is passed on.
    pub fn missing(&self) -> usize {
        (self.len - self.bytes.len()).saturating_sub(self.content_len().unwrap_or(0))
    }

    /// The whole frame.
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_is_passed_on_is_not_gathered_but_what_lies_around_it() {
        let frame: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
        let span = 700..190_000;
        let mut gather = Gather::seeking(frame.len());
        let mut at = gather.take(&frame);
        assert_eq!((at, gather.to_be_searched().map(<[u8]>::len)), (SEEKING_BYTES, Some(SEEKING_BYTES)));
        gather.search_at(1500);
        assert!(gather.to_be_searched().is_none());
        at += gather.take(&frame[at..]);
        assert_eq!(at, 1500);
        gather.part_at(span.clone());
        let mut passed = Vec::new();
        while let Some((early, more)) = gather.passing() {
            let more = more.min(40_000);
            passed.extend_from_slice(early);
            passed.extend_from_slice(&frame[at..at + more]);
            at += more;
            gather.pass(more);
        }
        assert!(passed == frame[span.clone()]);
        assert_eq!(gather.missing(), frame.len() - span.end);
        assert_eq!(gather.take(&frame[at..]), frame.len() - span.end);
        assert_eq!((gather.missing(), gather.content_len()), (0, Some(span.len())));
        assert!(*gather.finish() == [&frame[..span.start], &frame[span.end..]].concat());
    }

    #[test]
    fn a_frame_takes_memory_as_it_comes_and_no_more_than_its_length() {
        let mut gather = Gather::new(1_000_000);
        assert_eq!(gather.take(&[1; 100]), 100);
        assert!(gather.bytes.capacity() <= LEAST_GROWTH_BYTES);
        while gather.missing() > 70_000 {
            gather.take(&[2; 70_000]);
        }
        let missing = gather.missing();
        assert_eq!(gather.take(&[3; 70_001]), missing);
        let whole = gather.finish();
        assert_eq!((whole.len(), whole[0], whole[999_999]), (1_000_000, 1, 3));
    }
}
