// SPDX-License-Identifier: Apache-2.0
//! One connection: a state machine that is fed bytes, replies, deliveries and the time.
//!
//! ```text
//!   mod            the loop over frames, and what happens on every call
//!   gather         long frames
//!   negotiate      WireFormatInfo, BrokerInfo
//!   commands       which command is whose
//!   connect        a client comes, and leaves; sessions
//!   produce        producers, messages
//!   consume        consumers, their credit, requests for single messages
//!   unsettled      what a consumer was sent and has not settled
//!   acknowledge    MessageAck
//!   transaction    local transactions
//!   branch         distributed ones
//!   declare        destinations that clients make
//!   deliver        deliveries to MessageDispatch
//!   advisory       the broker's events, as clients know them
//!   bridge         the other half of a duplex bridge
//!   convert        messages, both ways
//!   destination    names
//!   asked, replies what the broker was asked, and what it answers
//!   output         what waits to be written
//!   timers         signs of life and time-outs
//!   problem        what goes wrong, as exceptions of Java
//! ```
//!
//! Every step first writes verbs to `out`, then looks whether there was room, and only then changes the session: a step
//! that did not fit is taken back and done again, and leaves no trace. What is too much for one step is several.

mod acknowledge;
mod advisory;
mod asked;
mod branch;
mod bridge;
mod commands;
mod connect;
mod consume;
pub mod convert;
mod declare;
mod deliver;
mod destination;
mod gather;
mod negotiate;
mod output;
mod problem;
mod produce;
mod replies;
mod timers;
mod transaction;
mod unsettled;

use crate::codec::{Command, ConnectionError, ConnectionId, Decoder, Framed, Located, MessageId, Options};
use crate::plugin::Shared;
use advisory::Lists;
use asked::{Asked, Reasons};
use bridge::Bridge;
use bytes::Bytes;
use consume::Consumers;
use convert::Names;
use gather::Gather;
use output::Output;
use problem::{Exception, Problem, class};
use produce::Producers;
use sabir_sdk::protocol::{Deliveries, Flow, Input, Now, Out, Piece, Replies, Session, SessionParams};
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;
use timers::Timers;
use transaction::Transactions;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The peer has not said what it speaks.
    Opened,
    /// It has, and has yet to log in.
    Negotiated,
    /// Its log-in was handed to the broker; so many more bytes are taken before that has answered.
    Connecting(usize),
    /// Logged in.
    Connected,
    /// Its farewell was handed to the broker.
    Leaving,
    /// It has left, and has yet to close the link.
    Left,
    /// Nothing more is read, and nothing written but what waits.
    Closed,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// A part of it was done; it goes on.
    Again,
    /// There was no room. What it wrote must be taken back.
    Full,
}

impl Step {
    /// The same, of a part of something that goes on.
    fn and_again(self) -> Step {
        if self == Step::Done { Step::Again } else { self }
    }
}

/// One connection.
pub struct OpenWireSession {
    decoder: Decoder,
    gather: Option<Gather>,
    /// Decoded, and not done yet.
    held: Option<Box<Held>>,
    core: Core,
}

/// A command with the frame that it came in.
struct Held {
    command: Command,
    /// What was decoded: within the input from where it is offered again, or all of `gathered`.
    body: Range<usize>,
    consumed: usize,
    gathered: Option<Bytes>,
    /// The length of its content, if that was handed on before.
    content: Option<usize>,
}

