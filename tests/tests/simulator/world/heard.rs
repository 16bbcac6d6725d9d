// SPDX-License-Identifier: Apache-2.0
//! What the broker says, and what the ledger is told of it.

use super::{World, pick};
use crate::client::{Asked, From, Held, holder};
use crate::ledger::{DEAD_LETTERS, Id, Place};
use crate::scene::{PASSING, TARGETS, origin_place};
use bytes::Bytes;
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::{Field, Message};
use sabir_model::property::Value;
use sabir_model::verb::{Answer, Reason, Reply};
use sabir_model::{SessionId, fields};

impl World {
    pub(super) fn take_outputs(&mut self) {
        let Some(broker) = self.broker.as_mut() else { return };
        let replies = std::mem::take(&mut broker.out.replies);
        let deliveries = std::mem::take(&mut broker.out.deliveries);
        let closes = std::mem::take(&mut broker.out.closes);
        self.counts.parked += broker.out.flow.drain(..).filter(|(_, change)| change.parked).count() as u64;
        self.counts.refused_batches += std::mem::take(&mut broker.refusals);
        for (session, reply) in replies {
            self.replied(session, reply);
        }
        for (session, delivery) in deliveries {
            self.deliver(session, delivery);
        }
        for (session, refusal) in closes {
            if let Some(client) = self.client_of(session) {
                self.note(format!("client {client} is sent away: {refusal}"));
            }
        }
    }

    fn client_of(&self, session: SessionId) -> Option<usize> {
        self.clients.iter().position(|client| client.session == Some(session))
    }

    fn replied(&mut self, session: SessionId, reply: Reply) {
        let Some(client) = self.client_of(session) else { return };
        let Some(asked) = self.clients[client].asked.remove(&reply.token) else {
            return self
                .ledger
                .violations
                .push(format!("client {client} got an answer it had not asked for: {reply:?}"));
        };
        let refused = match &reply.answer {
            Answer::Refused(refusal) => Some(refusal.reason),
            Answer::Done | Answer::Told(_) => None,
        };
        if let Some(reason) = refused {
            self.note(format!("client {client}: {asked:?} is refused: {reason:?}"));
        }
        // After a failure of the store nobody knows what it has.
        let unknown = refused == Some(Reason::Store);
        match asked {
            Asked::Prepare(tx) => self.prepare_answered(tx, &reply.answer),
            Asked::End(tx) => self.end_answered(tx, &reply.answer),
            Asked::Publish(_) | Asked::Accept(_) | Asked::Commit(_) if unknown => {}
            Asked::Publish(id) => {
                self.clients[client].unanswered.remove(&id);
                self.ledger.publish_answered(id, refused.is_none());
            }
            Asked::Accept(copies) => {
                for (id, place) in copies {
                    if refused.is_none() {
                        self.ledger.accept_confirmed(id, place);
                    } else {
                        self.ledger.accept_refused(id, place);
                    }
                }
            }
            Asked::Commit(tx) if refused.is_none() => {
                self.counts.committed += 1;
                self.note(format!("client {client} is told that {tx} is committed"));
                self.ledger.committed(tx);
                self.one_phase_answered(tx, true);
            }
            Asked::Commit(tx) => {
                self.ledger.rolled_back(tx);
                self.one_phase_answered(tx, false);
            }
            Asked::Rollback | Asked::Other => {}
        }
    }

    fn deliver(&mut self, session: SessionId, delivery: Delivery) {
        let Some(client) = self.client_of(session) else { return };
        let Some(taken) = self.clients[client].subscriptions.get(&delivery.subscription).copied() else {
            return;
        };
        let (message, label, again) = match delivery.kind {
            DeliveryKind::Message { message, label, redelivered, redelivery_count, .. } => {
                (message, label, redelivered || redelivery_count > 0)
            }
            DeliveryKind::EndOfBrowse => {
                self.counts.browses += 1;
                return self.clients[client].ended.push(delivery.subscription);
            }
            DeliveryKind::Cancelled { .. } => return,
        };
        self.delivered += 1;
        let Some(id) = self.body_of(&message).and_then(|body| identity(&message, &body)) else {
            // Nobody gets a body whose pieces lie on a disk that has no power.
            if !self.disk.is_off() {
                self.ledger.violations.push(format!("a damaged message was delivered: {message:?}"));
            }
            return;
        };
        let Some(place) = self.place_of(id, taken.from) else {
            return self.ledger.violations.push(format!("client {client} got {id} from nowhere: {taken:?}"));
        };
        self.note(format!(
            "client {client} gets {id} from place {place} tag {} redelivered {again}",
            delivery.tag
        ));
        if taken.parity.is_some_and(|parity| id % 2 != parity) {
            self.ledger.violations.push(format!("a selector for {:?} let {id} pass", taken.parity));
        }
        self.check_time(id, place, &message);
        if matches!(taken.from, From::Browser(_)) {
            self.ledger.looked_at(id, place);
        } else {
            self.hold(
                client,
                session,
                Held { tag: delivery.tag, subscription: delivery.subscription, id, place },
                again,
            );
        }
        if self.draining && place == DEAD_LETTERS {
            self.dead_letter(id, &label);
        }
    }

