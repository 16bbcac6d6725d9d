// SPDX-License-Identifier: Apache-2.0
//! A link on which a protocol is spoken: bytes to verbs to the engine, and back.
//!
//! `hand_out` and `intake` are its two directions. One round of [`Speaker::poll`] hands out what waits in the outbox, with one vectored write; reads once; and
//! enters the engine once with all that the session asked for meanwhile. It reads no further while the session's
//! budget is used up, while a log-in is being checked, or while the peer takes nothing of what it was sent.

use super::LinkContext;
use super::accepts::Accepts;
use super::order::Order;
use super::output::{Output, OutputError};
use super::pull::Pull;
use super::scratch::{self, Scratch};
use super::timer::Timer;
use crate::broker::{Outbox, Taken};
use bytes::Bytes;
use sabir_host::{BodyAssembler, Flow, Framing, Link, OutBuffers, Session};
use sabir_model::{Delivery, Now, Request, SessionId};
use sabir_stack::{Admission, Admissions, Batch, Budget, Stack};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// Rounds that one poll makes before other links have their turn.
const ROUNDS: usize = 4;

/// Why a session ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer has closed the link.
    Peer,
    /// The session has asked for it.
    Session,
    /// The broker has: its peer was told why.
    Broker(String),
    /// The link has failed, or somebody has broken a contract: there is nobody to talk to.
    Failed(String),
}

/// How far the end is.
#[derive(Debug)]
pub(super) enum Closing {
    /// Not at all.
    No,
    /// Once everything was written.
    WhenWritten(Ended),
}

/// The two directions of a session through the stack.
pub(super) struct Requests {
    pub stack: Box<dyn Stack>,
    /// What the last batch left; `None` while a log-in is being checked.
    pub last: Option<Admissions>,
    pub login: Option<Admission>,
    /// Since when.
    pub login_since_ms: u64,
    /// What was asked for while a log-in was being checked.
    pub waiting: Vec<Request>,
    /// Brings refusals and the engine's answers into the order in which was asked.
    pub order: Order,
}

/// What one poll works with.
pub(super) struct Turn<'t, 'w> {
    pub now: Now,
    pub link: &'t mut Link,
    pub cx: &'t mut Context<'w>,
    pub scratch: &'t mut Scratch,
    /// The link has nothing to read; it will wake the task.
    pub read_pending: bool,
}

/// A session on its link.
pub struct Speaker {
    pub(super) id: SessionId,
    pub(super) context: Arc<LinkContext>,
    pub(super) session: Session,
    pub(super) outbox: Arc<Outbox>,
    pub(super) requests: Requests,
    pub(super) assembler: BodyAssembler,
    pub(super) output: Output,
    pub(super) accepts: Accepts,
    pub(super) taken: Taken,
    /// Bytes that the session did not consume.
    pub(super) leftover: Vec<u8>,
    /// How many are needed before the session can get further.
    pub(super) needed: usize,
    pub(super) framing: Framing,
    pub(super) timer: Timer,
    pub(super) handshake_until_ms: Option<u64>,
    pub(super) stalled_since_ms: Option<u64>,
    pub(super) flow: Flow,
    pub(super) engine_pauses: bool,
    /// The leftover may get further without anything new.
    pub(super) more: bool,
    pub(super) budget: Arc<Budget>,
    pub(super) read_closed: bool,
    pub(super) opened: Arc<AtomicBool>,
    /// The broker is stopping: nothing more is read, and the session ends once it has its answers.
    pub(super) draining: Option<String>,
    /// The body that is being delivered in pieces: that of the first delivery in `taken`.
    pub(super) pull: Option<Pull>,
    /// Bytes of bodies in pieces on their way to the store.
    pub(super) handed_on_bytes: u64,
    pub(super) closing: Closing,
}

/// A session that was just opened, with what it said and asked at once.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Joins the bodies that come in pieces.
    pub assembler: BodyAssembler,
    /// What it asked.
    pub requests: Vec<Request>,
    /// What it said.
    pub greeting: Vec<Bytes>,
}

/// What a speaker is made of.
pub struct Parts {
    /// What all links share.
    pub context: Arc<LinkContext>,
    /// The session's number.
    pub id: SessionId,
    /// The connection's name.
    pub connection_id: String,
    /// Where the peer is, as the transport says it.
    pub peer: String,
    /// The session.
    pub opened_session: Opened,
    /// Where the engine puts what is for it.
    pub outbox: Arc<Outbox>,
    /// The layers, over the engine.
    pub stack: Box<dyn Stack>,
    /// What the session may have unanswered.
    pub budget: Arc<Budget>,
    /// Set once the engine knows the session.
    pub opened: Arc<AtomicBool>,
    /// The link's boundaries.
    pub framing: Framing,
    /// Bytes that were read to find out which protocol is spoken.
    pub prefix: Vec<u8>,
    /// When the log-in must be done.
    pub handshake_until_ms: u64,
}

