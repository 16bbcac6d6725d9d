// SPDX-License-Identifier: Apache-2.0
//! One direction of a link: a bounded buffer between the broker, which polls, and the importer's thread, which waits.

use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::VecDeque;
use std::io::{IoSlice, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Bytes that wait in one direction before its writer has to.
const LIMIT_BYTES: usize = 1 << 20;

/// One direction.
#[derive(Debug, Default)]
pub struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Whoever writes has ended.
    ended: bool,
    /// Whoever reads has gone.
    abandoned: bool,
    /// The broker's end waits.
    waker: Option<Waker>,
}

/// The other end has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Pipe {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing more is written.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        self.tell(state);
    }

    /// Nothing more is read.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.abandoned = true;
        state.bytes.clear();
        self.tell(state);
    }

    /// Writes all of it, waiting for room.
    pub fn push(&self, mut bytes: &[u8]) -> std::result::Result<(), Gone> {
        while !bytes.is_empty() {
            let mut state = self.state();
            while state.bytes.len() >= LIMIT_BYTES && !state.abandoned {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.abandoned {
                return Err(Gone);
            }
            let room = LIMIT_BYTES.saturating_sub(state.bytes.len());
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            state.bytes.extend(now);
            bytes = later;
            self.tell(state);
        }
        Ok(())
    }

    /// Waits for bytes and appends what there is; an error when nothing comes any more.
    pub fn take(&self, into: &mut Vec<u8>) -> std::result::Result<(), Gone> {
        let mut state = self.state();
        while state.bytes.is_empty() {
            if state.ended {
                return Err(Gone);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (front, back) = state.bytes.as_slices();
        into.extend_from_slice(front);
        into.extend_from_slice(back);
        state.bytes.clear();
        self.tell(state);
        Ok(())
    }

    /// The broker reads.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        let mut state = self.state();
        if state.bytes.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(0));
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        // Reading from memory cannot fail.
        let read = state.bytes.read(buf).unwrap_or(0);
        drop(state);
        self.changed.notify_all();
        Poll::Ready(Ok(read))
    }

    /// The broker writes.
    pub fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        let mut state = self.state();
        if state.abandoned {
            return Poll::Ready(Err(Error::new(ErrorCode::Closed, "the importer has ended")));
        }
        let mut room = LIMIT_BYTES.saturating_sub(state.bytes.len());
        if room == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut written = 0;
        for buf in bufs {
            let some = buf.get(..room.min(buf.len())).unwrap_or(buf);
            state.bytes.extend(some);
            written += some.len();
            room -= some.len();
        }
        drop(state);
        self.changed.notify_all();
        Poll::Ready(Ok(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_writer_waits_for_room_and_a_reader_for_bytes() {
        let pipe = Arc::new(Pipe::default());
        let writer = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let done = pipe.push(&vec![7; LIMIT_BYTES * 3]);
                pipe.end();
                done
            })
        };
        let mut got = Vec::new();
        while pipe.take(&mut got).is_ok() {}
        assert_eq!(writer.join().unwrap(), Ok(()));
        assert!(got.len() == LIMIT_BYTES * 3 && got.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn whoever_writes_hears_that_nobody_reads() {
        let pipe = Pipe::default();
        pipe.push(b"x").unwrap();
        pipe.abandon();
        assert_eq!(pipe.push(b"y"), Err(Gone));
    }
}
