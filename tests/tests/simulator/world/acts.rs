// SPDX-License-Identifier: Apache-2.0
//! What the clients of a world do, each picked by the dice.

use super::branches::step;
use super::{World, pick, weighted};
use crate::client::{Asked, From, Held, Taken, Unanswered};
use crate::ledger::{Id, Place, Publish, Tx};
use crate::scene::{DESKS, Desk, PASSING, REFUSING, SOURCES, SUBSCRIPTIONS, TARGETS};
use bytes::Bytes;
use sabir_engine::{Client as Who, Input};
use sabir_model::message::{Apart, BodyKind, Field, Fixed, HeadWriter, Message};
use sabir_model::property::Value;
use sabir_model::verb::{Attach, Outcome, Settle, SettleRange, Subscribe, Transact};
use sabir_model::{BranchAct, Destination, Request, SessionId, Verb};

#[derive(Clone, Copy, Debug)]
enum Act {
    Publish,
    Subscribe,
    Unsubscribe,
    Settle,
    Begin,
    End,
    Decide,
    Credit,
}

const ACTS: [(u32, Act); 8] = [
    (45, Act::Publish),
    (6, Act::Subscribe),
    (2, Act::Unsubscribe),
    (45, Act::Settle),
    (4, Act::Begin),
    (6, Act::End),
    (2, Act::Decide),
    (1, Act::Credit),
];

impl World {
    pub(super) fn open(&mut self, client: usize) {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.clients[client].session = Some(session);
        let who = Who {
            client_id: Some(format!("client-{client}")),
            user: None,
            virtual_host: String::new(),
            connection_id: format!("connection-{}", self.next_session),
            ..Who::default()
        };
        self.note(format!("client {client} opens session {}", session.0));
        self.tell(Input::Open { session, client: who });
        for (index, target) in TARGETS.iter().enumerate() {
            let producer_name = is_counting(client).then(|| format!("client-{client}-target-{index}"));
            let attach = Attach { destinations: target.destinations(), producer_name };
            self.ask(client, Asked::Other, false, index as u64 + 1, 0, Verb::Attach(Box::new(attach)));
        }
        self.send_again(client);
    }

    /// Sends again what the client sent over its last connections and has no answer to, with the same counts.
    fn send_again(&mut self, client: usize) {
        let unanswered: Vec<Unanswered> = self.clients[client].unanswered.values().cloned().collect();
        for Unanswered { id, producer, message } in unanswered {
            self.note(format!("client {client} sends {id} again"));
            self.counts.sent_again += 1;
            if TARGETS[producer as usize - 1].queues.contains(&REFUSING) {
                // It may have been refused over the lost connection, which then told nobody, and later ones taken.
                self.ledger.lost_order(id);
            }
            self.send_pieces(client, &message);
            self.ask(client, Asked::Publish(id), true, producer, 0, Verb::Publish(message));
        }
    }

    /// Everything that is sent later reaches them: they are there for good, whatever happens while they are made.
    pub(super) fn make_durable_subscriptions(&mut self) {
        loop {
            let crashes = self.crashes;
            for client in 0..DESKS.len() {
                self.open(client);
                self.subscribe_durable(client);
            }
            let done = self.with_broker(|broker, random| broker.settle_down(random));
            self.after(done);
            if self.crashes == crashes {
                return;
            }
        }
    }

    pub(super) fn act(&mut self, client: usize) {
        if self.broker.is_none() {
            return;
        }
        if self.clients[client].session.is_none() {
            self.open(client);
        }
        if let Some(id) = self.clients[client].ended.pop() {
            return self.end_subscription(client, id);
        }
        match weighted(&mut self.random, &ACTS) {
            Act::Publish => self.publish(client),
            Act::Subscribe => self.subscribe(client),
            Act::Unsubscribe => self.unsubscribe(client),
            Act::Settle => self.settle(client),
            Act::Begin => self.begin(client),
            Act::End => self.end_transaction(client),
            Act::Decide => self.decide(client),
            Act::Credit => self.credit(client),
        }
    }

