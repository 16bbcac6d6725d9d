// SPDX-License-Identifier: Apache-2.0
//! One connection: a state machine that is fed bytes, replies, deliveries and the time.
//!
//! ```text
//!   mod            the loop over frames, and what happens on every call
//!   connect        CONNECT, versions, CONNECTED
//!   send           SEND: producers, heads, bodies in pieces
//!   subscribe      SUBSCRIBE, UNSUBSCRIBE
//!   settle         ACK, NACK
//!   transaction    BEGIN, COMMIT, ABORT
//!   message        deliveries to MESSAGE frames
//!   body           bodies that another protocol left in a form of its own
//!   receipts       what the broker has yet to answer, in order
//!   temporary      the connection's own temporary destinations
//!   timers         heart-beats and time-outs
//!   problem        what goes wrong, and the ERROR frame that says so
//! ```
//!
//! Every step first writes to `out`, then looks whether there was room, and only then changes the session: a step
//! that did not fit is taken back and done again, and leaves no trace.

mod body;
mod connect;
mod message;
mod problem;
mod receipts;
mod send;
mod settle;
mod subscribe;
mod temporary;
mod timers;
mod transaction;

use crate::codec::{Command, Decoded, Decoder, Frame, HeaderName, Limits, Version};
use crate::settings::Settings;
use body::Conversion;
use problem::Problem;
use receipts::{Kind, Receipts};
use sabir_sdk::Host;
use sabir_sdk::protocol::{
    Deliveries, Flow, Input, Now, Out, Piece, Replies, Session, SessionParams, VerbMeta,
};
use send::Producers;
use std::borrow::Cow;
use std::hash::RandomState;
use std::sync::Arc;
use subscribe::Subscriptions;
use temporary::Temporaries;
use timers::Timers;
use transaction::Transactions;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing but line ends has come.
    New,
    /// `CONNECT` was handed to the broker; so many more bytes are taken before it has answered.
    Connecting(usize),
    /// Logged in.
    Connected,
    /// `DISCONNECT` was handed to the broker.
    Disconnecting,
    /// Nothing more is read or written, but for an `ERROR` that found no room yet.
    Closed,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// There was no room. What it wrote must be taken back.
    Full,
}

/// One connection.
pub struct StompSession {
    decoder: Decoder,
    core: Core,
}

/// All of a session but the decoder, whose heads are borrowed while this changes.
struct Core {
    settings: Arc<Settings>,
    host: Host,
    limits: Limits,
    /// For message ids and names of temporary destinations.
    connection_id: Box<str>,
    broker: Box<str>,
    phase: Phase,
    version: Version,
    has_client_id: bool,
    receipts: Receipts,
    producers: Producers,
    subscriptions: Subscriptions,
    transactions: Transactions,
    temporaries: Temporaries,
    timers: Timers,
    /// Messages sent so far: the end of the next message's id.
    messages: u64,
    /// The body of a SEND is arriving in pieces.
    receiving: bool,
    /// Bytes wait in the host's buffer for the log-in to be answered.
    held: bool,
    /// The body of a MESSAGE is leaving in pieces: no other frame may come between.
    sending: bool,
    /// Bodies that are turned into another form.
    conversion: Conversion,
    /// An `ERROR` that found no room, or must wait for the end of a body.
    failure: Option<Box<problem::Failure>>,
    /// Frames are composed here, then written at once.
    scratch: Vec<u8>,
    hasher: RandomState,
}

/// Bytes of the scratch kept allocated between calls.
const KEPT_SCRATCH_BYTES: usize = 512;

impl StompSession {
    /// A session that has not seen a byte.
    pub(crate) fn new(settings: Arc<Settings>, host: Host, params: &SessionParams<'_>, now: Now) -> Self {
        let within = |limits| Settings::within(limits, params.max_head_bytes, params.max_message_bytes);
        let timers = Timers::new(now, settings.connect_timeout_ms);
        StompSession {
            decoder: Decoder::new(within(settings.login)),
            core: Core {
                limits: within(settings.frames),
                settings,
                host,
                connection_id: params.connection_id.into(),
                broker: params.broker.into(),
                phase: Phase::New,
                version: Version::V1_0,
                has_client_id: false,
                receipts: Receipts::default(),
                producers: Producers::default(),
                subscriptions: Subscriptions::default(),
                transactions: Transactions::default(),
                temporaries: Temporaries::default(),
                timers,
                messages: 0,
                receiving: false,
                held: false,
                sending: false,
                conversion: Conversion::default(),
                failure: None,
                scratch: Vec::new(),
                hasher: RandomState::new(),
            },
        }
    }

