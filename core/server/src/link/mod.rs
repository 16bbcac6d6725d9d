// SPDX-License-Identifier: Apache-2.0
//! Links: from the listener that yields them to the session that is spoken on them. One task each, pinned to a reactor
//! thread; an idle one costs its own few structs and no buffer.
//!
//! ```text
//!   accept      listeners, and how many links there may be (admission)
//!   detect      which of the allowed protocols a link speaks, by its first bytes
//!   speaker     a session on its link; hand_out and intake are its two directions
//!   entry       the innermost service of a session's stack: into the engine
//!   output      what is on its way to the peer          accepts  what is accepted once it was written
//!   pull        long bodies, piece by piece
//!   order       answers in the order in which was asked
//!   scratch     memory that the links of a thread share  timer    one timer for all deadlines of a link
//! ```
//! Nothing here knows what a verb means, how bytes become verbs, or what carries them.

pub mod accept;
mod accepts;
pub mod admission;
mod detect;
mod entry;
mod hand_out;
mod intake;
mod order;
mod output;
mod pull;
mod quiet;
mod scratch;
mod speaker;
mod timer;

pub use entry::Solo;
pub use quiet::Quiet;

use crate::broker::{Committer, Room};
use crate::config::Limits;
use admission::{Connections, Place};
use entry::EngineEntry;
use sabir_host::{BodyAssembler, Framing, Link, Protocol, SessionParams};
use sabir_model::SessionId;
use sabir_stack::Budget;
use speaker::{Ended, Opened, Parts, Speaker};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

/// How long a link is kept after its end, for the peer to read what it was sent last.
const LINGER: Duration = Duration::from_secs(1);

/// What all links share. Replaced as a whole when settings are reloaded: links that stand keep theirs.
pub struct LinkContext {
    /// The engine.
    pub room: Arc<Room>,
    /// Commits what sessions ask for.
    pub committer: Arc<Committer>,
    /// Who may commit on their own thread.
    pub solo: Arc<Solo>,
    /// The limits.
    pub limits: Limits,
    /// What all stacks share.
    pub stack: sabir_stack::Shared,
    /// Places for links.
    pub connections: Arc<Connections>,
    /// Names for connections.
    pub names: Arc<ConnectionNames>,
}

impl std::fmt::Debug for LinkContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkContext").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Makes names that no other connection to any broker has had or will have.
#[derive(Debug)]
pub struct ConnectionNames {
    boot: String,
    next: AtomicU64,
}

