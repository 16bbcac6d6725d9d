// SPDX-License-Identifier: Apache-2.0
//! One direction of a link: a bounded buffer between a writer and a reader, with the boundaries of messages where
//! the framing has them. It knows no names and no listeners.

use crate::options::Limits;
use sabir_sdk::transport::{ChunkInfo, Framing};
use sabir_sdk::{Error, ErrorCode, Result};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Pipe {
    framing: Framing,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Where messages begin and end in `bytes`. Unused with framing `stream`.
    pieces: VecDeque<Piece>,
    /// The writer has begun a message and not ended it.
    in_message: bool,
    writer_gone: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Adjacent bytes of one message that wait to be read.
#[derive(Clone, Copy, Debug)]
struct Piece {
    len: usize,
    begin: bool,
    end: bool,
}

impl Pipe {
    pub(crate) fn new(framing: Framing, limits: Limits) -> Self {
        Self { framing, limits, state: Mutex::default() }
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads as the contract of links says.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        let mut state = self.state();
        *info = ChunkInfo::default();
        let taken = match self.framing {
            Framing::Stream => (!state.bytes.is_empty()).then(|| buf.len().min(state.bytes.len())),
            _ => state.take_piece(buf.len(), info),
        };
        let Some(len) = taken else {
            if state.writer_gone {
                return Poll::Ready(if state.in_message { Err(cut_off()) } else { Ok(0) });
            }
            keep(&mut state.reader, cx);
            return Poll::Pending;
        };
        state.copy_out(buf, len);
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Ok(len))
    }

    /// Writes as the contract of links says.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        let mut state = self.state();
        if state.writer_gone {
            return Poll::Ready(Err(Error::new(ErrorCode::Closed, "this side has ended its writing")));
        }
        if state.reader_gone {
            return Poll::Ready(Err(Error::new(ErrorCode::Closed, "the peer has closed the link")));
        }
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let room = offered.min(self.limits.bytes.saturating_sub(state.bytes.len()));
        if self.framing == Framing::Stream {
            if offered == 0 {
                return Poll::Ready(Ok(0));
            }
        } else {
            check_order(state.in_message, info)?;
            let joins = !info.begin && state.pieces.back().is_some_and(|last| !last.end);
            let needs_piece = !joins && (offered > 0 || info.begin || info.end);
            if needs_piece && state.pieces.len() >= self.limits.messages {
                keep(&mut state.writer, cx);
                return Poll::Pending;
            }
        }
        if room == 0 && offered > 0 {
            keep(&mut state.writer, cx);
            return Poll::Pending;
        }
        if self.framing != Framing::Stream {
            state.add_piece(room, info.begin, info.end && room == offered);
        }
        state.copy_in(bufs, room);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(room))
    }

    /// The writer is done: the reader comes to the end after what is buffered.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.writer_gone = true;
        state.writer = None;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Nobody reads any more: what is buffered is lost, and writing fails.
    pub(crate) fn abandon(&self) {
        let mut state = self.state();
        state.reader_gone = true;
        state.reader = None;
        state.bytes = VecDeque::new();
        state.pieces = VecDeque::new();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }
}

impl State {
    /// Takes at most `room` bytes of the first piece: how many, or nothing when there is none to be had.
    fn take_piece(&mut self, room: usize, info: &mut ChunkInfo) -> Option<usize> {
        let piece = self.pieces.front_mut()?;
        if piece.len == 0 && !piece.end {
            return None; // A message has begun, and that is all that is known of it.
        }
        let len = room.min(piece.len);
        info.begin = std::mem::take(&mut piece.begin);
        piece.len -= len;
        if piece.len == 0 {
            info.end = piece.end;
            self.pieces.pop_front();
        }
        Some(len)
    }

    fn add_piece(&mut self, len: usize, begin: bool, end: bool) {
        match self.pieces.back_mut() {
            Some(last) if !begin && !last.end => {
                last.len += len;
                last.end = end;
            }
            // A call without bytes and flags says nothing.
            _ if len == 0 && !begin && !end => {}
            _ => self.pieces.push_back(Piece { len, begin, end }),
        }
        self.in_message = (self.in_message || begin) && !end;
    }

    fn copy_out(&mut self, buf: &mut [u8], len: usize) {
        let (front, back) = self.bytes.as_slices();
        let first = len.min(front.len());
        buf[..first].copy_from_slice(&front[..first]);
        buf[first..len].copy_from_slice(&back[..len - first]);
        self.bytes.drain(..len);
    }

    fn copy_in(&mut self, bufs: &[IoSlice<'_>], len: usize) {
        let mut left = len;
        for buf in bufs {
            let part = left.min(buf.len());
            self.bytes.extend(&buf[..part]);
            left -= part;
        }
    }
}

/// Messages begin once and end once.
fn check_order(in_message: bool, info: ChunkInfo) -> Result<()> {
    let wrong = match (in_message, info.begin) {
        (true, true) => "a message begins within another",
        (false, false) => "bytes outside a message",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorCode::Invalid, wrong))
}

fn cut_off() -> Error {
    Error::new(ErrorCode::Closed, "the peer closed the link within a message")
}