impl Speaker {
    /// A session that has been opened.
    pub fn new(parts: Parts) -> Self {
        let session = sabir_stack::Session::new(parts.id, &parts.connection_id).with_peer(&parts.peer);
        let first = Batch::first(Now::default(), session).admit();
        let Opened { session, assembler, requests, greeting } = parts.opened_session;
        Speaker {
            id: parts.id,
            assembler,
            output: Output::new(parts.framing, greeting),
            accepts: Accepts::default(),
            taken: Taken::default(),
            more: !parts.prefix.is_empty(),
            leftover: parts.prefix,
            needed: 0,
            framing: parts.framing,
            timer: Timer::default(),
            handshake_until_ms: Some(parts.handshake_until_ms),
            stalled_since_ms: None,
            flow: Flow::default(),
            engine_pauses: false,
            read_closed: false,
            opened: parts.opened,
            budget: parts.budget,
            draining: None,
            pull: None,
            handed_on_bytes: 0,
            closing: Closing::No,
            requests: Requests {
                stack: parts.stack,
                last: Some(first),
                login: None,
                login_since_ms: 0,
                waiting: requests,
                order: Order::default(),
            },
            session,
            outbox: parts.outbox,
            context: parts.context,
        }
    }

    /// Serves the session until it ends and everything was written, or the link fails.
    pub fn poll(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Ended> {
        let max_head_bytes = self.context.limits.max_head_bytes;
        scratch::with(max_head_bytes, |scratch| {
            let now = self.context.room.now();
            let mut turn = Turn { now, link, cx, scratch, read_pending: false };
            for _ in 0..ROUNDS {
                match self.round(&mut turn) {
                    Ok(true) => turn.now = self.context.room.now(),
                    Ok(false) => return self.rest(turn.cx),
                    Err(ended) => {
                        turn.scratch.out.reset();
                        turn.scratch.requests.clear();
                        return Poll::Ready(ended);
                    }
                }
            }
            turn.cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// There is nothing to do: the session is over, or its timer is set.
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        if self.output.is_written()
            && let Closing::WhenWritten(ended) = std::mem::replace(&mut self.closing, Closing::No)
        {
            return Poll::Ready(ended);
        }
        let deadline = [self.session.deadline(), self.handshake_deadline_ms(), self.stalled_until_ms()];
        self.timer.set(self.context.room.clock(), deadline.into_iter().flatten().min(), cx);
        self.taken.trim();
        self.requests.order.trim();
        Poll::Pending
    }

    /// When the log-in takes too long. While its password waits to be checked, that is the broker's time and not the peer's.
    fn handshake_deadline_ms(&self) -> Option<u64> {
        self.handshake_until_ms.filter(|_| self.requests.login.is_none())
    }

    fn stalled_until_ms(&self) -> Option<u64> {
        Some(self.stalled_since_ms? + self.context.limits.write_stall_timeout_ms)
    }

    /// One round. `true`: another one may get further.
    fn round(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let mut progress = self.timers(turn)?;
        progress |= self.write_backlog(turn)?;
        if self.is_open() {
            progress |= self.finish_login(turn)?;
            progress |= self.hand_out(turn)?;
        }
        // Before what is read now: an unsubscribing or a farewell in it would give back what was delivered already.
        self.accepts.release(self.output.written(), &mut turn.scratch.requests);
        if self.is_open() {
            progress |= self.read(turn)?;
        }
        progress |= self.enter(turn);
        self.output.flush(turn.link, turn.cx).map_err(failed)?;
        Ok(progress)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.closing, Closing::No)
    }

    /// Calls the session's timer if its time has come, and ends the session if other times are over.
    fn timers(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        if !self.timer.poll_fired(turn.cx) {
            return Ok(false);
        }
        let now_ms = turn.now.monotonic_ms;
        let passed = |deadline: Option<u64>| deadline.is_some_and(|at| at <= now_ms);
        if passed(self.stalled_until_ms()) {
            return Err(Ended::Failed("the peer takes nothing (limits.write_stall_timeout_ms)".to_owned()));
        }
        if passed(self.handshake_deadline_ms()) {
            self.handshake_until_ms = None;
            self.end(turn, "the log-in took too long (limits.handshake_timeout_ms)")?;
        } else if passed(self.session.deadline()) {
            let now = turn.now;
            self.tell(turn, |session, out| session.on_timer(now, out))?;
            self.after_call(turn, &[])?;
        }
        Ok(true)
    }

    /// Calls the session with the buffers.
    pub(super) fn call<T>(
        &mut self,
        turn: &mut Turn<'_, '_>,
        call: impl FnOnce(&mut Session, &mut OutBuffers) -> sabir_host::Result<T>,
    ) -> Result<T, Ended> {
        call(&mut self.session, &mut turn.scratch.out)
            .map_err(|error| Ended::Failed(format!("the protocol failed: {error}")))
    }

    /// The same, with something else than bytes. The session may have held bytes back until it knew this: it then asks
    /// for them again, and nothing new has to come for that.
    pub(super) fn tell<T>(
        &mut self,
        turn: &mut Turn<'_, '_>,
        call: impl FnOnce(&mut Session, &mut OutBuffers) -> sabir_host::Result<T>,
    ) -> Result<T, Ended> {
        let told = self.call(turn, call)?;
        self.more |= turn.scratch.out.full();
        Ok(told)
    }

    /// Takes the verbs out of the buffers, behind a call that was given `input`.
    pub(super) fn take_verbs(&mut self, turn: &mut Turn<'_, '_>, input: &[u8]) -> Result<(), Ended> {
        let Scratch { out, requests, .. } = &mut *turn.scratch;
        out.drain_requests(input, &mut self.assembler, requests).map_err(|error| broken(&error))?;
        self.handed_on_bytes += self.assembler.take_handed_on();
        if out.close() {
            self.close_when_written(Ended::Session);
        }
        Ok(())
    }

    /// Takes the output out of the buffers; they are empty afterwards.
    pub(super) fn take_output(
        &mut self,
        turn: &mut Turn<'_, '_>,
        deliveries: &[Delivery],
    ) -> Result<(), Ended> {
        self.output.take(turn.link, turn.cx, &mut turn.scratch.out, deliveries).map_err(failed)
    }

    /// Takes verbs and output out of the buffers, behind a call that was given no input.
    pub(super) fn after_call(
        &mut self,
        turn: &mut Turn<'_, '_>,
        deliveries: &[Delivery],
    ) -> Result<(), Ended> {
        self.take_verbs(turn, &[])?;
        self.take_output(turn, deliveries)
    }

    pub(super) fn close_when_written(&mut self, ended: Ended) {
        if self.is_open() {
            self.closing = Closing::WhenWritten(ended);
        }
    }

    /// The broker ends the session, which may say so to its peer.
    pub(super) fn end(&mut self, turn: &mut Turn<'_, '_>, reason: &str) -> Result<(), Ended> {
        let now = turn.now;
        self.call(turn, |session, out| session.on_close(now, reason, out))?;
        // What it asks for now comes too late, but what it asked before and its output count.
        let before = turn.scratch.requests.len();
        self.take_verbs(turn, &[])?;
        turn.scratch.requests.truncate(before);
        self.take_output(turn, &[])?;
        self.closing = Closing::WhenWritten(Ended::Broker(reason.to_owned()));
        Ok(())
    }

    /// Writes what the link did not take before.
    fn write_backlog(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let progress = self.output.write(turn.link, turn.cx).map_err(failed)?;
        if self.output.is_written() {
            self.stalled_since_ms = None;
        } else if progress || self.stalled_since_ms.is_none() {
            self.stalled_since_ms = Some(turn.now.monotonic_ms);
        }
        Ok(progress)
    }

    /// Looks whether the log-in has been checked.
    fn finish_login(&mut self, turn: &mut Turn<'_, '_>) -> Result<bool, Ended> {
        let Some(login) = &mut self.requests.login else { return Ok(false) };
        let Poll::Ready(Ok(admissions)) = Pin::new(login).poll(turn.cx) else { return Ok(false) };
        self.requests.login = None;
        let waited_ms = turn.now.monotonic_ms.saturating_sub(self.requests.login_since_ms);
        self.handshake_until_ms = self.handshake_until_ms.map(|until_ms| until_ms.saturating_add(waited_ms));
        self.admitted(admissions);
        Ok(true)
    }

    /// Takes a batch's admissions back: what was refused is answered to the session.
    fn admitted(&mut self, mut admissions: Admissions) {
        if self.opened.load(Ordering::Acquire) {
            self.handshake_until_ms = None;
        }
        self.requests.order.admitted(&mut admissions, &mut self.taken.replies);
        self.requests.last = Some(admissions);
    }

    /// Hands on what the session has asked for. It is handed on even when the budget is used up, since what gives the
    /// budget back may be among it; reading is what the budget holds up.
    pub(super) fn enter(&mut self, turn: &mut Turn<'_, '_>) -> bool {
        let Scratch { requests, places, .. } = &mut *turn.scratch;
        let Some(last) = self.requests.last.take() else {
            self.requests.waiting.append(requests);
            return false;
        };
        let mut batch = Batch::next(turn.now, last);
        batch.requests.append(&mut self.requests.waiting);
        batch.requests.append(requests);
        if batch.requests.is_empty() {
            self.requests.last = Some(batch.admit());
            return false;
        }
        self.requests.order.swap_memory(places);
        self.requests.order.ask(&batch.requests, batch.seen);
        let mut admission = self.requests.stack.call(batch);
        match Pin::new(&mut admission).poll(turn.cx) {
            Poll::Ready(Ok(admissions)) => self.admitted(admissions),
            Poll::Pending => {
                self.requests.login = Some(admission);
                self.requests.login_since_ms = turn.now.monotonic_ms;
            }
        }
        self.requests.order.swap_memory(&mut turn.scratch.places);
        true
    }
}

/// The link has failed, or the output was damaged.
pub(super) fn failed(error: OutputError) -> Ended {
    Ended::Failed(error.to_string())
}

/// A plugin has broken its contract.
pub(super) fn broken(error: &dyn std::fmt::Display) -> Ended {
    Ended::Failed(format!("the protocol broke the contract: {error}"))
}