/// A frame, and where it lies.
#[derive(Clone, Copy)]
enum FrameAt<'f> {
    /// In the input of the call, from this byte on.
    Input(usize, &'f [u8]),
    /// In memory of its own.
    Gathered(&'f Bytes),
    /// The same without its content, of so many bytes, which was handed on before.
    Around(&'f Bytes, usize),
}

impl<'f> FrameAt<'f> {
    /// The frame.
    fn bytes(self) -> &'f [u8] {
        match self {
            FrameAt::Input(_, bytes) => bytes,
            FrameAt::Gathered(bytes) | FrameAt::Around(bytes, _) => bytes,
        }
    }

    /// Length of a content that was handed on before.
    fn handed_on(self) -> Option<usize> {
        match self {
            FrameAt::Around(_, len) => Some(len),
            _ => None,
        }
    }

    /// A part of it, for the broker.
    fn piece(self, range: Range<usize>, out: &mut Out<'_>) -> Piece {
        match self {
            FrameAt::Input(base, _) => Piece::input(base + range.start..base + range.end),
            FrameAt::Gathered(bytes) if range.end <= bytes.len() => out.own(bytes.slice(range)),
            FrameAt::Gathered(_) | FrameAt::Around(..) => Piece::NONE,
        }
    }
}

/// All of a session but what takes the bytes apart.
struct Core {
    shared: Arc<Shared>,
    /// The broker's name of the connection.
    name: Box<str>,
    /// Name and version of the broker.
    broker: Box<str>,
    /// Where the peer has reached it.
    url: Box<str>,
    max_head_bytes: u64,
    max_message_bytes: u64,
    phase: Phase,
    /// What was agreed, until it is in force for what is read.
    agreed: Option<Options>,
    /// The client's name of the connection.
    connection: Option<Arc<ConnectionId>>,
    client_id: Option<Box<str>>,
    /// The name with which the client has logged in, where messages are to bear it.
    user: Option<Box<str>>,
    sessions: HashSet<i64>,
    producers: Producers,
    consumers: Consumers,
    transactions: Transactions,
    asked: Asked,
    reasons: Reasons,
    output: Output,
    timers: Timers,
    names: Names,
    pieces: Option<Box<deliver::Pieces>>,
    /// Listeners to advisories that have yet to be told of what there is.
    lists: Lists,
    advisories: u64,
    broker_infos: u64,
    /// It has said that it is another broker's bridge.
    is_bridge: bool,
    /// Our half of it, if we forward too.
    bridge: Option<Box<Bridge>>,
    /// It may send what others have sent, in their names.
    speaks_for_others: bool,
    /// Commands that came before the log-in.
    login_commands: u64,
    /// Bytes wait in the host's buffer for the log-in to be answered.
    waits_for_login: bool,
    /// They wait for commits that wait for answers.
    waits_for_commits: bool,
}

/// Ids and destinations that are remembered per connection.
const REMEMBERED_NAMES: usize = 1024;

/// What a message's id is compared by.
fn hash_of(shared: &Shared, id: &MessageId) -> u64 {
    let mut hasher = shared.hasher.build_hasher();
    // Old clients do not tell the text of an id; what remains tells messages of one producer apart.
    id.producer_id.hash(&mut hasher);
    id.producer_sequence_id.hash(&mut hasher);
    hasher.finish()
}

/// Where the peer has reached the broker, as far as its link tells.
fn url_of(params: &SessionParams<'_>) -> String {
    let attribute = |name| params.attributes.get(name).unwrap_or_default();
    match (attribute("scheme"), attribute("local")) {
        ("", _) | (_, "") => String::new(),
        (scheme, local) => format!("{scheme}://{local}"),
    }
}

impl OpenWireSession {
    /// A session that has not seen a byte.
    pub(crate) fn new(shared: Arc<Shared>, params: &SessionParams<'_>, now: Now) -> Self {
        OpenWireSession {
            decoder: Decoder::new(Options::initial()),
            gather: None,
            held: None,
            core: Core {
                shared,
                name: params.connection_id.into(),
                broker: params.broker.into(),
                url: url_of(params).into(),
                max_head_bytes: params.max_head_bytes,
                max_message_bytes: params.max_message_bytes,
                phase: Phase::Opened,
                agreed: None,
                connection: None,
                client_id: None,
                user: None,
                sessions: HashSet::new(),
                producers: Producers::default(),
                consumers: Consumers::default(),
                transactions: Transactions::default(),
                asked: Asked::default(),
                reasons: Reasons::default(),
                output: Output::new(),
                timers: Timers::new(now),
                names: Names::new(REMEMBERED_NAMES),
                pieces: None,
                lists: Lists::default(),
                advisories: 0,
                broker_infos: 0,
                is_bridge: false,
                bridge: None,
                speaks_for_others: false,
                login_commands: 0,
                waits_for_login: false,
                waits_for_commits: false,
            },
        }
    }

    /// Says what it speaks, and sets the session's first deadline.
    pub(crate) fn opened(&mut self, now: Now, out: &mut Out<'_>) {
        self.core.timers.is_called(now);
        self.core.greet();
        self.finish(out);
    }

    /// Takes frames from the input until it ends, there is no room, or the session does. Answers the bytes taken.
    fn take_frames(&mut self, now: Now, input: &[u8], out: &mut Out<'_>) -> usize {
        let mut at = 0;
        loop {
            if self.core.phase == Phase::Closed {
                return input.len();
            }
            if !self.core.catch_up(out) {
                out.set_full();
                return at;
            }
            let rest = input.get(at..).unwrap_or_default();
            match self.pass_content(rest, at, out) {
                Passed::Nothing => {}
                Passed::Taken(len) => {
                    at += len;
                    continue;
                }
                Passed::Full => {
                    out.set_full();
                    return at;
                }
            }
            let held = match self.next_command(rest) {
                Ok(Next::Command(held)) => held,
                Ok(Next::Taken(len)) => {
                    self.core.pay(len);
                    at += len;
                    continue;
                }
                Ok(Next::Need(needed)) => {
                    out.need(needed);
                    return at;
                }
                Err(problem) => {
                    self.core.broken(problem, out);
                    continue;
                }
            };
            if held.consumed > self.core.payable() {
                self.core.waits_for_login = true;
                self.held = Some(held);
                return at;
            }
            if self.core.must_wait_for_commits(&held.command) {
                self.core.waits_for_commits = true;
                self.held = Some(held);
                return at;
            }
            match self.perform(now, held, at, rest, out) {
                Some(taken) => at += taken,
                None => return at,
            }
        }
    }

    /// Does what a command says. Answers the bytes that it took; nothing if there was no room.
    fn perform(
        &mut self,
        now: Now,
        mut held: Box<Held>,
        at: usize,
        rest: &[u8],
        out: &mut Out<'_>,
    ) -> Option<usize> {
        if let Command::Message(message) = &mut held.command {
            self.core.name_sender(message);
        }
        loop {
            let mark = out.mark();
            let frame = match (&held.gathered, held.content) {
                (Some(bytes), Some(len)) => FrameAt::Around(bytes, len),
                (Some(bytes), None) => FrameAt::Gathered(bytes),
                (None, _) => {
                    let base = at + held.body.start;
                    FrameAt::Input(base, rest.get(held.body.clone()).unwrap_or_default())
                }
            };
            match self.core.on_command(now, &held.command, frame, out) {
                Ok(Step::Done) => break,
                Ok(Step::Again) => continue,
                Ok(Step::Full) => {
                    out.rollback(mark);
                    if out.is_empty() {
                        // There will never be more room: to wait for it would be to hang.
                        let text = "the command asks for more than fits into one step";
                        self.core.fail(Exception::new(class::IO, text), out);
                        break;
                    }
                    out.set_full();
                    self.held = Some(held);
                    return None;
                }
                Err(problem) => {
                    out.rollback(mark);
                    self.core.tell(&held.command, problem, out);
                    break;
                }
            }
        }
        if let Some(options) = self.core.agreed.filter(|_| self.core.phase == Phase::Negotiated)
            && *self.decoder.options() == Options::initial()
        {
            // What may come is our own affair, whatever the peer takes.
            let max_frame = self.core.max_frame_bytes();
            self.decoder.renegotiate(Options { max_frame, ..options });
        }
        self.core.pay(held.consumed);
        Some(held.consumed)
    }

    /// The next command, if there is a whole one.
    fn next_command(&mut self, rest: &[u8]) -> Result<Next, Problem> {
        if let Some(held) = self.held.take() {
            return Ok(Next::Command(held));
        }
        // It may have been begun behind a log-in that was refused.
        self.check_login(self.gather.as_ref().map_or(0, Gather::len))?;
        if let Some(gather) = &mut self.gather {
            let payable = rest.get(..self.core.payable()).unwrap_or(rest);
            self.core.waits_for_login |= payable.len() < rest.len();
            if payable.is_empty() {
                return Ok(Next::Need(1));
            }
            let taken = gather.take(payable);
            if let Some(front) = gather.to_be_searched() {
                let located = self
                    .decoder
                    .locate_content(front.get(SIZE_BYTES..).unwrap_or_default(), gather.len() - SIZE_BYTES);
                let threshold = self.core.shared.settings.gather_threshold_bytes;
                match located? {
                    Located::At(span) if span.len() > threshold.max(HANDED_ON_BYTES) => {
                        gather.part_at(span.start + SIZE_BYTES..span.end + SIZE_BYTES);
                        return Ok(Next::Taken(taken));
                    }
                    Located::At(_) | Located::Nowhere => gather.gather_all(),
                    Located::Need(needed) => gather.search_at(needed + SIZE_BYTES),
                }
            }
            if gather.missing() > 0 {
                return Ok(Next::Taken(taken));
            }
            let Some(gather) = self.gather.take() else { return Ok(Next::Taken(taken)) };
            let content = gather.content_len();
            return self.decode_gathered(gather.finish(), content, taken).map(Next::Command);
        }
        match self.decoder.frame(rest)? {
            Framed::Need(needed) => {
                self.check_login(needed)?;
                if needed > self.core.shared.settings.gather_threshold_bytes {
                    self.gather = Some(self.core.gather(needed, &self.decoder));
                    return Ok(Next::Taken(0));
                }
                Ok(Next::Need(needed))
            }
            Framed::Whole { body, consumed } => {
                self.check_login(consumed)?;
                let command = self.decoder.decode(rest.get(body.clone()).unwrap_or_default())?;
                Ok(Next::Command(Box::new(Held { command, body, consumed, gathered: None, content: None })))
            }
        }
    }

    fn decode_gathered(
        &mut self,
        whole: Bytes,
        content: Option<usize>,
        taken: usize,
    ) -> Result<Box<Held>, Problem> {
        if let Some(len) = content {
            let frame = whole.slice(SIZE_BYTES..);
            let command = self.decoder.decode_around(&frame, len)?;
            let gathered = Some(frame);
            return Ok(Box::new(Held { command, body: 0..0, consumed: taken, gathered, content }));
        }
        let Framed::Whole { body, .. } = self.decoder.frame(&whole)? else {
            return Err(Exception::new(class::IO, "the frame is not as long as it said").fatal());
        };
        let frame = whole.slice(body.clone());
        let command = self.decoder.decode(&frame)?;
        Ok(Box::new(Held { command, body, consumed: taken, gathered: Some(frame), content }))
    }

    /// Hands on what has come of a long content.
    fn pass_content(&mut self, rest: &[u8], at: usize, out: &mut Out<'_>) -> Passed {
        let Some((gather, (early, missing))) =
            self.gather.as_mut().and_then(|gather| Some((&*gather, gather.passing()?)))
        else {
            return Passed::Nothing;
        };
        let payable = rest.len().min(self.core.payable()).min(missing);
        if early.is_empty() && payable == 0 {
            return Passed::Nothing;
        }
        let mark = out.mark();
        let mut first = gather.is_first();
        let mut pieces = Vec::with_capacity(2);
        if !early.is_empty() {
            pieces.push(out.own(early.clone()));
        }
        if payable > 0 {
            pieces.push(Piece::input(at..at + payable));
        }
        for piece in pieces {
            if std::mem::replace(&mut first, false) {
                out.body_first(piece);
            } else {
                out.body(piece, true);
            }
        }
        if out.overflowed() {
            out.rollback(mark);
            return Passed::Full;
        }
        if let Some(gather) = &mut self.gather {
            gather.pass(payable);
        }
        self.core.pay(payable);
        Passed::Taken(payable)
    }

    /// Before log-in frames are short.
    fn check_login(&self, len: usize) -> Result<(), Problem> {
        let limit = self.core.shared.settings.login_frame_bytes;
        if len > limit && matches!(self.core.phase, Phase::Opened | Phase::Negotiated) {
            let text = format!("a frame of {len} bytes before log-in: login_frame_bytes is {limit}");
            return Err(Exception::new(class::IO, text).fatal());
        }
        Ok(())
    }

    /// Whether half a frame has been read.
    fn is_inside_frame(&self) -> bool {
        self.gather.is_some()
    }

    /// What is done at the end of every call.
    fn finish(&mut self, out: &mut Out<'_>) {
        let core = &mut self.core;
        if !core.catch_up(out) && core.output.is_stuck() {
            core.output.clear();
            core.phase = Phase::Closed;
        }
        if core.phase == Phase::Closed && core.output.is_empty() {
            out.close_link();
        }
        if core.output.take_wrote() {
            core.timers.has_written();
        }
        if core.waits_for_commits && !core.transactions.is_committing() {
            core.waits_for_commits = false;
            out.set_full();
        }
        core.output.trim();
        out.set_deadline(self.core.next_deadline_ms(self.is_inside_frame()));
    }
}

/// The length in front of a frame.
const SIZE_BYTES: usize = 4;

/// Contents that are longer are handed on as they come. Shorter ones are looked at first: a text whose form is the same
/// everywhere is told so.
const HANDED_ON_BYTES: usize = 256 * 1024;

/// What became of a long content.
enum Passed {
    /// There is none, or nothing has come of it.
    Nothing,
    /// So many bytes of the input.
    Taken(usize),
    /// There was no room.
    Full,
}

/// What comes next of the input.
enum Next {
    Command(Box<Held>),
    /// Bytes of a long frame.
    Taken(usize),
    /// More is needed.
    Need(usize),
}

impl Session for OpenWireSession {
    fn on_bytes(&mut self, now: Now, input: Input<'_>, out: &mut Out<'_>) {
        self.core.timers.is_called(now);
        if !input.bytes.is_empty() {
            self.core.timers.has_read(now);
        }
        let taken = self.take_frames(now, input.bytes, out);
        out.consume(taken);
        self.finish(out);
    }

    fn on_replies(&mut self, now: Now, replies: Replies<'_>, out: &mut Out<'_>) -> usize {
        self.core.timers.is_called(now);
        for reply in replies.iter() {
            self.core.on_reply(&reply, out);
        }
        if self.core.waits_for_login && !matches!(self.core.phase, Phase::Connecting(_)) {
            // What the client has sent meanwhile had to wait: it is to be offered again.
            self.core.waits_for_login = false;
            out.set_full();
        }
        self.finish(out);
        replies.len()
    }

    fn on_deliveries(&mut self, now: Now, deliveries: Deliveries<'_>, out: &mut Out<'_>) -> usize {
        self.core.timers.is_called(now);
        let mut taken = 0;
        for delivery in deliveries.iter() {
            let mark = out.mark();
            match self.core.on_delivery(&delivery, taken, out) {
                Step::Done | Step::Again => taken += 1,
                Step::Full => {
                    if out.overflowed() {
                        out.rollback(mark);
                    }
                    break;
                }
            }
        }
        self.finish(out);
        taken
    }

    fn on_flow(&mut self, now: Now, flow: Flow, _reason: &str, out: &mut Out<'_>) {
        self.core.timers.is_called(now);
        self.core.timers.set_read_paused(now, flow.read_paused);
        self.finish(out);
    }

    fn on_timer(&mut self, now: Now, out: &mut Out<'_>) {
        self.core.timers.is_called(now);
        let inside = self.is_inside_frame();
        self.core.on_time(now, inside, out);
        self.finish(out);
    }

    fn on_close(&mut self, now: Now, reason: &str, out: &mut Out<'_>) {
        self.core.timers.is_called(now);
        let text = format!("the broker closes the connection: {reason}");
        self.core.fail(Exception::new(class::JMS, text), out);
        self.finish(out);
    }
}

impl Core {
    /// For a frame of this length. A broker before 1.2 knows no body that comes before its message.
    fn gather(&self, len: usize, decoder: &Decoder) -> Gather {
        let seeks = self.shared.host.abi_minor() >= 2 && self.phase == Phase::Connected;
        match seeks && decoder.options().size_prefix {
            true => Gather::seeking(len),
            false => Gather::new(len),
        }
    }

    /// Whether the client has logged in, or is about to.
    fn is_logged_in(&self) -> bool {
        matches!(self.phase, Phase::Connecting(_) | Phase::Connected | Phase::Leaving | Phase::Left)
    }

    /// Whether something waits for room.
    fn is_behind(&self) -> bool {
        self.output.is_behind()
            || self.consumers.has_credit_to_give()
            || self.transactions.has_ready()
            || self.lists.go_on()
            || (self.phase == Phase::Connected && self.bridge.as_deref().is_some_and(Bridge::go_on))
    }

    /// Does what follows from earlier steps. `false`: there was no room for all of it.
    fn catch_up(&mut self, out: &mut Out<'_>) -> bool {
        let asked = self.commit_ready(out)
            && self.go_on_bridging(out)
            && self.pay_credit(out)
            && self.tell_lists(out)
            && self.ask_lists(out);
        self.output.flush(out) && asked
    }

    /// The version that was agreed.
    fn agreed_version(&self) -> u8 {
        self.output.options().version
    }

    /// How many bytes may be taken: before the log-in was answered they are counted.
    fn payable(&self) -> usize {
        if let Phase::Connecting(left) = self.phase { left } else { usize::MAX }
    }

    fn pay(&mut self, len: usize) {
        if let Phase::Connecting(left) = &mut self.phase {
            *left = left.saturating_sub(len);
        }
    }

    /// Ends the session; the peer is told why.
    fn fail(&mut self, exception: Exception, out: &mut Out<'_>) {
        if self.phase == Phase::Closed {
            return;
        }
        crate::log::refused(&self.shared.host, self.is_logged_in(), &self.name, exception.text());
        self.output.push(ConnectionError {
            exception: Some(exception.throwable()),
            connection_id: self.connection.clone(),
            ..ConnectionError::default()
        });
        self.close(out);
    }

    /// Ends the session once what waits was written.
    fn close(&mut self, _out: &mut Out<'_>) {
        self.phase = Phase::Closed;
        if self.output.is_in_pieces() {
            // Nothing can be said within a message that comes to no end.
            self.output.clear();
        }
        self.forget();
    }

    /// Gives back what is not needed once nothing more can come.
    fn forget(&mut self) {
        self.sessions = HashSet::new();
        self.producers = Producers::default();
        self.consumers = Consumers::default();
        self.transactions = Transactions::default();
        self.lists.clear();
        self.pieces = None;
        self.bridge = None;
    }
}
