// SPDX-License-Identifier: Apache-2.0
//! One end of a link, with futures instead of polls, and bytes where the framing has messages.

use super::bell::turn_reactor;
use sabir_host::{ChunkInfo, Error, Framing, Link};
use std::fmt;
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll};

/// Why a contract is not kept: what was expected, and what was found.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

/// What a case, or a step of one, answers.
pub(super) type Check<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(format!("{error} ({:?})", error.code))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails with a text unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::transport::end::Failure(format!($($text)+)));
        }
    };
}
pub(super) use ensure;

/// One end of a link.
pub(super) struct End {
    pub(super) link: Link,
    framing: Framing,
    /// A message was begun and not ended: the next bytes continue it.
    in_message: bool,
}

/// Takes a link that has just come, and waits until it can carry bytes.
pub(super) async fn ready(mut link: Link) -> Check<End> {
    poll_fn(|cx| link.poll_ready(cx)).await.map_err(|error| Failure(format!("poll_ready: {error}")))?;
    let framing = link.framing();
    Ok(End { link, framing, in_message: false })
}

impl End {
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// One write of plain bytes: on links with messages, each call's bytes are a message of their own, perhaps in
    /// pieces.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Check<usize>> {
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        let boundaries = self.framing != Framing::Stream;
        let info =
            ChunkInfo { begin: boundaries && !self.in_message, end: boundaries, ..ChunkInfo::default() };
        let taken = std::task::ready!(self.link.poll_write(cx, bufs, info))?;
        if taken > offered || (taken == 0 && offered > 0) {
            return Poll::Ready(Err(Failure(format!("poll_write took {taken} of {offered} bytes"))));
        }
        self.in_message = boundaries && taken < offered;
        Poll::Ready(Ok(taken))
    }

    /// Writes it all, and flushes.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Check {
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = poll_fn(|cx| self.poll_write(cx, &[IoSlice::new(rest)])).await?;
            rest = &rest[taken..];
        }
        self.flush().await
    }

    pub(super) async fn flush(&mut self) -> Check {
        Ok(poll_fn(|cx| self.link.poll_flush(cx)).await?)
    }

    /// Ends the writing half.
    pub(super) async fn shut(&mut self) -> Check {
        self.flush().await?;
        poll_fn(|cx| self.link.poll_shutdown(cx))
            .await
            .map_err(|error| Failure(format!("poll_shutdown: {error}")))
    }

    /// One read: the count, or nothing at the end of the link. Empty messages are passed over.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Check<Option<usize>>> {
        loop {
            let mut info = ChunkInfo::default();
            let count = std::task::ready!(self.link.poll_read(cx, buf, &mut info))?;
            if count > buf.len() {
                let text = format!("poll_read says {count} bytes, and had room for {}", buf.len());
                return Poll::Ready(Err(Failure(text)));
            }
            if self.framing == Framing::Stream && info != ChunkInfo::default() {
                return Poll::Ready(Err(Failure(format!(
                    "a stream has no boundaries, but this came: {info:?}"
                ))));
            }
            match count {
                0 if info.end => continue,
                0 => return Poll::Ready(Ok(None)),
                count => return Poll::Ready(Ok(Some(count))),
            }
        }
    }

    pub(super) async fn read_some(&mut self, buf: &mut [u8]) -> Check<Option<usize>> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Exactly `len` bytes.
    pub(super) async fn read(&mut self, len: usize) -> Check<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.read_some(&mut bytes[filled..]).await? {
                Some(count) => filled += count,
                None => return Err(Failure(format!("the link ended after {filled} of {len} bytes"))),
            }
        }
        Ok(bytes)
    }

    /// Everything up to the end.
    pub(super) async fn read_to_end(&mut self) -> Check<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut buf = vec![0; 65536];
        while let Some(count) = self.read_some(&mut buf).await? {
            bytes.extend_from_slice(&buf[..count]);
        }
        Ok(bytes)
    }

    /// Writes `bytes` and reads `expected` bytes at the same time, as a session does.
    pub(super) async fn converse(&mut self, bytes: &[u8], expected: usize) -> Check<Vec<u8>> {
        let mut sent = 0;
        let mut got = Vec::with_capacity(expected);
        let mut buf = vec![0; 65536];
        poll_fn(|cx| {
            loop {
                let before = (sent, got.len());
                if sent < bytes.len()
                    && let Poll::Ready(taken) = self.poll_write(cx, &[IoSlice::new(&bytes[sent..])])
                {
                    sent += taken?;
                }
                let flushed = self.link.poll_flush(cx)?.is_ready();
                if got.len() < expected {
                    let room = buf.len().min(expected - got.len());
                    if let Poll::Ready(count) = self.poll_read(cx, &mut buf[..room]) {
                        let Some(count) = count? else {
                            let text = format!("the link ended after {} of {expected} bytes", got.len());
                            return Poll::Ready(Err(Failure(text)));
                        };
                        got.extend_from_slice(&buf[..count]);
                    }
                }
                if sent == bytes.len() && got.len() == expected && flushed {
                    return Poll::Ready(Ok(()));
                }
                if before == (sent, got.len()) {
                    return Poll::Pending;
                }
            }
        })
        .await?;
        Ok(got)
    }

    /// Sends back whatever comes, until the peer ends.
    pub(super) async fn echo(&mut self) -> Check {
        let mut buf = vec![0; 65536];
        while let Some(count) = self.read_some(&mut buf).await? {
            self.write(&buf[..count]).await?;
        }
        Ok(())
    }

    /// Writes until nothing more is taken, at most `limit` bytes: how many went. The waker is the task's own.
    pub(super) async fn fill(&mut self, limit: usize) -> Check<usize> {
        let mut sent = 0;
        loop {
            let before = sent;
            poll_fn(|cx| Poll::Ready(self.fill_now(cx, limit, &mut sent))).await?;
            // A reactor that has not looked yet, or a medium that moves its buffers on, is not full.
            turn_reactor().await;
            if sent >= limit || (sent == before && sent > 0) {
                return Ok(sent);
            }
        }
    }

    fn fill_now(&mut self, cx: &mut Context<'_>, limit: usize, sent: &mut usize) -> Check {
        let chunk = pattern(65536, 0);
        while *sent < limit {
            // In step with the pattern, so that whoever reads can check what it gets.
            let rest = &chunk[*sent % chunk.len()..];
            match self.poll_write(cx, &[IoSlice::new(rest)]) {
                Poll::Ready(taken) => *sent += taken?,
                Poll::Pending => break,
            }
            let _ = self.link.poll_flush(cx)?;
        }
        Ok(())
    }
}

/// `len` bytes that tell where they belong: no two places near each other look alike.
pub(super) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&next(&mut state).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// The next number of a sequence (splitmix64): the same on every run, so that a failure comes again.
pub(super) fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Compares two texts of bytes and says where they part.
pub(super) fn same_bytes(what: &str, found: &[u8], expected: &[u8]) -> Check {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(Failure(format!(
        "{what}: {} bytes came, {} were expected; they differ from byte {at}",
        found.len(),
        expected.len()
    )))
}