    fn publish(&mut self, client: usize) {
        self.next_id += 1;
        let id = self.next_id;
        let target = pick(&mut self.random, TARGETS.len());
        let persistent = self.random.chance(75);
        let priority = if self.random.chance(85) { 4 } else { (self.random.roll() % 10) as u8 };
        let may_expire = self.random.chance(4);
        let delayed = self.random.chance(5);
        let fixed = Fixed {
            persistent,
            priority,
            body_kind: BodyKind::Text,
            timestamp_ms: self.now.unix_ms,
            expiration_ms: if may_expire {
                self.now.unix_ms + 1 + (self.random.roll() % 20_000) as i64
            } else {
                0
            },
            deliver_at_ms: if delayed {
                self.now.unix_ms + 1 + (self.random.roll() % 10_000) as i64
            } else {
                0
            },
            ..Fixed::default()
        };
        let size = if self.random.chance(2) { 5_000 } else { pick(&mut self.random, 300) };
        let sequence = is_counting(client).then(|| self.clients[client].count(target));
        let mut message = write_message(&fixed, id, size, sequence);
        let tx = if self.random.chance(70) { self.clients[client].tx } else { None };
        if self.random.chance(6) {
            message = self.in_pieces(id, &message);
        }
        // Order is promised among messages of one producer, one priority and one mode that every selector treats alike.
        let plain = !delayed && tx.is_none();
        let kind = u16::from(priority) * 4 + u16::from(persistent) * 2 + (id % 2) as u16;
        // A producer lives as long as its session, unless it has a name and comes back.
        let session = self.clients[client].session.map_or(0, |session| session.0 as u32);
        let whose = if is_counting(client) { client as u32 } else { 1_000 + session };
        let producer = whose * TARGETS.len() as u32 + target as u32;
        let lane = plain.then_some((producer, kind));
        let places = TARGETS[target].places(id);
        self.note(format!(
            "client {client} sends {id} to {places:?} persistent {persistent} priority {priority} delayed {delayed} tx {tx:?}"
        ));
        self.targets.insert(id, target);
        self.ledger.published(Publish { id, places, persistent, may_expire, lane, tx });
        let confirm = self.random.chance(80);
        let producer = target as u64 + 1;
        if confirm && tx.is_none() && is_counting(client) {
            let unanswered = Unanswered { id, producer, message: message.clone() };
            self.clients[client].unanswered.insert(id, unanswered);
        }
        self.send_pieces(client, &message);
        self.ask(client, Asked::Publish(id), confirm, producer, tx.unwrap_or(0), Verb::Publish(message));
    }

    /// The message as one whose body is sent in pieces, before it.
    fn in_pieces(&mut self, id: Id, message: &Message) -> Message {
        let body = message.body_bytes();
        let apart = message.with_body(Apart::Arrived(body.len() as u64));
        self.bodies.insert(id, body);
        apart
    }

    /// Sends the body of a message in pieces, if that is how it is sent. Sometimes the client is lost meanwhile, or gives up
    /// and begins anew.
    fn send_pieces(&mut self, client: usize, message: &Message) {
        let number = message.head().property("number");
        let (Some(Apart::Arrived(_)), Some(Value::Long(number))) = (message.body_apart(), number) else {
            return;
        };
        let Some(body) = self.bodies.get(&(number as Id)).cloned() else { return };
        self.counts.in_pieces += 1;
        if self.random.chance(5) {
            self.note(format!("client {client} begins the body of {number} and leaves it"));
            self.tell_pieces(client, &body[..body.len() / 2]);
        }
        self.tell_pieces(client, &body);
    }

    fn tell_pieces(&mut self, client: usize, body: &[u8]) {
        let Some(session) = self.clients[client].session else { return };
        let step = 1 + pick(&mut self.random, body.len().max(2));
        for (at, piece) in body.chunks(step).enumerate() {
            let verb = Verb::Piece { bytes: Bytes::copy_from_slice(piece), first: at == 0 };
            let mut requests = vec![Request { token: 0, confirm: false, id: 0, transaction: 0, verb }];
            self.tell(Input::Requests { session, requests: &mut requests });
            self.take_outputs();
            if self.random.chance(20) {
                let done = self.with_broker(|broker, _| broker.submit().map(|_| ()));
                self.after(done);
            }
        }
    }

    fn subscribe(&mut self, client: usize) {
        if client < DESKS.len() && self.random.chance(50) {
            return self.subscribe_durable(client);
        }
        if self.clients[client].subscriptions.len() > 4 {
            return;
        }
        if self.random.chance(15) {
            return self.subscribe_passing(client);
        }
        let (names, places) = SOURCES[pick(&mut self.random, SOURCES.len())];
        let browse = self.random.chance(15);
        let parity = self.random.chance(25).then(|| self.random.roll() % 2);
        let credit = 1 + self.random.roll() % 20;
        self.note(format!(
            "client {client} subscribes to {names:?} credit {credit} browse {browse} parity {parity:?}"
        ));
        let subscribe = Subscribe {
            selector: parity.map(|parity| format!("parity = {parity}")),
            browse,
            credit,
            ..plain_subscribe(names.iter().map(|name| Destination::queue(name)).collect())
        };
        let from = if browse { From::Browser(places) } else { From::Places(places) };
        self.make_subscription(client, Taken { from, parity }, subscribe);
    }

