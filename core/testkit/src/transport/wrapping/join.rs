// SPDX-License-Identifier: Apache-2.0
//! `join`: two links make one, as where a client has one connection for each direction. A link announces itself with
//! two bytes: the group that it belongs to, and `>` (it carries what the client says) or `<` (what it hears).

use super::streams_only;
use super::xor::renamed;
use sabir_sdk::transport::{ChunkInfo, Link, Listener};
use sabir_sdk::{Error, ErrorCode, Result};
use std::io::IoSlice;
use std::task::{Context, Poll, ready};

/// Links that may wait for their announcement or their other half; further ones are closed.
const MAX_WAITING: usize = 1024;

/// What a client writes first: `group`, and whether the link carries what the client says.
pub fn announce(group: u8, says: bool) -> [u8; 2] {
    [group, if says { b'>' } else { b'<' }]
}

pub(super) struct JoinListener {
    inner: Box<dyn Listener>,
    /// Links whose announcement is not complete.
    strangers: Vec<(Box<dyn Link>, Vec<u8>)>,
    /// Links whose other half has not come.
    singles: Vec<(Box<dyn Link>, [u8; 2])>,
}

impl JoinListener {
    pub(super) fn new(inner: Box<dyn Listener>) -> Self {
        Self { inner, strangers: Vec::new(), singles: Vec::new() }
    }

    fn poll_strangers(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while let Some((link, said)) = self.strangers.get_mut(at) {
            let polled = poll_announcement(link, said, cx);
            match polled {
                Poll::Pending => at += 1,
                Poll::Ready(announced) => {
                    let (link, _) = self.strangers.swap_remove(at);
                    if let Ok(announced) = announced {
                        self.singles.push((link, announced));
                    }
                }
            }
        }
    }

    /// Two links that belong together, if there are any.
    fn take_couple(&mut self) -> Option<Joined> {
        let says = |(_, [_, direction]): &(Box<dyn Link>, [u8; 2])| *direction == b'>';
        let (first, second) = self.singles.iter().enumerate().find_map(|(first, one)| {
            let other = |two: &(Box<dyn Link>, [u8; 2])| two.1[0] == one.1[0] && says(one) && !says(two);
            self.singles.iter().position(other).map(|second| (first, second))
        })?;
        // The later one first, so that the other keeps its place.
        let (late, early) = (self.singles.remove(first.max(second)), self.singles.remove(first.min(second)));
        let (reads, writes) = if first < second { (early, late) } else { (late, early) };
        let attributes = renamed(&*reads.0, "join");
        Some(Joined { reads: reads.0, writes: writes.0, attributes })
    }
}

fn poll_announcement(
    link: &mut Box<dyn Link>,
    said: &mut Vec<u8>,
    cx: &mut Context<'_>,
) -> Poll<Result<[u8; 2]>> {
    streams_only(link.framing(), "join")?;
    ready!(link.poll_ready(cx))?;
    loop {
        if let [group, direction @ (b'<' | b'>')] = said.as_slice() {
            return Poll::Ready(Ok([*group, *direction]));
        }
        let mut byte = [0];
        let count = ready!(link.poll_read(cx, &mut byte, &mut ChunkInfo::default()))?;
        if count == 0 || said.len() >= 2 {
            return Poll::Ready(Err(Error::new(ErrorCode::Corrupt, "no announcement")));
        }
        said.extend(byte);
    }
}

impl Listener for JoinListener {
    fn local_address(&self) -> &str {
        self.inner.local_address()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        loop {
            let accepted = self.inner.poll_accept(cx);
            let more = accepted.is_ready();
            if let Poll::Ready(link) = accepted {
                let link = link?;
                if self.strangers.len() + self.singles.len() < MAX_WAITING {
                    self.strangers.push((link, Vec::new()));
                }
            }
            self.poll_strangers(cx);
            if let Some(joined) = self.take_couple() {
                return Poll::Ready(Ok(Box::new(joined)));
            }
            if !more {
                return Poll::Pending;
            }
        }
    }
}

struct Joined {
    reads: Box<dyn Link>,
    writes: Box<dyn Link>,
    attributes: Vec<(String, String)>,
}

impl Link for Joined {
    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.reads.poll_read(cx, buf, info)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        info: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.writes.poll_write(cx, bufs, info)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.writes.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.writes.poll_shutdown(cx)
    }
}