    /// Sets the session's first deadline.
    pub(crate) fn opened(&mut self, out: &mut Out<'_>) {
        self.core.set_deadline(out, false);
    }

    /// Takes frames from the input until it ends, there is no room, or the session does. Answers the bytes taken.
    fn take_frames(&mut self, now: Now, input: &[u8], out: &mut Out<'_>) -> usize {
        let mut at = 0;
        loop {
            if matches!(self.core.phase, Phase::Disconnecting | Phase::Closed) {
                return input.len();
            }
            let rest = input.get(at..).unwrap_or_default();
            let mark = out.mark();
            let phase = self.core.phase;
            let (step, taken) = match self.decoder.decode(rest) {
                Ok(Decoded::Incomplete(needed)) => {
                    out.need(needed);
                    return at;
                }
                Ok(Decoded::EndOfLines(len)) => (Ok(Step::Done), len),
                Ok(Decoded::Body(body) | Decoded::Frame(Frame { body, .. }))
                    if !self.core.can_pay(body.end) =>
                {
                    self.core.held = true;
                    return at;
                }
                Ok(Decoded::Body(body)) => (self.core.on_body(at, body, out), body.end),
                Ok(Decoded::Frame(frame)) => {
                    let step = self.core.on_frame(now, &frame, at, rest, out);
                    let step =
                        step.map_err(|problem| problem.with_receipt(frame.head.raw(HeaderName::Receipt)));
                    (step, frame.body.end)
                }
                Err(error) => {
                    let receipt = self.decoder.header_so_far(rest, HeaderName::Receipt);
                    (Err(self.core.frame_problem(&error).with_receipt(receipt)), 0)
                }
            };
            match step {
                Ok(Step::Done) => {
                    self.decoder.commit();
                    at += taken;
                    if phase == Phase::New && self.core.phase != Phase::New {
                        self.decoder.set_version(self.core.version);
                        self.decoder.set_limits(self.core.limits);
                    } else {
                        self.core.pay(taken);
                    }
                }
                Ok(Step::Full) => {
                    out.rollback(mark);
                    if out.is_empty() {
                        // There will never be more room: to wait for it would be to hang.
                        let problem = Problem::short("the frame asks for more than fits into one step");
                        let receipt = self.decoder.header_so_far(rest, HeaderName::Receipt);
                        self.core.fail(problem.with_receipt(receipt), out);
                        continue;
                    }
                    out.set_full();
                    return at;
                }
                Err(problem) => {
                    out.rollback(mark);
                    self.core.fail(problem, out);
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Out<'_>) {
        let inside = self.decoder.is_inside_frame();
        self.core.set_deadline(out, inside);
        self.core.scratch.clear();
        self.core.scratch.shrink_to(KEPT_SCRATCH_BYTES);
    }
}

impl Session for StompSession {
    fn on_bytes(&mut self, now: Now, input: Input<'_>, out: &mut Out<'_>) {
        self.core.flush(now, out);
        if !input.bytes.is_empty() {
            self.core.timers.has_read(now);
        }
        let taken = self.take_frames(now, input.bytes, out);
        out.consume(taken);
        self.finish(out);
    }

    fn on_replies(&mut self, now: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize {
        for reply in replies.iter() {
            self.core.on_reply(now, &reply, out);
        }
        self.core.flush(now, out);
        self.finish(out);
        replies.len()
    }

    fn on_deliveries(&mut self, now: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize {
        self.core.flush(now, out);
        self.core.conversion.begin_call();
        let mut taken = 0;
        for delivery in deliveries.iter() {
            let mark = out.mark();
            match self.core.on_delivery(&delivery, taken, out) {
                Step::Done => taken += 1,
                Step::Full => {
                    out.rollback(mark);
                    break;
                }
            }
        }
        if taken > 0 {
            self.core.timers.has_written(now);
        }
        self.core.flush(now, out);
        self.finish(out);
        taken
    }

    fn on_flow(&mut self, now: Now, flow: Flow, _reason: &str, out: &mut Out<'_>) {
        self.core.timers.set_read_paused(now, flow.read_paused);
        self.finish(out);
    }

    fn on_timer(&mut self, now: Now, out: &mut Out<'_>) {
        self.core.flush(now, out);
        let inside = self.decoder.is_inside_frame();
        self.core.on_time(now, inside, out);
        self.finish(out);
    }

    fn on_close(&mut self, now: Now, reason: &str, out: &mut Out<'_>) {
        self.core.flush(now, out);
        self.core.fail(Problem::new("the broker closes the connection", reason.to_owned()), out);
        self.finish(out);
    }
}

impl Core {
    fn on_frame(
        &mut self,
        now: Now,
        frame: &Frame<'_>,
        base: usize,
        rest: &[u8],
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let head = &frame.head;
        match (self.phase, head.command) {
            (Phase::New, Command::Connect | Command::Stomp) => return self.on_connect(now, head, out),
            (Phase::New, command) => return Err(Problem::before_connect(command)),
            (_, Command::Connect | Command::Stomp) => {
                return Err(Problem::short("this connection has sent CONNECT before"));
            }
            _ => {}
        }
        if !head.command.is_clients() {
            return Err(Problem::new("only servers send that frame", head.command.as_str().to_owned()));
        }
        if head.has(HeaderName::Receipt) && self.receipts.named() >= self.settings.max_pending_receipts {
            return Err(Problem::limit("max_pending_receipts", self.settings.max_pending_receipts));
        }
        match head.command {
            Command::Send => self.on_send(now, frame, base, rest, out),
            Command::Ack => self.on_ack(head, out),
            Command::Nack => self.on_nack(head, out),
            Command::Subscribe => self.on_subscribe(head, out),
            Command::Unsubscribe => self.on_unsubscribe(head, out),
            Command::Begin => self.on_begin(head, out),
            Command::Commit => self.on_commit(head, out),
            Command::Abort => self.on_abort(head, out),
            _ => self.on_disconnect(head.raw(HeaderName::Receipt), out),
        }
    }

    fn on_disconnect(&mut self, receipt: Option<&str>, out: &mut Out<'_>) -> Result<Step, Problem> {
        let token = self.receipts.next_token();
        out.disconnect(VerbMeta { token, confirm: true, ..VerbMeta::default() });
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.receipts.push(Kind::Disconnect, receipt);
        self.phase = Phase::Disconnecting;
        Ok(Step::Done)
    }

    /// Whether so many bytes may be taken: before the log-in was answered they are counted.
    fn can_pay(&self, len: usize) -> bool {
        !matches!(self.phase, Phase::Connecting(left) if left < len)
    }

    fn pay(&mut self, len: usize) {
        if let Phase::Connecting(left) = &mut self.phase {
            *left = left.saturating_sub(len);
        }
    }

    /// What goes with a verb of a frame: its token, and whether a reply is wanted.
    fn meta(&self, receipt: Option<&str>, silent: bool) -> VerbMeta {
        let confirm = receipt.is_some() || silent;
        let token = if confirm { self.receipts.next_token() } else { 0 };
        VerbMeta { token, confirm, ..VerbMeta::default() }
    }

    /// Notes that the verb of `meta` awaits its reply.
    fn expect(&mut self, meta: VerbMeta, receipt: Option<&str>) {
        if meta.confirm {
            self.receipts.push(if receipt.is_some() { Kind::Receipt } else { Kind::Silent }, receipt);
        }
    }

    /// The transaction that a frame names; 0: none.
    fn transaction_of(&self, name: Option<Cow<'_, str>>) -> Result<u64, Problem> {
        name.map_or(Ok(0), |name| self.transactions.number(&name))
    }

    fn on_body(&mut self, base: usize, body: crate::codec::Body, out: &mut Out<'_>) -> Result<Step, Problem> {
        let start = base + body.start;
        out.body(Piece::input(start..start + body.len), body.more);
        if out.overflowed() {
            return Ok(Step::Full);
        }
        self.receiving = body.more;
        Ok(Step::Done)
    }

    /// Sets the deadline to whatever comes first. `inside`: half a frame has been read.
    fn set_deadline(&mut self, out: &mut Out<'_>, inside: bool) {
        let deadline = match self.phase {
            Phase::Closed if self.failure.is_none() => None,
            _ if self.failure.is_some() || self.is_flush_due() => Some(self.timers.last_call_ms()),
            Phase::New => self.timers.connect_deadline_ms(),
            _ => self.timers.deadline_ms(inside, self.settings.frame_timeout_ms),
        };
        out.set_deadline(deadline);
    }
}
