// SPDX-License-Identifier: Apache-2.0
//! Plays a script against one session, as the broker would, and writes down what the session did.

use super::script::{Step, message};
use sabir_host::{
    BodyAssembler, Capacities, ChunkInfo, Flow, Framing, OutBuffers, Protocol, Session, SessionParams,
};
use sabir_model::verb::{Answer, Reason, Refusal, Reply};
use sabir_model::{Delivery, Now, Request, Verb, delivery::DeliveryKind};

/// What a session did: the same for the same peer and broker, however the bytes were cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What it asked, as text.
    pub requests: Vec<String>,
    /// What it wrote.
    pub output: Vec<u8>,
    /// It closed the link.
    pub closed: bool,
}

/// The longest head that sessions of the suite may demand whole.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The largest message of the suite.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// When sessions of the suite begin.
pub const START: Now = Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 };
/// Calls of one session in a row without any progress: more are a loop without end.
const MAX_IDLE_CALLS: usize = 100;

/// One session, with the broker's part played by the suite.
pub struct Drive {
    session: Session,
    out: OutBuffers,
    assembler: BodyAssembler,
    input: Vec<u8>,
    /// Asked and not answered.
    open: Vec<Request>,
    subscription: Option<u64>,
    delivered: usize,
    now: Now,
    /// What it did so far.
    pub seen: Seen,
}

impl Drive {
    /// Opens a session.
    pub fn new(protocol: &Protocol, capacities: Capacities) -> Result<Drive, String> {
        let mut out = OutBuffers::new(capacities);
        let params = SessionParams {
            session_id: 1,
            connection_id: "suite-1",
            broker: "suite/1.0",
            framing: Framing::Stream,
            attributes: &[],
            max_head_bytes: MAX_HEAD_BYTES as u64,
            max_message_bytes: MAX_MESSAGE_BYTES as u64,
        };
        let session = protocol.session(&params, START, &mut out).map_err(|error| error.to_string())?;
        let mut drive = Drive {
            session,
            out,
            assembler: BodyAssembler::new(MAX_MESSAGE_BYTES as u64),
            input: Vec::new(),
            open: Vec::new(),
            subscription: None,
            delivered: 0,
            now: START,
            seen: Seen::default(),
        };
        drive.collect(&[], &[])?;
        Ok(drive)
    }

    /// Opens a session and plays all of a script.
    pub fn play(protocol: &Protocol, capacities: Capacities, steps: &[Step]) -> Result<Drive, String> {
        let mut drive = Drive::new(protocol, capacities)?;
        for step in steps {
            drive.step(step)?;
        }
        Ok(drive)
    }