impl ConnectionNames {
    /// Names of this start of the broker.
    pub fn new() -> std::io::Result<Self> {
        let mut random = [0_u8; 12];
        let mut filled = 0;
        while let Some(rest) = random.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
        }
        let boot = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ConnectionNames { boot, next: AtomicU64::new(1) })
    }

    fn next(&self) -> String {
        format!("{}-{}", self.boot, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// A session's number and its place in the engine, given back however the link ends.
struct Seat {
    room: Arc<Room>,
    session: SessionId,
    opened: Arc<AtomicBool>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.opened.load(Ordering::Acquire) {
            self.room.close(self.room.now(), self.session);
        }
        self.room.unregister(self.session);
    }
}

/// Serves one link from its first byte to its last.
pub async fn serve(context: Arc<LinkContext>, protocols: Arc<[Protocol]>, mut link: Link, place: Place) {
    let until = Duration::from_millis(context.limits.handshake_timeout_ms);
    let handshake_until_ms = context.room.now().monotonic_ms + context.limits.handshake_timeout_ms;
    let begun = tokio::time::timeout(until, begin(&protocols, &mut link)).await;
    let (protocol, prefix, attributes) = match begun {
        Ok(Ok(begun)) => begun,
        Ok(Err(reason)) => return tracing::debug!(%reason, "a link was closed before its session began"),
        Err(_) => return tracing::debug!("a link was closed: it took too long to say what it speaks"),
    };
    let name = context.names.next();
    let (session, outbox) = context.room.register();
    let opened = Arc::new(AtomicBool::new(false));
    let seat = Seat { room: context.room.clone(), session, opened: opened.clone() };
    let framing = link.framing();
    let params = Params { session, name: &name, framing, attributes: &attributes };
    let opened_session = match open(&context, &protocol, &params) {
        Ok(session) => session,
        Err(error) => return tracing::warn!(protocol = protocol.name(), %error, "cannot open a session"),
    };
    let budget = Arc::new(Budget::new(&context.stack.policy.current().limits));
    let entry = EngineEntry::new(
        context.room.clone(),
        context.committer.clone(),
        context.solo.clone(),
        outbox.clone(),
        opened.clone(),
    );
    let stack = sabir_stack::build(&context.stack, protocol.name(), budget.clone(), entry);
    let mut speaker = Speaker::new(Parts {
        id: session,
        connection_id: name,
        peer: peer_of(attributes),
        opened_session,
        outbox,
        stack: Box::new(stack),
        budget,
        opened,
        framing,
        prefix,
        handshake_until_ms,
        context,
    });
    let ended = poll_fn(|cx| speaker.poll(&mut link, cx)).await;
    tracing::debug!(session = session.0, ?ended, "a session has ended");
    drop(speaker);
    drop(seat);
    if !matches!(ended, Ended::Failed(_)) {
        let _ = tokio::time::timeout(LINGER, linger(&mut link)).await;
    }
    drop(link);
    drop(place);
}

/// Where a link's peer is, as its transport says it.
fn peer_of(attributes: Vec<(String, String)>) -> String {
    attributes.into_iter().find(|(name, _)| name == "peer").map(|(_, peer)| peer).unwrap_or_default()
}

/// What a session is told of its link.
struct Params<'a> {
    session: SessionId,
    name: &'a str,
    framing: Framing,
    attributes: &'a [(String, String)],
}

/// Waits until the link carries bytes, and finds out what is spoken on it.
async fn begin(
    protocols: &[Protocol],
    link: &mut Link,
) -> Result<(Protocol, Vec<u8>, Vec<(String, String)>), String> {
    poll_fn(|cx| link.poll_ready(cx)).await.map_err(|error| error.to_string())?;
    let attributes = link.attributes();
    let (protocol, prefix) = detect::detect(protocols, link, &attributes).await?;
    Ok((protocol, prefix, attributes))
}

/// Opens a session, with what it says and asks at once.
fn open(
    context: &LinkContext,
    protocol: &Protocol,
    params: &Params<'_>,
) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
    let limits = &context.limits;
    scratch::with(limits.max_head_bytes, |scratch| {
        let out = &mut scratch.out;
        out.reset();
        let params = SessionParams {
            session_id: params.session.0,
            connection_id: params.name,
            broker: concat!("sabir/", env!("CARGO_PKG_VERSION")),
            framing: params.framing,
            attributes: params.attributes,
            max_head_bytes: limits.max_head_bytes,
            max_message_bytes: limits.max_message_bytes,
        };
        let session = protocol.session(&params, context.room.now(), out)?;
        let mut assembler =
            BodyAssembler::new(limits.max_message_bytes).in_pieces(limits.max_held_body_bytes);
        let mut requests = Vec::new();
        out.drain_requests(&[], &mut assembler, &mut requests)?;
        let greeting = out.detach(&[], 0)?;
        out.reset();
        Ok(Opened { session, assembler, requests, greeting })
    })
}

/// Ends the writing half and reads what still comes: a link that is closed with unread bytes may lose its last words.
async fn linger(link: &mut Link) {
    if poll_fn(|cx| link.poll_shutdown(cx)).await.is_err() {
        return;
    }
    let mut rest = vec![0; 4096];
    let mut info = sabir_host::ChunkInfo::default();
    while let Ok(1..) = poll_fn(|cx| match link.poll_read(cx, &mut rest, &mut info) {
        Poll::Ready(Ok(0)) if info.end => Poll::Ready(Ok(1)),
        other => other,
    })
    .await
    {}
}
