// SPDX-License-Identifier: Apache-2.0
//! The broker's end of the importer's links, and how it gets them.

use crate::pipe::Pipe;
use sabir_sdk::Result;
use sabir_sdk::transport::{ChunkInfo, Link, Listener};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Where the importer hands links over.
#[derive(Debug, Default)]
pub struct Door {
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    links: VecDeque<ImportLink>,
    waker: Option<Waker>,
    closed: bool,
}

/// The importer's end of a link.
#[derive(Debug)]
pub struct Ends {
    /// To the broker.
    pub to: Arc<Pipe>,
    /// From the broker.
    pub from: Arc<Pipe>,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.to.end();
        self.from.abandon();
    }
}

impl Door {
    /// A new link; `None`: the broker does not listen any more.
    pub fn enter(&self) -> Option<Ends> {
        let (to, from) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        let link = ImportLink { incoming: to.clone(), outgoing: from.clone(), attributes: attributes() };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return None;
        }
        waiting.links.push_back(link);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(Ends { to, from })
    }
}

fn attributes() -> Vec<(String, String)> {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    vec![pair("scheme", crate::SCHEME), pair("peer", "import"), pair("local", "import")]
}

/// Yields the importer's links.
#[derive(Debug)]
pub struct DoorListener {
    /// Where they come from.
    pub door: Arc<Door>,
}

impl Listener for DoorListener {
    fn local_address(&self) -> &str {
        "import"
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Box<dyn Link>>> {
        let mut waiting = self.door.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = waiting.links.pop_front() {
            return Poll::Ready(Ok(Box::new(link)));
        }
        waiting.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for DoorListener {
    fn drop(&mut self) {
        let mut waiting = self.door.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        let links = std::mem::take(&mut waiting.links);
        drop(waiting);
        // Outside of the lock: their ends are told.
        drop(links);
    }
}

/// The broker's end.
#[derive(Debug)]
struct ImportLink {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    attributes: Vec<(String, String)>,
}

impl Drop for ImportLink {
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.abandon();
    }
}

impl Link for ImportLink {
    fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
        info: &mut ChunkInfo,
    ) -> Poll<Result<usize>> {
        *info = ChunkInfo::default();
        self.incoming.poll_read(cx, buf)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
        _: ChunkInfo,
    ) -> Poll<Result<usize>> {
        self.outgoing.poll_write(cx, bufs)
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}