    /// The body of a message, wherever it lies. One that is being sent in pieces must stay there meanwhile, whatever becomes
    /// of the message.
    fn body_of(&mut self, message: &Message) -> Option<Bytes> {
        let Some(stored) = message.stored_body() else { return Some(message.body_bytes()) };
        self.counts.from_pieces += 1;
        if self.being_sent.len() > 3 {
            let at = pick(&mut self.random, self.being_sent.len());
            self.being_sent.swap_remove(at);
        }
        self.being_sent.push(message.clone());
        self.broker.as_ref()?.body(stored.at()).ok().map(Bytes::from)
    }

    /// What is being sent in pieces is still there, while there is anything.
    pub(super) fn check_being_sent(&mut self) {
        let Some(broker) = self.broker.as_ref().filter(|_| !self.disk.is_off()) else { return };
        let bodies = self.being_sent.iter().filter_map(Message::stored_body);
        let lost = bodies.filter_map(|stored| broker.body(stored.at()).err());
        self.ledger.violations.extend(lost);
    }

    fn hold(&mut self, client: usize, session: SessionId, held: Held, again: bool) {
        self.ledger.delivered(held.id, held.place, holder(session), again);
        if self.draining && held.place != DEAD_LETTERS {
            self.ledger.drained(held.id, held.place);
        }
        self.counts.to_desks += u64::from((100..PASSING).contains(&held.place));
        self.clients[client].held.push(held);
    }

    /// The place that a delivery comes from, which the message tells where several are possible.
    fn place_of(&self, id: Id, from: From) -> Option<Place> {
        let target = self.targets.get(&id).map(|target| &TARGETS[*target]);
        match from {
            From::Places([only]) | From::Browser([only]) => Some(*only),
            From::Places(places) | From::Browser(places) => {
                let queues = target?.queues;
                queues.iter().map(|queue| *queue as Place).find(|place| places.contains(place))
            }
            From::Desk(place) => Some(place),
            From::Passing(desk) => desk.wants(target?, id).then_some(PASSING),
        }
    }

    /// Nothing is delivered after its time, and nothing before it.
    fn check_time(&mut self, id: Id, place: Place, message: &Message) {
        let (now, head) = (self.now.unix_ms, message.head());
        if head.expiration_ms() != 0 && head.expiration_ms() <= now && place != DEAD_LETTERS {
            let text = format!("message {id} expired at {} and was delivered at {now}", head.expiration_ms());
            self.ledger.violations.push(text);
        }
        if head.deliver_at_ms() > now && !self.ledger.has_clock_gone_back() && place != DEAD_LETTERS {
            let text = format!("message {id} was due at {} and was delivered at {now}", head.deliver_at_ms());
            self.ledger.violations.push(text);
        }
    }

    /// A dead letter says where it comes from and why.
    fn dead_letter(&mut self, id: Id, label: &[u8]) {
        self.counts.dead_letters += 1;
        let text = |wanted| {
            let mut found = fields::iter(label).flatten().filter(|(field, _)| *field == wanted);
            found.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let (origin, cause) = (text(fields::LABEL_ORIGIN), text(fields::LABEL_CAUSE));
        let (Some(origin), Some(_)) = (origin, cause) else {
            return self.ledger.violations.push(format!("dead letter {id} does not say where from and why"));
        };
        self.ledger.died(id, origin_place(&origin));
    }
}

/// The number of a message, if its three places agree.
fn identity(message: &Message, body: &[u8]) -> Option<Id> {
    let head = message.head();
    let Some(Value::Long(number)) = head.property("number") else { return None };
    let body = std::str::from_utf8(body).ok()?;
    let in_body: i64 = body.split(' ').next()?.parse().ok()?;
    let in_id = head.text(Field::Id)? == format!("ID:{number}");
    (in_body == number && in_id).then_some(number as Id)
}