    /// Plays one step.
    pub fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Send(bytes) => self.send(bytes)?,
            Step::Answer => {
                let answers = self.take_open().into_iter().map(|token| (token, Answer::Done)).collect();
                self.reply(answers)?;
            }
            Step::Refuse => {
                let refusal = Refusal::new(Reason::Invalid, "refused by the suite\r\nx:y\n\n\0");
                let refuse = |token| (token, Answer::Refused(Box::new(refusal.clone())));
                let answers = self.take_open().into_iter().map(refuse).collect();
                self.reply(answers)?;
            }
            Step::Deliver(count, kind, body) => {
                let subscription = self.subscription.unwrap_or(u64::MAX);
                let deliveries = (0..*count).map(|_| self.delivery(subscription, *kind, body)).collect();
                self.deliver(deliveries)?;
            }
            Step::Advance(ms) => {
                self.now.monotonic_ms += ms;
                self.now.unix_ms += i64::try_from(*ms).unwrap_or(i64::MAX);
            }
            Step::Pause(paused) => {
                let flow = Flow { parked: *paused, read_paused: *paused };
                self.session.on_flow(self.now, flow, "the suite", &mut self.out).map_err(failed)?;
                self.collect(&[], &[])?;
            }
            Step::Expect { closed } if *closed != self.seen.closed => {
                let found = if self.seen.closed { "closed" } else { "open" };
                return Err(format!("the link is {found} after {:?}", shown(&self.seen.output)));
            }
            Step::Expect { .. } => {}
        }
        self.run_timers()
    }

    /// The peer sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(bytes);
        let mut idle = 0;
        while !self.seen.closed {
            let input = std::mem::take(&mut self.input);
            let before = (self.seen.requests.len(), self.seen.output.len());
            self.session.on_bytes(self.now, &input, ChunkInfo::default(), &mut self.out).map_err(failed)?;
            let (consumed, needed) = (self.out.consumed(), self.out.needed());
            let full = self.collect(&input, &[])?;
            self.input = input.get(consumed..).unwrap_or_default().to_vec();
            if needed > MAX_HEAD_BYTES && needed > self.input.len() {
                return Err(format!(
                    "it demands {needed} bytes whole, more than the {MAX_HEAD_BYTES} it may"
                ));
            }
            if !full {
                break;
            }
            let stuck = consumed == 0 && before == (self.seen.requests.len(), self.seen.output.len());
            idle = if stuck { idle + 1 } else { 0 };
            if idle > MAX_IDLE_CALLS {
                return Err("it says that it has no room, though the buffers are empty".to_owned());
            }
        }
        if !self.seen.closed && self.input.len() > MAX_HEAD_BYTES {
            let left = self.input.len();
            return Err(format!(
                "it leaves {left} bytes unconsumed, more than the {MAX_HEAD_BYTES} it may demand"
            ));
        }
        Ok(())
    }

    /// The broker answers these tokens.
    pub fn reply(&mut self, answers: Vec<(u64, Answer)>) -> Result<(), String> {
        let replies: Vec<Reply> =
            answers.into_iter().map(|(token, answer)| Reply { token, answer }).collect();
        let mut rest = replies.as_slice();
        let mut idle = 0;
        while !rest.is_empty() && !self.seen.closed {
            let taken = self.session.on_replies(self.now, rest, &mut self.out).map_err(failed)?;
            let full = self.collect(&[], &[])?;
            rest = rest.get(taken..).unwrap_or_default();
            idle = if taken == 0 { idle + 1 } else { 0 };
            if idle > MAX_IDLE_CALLS {
                return Err("it takes no reply, though the buffers are empty".to_owned());
            }
            if full {
                self.send(&[])?;
            }
        }
        Ok(())
    }

    /// The broker delivers.
    pub fn deliver(&mut self, deliveries: Vec<Delivery>) -> Result<(), String> {
        let mut rest = deliveries.as_slice();
        let mut idle = 0;
        while !rest.is_empty() && !self.seen.closed {
            let taken = self.session.on_deliveries(self.now, rest, &mut self.out).map_err(failed)?;
            self.collect(&[], rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            idle = if taken == 0 { idle + 1 } else { 0 };
            if idle > MAX_IDLE_CALLS {
                return Err("it takes no delivery, though the buffers are empty".to_owned());
            }
        }
        Ok(())
    }

    /// A delivery that no other is like.
    pub fn delivery(
        &mut self,
        subscription: u64,
        kind: sabir_model::message::BodyKind,
        body: &[u8],
    ) -> Delivery {
        self.delivered += 1;
        Delivery {
            subscription,
            tag: self.delivered as u64,
            kind: DeliveryKind::Message {
                message: message(self.delivered, kind, body),
                label: bytes::Bytes::new(),
                redelivery_count: 0,
                redelivered: false,
                group_first: false,
                auto_accept: false,
            },
        }
    }

    /// The tokens of what awaits an answer.
    pub fn take_open(&mut self) -> Vec<u64> {
        self.open.drain(..).map(|request| request.token).collect()
    }

    /// Calls the timer at its deadline.
    pub fn call_timer(&mut self) -> Result<(), String> {
        self.session.on_timer(self.now, &mut self.out).map_err(failed)?;
        self.collect(&[], &[]).map(|_| ())
    }

    /// The broker ends the session.
    pub fn close(&mut self, reason: &str) -> Result<(), String> {
        self.session.on_close(self.now, reason, &mut self.out).map_err(failed)?;
        self.collect(&[], &[]).map(|_| ())
    }

    /// When the session wants its timer called.
    pub fn deadline_ms(&self) -> Option<u64> {
        self.session.deadline()
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.now
    }

    /// Bytes that the session has not consumed.
    pub fn unconsumed(&self) -> usize {
        self.input.len()
    }

    /// The session alone.
    pub fn into_session(self) -> Session {
        self.session
    }

    fn run_timers(&mut self) -> Result<(), String> {
        for _ in 0..MAX_IDLE_CALLS {
            let due = self.session.deadline().is_some_and(|deadline| deadline <= self.now.monotonic_ms);
            if !due || self.seen.closed {
                return Ok(());
            }
            self.call_timer()?;
        }
        Err("its deadline stays in the past, however often the timer is called".to_owned())
    }

    /// Takes in what a call put out. The answer is whether the session said that there was no room.
    fn collect(&mut self, input: &[u8], deliveries: &[Delivery]) -> Result<bool, String> {
        let mut slices = Vec::new();
        self.out.io_slices(deliveries, &mut slices).map_err(|error| error.to_string())?;
        self.seen.output.extend(slices.iter().flat_map(|slice| slice.iter()));
        drop(slices);
        let mut requests = Vec::new();
        let drained = self.out.drain_requests(input, &mut self.assembler, &mut requests);
        drained.map_err(|error| format!("its verbs are damaged: {error}"))?;
        for request in requests {
            self.seen.requests.push(format!("{request:?}"));
            if let Verb::Subscribe(_) = request.verb {
                self.subscription = Some(request.id);
            }
            if request.confirm {
                self.open.push(request);
            }
        }
        self.seen.closed |= self.out.close();
        let full = self.out.full();
        self.out.reset();
        Ok(full)
    }
}

fn failed(error: sabir_host::Error) -> String {
    format!("the session has failed: {error}")
}

/// The begin of bytes, for a report.
pub fn shown(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 300;
    String::from_utf8_lossy(bytes.get(..SHOWN_BYTES).unwrap_or(bytes)).into_owned()
}

/// Compares what two sessions did.
pub fn same(expected: &Seen, found: &Seen) -> Result<(), String> {
    if expected.requests != found.requests {
        let at = expected.requests.iter().zip(&found.requests).take_while(|(a, b)| a == b).count();
        let one = |seen: &Seen| seen.requests.get(at).cloned().unwrap_or_else(|| "nothing".to_owned());
        return Err(format!("verb {at} is {}, not {}", one(found), one(expected)));
    }
    if expected.output != found.output {
        let at = expected.output.iter().zip(&found.output).take_while(|(a, b)| a == b).count();
        let rest = |seen: &Seen| shown(seen.output.get(at..).unwrap_or_default());
        return Err(format!("output from byte {at} on is {:?}, not {:?}", rest(found), rest(expected)));
    }
    if expected.closed != found.closed {
        return Err(format!("the link is {}", if found.closed { "closed" } else { "open" }));
    }
    Ok(())
}