fn keep(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// Outside the lock, because a waker may run anything.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: ChunkInfo = ChunkInfo { begin: true, end: false, exchange_id: 0, peer_id: 0 };
    const MIDDLE: ChunkInfo = ChunkInfo { begin: false, end: false, exchange_id: 0, peer_id: 0 };
    const END: ChunkInfo = ChunkInfo { begin: false, end: true, exchange_id: 0, peer_id: 0 };
    const WHOLE: ChunkInfo = ChunkInfo { begin: true, end: true, exchange_id: 0, peer_id: 0 };

    fn pipe(framing: Framing, bytes: usize, messages: usize) -> Pipe {
        Pipe::new(framing, Limits { bytes, messages })
    }

    fn write(pipe: &Pipe, bytes: &[u8], info: ChunkInfo) -> Poll<Result<usize>> {
        pipe.poll_write(&mut Context::from_waker(Waker::noop()), &[IoSlice::new(bytes)], info)
    }

    /// What one read of at most `room` bytes gives: the bytes, and whether they begin and end a message.
    fn read(pipe: &Pipe, room: usize) -> Poll<Result<(Vec<u8>, bool, bool)>> {
        let mut buf = vec![0; room];
        let mut info = ChunkInfo::default();
        let read = pipe.poll_read(&mut Context::from_waker(Waker::noop()), &mut buf, &mut info);
        read.map_ok(|len| (buf[..len].to_vec(), info.begin, info.end))
    }

    fn got(pipe: &Pipe, room: usize) -> (Vec<u8>, bool, bool) {
        match read(pipe, room) {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => panic!("nothing to read"),
        }
    }

    fn took(result: Poll<Result<usize>>) -> usize {
        match result {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => panic!("no room"),
        }
    }

    #[test]
    fn a_stream_has_no_boundaries_and_holds_what_its_limit_says() {
        let pipe = pipe(Framing::Stream, 5, 1);
        assert_eq!(took(write(&pipe, b"abc", MIDDLE)), 3);
        assert_eq!(took(write(&pipe, b"defg", MIDDLE)), 2);
        assert!(write(&pipe, b"fg", MIDDLE).is_pending());
        assert_eq!(got(&pipe, 4), (b"abcd".to_vec(), false, false));
        assert_eq!(took(write(&pipe, b"fg", MIDDLE)), 2);
        assert_eq!(got(&pipe, 9), (b"efg".to_vec(), false, false));
        assert!(read(&pipe, 9).is_pending());
    }

    #[test]
    fn messages_keep_their_boundaries_however_they_are_cut() {
        let pipe = pipe(Framing::Message, 6, 8);
        assert_eq!(took(write(&pipe, b"ab", WHOLE)), 2);
        assert_eq!(took(write(&pipe, b"", WHOLE)), 0);
        assert_eq!(took(write(&pipe, b"cdefghi", WHOLE)), 4);
        assert_eq!(got(&pipe, 9), (b"ab".to_vec(), true, true));
        assert_eq!(got(&pipe, 9), (b"".to_vec(), true, true));
        assert_eq!(got(&pipe, 3), (b"cde".to_vec(), true, false));
        assert_eq!(took(write(&pipe, b"ghi", END)), 3);
        assert_eq!(got(&pipe, 9), (b"fghi".to_vec(), false, true));
        assert!(read(&pipe, 9).is_pending());
    }

    #[test]
    fn a_message_may_begin_and_end_without_bytes() {
        let pipe = pipe(Framing::Message, 6, 8);
        assert_eq!(took(write(&pipe, b"", BEGIN)), 0);
        assert!(read(&pipe, 9).is_pending());
        assert_eq!(took(write(&pipe, b"x", MIDDLE)), 1);
        assert_eq!(got(&pipe, 9), (b"x".to_vec(), true, false));
        assert_eq!(took(write(&pipe, b"", END)), 0);
        assert_eq!(got(&pipe, 9), (b"".to_vec(), false, true));
    }

    #[test]
    fn empty_messages_are_bounded_too() {
        let pipe = pipe(Framing::Message, 6, 2);
        took(write(&pipe, b"", WHOLE));
        took(write(&pipe, b"", WHOLE));
        assert!(write(&pipe, b"", WHOLE).is_pending());
        got(&pipe, 1);
        took(write(&pipe, b"", WHOLE));
    }

    #[test]
    fn messages_within_messages_are_refused() {
        let pipe = pipe(Framing::Message, 6, 8);
        assert!(
            matches!(write(&pipe, b"x", END), Poll::Ready(Err(error)) if error.code == ErrorCode::Invalid)
        );
        took(write(&pipe, b"x", BEGIN));
        assert!(
            matches!(write(&pipe, b"x", BEGIN), Poll::Ready(Err(error)) if error.code == ErrorCode::Invalid)
        );
    }

    #[test]
    fn the_end_comes_after_what_is_buffered_and_a_cut_message_is_an_error() {
        let ended = pipe(Framing::Message, 6, 8);
        took(write(&ended, b"x", WHOLE));
        ended.end();
        assert_eq!(got(&ended, 9), (b"x".to_vec(), true, true));
        assert_eq!(got(&ended, 9), (b"".to_vec(), false, false));
        let cut = pipe(Framing::Message, 6, 8);
        took(write(&cut, b"x", BEGIN));
        cut.end();
        got(&cut, 9);
        assert!(matches!(read(&cut, 9), Poll::Ready(Err(error)) if error.code == ErrorCode::Closed));
    }

    #[test]
    fn writing_to_nobody_fails() {
        let pipe = pipe(Framing::Stream, 5, 1);
        took(write(&pipe, b"abc", MIDDLE));
        pipe.abandon();
        assert!(
            matches!(write(&pipe, b"x", MIDDLE), Poll::Ready(Err(error)) if error.code == ErrorCode::Closed)
        );
    }
}