    fn subscribe_passing(&mut self, client: usize) {
        let desk = &DESKS[pick(&mut self.random, DESKS.len())];
        self.note(format!("client {client} listens to {:?}", desk.topics));
        let subscribe = Subscribe { credit: 10, ..subscribe_desk(desk) };
        let subscribe = Subscribe { name: None, durable: false, ..subscribe };
        self.make_subscription(client, Taken { from: From::Passing(desk), parity: desk.parity }, subscribe);
    }

    pub(super) fn subscribe_durable(&mut self, client: usize) {
        let desk = &DESKS[client];
        let taken = |other: &Taken| matches!(other.from, From::Desk(_));
        if self.clients[client].subscriptions.values().any(taken) {
            return;
        }
        self.note(format!("client {client} takes up its durable subscription"));
        let credit = if self.draining { 1_000_000 } else { 5 };
        let from = From::Desk(SUBSCRIPTIONS + client as Place);
        let subscribe = Subscribe { credit, ..subscribe_desk(desk) };
        self.make_subscription(client, Taken { from, parity: desk.parity }, subscribe);
    }

    pub(super) fn make_subscription(&mut self, client: usize, taken: Taken, subscribe: Subscribe) {
        let one = &mut self.clients[client];
        one.next_subscription += 1;
        let id = one.next_subscription;
        one.subscriptions.insert(id, taken);
        self.ask(client, Asked::Other, false, id, 0, Verb::Subscribe(Box::new(subscribe)));
    }

    fn unsubscribe(&mut self, client: usize) {
        let ids: Vec<u64> = self.clients[client].subscriptions.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[pick(&mut self.random, ids.len())];
        self.end_subscription(client, id);
    }

    fn end_subscription(&mut self, client: usize, id: u64) {
        self.note(format!("client {client} ends subscription {id}"));
        self.clients[client].subscriptions.remove(&id);
        // What it has not settled goes back to the queue.
        let (given_back, kept) = self.clients[client].held.iter().partition(|held| held.subscription == id);
        self.clients[client].held = kept;
        let given_back: Vec<Held> = given_back;
        for held in given_back {
            self.ledger.given_back(held.id, held.place, false);
        }
        self.ask(client, Asked::Other, false, id, 0, Verb::Unsubscribe { forget: false });
    }

    fn credit(&mut self, client: usize) {
        let Some(id) = self.clients[client].subscriptions.keys().next().copied() else { return };
        let amount = self.random.roll() % 10;
        self.ask(client, Asked::Other, false, id, 0, Verb::Credit { amount, set: false, drain: false });
    }

    fn settle(&mut self, client: usize) {
        if self.clients[client].held.is_empty() {
            return;
        }
        let index = pick(&mut self.random, self.clients[client].held.len());
        let held = self.clients[client].held[index];
        let tx = if self.random.chance(60) { self.clients[client].tx } else { None };
        let kind = self.random.roll() % 100;
        if kind < 70 || tx.is_some() {
            return self.accept(client, held, tx);
        }
        let (outcome, rejected) = match kind {
            70..85 => (Outcome::Release { delay_ms: None }, false),
            85..92 => (Outcome::Return, false),
            // Which of the copies of a message became a dead letter must be known.
            _ if held.place == PASSING => (Outcome::Return, false),
            _ => (Outcome::Reject { reason: "simulated".to_owned() }, true),
        };
        self.note(format!("client {client} gives {} back to place {}: {outcome:?}", held.id, held.place));
        self.clients[client].held.remove(index);
        self.ledger.given_back(held.id, held.place, rejected);
        let range = SettleRange::Tags { first: held.tag, last: held.tag };
        self.ask(client, Asked::Other, false, held.subscription, 0, Verb::Settle(Settle { range, outcome }));
    }

