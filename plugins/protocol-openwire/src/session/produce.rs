// SPDX-License-Identifier: Apache-2.0
//! Producers, and the messages that they send.
//!
//! A producer with a destination is attached to it once. One without, and one that sends elsewhere, is attached to a
//! destination when it first sends there; the least recently used of these goes when there are too many.

use super::asked::{Asked, Kept};
use super::convert::{self, BodyPlace};
use super::destination::{self, Use};
use super::problem::{Exception, Problem, class};
use super::{Core, FrameAt, Step, advisory};
use crate::codec::{Command, Destination, Message, ProducerAck, ProducerId, ProducerInfo};
use sabir_model::message::HeadBuffer;
use sabir_model::verb::Attach;
use sabir_sdk::protocol::{Now, Out, Piece, VerbMeta};
use std::collections::HashMap;
use std::sync::Arc;

/// A producer.
#[derive(Debug)]
struct Producer {
    /// With a destination: that, and the broker's number of the producer.
    fixed: Option<(Arc<Destination>, u64)>,
    /// It counts what is under way.
    windowed: bool,
}

/// A destination that a producer has sent to without having named it before.
#[derive(Debug)]
struct Sent {
    number: u64,
    used: u64,
    /// It is not known yet whether that is allowed.
    new: bool,
}

type Way = (Arc<ProducerId>, Arc<Destination>);

/// The producers of a connection.
#[derive(Debug, Default)]
pub struct Producers {
    known: HashMap<Arc<ProducerId>, Producer>,
    ways: HashMap<Way, Sent>,
    made: u64,
    clock: u64,
    /// What the last message went through: most come from one producer.
    last: Option<(Way, Through)>,
}

/// What a message goes through.
#[derive(Clone, Copy, Debug)]
struct Through {
    number: u64,
    windowed: bool,
}

impl Producers {
    /// One of the producers of a session.
    pub fn any_of_session(&self, session: i64) -> Option<Arc<ProducerId>> {
        self.known.keys().find(|id| id.session_id == session).cloned()
    }

    fn way(&self, producer: &Arc<ProducerId>, destination: &Arc<Destination>) -> Option<(Through, bool)> {
        let known = self.known.get(producer);
        let windowed = known.is_some_and(|known| known.windowed);
        if let Some((fixed, number)) = known.and_then(|known| known.fixed.as_ref())
            && fixed == destination
        {
            return Some((Through { number: *number, windowed }, false));
        }
        let sent = self.ways.get(&(producer.clone(), destination.clone()))?;
        Some((Through { number: sent.number, windowed }, sent.new))
    }

    fn least_recently_used(&self) -> Option<(Way, u64)> {
        let (way, sent) = self.ways.iter().min_by_key(|(_, sent)| sent.used)?;
        Some((way.clone(), sent.number))
    }

    /// It is known that sending there is allowed.
    pub fn allowed(&mut self, number: u64) {
        if let Some(sent) = self.ways.values_mut().find(|sent| sent.number == number) {
            sent.new = false;
        }
    }

    /// It is not.
    pub fn forbidden(&mut self, number: u64) {
        self.ways.retain(|_, sent| sent.number != number);
        self.last = None;
    }

    /// The producer could not be made.
    pub fn refused(&mut self, producer: &Arc<ProducerId>) {
        self.known.remove(producer);
        self.last = None;
    }
}

