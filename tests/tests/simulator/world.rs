// SPDX-License-Identifier: Apache-2.0
//! One simulated world: a broker, its clients, a disk that can lose power, and a seed that decides everything.
//!
//! Every step picks one thing that may happen next. After the last step everything that is left is drained, and the
//! ledger tells which promises were broken.

use crate::broker::{Broker, Died};
use crate::client::{Asked, Client, Held, holder};
use crate::ledger::{DEAD_LETTERS, Id, Ledger, Place, Publish, Tx};
use bytes::Bytes;
use sabir_engine::{Client as Who, Config, Input};
use sabir_model::delivery::{Delivery, DeliveryKind};
use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter, Message};
use sabir_model::property::Value;
use sabir_model::store::TEMPORARY;
use sabir_model::verb::{Answer, Attach, Outcome, Reason, Reply, Settle, SettleRange, Subscribe, Transact};
use sabir_model::{Destination, Now, Request, SessionId, Verb};
use sabir_sdk::Host;
use sabir_store_journal::Journal;
use sabir_testkit::disk::{Dice, Faults, SimDisk};
use std::sync::Arc;

/// Queues that clients use; the place of a queue is its index.
const QUEUES: [&str; 4] = ["orders", "payments.eu", "payments.us", "audit"];
const TOPIC: &str = "prices.de";
/// Clients; each of the first [`DURABLE`] has a durable subscription to the topic.
const CLIENTS: u32 = 5;
const DURABLE: u32 = 2;
/// The place of a client's durable subscription.
const SUBSCRIPTIONS: Place = 100;
const DEAD_LETTER_QUEUE: &str = "ActiveMQ.DLQ";
/// Lines of history that are told when a seed fails, unless `SABIR_HISTORY` says otherwise.
const HISTORY: usize = 60;

/// What can happen next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Client,
    Submit,
    Sync,
    Read,
    Time,
    ClockJump,
    LoseClient,
    Crash,
    DiskFault,
    CleanStop,
}

/// How often what happens, by weight.
const STEPS: [(u32, Step); 10] = [
    (600, Step::Client),
    (150, Step::Submit),
    (120, Step::Sync),
    (120, Step::Read),
    (60, Step::Time),
    (3, Step::ClockJump),
    (8, Step::LoseClient),
    (3, Step::Crash),
    (1, Step::DiskFault),
    (1, Step::CleanStop),
];

#[derive(Clone, Copy, Debug)]
enum Act {
    Publish,
    Subscribe,
    Unsubscribe,
    Settle,
    Begin,
    End,
    Credit,
}

const ACTS: [(u32, Act); 7] = [
    (45, Act::Publish),
    (6, Act::Subscribe),
    (2, Act::Unsubscribe),
    (45, Act::Settle),
    (4, Act::Begin),
    (6, Act::End),
    (1, Act::Credit),
];