    fn accept(&mut self, client: usize, held: Held, tx: Option<Tx>) {
        // A branch that is refused gives back what the client does not know yet, and must not accept unseen.
        let ending = |asked: &Asked| matches!(asked, Asked::Prepare(_) | Asked::Commit(_));
        let in_doubt = self.clients[client].asked.values().any(ending);
        let cumulative = self.random.chance(20) && !in_doubt;
        let covered = |other: &Held| {
            other.tag == held.tag
                || (cumulative && other.subscription == held.subscription && other.tag < held.tag)
        };
        let one = &mut self.clients[client];
        let taken: Vec<Held> = one.held.iter().filter(|other| covered(other)).copied().collect();
        one.held.retain(|other| !covered(other));
        if tx.is_some() {
            one.settled_in_tx.extend(&taken);
        }
        for one in &taken {
            self.ledger.accept_asked(one.id, one.place, tx);
        }
        self.note(format!(
            "client {client} accepts {:?} tx {tx:?}",
            taken.iter().map(|one| one.id).collect::<Vec<_>>()
        ));
        let range = if cumulative {
            SettleRange::UpTo(held.tag)
        } else {
            SettleRange::Tags { first: held.tag, last: held.tag }
        };
        let asked = Asked::Accept(taken.iter().map(|one| (one.id, one.place)).collect());
        let confirm = tx.is_none() && self.random.chance(60);
        let verb = Verb::Settle(Settle { range, outcome: Outcome::Accept });
        self.ask(client, asked, confirm, held.subscription, tx.unwrap_or(0), verb);
    }

    fn begin(&mut self, client: usize) {
        if self.clients[client].tx.is_some() {
            return;
        }
        self.next_tx += 1;
        let tx = self.next_tx;
        self.clients[client].tx = Some(tx);
        self.ledger.began(tx);
        let is_branch = self.random.chance(40);
        self.clients[client].is_branch = is_branch;
        self.note(format!("client {client} begins {tx} branch {is_branch}"));
        let verb = if is_branch { step(BranchAct::Begin, tx) } else { Verb::Transact(Transact::Begin) };
        self.ask(client, Asked::Other, false, 0, tx, verb);
    }

    fn end_transaction(&mut self, client: usize) {
        let Some(tx) = self.clients[client].tx.take() else { return };
        let settled = std::mem::take(&mut self.clients[client].settled_in_tx);
        if self.clients[client].is_branch {
            return self.end_branch(client, tx, settled);
        }
        let commit = self.random.chance(70);
        self.note(format!("client {client} {} {tx}", if commit { "commits" } else { "rolls back" }));
        if commit {
            self.ledger.commit_asked(tx);
            self.ask(client, Asked::Commit(tx), true, 0, tx, Verb::Transact(Transact::Commit));
        } else {
            self.ledger.rolled_back(tx);
            self.ask(client, Asked::Rollback, true, 0, tx, Verb::Transact(Transact::Rollback));
        }
    }
}

/// Whether the client's producers have names and count, so that it can send again what it has no answer to.
fn is_counting(client: usize) -> bool {
    client < 3
}

fn subscribe_desk(desk: &Desk) -> Subscribe {
    Subscribe {
        selector: desk.selector.map(str::to_owned),
        name: Some("desk".to_owned()),
        durable: true,
        ..plain_subscribe(desk.topics.iter().map(|topic| Destination::topic(topic)).collect())
    }
}

pub(super) fn plain_subscribe(
    destinations: Result<Vec<Destination>, sabir_model::destination::DestinationError>,
) -> Subscribe {
    Subscribe {
        destinations: destinations.expect("the names are patterns"),
        selector: None,
        name: None,
        credit: 10,
        priority: 0,
        auto_accept: false,
        no_local: false,
        exclusive: false,
        browse: false,
        durable: false,
        shared: false,
        auto_delete: false,
        link_credit: false,
    }
}

/// A message that carries its number three times: in its id, in a property and in its body.
fn write_message(fixed: &Fixed, id: Id, size: usize, sequence: Option<u64>) -> Message {
    let mut bytes = Vec::new();
    let mut head = HeadWriter::new(&mut bytes, fixed);
    let written = sequence.is_none_or(|sequence| head.producer_sequence(sequence))
        && head.field(Field::Id, format!("ID:{id}").as_bytes())
        && head.property("number", &Value::Long(id as i64))
        && head.property("parity", &Value::Long((id % 2) as i64));
    assert!(written, "the fields are short");
    head.finish();
    bytes.extend_from_slice(id.to_string().as_bytes());
    bytes.push(b' ');
    bytes.resize(bytes.len() + size, b'x');
    Message::joined(Bytes::from(bytes)).expect("the head was just written")
}