impl Core {
    /// A producer begins.
    pub fn on_producer_info(&mut self, info: &ProducerInfo, out: &mut Out<'_>) -> Result<Step, Problem> {
        let id = info.producer_id.as_ref().ok_or_else(|| Problem::missing("ProducerInfo", "producerId"))?;
        self.check_session(&id.connection_id, id.session_id)?;
        if self.producers.known.contains_key(id) {
            return Ok(self.respond_to(info.command_id, info.response_required));
        }
        let max = self.shared.settings.max_producers;
        if self.producers.known.len() >= max {
            return Err(Problem::limit("max_producers", max));
        }
        let windowed = info.window_size > 0 && self.agreed_version() >= 3;
        let Some(destination) = &info.destination else {
            self.producers.known.insert(id.clone(), Producer { fixed: None, windowed });
            return Ok(self.respond_to(info.command_id, info.response_required));
        };
        let number = self.producers.made + 1;
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, id: number, transaction: 0 };
        self.attach(id, destination, meta, out)?;
        if out.overflowed() {
            return Ok(Step::Full);
        }
        let respond = info.response_required.then_some(info.command_id);
        self.asked.keep(Kept::Attach { producer: id.clone(), respond });
        self.producers.made = number;
        let fixed = Some((destination.clone(), number));
        self.producers.known.insert(id.clone(), Producer { fixed, windowed });
        Ok(Step::Done)
    }

    fn attach(
        &self,
        producer: &ProducerId,
        destination: &Destination,
        meta: VerbMeta,
        out: &mut Out<'_>,
    ) -> Result<(), Problem> {
        self.check_length(destination)?;
        let destinations = destination::resolve(destination, Use::Send, self.shared.settings.max_composite)?;
        out.attach(meta, &Attach { destinations, producer_name: Some(producer.to_string()) });
        Ok(())
    }

    /// A producer ends.
    pub fn end_producer(&mut self, id: &Arc<ProducerId>, out: &mut Out<'_>) -> Step {
        // What it sent to besides its own destination goes one by one.
        let way = self.producers.ways.iter().find(|((producer, _), _)| producer == id);
        if let Some((way, sent)) = way {
            out.detach(VerbMeta { token: Asked::ignored(), id: sent.number, ..VerbMeta::default() });
            if out.overflowed() {
                return Step::Full;
            }
            let way = way.clone();
            self.producers.ways.remove(&way);
            self.producers.last = None;
            return Step::Again;
        }
        let fixed = self.producers.known.get(id).and_then(|producer| producer.fixed.as_ref());
        if let Some((_, number)) = fixed {
            out.detach(VerbMeta { token: Asked::ignored(), id: *number, ..VerbMeta::default() });
            if out.overflowed() {
                return Step::Full;
            }
        }
        self.producers.known.remove(id);
        self.producers.last = None;
        Step::Done
    }

    /// A message.
    pub fn on_message(
        &mut self,
        now: Now,
        message: &Message,
        frame: FrameAt<'_>,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let missing = |field| Problem::missing("a message", field);
        let producer = message.producer_id.as_ref().ok_or_else(|| missing("producerId"))?;
        let destination = message.destination.as_ref().ok_or_else(|| missing("destination"))?;
        if self.bridge.is_some() && advisory::is_advisory(&destination.physical_name) {
            return self.on_told(message, out);
        }
        let transaction = match &message.transaction_id {
            None => 0,
            Some(id) => self.transaction_number(id)?,
        };
        let last = self.producers.last.as_ref().filter(|((last_producer, last_destination), _)| {
            Arc::ptr_eq(last_producer, producer) && Arc::ptr_eq(last_destination, destination)
        });
        let (through, new) = match last {
            Some((_, through)) => (*through, false),
            None => match self.producers.way(producer, destination) {
                Some(way) => way,
                None => {
                    // Nobody sends in the name of another connection's producer: its count of messages is its own.
                    self.check_connection(&producer.connection_id)?;
                    return self.new_way(producer, destination, out);
                }
            },
        };
        let size = counted_size(message, frame.handed_on());
        let (meta, kept) = self.publish_meta(message, producer, through, new, transaction, size);
        let from = out.position();
        let converted = match frame.handed_on() {
            None => convert::to_publish(message, frame.bytes(), now, out),
            Some(_) => convert::to_publish_behind(message, frame.bytes(), now, out),
        };
        let body =
            converted.map_err(|error| Exception::new(class::MESSAGE_FORMAT, error.to_string()).refused())?;
        let head = out.arena_piece(from);
        let body = match body {
            BodyPlace::None => Piece::NONE,
            BodyPlace::Frame(range) => frame.piece(range, out),
            BodyPlace::Owned(bytes) => out.own(bytes),
        };
        match frame.handed_on() {
            None => out.publish(meta, head, body, false),
            Some(_) => out.publish_behind(meta, head, body),
        }
        if out.overflowed() {
            return Ok(Step::Full);
        }
        if let Some(kept) = kept {
            self.asked.keep(kept);
        }
        if !message.response_required {
            self.transactions.waits(transaction);
        }
        self.used(producer, destination, through);
        Ok(Step::Done)
    }

    /// Attaches a producer to one more destination: a step of its own, after which the message is looked at again.
    fn new_way(
        &mut self,
        producer: &Arc<ProducerId>,
        destination: &Arc<Destination>,
        out: &mut Out<'_>,
    ) -> Result<Step, Problem> {
        let full = self.producers.ways.len() >= self.shared.settings.max_anonymous_destinations;
        let evicted = if full { self.producers.least_recently_used() } else { None };
        if let Some((_, number)) = &evicted {
            out.detach(VerbMeta { token: Asked::ignored(), id: *number, ..VerbMeta::default() });
        }
        let number = self.producers.made + 1;
        let meta = VerbMeta { token: self.asked.next_token(), confirm: true, id: number, transaction: 0 };
        self.attach(producer, destination, meta, out)?;
        if out.overflowed() {
            return Ok(Step::Full);
        }
        if let Some((way, _)) = evicted {
            self.producers.ways.remove(&way);
        }
        self.asked.keep(Kept::AttachDestination { number });
        self.producers.made = number;
        self.producers.clock += 1;
        let used = self.producers.clock;
        let way = (producer.clone(), destination.clone());
        self.producers.ways.insert(way, Sent { number, used, new: true });
        Ok(Step::Again)
    }

    /// What goes with a message, and what is to be done when it was answered.
    fn publish_meta(
        &self,
        message: &Message,
        producer: &Arc<ProducerId>,
        through: Through,
        new: bool,
        transaction: u64,
        size: i32,
    ) -> (VerbMeta, Option<Kept>) {
        let Through { number, windowed } = through;
        let respond = message.response_required.then_some(message.command_id);
        // Whoever waits for no response hears of a refusal by the commit, which waits for the message.
        let waiting = if respond.is_none() { transaction } else { 0 };
        let kept = if windowed && respond.is_none() {
            Some(Kept::Windowed { producer: producer.clone(), size, transaction: waiting })
        } else if new {
            Some(Kept::FirstPublish { number, respond, transaction: waiting })
        } else {
            None
        };
        let (token, confirm) = match kept {
            Some(_) => (self.asked.next_token(), true),
            None if waiting != 0 => (Asked::in_transaction(waiting), true),
            None => (Asked::token(message.command_id, respond.is_some()), respond.is_some()),
        };
        (VerbMeta { token, confirm, id: number, transaction }, kept)
    }

    fn used(&mut self, producer: &Arc<ProducerId>, destination: &Arc<Destination>, through: Through) {
        let same = self
            .producers
            .last
            .as_ref()
            .is_some_and(|(last, _)| Arc::ptr_eq(&last.0, producer) && Arc::ptr_eq(&last.1, destination));
        if same {
            return;
        }
        let way = (producer.clone(), destination.clone());
        self.producers.clock += 1;
        let clock = self.producers.clock;
        match self.producers.ways.get_mut(&way) {
            // Its use is to be noted each time.
            Some(sent) => sent.used = clock,
            None => self.producers.last = Some((way, through)),
        }
    }

    /// A message of a producer with a window was taken. What one call of the broker confirms together, as after a sync,
    /// becomes one command.
    pub fn acknowledge_window(&mut self, producer: Arc<ProducerId>, size: i32) {
        if let Some(Command::ProducerAck(last)) = self.output.last_mut()
            && last.producer_id.as_ref() == Some(&producer)
            && let Some(sum) = last.size.checked_add(size)
        {
            last.size = sum;
            return;
        }
        self.output.push(Command::ProducerAck(ProducerAck {
            producer_id: Some(producer),
            size,
            ..ProducerAck::default()
        }));
    }
}

/// What a message counts for in its producer's window: as the Java client counts it.
fn counted_size(message: &Message, handed_on: Option<usize>) -> i32 {
    const LEAST: usize = 1024;
    let len = |blob: &Option<crate::codec::Blob>| blob.as_ref().map_or(0, crate::codec::Blob::len);
    let content = handed_on.unwrap_or_else(|| len(&message.content));
    let size = LEAST + content + len(&message.marshalled_properties);
    i32::try_from(size).unwrap_or(i32::MAX)
}
