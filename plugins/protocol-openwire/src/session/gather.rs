// SPDX-License-Identifier: Apache-2.0
//! Frames that are too long to be waited for where they were read: they are taken as they come, into memory of their own,
//! whose bytes are then handed on without another copy.

use bytes::Bytes;

/// What grows by so much at the least.
const LEAST_GROWTH_BYTES: usize = 64 * 1024;

/// A frame that is being gathered.
#[derive(Debug)]
pub struct Gather {
    bytes: Vec<u8>,
    len: usize,
}

impl Gather {
    /// For a frame of this length, its own included. Memory is taken as bytes come, whatever the length says.
    pub fn new(len: usize) -> Self {
        Gather { bytes: Vec::new(), len }
    }

    /// Takes what belongs to the frame. Answers how much that was.
    pub fn take(&mut self, input: &[u8]) -> usize {
        let missing = self.len - self.bytes.len();
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

    /// Bytes that are missing.
    pub fn missing(&self) -> usize {
        self.len - self.bytes.len()
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