pub struct World {
    seed: u64,
    random: Dice,
    disk: SimDisk,
    broker: Option<Broker>,
    clients: Vec<Client>,
    pub ledger: Ledger,
    next_id: Id,
    next_tx: Tx,
    next_session: u64,
    now: Now,
    history: Vec<String>,
    /// Lines of history that are told at the end.
    lines: usize,
    draining: bool,
    /// A fault of the disk may still be waiting.
    armed: bool,
    latest_unix_ms: i64,
    /// What happened how often: a run in which nothing happens proves nothing.
    pub crashes: u32,
    pub delivered: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let random = Dice::new(seed);
        let disk = SimDisk::new();
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        let mut world = World {
            seed,
            random,
            disk,
            broker: None,
            clients,
            ledger: Ledger::default(),
            next_id: 0,
            next_tx: 0,
            next_session: 0,
            now: Now { monotonic_ms: 1_000_000, unix_ms: 1_700_000_000_000 },
            history: Vec::new(),
            lines: crate::number("SABIR_HISTORY").map_or(HISTORY, |lines| lines as usize),
            draining: false,
            armed: false,
            latest_unix_ms: 0,
            crashes: 0,
            delivered: 0,
        };
        world.start();
        world
    }

    /// Plays so many steps, then drains and checks.
    pub fn play(&mut self, steps: usize) {
        self.make_durable_subscriptions();
        for _ in 0..steps {
            self.step();
            if !self.ledger.violations.is_empty() {
                return;
            }
        }
        self.drain();
        self.ledger.finish();
    }

    /// Plays so many steps and tells the story.
    pub fn play_and_tell(mut self, steps: usize) -> String {
        for _ in 0..steps {
            self.step();
        }
        self.story()
    }

    /// The last things that happened, for people.
    pub fn story(&self) -> String {
        let from = self.history.len().saturating_sub(self.lines);
        format!("seed {}:\n  {}", self.seed, self.history[from..].join("\n  "))
    }

    fn note(&mut self, text: String) {
        if self.history.len() / 4 >= self.lines {
            self.history.drain(..2 * self.lines);
        }
        self.history.push(text);
    }

    fn config() -> Config {
        let mut config = Config::default();
        // Small bounds, so that paging, spilling and parking happen within a few messages.
        config.default_policy.resident_bytes = 2_000;
        config.default_policy.max_messages = 60;
        config.default_policy.redelivery_delay_ms = 50;
        config.limits.memory_bytes = 20_000;
        config.limits.page_records = 8;
        config.limits.page_bytes = 2_000;
        config.limits.transaction_spill_bytes = 1_500;
        config
    }

    fn start(&mut self) {
        let journal = Journal::open_on(Arc::new(self.disk.clone()), crate::small_files(), Host::none());
        let journal = match journal {
            Ok(journal) => journal,
            Err(error) if self.armed => return self.crash(&format!("it cannot open: {error}")),
            Err(error) => return self.ledger.violations.push(format!("the journal does not open: {error}")),
        };
        match Broker::start(journal, World::config(), self.now) {
            Ok(broker) => self.broker = Some(broker),
            Err(error) => self.ledger.violations.push(format!("the broker does not start: {error}")),
        }
    }

    fn step(&mut self) {
        let step = weighted(&mut self.random, &STEPS);
        let result = match step {
            Step::Client => {
                let client = pick(&mut self.random, self.clients.len());
                self.act(client);
                Ok(())
            }
            Step::Submit => self.with_broker(|broker, _| broker.submit().map(|_| ())),
            Step::Sync => self.with_broker(|broker, random| broker.sync(random, false).map(|_| ())),
            Step::Read => self.with_broker(|broker, random| {
                broker.read(random);
                broker.retry_refused()
            }),
            Step::Time => {
                let ms = self.random.roll() % if self.random.chance(10) { 40_000 } else { 200 };
                self.advance(ms)
            }
            Step::ClockJump => {
                let jump = (self.random.roll() % 7_200_000) as i64 - 3_600_000;
                self.note(format!("the clock jumps by {jump} ms"));
                self.latest_unix_ms = self.latest_unix_ms.max(self.now.unix_ms);
                self.now.unix_ms += jump;
                if jump < 0 {
                    self.ledger.clock_went_back();
                }
                self.advance(1)
            }
            Step::LoseClient => {
                let client = pick(&mut self.random, self.clients.len());
                self.lose(client);
                Ok(())
            }
            Step::Crash => {
                self.crash("power cut");
                Ok(())
            }
            Step::DiskFault => {
                let faults = self.pick_faults();
                self.note(format!("the disk will fail: {faults:?}"));
                self.disk.set_faults(faults);
                self.armed = true;
                Ok(())
            }
            Step::CleanStop => self.clean_stop(),
        };
        self.after(result);
    }

    fn with_broker(
        &mut self,
        act: impl FnOnce(&mut Broker, &mut Dice) -> Result<(), Died>,
    ) -> Result<(), Died> {
        let Some(broker) = self.broker.as_mut() else { return Ok(()) };
        broker.now = self.now;
        act(broker, &mut self.random)
    }

    fn advance(&mut self, ms: u64) -> Result<(), Died> {
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms as i64;
        self.with_broker(|broker, _| {
            broker.tick();
            Ok(())
        })
    }

    /// Takes what the broker said, and restarts it if it died.
    fn after(&mut self, result: Result<(), Died>) {
        self.take_outputs();
        if let Err(Died(why)) = result {
            // Only a disk that fails is a reason to die. Whatever else the store refuses, the engine asked wrongly.
            if !self.armed {
                self.ledger.violations.push(format!("the broker died and no disk had failed: {why}"));
            }
            self.crash(&why);
        }
    }

    fn crash(&mut self, why: &str) {
        self.note(format!("the broker dies: {why}"));
        self.crashes += 1;
        for client in &mut self.clients {
            client.lost_session(&mut self.ledger);
        }
        // The store is dropped without a close, then the disk forgets and tears what was not synced.
        self.broker = None;
        self.armed = false;
        if self.random.chance(30) {
            self.disk.kill();
        } else {
            self.disk.power_cut(&mut self.random);
        }
        self.ledger.restarted();
        self.start();
    }

    fn pick_faults(&mut self) -> Faults {
        let done = self.disk.operations();
        let after = 1 + self.random.below(20);
        match self.random.below(3) {
            0 => Faults { power_at: Some(done.all + after), ..Faults::default() },
            1 => Faults { write_fails: Some(done.writes + after), ..Faults::default() },
            _ => Faults { sync_fails: Some(done.syncs + after), ..Faults::default() },
        }
    }

    fn clean_stop(&mut self) -> Result<(), Died> {
        self.note("a clean stop".to_owned());
        for client in 0..self.clients.len() {
            self.lose(client);
        }
        self.with_broker(|broker, random| broker.settle_down(random))?;
        self.take_outputs();
        if let Some(broker) = self.broker.take()
            && let Err(error) = broker.stop()
        {
            self.note(format!("the store did not close: {error}"));
            self.disk.power_cut(&mut self.random);
        }
        self.ledger.restarted();
        self.start();
        Ok(())
    }

    fn lose(&mut self, client: usize) {
        let Some(session) = self.clients[client].session else { return };
        self.note(format!("client {client} is lost"));
        self.clients[client].lost_session(&mut self.ledger);
        self.tell(Input::Close { session });
        self.take_outputs();
    }

    fn tell(&mut self, input: Input<'_>) {
        if let Some(broker) = self.broker.as_mut() {
            broker.now = self.now;
            broker.tell(input);
        }
    }

    fn ask(&mut self, client: usize, asked: Asked, confirm: bool, id: u64, transaction: u64, verb: Verb) {
        let Some(session) = self.clients[client].session else { return };
        let token = self.clients[client].token(asked);
        let mut requests = vec![Request { token, confirm, id, transaction, verb }];
        self.tell(Input::Requests { session, requests: &mut requests });
        self.take_outputs();
    }

    // ---- what clients do

    fn open(&mut self, client: usize) {
        self.next_session += 1;
        let session = SessionId(self.next_session);
        self.clients[client].session = Some(session);
        let who = Who {
            client_id: Some(format!("client-{client}")),
            user: None,
            virtual_host: String::new(),
            connection_id: format!("connection-{}", self.next_session),
        };
        self.note(format!("client {client} opens session {}", session.0));
        self.tell(Input::Open { session, client: who });
        for (index, name) in QUEUES.iter().enumerate() {
            self.attach(client, index as u64 + 1, Destination::queue(name));
        }
        self.attach(client, QUEUES.len() as u64 + 1, Destination::topic(TOPIC));
    }

    fn attach(
        &mut self,
        client: usize,
        id: u64,
        destination: Result<Destination, sabir_model::destination::DestinationError>,
    ) {
        let destinations = destination.into_iter().collect();
        let attach = Attach { destinations, producer_name: None };
        self.ask(client, Asked::Other, false, id, 0, Verb::Attach(Box::new(attach)));
    }

    fn make_durable_subscriptions(&mut self) {
        for client in 0..DURABLE as usize {
            self.open(client);
            self.subscribe_durable(client);
        }
        let done = self.with_broker(|broker, random| broker.settle_down(random));
        self.after(done);
    }

    fn act(&mut self, client: usize) {
        if self.broker.is_none() {
            return;
        }
        if self.clients[client].session.is_none() {
            self.open(client);
        }
        match weighted(&mut self.random, &ACTS) {
            Act::Publish => self.publish(client),
            Act::Subscribe => self.subscribe(client),
            Act::Unsubscribe => self.unsubscribe(client),
            Act::Settle => self.settle(client),
            Act::Begin => self.begin(client),
            Act::End => self.end_transaction(client),
            Act::Credit => self.credit(client),
        }
    }

    fn publish(&mut self, client: usize) {
        self.next_id += 1;
        let id = self.next_id;
        let to_topic = self.random.chance(15);
        let queue = pick(&mut self.random, QUEUES.len());
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
        let message = write_message(&fixed, id, size);
        let tx = if self.random.chance(70) { self.clients[client].tx } else { None };
        // Order is promised among messages of one producer, one priority and one mode that every selector treats alike.
        let plain = !delayed && tx.is_none();
        let kind = u16::from(priority) * 4 + u16::from(persistent) * 2 + (id % 2) as u16;
        let lane = plain.then_some((client as u32, kind));
        let places = if to_topic {
            (0..DURABLE as Place).map(|c| SUBSCRIPTIONS + c).collect()
        } else {
            vec![queue as Place]
        };
        self.note(format!(
            "client {client} sends {id} to {places:?} persistent {persistent} priority {priority} tx {tx:?}"
        ));
        self.ledger.published(Publish { id, places, persistent, may_expire, lane, tx });
        let confirm = self.random.chance(80);
        let producer = if to_topic { QUEUES.len() + 1 } else { queue + 1 } as u64;
        self.ask(client, Asked::Publish(id), confirm, producer, tx.unwrap_or(0), Verb::Publish(message));
    }

    fn subscribe(&mut self, client: usize) {
        if (client as u32) < DURABLE && self.random.chance(50) {
            return self.subscribe_durable(client);
        }
        if self.clients[client].subscriptions.len() > 4 {
            return;
        }
        let queue = pick(&mut self.random, QUEUES.len());
        let browse = self.random.chance(10);
        let selector = self.random.chance(25).then(|| format!("parity = {}", self.random.roll() % 2));
        let credit = 1 + self.random.roll() % 20;
        self.note(format!("client {client} subscribes to place {queue} credit {credit} browse {browse} selector {selector:?}"));
        let subscribe =
            Subscribe { selector, browse, credit, ..plain_subscribe(Destination::queue(QUEUES[queue])) };
        let place = (!browse).then_some(queue as Place);
        self.make_subscription(client, place, subscribe);
    }

    fn subscribe_durable(&mut self, client: usize) {
        let place = SUBSCRIPTIONS + client as Place;
        if self.clients[client].subscriptions.values().any(|other| *other == Some(place)) {
            return;
        }
        self.note(format!("client {client} takes up its durable subscription"));
        let subscribe = Subscribe {
            name: Some("desk".to_owned()),
            durable: true,
            credit: 5,
            ..plain_subscribe(Destination::topic(TOPIC))
        };
        self.make_subscription(client, Some(place), subscribe);
    }

    fn make_subscription(&mut self, client: usize, place: Option<Place>, subscribe: Subscribe) {
        let one = &mut self.clients[client];
        one.next_subscription += 1;
        let id = one.next_subscription;
        one.subscriptions.insert(id, place);
        self.ask(client, Asked::Other, false, id, 0, Verb::Subscribe(Box::new(subscribe)));
    }

    fn unsubscribe(&mut self, client: usize) {
        let ids: Vec<u64> = self.clients[client].subscriptions.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[pick(&mut self.random, ids.len())];
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
        self.ask(client, Asked::Other, false, id, 0, Verb::Credit { amount, set: false });
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
            _ => (Outcome::Reject { reason: "simulated".to_owned() }, true),
        };
        self.note(format!("client {client} gives {} back to place {}: {outcome:?}", held.id, held.place));
        self.clients[client].held.remove(index);
        self.ledger.given_back(held.id, held.place, rejected);
        let range = SettleRange::Tags { first: held.tag, last: held.tag };
        self.ask(client, Asked::Other, false, held.subscription, 0, Verb::Settle(Settle { range, outcome }));
    }

    fn accept(&mut self, client: usize, held: Held, tx: Option<Tx>) {
        let cumulative = self.random.chance(20);
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
        self.note(format!("client {client} begins {tx}"));
        self.ask(client, Asked::Other, false, 0, tx, Verb::Transact(Transact::Begin));
    }

    fn end_transaction(&mut self, client: usize) {
        let Some(tx) = self.clients[client].tx.take() else { return };
        let commit = self.random.chance(70);
        self.note(format!("client {client} {} {tx}", if commit { "commits" } else { "rolls back" }));
        let settled = std::mem::take(&mut self.clients[client].settled_in_tx);
        if commit {
            self.ledger.commit_asked(tx);
            self.ask(client, Asked::Commit(tx), true, 0, tx, Verb::Transact(Transact::Commit));
        } else {
            self.ledger.rolled_back(tx);
            drop(settled);
            self.ask(client, Asked::Rollback, true, 0, tx, Verb::Transact(Transact::Rollback));
        }
    }

    // ---- what the broker says

    fn take_outputs(&mut self) {
        let Some(broker) = self.broker.as_mut() else { return };
        let replies = std::mem::take(&mut broker.out.replies);
        let deliveries = std::mem::take(&mut broker.out.deliveries);
        let closes = std::mem::take(&mut broker.out.closes);
        broker.out.flow.clear();
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
            Asked::Publish(_) | Asked::Accept(_) | Asked::Commit(_) if unknown => {}
            Asked::Publish(id) => self.ledger.publish_answered(id, refused.is_none()),
            Asked::Accept(copies) => {
                for (id, place) in copies {
                    if refused.is_none() {
                        self.ledger.accept_confirmed(id, place);
                    } else {
                        self.ledger.accept_refused(id, place);
                    }
                }
            }
            Asked::Commit(tx) if refused.is_none() => self.ledger.committed(tx),
            Asked::Commit(tx) => self.ledger.rolled_back(tx),
            Asked::Rollback | Asked::Other => {}
        }
    }

    fn deliver(&mut self, session: SessionId, delivery: Delivery) {
        let Some(client) = self.client_of(session) else { return };
        let DeliveryKind::Message { message, redelivered, redelivery_count, .. } = delivery.kind else {
            return;
        };
        self.delivered += 1;
        let Some(id) = identity(&message) else {
            return self.ledger.violations.push(format!("a damaged message was delivered: {message:?}"));
        };
        let Some(place) = self.clients[client].subscriptions.get(&delivery.subscription).copied() else {
            return;
        };
        // A browser looks and holds nothing.
        let Some(place) = place else { return };
        self.note(format!(
            "client {client} gets {id} from place {place} tag {} redelivered {redelivered}",
            delivery.tag
        ));
        self.ledger.delivered(id, place, holder(session), redelivered || redelivery_count > 0);
        if self.draining {
            self.ledger.drained(id, place);
        }
        let held = Held { tag: delivery.tag, subscription: delivery.subscription, id, place };
        self.clients[client].held.push(held);
    }

    // ---- the end

    /// Takes out all that is left, through new consumers, and accepts nothing but what must make room.
    fn drain(&mut self) {
        // Whatever fault still waits goes with the power; half of the worlds end without any.
        if self.armed || self.random.chance(50) {
            self.crash("the end of the world");
        }
        for client in 0..self.clients.len() {
            self.lose(client);
        }
        let done = self.with_broker(|broker, random| broker.settle_down(random));
        self.after(done);
        self.draining = true;
        // However far the clock went back, every delay ends within what follows.
        self.now.unix_ms = self.now.unix_ms.max(self.latest_unix_ms);
        self.open(0);
        for (index, name) in QUEUES.iter().enumerate() {
            let subscribe = Subscribe { credit: 1_000_000, ..plain_subscribe(Destination::queue(name)) };
            self.make_subscription(0, Some(index as Place), subscribe);
        }
        let subscribe =
            Subscribe { credit: 1_000_000, ..plain_subscribe(Destination::queue(DEAD_LETTER_QUEUE)) };
        self.make_subscription(0, Some(DEAD_LETTERS), subscribe);
        for client in 0..DURABLE as usize {
            if client > 0 {
                self.open(client);
            }
            let subscribe = Subscribe {
                name: Some("desk".to_owned()),
                durable: true,
                credit: 1_000_000,
                ..plain_subscribe(Destination::topic(TOPIC))
            };
            self.make_subscription(client, Some(SUBSCRIPTIONS + client as Place), subscribe);
        }
        // Long enough for every delay and every sweep.
        for _ in 0..400 {
            let done = self.with_broker(|broker, random| broker.settle_down(random));
            self.after(done);
            let done = self.advance(40_000);
            self.after(done);
        }
    }
}

