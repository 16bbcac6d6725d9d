// SPDX-License-Identifier: Apache-2.0
//! Heart-beats both ways, and the time-outs of clients that fall silent.

use super::problem::Problem;
use super::{Core, Phase};
use sabir_sdk::protocol::{Now, Out};

/// What is known of the time.
#[derive(Debug)]
pub struct Timers {
    connect_deadline_ms: u64,
    last_read_ms: u64,
    last_write_ms: u64,
    last_call_ms: u64,
    /// The peer wants to hear from us at least so often.
    send_interval_ms: Option<u64>,
    /// Silence of the peer that ends the connection: its interval with the tolerance.
    receive_timeout_ms: Option<u64>,
    /// The log-in was answered: heart-beats count from then on.
    started: bool,
    /// We hold back what it sends: its silence says nothing.
    read_paused: bool,
}

impl Timers {
    /// The timers of a connection that opens now.
    pub fn new(now: Now, connect_timeout_ms: u64) -> Self {
        let now_ms = now.monotonic_ms;
        Timers {
            connect_deadline_ms: now_ms.saturating_add(connect_timeout_ms),
            last_read_ms: now_ms,
            last_write_ms: now_ms,
            last_call_ms: now_ms,
            send_interval_ms: None,
            receive_timeout_ms: None,
            started: false,
            read_paused: false,
        }
    }

    /// Heart-beats were agreed.
    pub fn set_intervals(&mut self, send_ms: Option<u64>, receive_ms: Option<u64>, tolerance_percent: u64) {
        self.send_interval_ms = send_ms;
        self.receive_timeout_ms = receive_ms.map(|interval| interval.saturating_mul(tolerance_percent) / 100);
    }

    /// The log-in was answered.
    pub fn start(&mut self, now: Now) {
        self.started = true;
        self.last_read_ms = now.monotonic_ms;
    }

    /// Something has come.
    pub fn has_read(&mut self, now: Now) {
        self.last_read_ms = now.monotonic_ms;
        self.last_call_ms = now.monotonic_ms;
    }

    /// Something was written.
    pub fn has_written(&mut self, now: Now) {
        self.last_write_ms = now.monotonic_ms;
        self.last_call_ms = now.monotonic_ms;
    }

    /// A call has come.
    pub fn is_called(&mut self, now: Now) {
        self.last_call_ms = now.monotonic_ms;
    }

    /// When the last call came: a deadline that has passed already.
    pub fn last_call_ms(&self) -> u64 {
        self.last_call_ms
    }

    /// Whether we hold back what the peer sends. Its time begins anew when we do no longer.
    pub fn set_read_paused(&mut self, now: Now, paused: bool) {
        if self.read_paused && !paused {
            self.last_read_ms = now.monotonic_ms;
        }
        self.read_paused = paused;
        self.last_call_ms = now.monotonic_ms;
    }

    /// When a client must have sent `CONNECT`.
    pub fn connect_deadline_ms(&self) -> Option<u64> {
        (!self.read_paused).then_some(self.connect_deadline_ms)
    }

    /// When something is to be done next.
    pub fn deadline_ms(&self, inside_frame: bool, frame_timeout_ms: u64) -> Option<u64> {
        let receive = self.silence_limit_ms(inside_frame, frame_timeout_ms);
        let receive = receive.map(|limit| self.last_read_ms.saturating_add(limit));
        [self.beat_due_ms(), receive].into_iter().flatten().min()
    }

    /// How long the peer may be silent.
    fn silence_limit_ms(&self, inside_frame: bool, frame_timeout_ms: u64) -> Option<u64> {
        if self.read_paused {
            return None;
        }
        let frame = inside_frame.then_some(frame_timeout_ms);
        [self.receive_timeout_ms.filter(|_| self.started), frame].into_iter().flatten().min()
    }

    /// A quarter early: what counts is when it arrives.
    fn beat_due_ms(&self) -> Option<u64> {
        let interval = self.send_interval_ms.filter(|_| self.started);
        interval.map(|interval| self.last_write_ms.saturating_add(interval - interval / 4))
    }
}

impl Core {
    /// The deadline has passed.
    pub fn on_time(&mut self, now: Now, inside_frame: bool, out: &mut Out<'_>) {
        self.timers.is_called(now);
        let now_ms = now.monotonic_ms;
        match self.phase {
            Phase::Closed => return,
            Phase::New => {
                if self.timers.connect_deadline_ms().is_some_and(|deadline| deadline <= now_ms) {
                    let limit = self.settings.connect_timeout_ms;
                    let text = format!("within {limit} ms (connect_timeout_ms)");
                    self.fail(Problem::new("no CONNECT frame came", text), out);
                }
                return;
            }
            _ => {}
        }
        let silent_ms = now_ms.saturating_sub(self.timers.last_read_ms);
        let limit = self.timers.silence_limit_ms(inside_frame, self.settings.frame_timeout_ms);
        if limit.is_some_and(|limit| silent_ms >= limit) {
            let text = if self.timers.receive_timeout_ms.is_some_and(|limit| silent_ms >= limit) {
                format!("for {silent_ms} ms, in spite of the heart-beat that was agreed")
            } else {
                format!("for {silent_ms} ms in the midst of a frame (frame_timeout_ms)")
            };
            self.fail(Problem::new("nothing came from the client", text), out);
            return;
        }
        if self.timers.beat_due_ms().is_some_and(|due| due <= now_ms) && !self.sending {
            let mark = out.mark();
            out.write(b"\n");
            if out.overflowed() {
                // Other output leaves with this call: it is as good as a heart-beat.
                out.rollback(mark);
            }
            self.timers.has_written(now);
        } else if self.sending && self.timers.beat_due_ms().is_some_and(|due| due <= now_ms) {
            // A body is leaving in pieces; a line end would become part of it.
            self.timers.has_written(now);
        }
    }
}
