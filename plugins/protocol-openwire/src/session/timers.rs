// SPDX-License-Identifier: Apache-2.0
//! Signs of life both ways, and the time-outs of peers that fall silent.

use super::bridge::Bridge;
use super::problem::{Exception, class};
use super::{Core, Phase};
use crate::codec::{Command, KeepAliveInfo};
use sabir_sdk::protocol::{Now, Out};

/// How long a client that has left may take to close the link.
const LINGER_MS: u64 = 10_000;

/// What is known of the time.
#[derive(Debug)]
pub struct Timers {
    opened_ms: u64,
    last_read_ms: u64,
    last_write_ms: u64,
    last_call_ms: u64,
    /// Silence of the peer that ends the connection.
    inactivity_ms: Option<u64>,
    /// When the client has left.
    left_ms: Option<u64>,
    /// We hold back what it sends: its silence says nothing.
    read_paused: bool,
}

impl Timers {
    /// The timers of a connection that opens now.
    pub fn new(now: Now) -> Self {
        let now_ms = now.monotonic_ms;
        Timers {
            opened_ms: now_ms,
            last_read_ms: now_ms,
            last_write_ms: now_ms,
            last_call_ms: now_ms,
            inactivity_ms: None,
            left_ms: None,
            read_paused: false,
        }
    }

    /// What silence means was agreed.
    pub fn agreed(&mut self, inactivity_ms: Option<u64>) {
        self.inactivity_ms = inactivity_ms;
    }

    /// A call has come.
    pub fn is_called(&mut self, now: Now) {
        self.last_call_ms = now.monotonic_ms;
    }

    /// Something has come.
    pub fn has_read(&mut self, now: Now) {
        self.last_read_ms = now.monotonic_ms;
    }

    /// Something was written.
    pub fn has_written(&mut self) {
        self.last_write_ms = self.last_call_ms;
    }

    /// The client has left.
    pub fn has_left(&mut self) {
        self.left_ms = Some(self.last_call_ms);
    }

    /// When the session was called last.
    pub fn last_call_ms(&self) -> u64 {
        self.last_call_ms
    }

    /// Whether we hold back what the peer sends. Its time begins anew when we do no longer.
    pub fn set_read_paused(&mut self, now: Now, paused: bool) {
        if self.read_paused && !paused {
            self.last_read_ms = now.monotonic_ms;
        }
        self.read_paused = paused;
    }

    /// A third of what the peer takes for silence, as its own monitor does it.
    fn sign_due_ms(&self) -> Option<u64> {
        self.inactivity_ms.map(|silence| self.last_write_ms.saturating_add((silence / 3).max(1)))
    }
}

impl Core {
    /// When something is to be done next. `inside`: half a frame has been read.
    pub fn next_deadline_ms(&self, inside: bool) -> Option<u64> {
        let timers = &self.timers;
        let end = match self.phase {
            Phase::Closed => return (!self.output.is_empty()).then_some(timers.last_call_ms),
            _ if self.is_behind() => return Some(timers.last_call_ms),
            Phase::Opened | Phase::Negotiated => self.login_deadline_ms(),
            Phase::Left => timers.left_ms.map(|left| left.saturating_add(LINGER_MS)),
            Phase::Connecting(_) | Phase::Connected | Phase::Leaving => self.consumers.next_pull_ms(),
        };
        let silent = self.silence_limit_ms(inside).map(|limit| timers.last_read_ms.saturating_add(limit));
        let sign = timers.sign_due_ms().filter(|_| self.phase != Phase::Left);
        let held = self.bridge.as_deref().and_then(Bridge::next_held_ms);
        [end, silent, sign, held].into_iter().flatten().min()
    }

    fn login_deadline_ms(&self) -> Option<u64> {
        let timeout = self.shared.settings.connect_timeout_ms;
        (!self.timers.read_paused).then(|| self.timers.opened_ms.saturating_add(timeout))
    }

    /// How long the peer may be silent.
    fn silence_limit_ms(&self, inside: bool) -> Option<u64> {
        if self.timers.read_paused {
            return None;
        }
        let frame = inside.then_some(self.shared.settings.frame_timeout_ms);
        let silence = self.timers.inactivity_ms.filter(|_| self.is_logged_in());
        [silence, frame].into_iter().flatten().min()
    }

    /// The deadline has passed.
    pub fn on_time(&mut self, now: Now, inside: bool, out: &mut Out<'_>) {
        let now_ms = now.monotonic_ms;
        let passed = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now_ms);
        match self.phase {
            Phase::Closed => return,
            Phase::Opened | Phase::Negotiated if passed(self.login_deadline_ms()) => {
                let limit = self.shared.settings.connect_timeout_ms;
                let text = format!("no ConnectionInfo came within {limit} ms (connect_timeout_ms)");
                return self.fail(Exception::new(class::IO, text), out);
            }
            Phase::Left if passed(self.timers.left_ms.map(|left| left.saturating_add(LINGER_MS))) => {
                return self.close(out);
            }
            _ => {}
        }
        let silent_ms = now_ms.saturating_sub(self.timers.last_read_ms);
        if self.silence_limit_ms(inside).is_some_and(|limit| silent_ms >= limit) {
            let text = format!("nothing came for {silent_ms} ms (MaxInactivityDuration, frame_timeout_ms)");
            return self.fail(Exception::new(class::IO, text), out);
        }
        self.on_pull_time(now_ms, out);
        self.give_back_held(now_ms, out);
        if passed(self.timers.sign_due_ms()) && self.output.is_empty() {
            self.output.push(Command::KeepAliveInfo(KeepAliveInfo::default()));
            // Whatever is written instead, or before it, is as good.
            self.timers.has_written();
        }
    }
}