fn pick(dice: &mut Dice, bound: usize) -> usize {
    dice.below(bound as u64) as usize
}

/// One of the choices, by weight.
fn weighted<T: Copy>(dice: &mut Dice, choices: &[(u32, T)]) -> T {
    let total: u32 = choices.iter().map(|(weight, _)| weight).sum();
    let mut at = dice.below(u64::from(total)) as u32;
    for (weight, choice) in choices {
        if at < *weight {
            return *choice;
        }
        at -= weight;
    }
    unreachable!("the weights add up to their total")
}

fn plain_subscribe(
    destination: Result<Destination, sabir_model::destination::DestinationError>,
) -> Subscribe {
    Subscribe {
        destinations: destination.into_iter().collect(),
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
fn write_message(fixed: &Fixed, id: Id, size: usize) -> Message {
    let mut bytes = Vec::new();
    let mut head = HeadWriter::new(&mut bytes, fixed);
    let written = head.field(Field::Id, format!("ID:{id}").as_bytes())
        && head.property("number", &Value::Long(id as i64))
        && head.property("parity", &Value::Long((id % 2) as i64));
    assert!(written, "the fields are short");
    head.finish();
    bytes.extend_from_slice(id.to_string().as_bytes());
    bytes.push(b' ');
    bytes.resize(bytes.len() + size, b'x');
    Message::joined(Bytes::from(bytes)).expect("the head was just written")
}

/// The number of a message, if its three places agree.
fn identity(message: &Message) -> Option<Id> {
    let head = message.head();
    let Some(Value::Long(number)) = head.property("number") else { return None };
    let body = std::str::from_utf8(message.body()).ok()?;
    let in_body: i64 = body.split(' ').next()?.parse().ok()?;
    let in_id = head.text(Field::Id)? == format!("ID:{number}");
    (in_body == number && in_id).then_some(number as Id)
}

/// Logs that are forgotten at a restart must not carry what was promised to last.
const _: () = assert!(TEMPORARY == 1 << 63);
