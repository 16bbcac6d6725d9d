// SPDX-License-Identifier: Apache-2.0
//! An engine, a store and the hands between them. Time stands still unless a test moves it.

use crate::store::Store;
use bytes::Bytes;
use sabir_engine::{Admin, Client, CommitId, CommitNeed, Config, Engine, Input, Outputs};
use sabir_model::delivery::DeliveryKind;
use sabir_model::fields::{self, number};
use sabir_model::message::{Apart, Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::store::{Batch, Level, Op};
use sabir_model::verb::{
    Answer, Attach, Declare, Outcome, Query, Reason, Reply, Request, SessionId, Settle, SettleRange,
    Subscribe, Transact, Verb,
};
use sabir_model::{Branch, BranchAct, BranchStep, Delivery, Destination, Message, Now};
use std::collections::{BTreeMap, VecDeque};

/// A message to be made.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'t> {
    pub text: &'t str,
    pub persistent: bool,
    pub priority: u8,
    pub expiration_ms: i64,
    pub deliver_at_ms: i64,
    pub color: Option<&'t str>,
    pub sequence: Option<u64>,
    pub group: Option<&'t str>,
    /// It is the last of its group.
    pub closes_group: bool,
    pub sent_ms: i64,
}

/// A persistent message of normal priority.
pub fn draft(text: &str) -> Draft<'_> {
    Draft {
        text,
        persistent: true,
        priority: 4,
        expiration_ms: 0,
        deliver_at_ms: 0,
        color: None,
        sequence: None,
        group: None,
        closes_group: false,
        sent_ms: 0,
    }
}

impl Draft<'_> {
    pub fn message(&self) -> Message {
        let fixed = Fixed {
            persistent: self.persistent,
            priority: self.priority,
            expiration_ms: self.expiration_ms,
            deliver_at_ms: self.deliver_at_ms,
            timestamp_ms: self.sent_ms,
            ..Fixed::default()
        };
        let mut bytes = Vec::new();
        let mut writer = HeadWriter::new(&mut bytes, &fixed);
        assert!(writer.field(Field::Id, self.text.as_bytes()));
        if let Some(group) = self.group {
            assert!(writer.field(Field::Group, group.as_bytes()));
        }
        if self.closes_group {
            assert!(writer.field(Field::GroupSequence, &(-1i32).to_le_bytes()));
        }
        if let Some(sequence) = self.sequence {
            assert!(writer.producer_sequence(sequence));
        }
        if let Some(color) = self.color {
            assert!(writer.property("color", &Value::Text(color)));
        }
        writer.finish();
        bytes.extend_from_slice(self.text.as_bytes());
        Message::joined(Bytes::from(bytes)).unwrap()
    }
}

/// What a consumer got, reduced to what tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub subscription: u64,
    pub tag: u64,
    pub text: String,
    pub count: u32,
    pub redelivered: bool,
    pub group_first: bool,
    pub label: Bytes,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    Done,
    Told(String),
    Refused(Reason),
}

pub struct Broker {
    pub engine: Engine,
    /// What the store has taken.
    pub store: Store,
    /// What of that is durable.
    pub durable: Store,
    /// Batches taken by the store and not durable, in order.
    pub unsynced: VecDeque<(CommitId, Batch)>,
    pub now: Now,
    pub out: Outputs,
    config: Config,
    /// Deliveries by session, not yet looked at.
    pub deliveries: BTreeMap<u64, VecDeque<Delivery>>,
    /// Replies by session, not yet looked at.
    pub replies: BTreeMap<u64, VecDeque<Reply>>,
    /// Behind how many deliveries of their session answers to drains came, by token.
    pub behind: BTreeMap<u64, usize>,
    /// Bytes of bodies in pieces that were taken, by session.
    pub taken: BTreeMap<u64, u64>,
    /// Whether batches are committed by themselves.
    pub auto_commit: bool,
    next_token: u64,
    pub batches: usize,
    /// The store has no room for anything but removals.
    full: bool,
    /// What it had no room for.
    refused: Vec<(CommitId, Batch)>,
    last: CommitId,
}

impl Broker {
    pub fn new() -> Broker {
        Broker::with(Config::default())
    }

    pub fn with(config: Config) -> Broker {
        Broker::over(config, Store::default(), Now { monotonic_ms: 1_000, unix_ms: 1_700_000_000_000 })
    }

    fn over(config: Config, store: Store, now: Now) -> Broker {
        let keys = store.keys.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        let engine = Engine::recover(config.clone(), now, store.summaries(), keys).unwrap();
        let mut broker = Broker {
            engine,
            durable: store.clone(),
            store,
            unsynced: VecDeque::new(),
            now,
            out: Outputs::default(),
            config,
            deliveries: BTreeMap::new(),
            replies: BTreeMap::new(),
            behind: BTreeMap::new(),
            taken: BTreeMap::new(),
            auto_commit: true,
            next_token: 1,
            batches: 0,
            full: false,
            refused: Vec::new(),
            last: CommitId(0),
        };
        broker.input(Input::Tick);
        broker
    }

    /// The process dies: of what was not durable, the store keeps the first `kept` batches.
    pub fn crash(mut self, kept: usize) -> Broker {
        for (_, batch) in self.unsynced.iter().take(kept) {
            self.durable.apply(batch);
        }
        let now = Now { monotonic_ms: 5, unix_ms: self.now.unix_ms + 50 };
        Broker::over(self.config, self.durable.reopened(), now)
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input, &mut self.out);
        self.serve();
    }

    /// Answers reads and, if so told, commits, until nothing more happens.
    pub fn serve(&mut self) {
        loop {
            for (session, delivery) in self.out.deliveries.drain(..) {
                self.deliveries.entry(session.0).or_default().push_back(delivery);
            }
            for (session, reply) in self.out.replies.drain(..) {
                self.replies.entry(session.0).or_default().push_back(reply);
            }
            for (session, bytes) in self.out.taken.drain(..) {
                *self.taken.entry(session.0).or_default() += bytes;
            }
            for (session, reply) in self.out.drained.drain(..) {
                let behind = self.deliveries.get(&session.0).map_or(0, VecDeque::len);
                self.behind.insert(reply.token, behind);
                self.replies.entry(session.0).or_default().push_back(reply);
            }
            if let Some(request) = self.out.reads.pop() {
                let (records, damaged) = self.store.read(&request.read);
                let error = damaged.then(|| "damaged".to_owned());
                let input = Input::Records { read: request.id, records, error };
                self.engine.handle(self.now, input, &mut self.out);
                continue;
            }
            if !self.auto_commit || self.out.commit == CommitNeed::None {
                return;
            }
            if self.submit().is_none() {
                return;
            }
            self.sync(usize::MAX);
        }
    }

    /// The store takes the pending batch.
    pub fn submit(&mut self) -> Option<CommitId> {
        let mut batch = Batch::default();
        let id = self.engine.take_batch(&mut batch)?;
        self.batches += 1;
        self.last = id;
        let frees = |op: &Op| matches!(op, Op::Remove { .. } | Op::Trim { .. } | Op::Delete { .. });
        if self.full && !batch.ops.iter().all(frees) {
            let input = Input::StoreFull { commit: id, batch: &mut batch };
            self.engine.handle(self.now, input, &mut self.out);
            self.refused.push((id, batch));
            return Some(id);
        }
        self.store.apply(&batch);
        self.unsynced.push_back((id, batch));
        self.out.commit = CommitNeed::None;
        Some(id)
    }

    /// The store makes up to `count` batches durable, and says so.
    pub fn sync(&mut self, count: usize) {
        for _ in 0..count {
            let Some((_, batch)) = self.unsynced.pop_front() else { break };
            assert!(batch.level == Level::Durable || batch.level == Level::Written);
            self.durable.apply(&batch);
        }
        let next = self.unsynced.iter().map(|(id, _)| id.0).min();
        let commit = next.map_or(self.last, |next| CommitId(next - 1));
        self.engine.handle(self.now, Input::Committed { commit }, &mut self.out);
    }

    /// From now on the store has no room.
    pub fn fill_up(&mut self) {
        self.full = true;
    }

    /// The store has room again, and takes what it had refused.
    pub fn make_room(&mut self) {
        self.full = false;
        if self.refused.is_empty() {
            return;
        }
        for (id, batch) in std::mem::take(&mut self.refused) {
            self.store.apply(&batch);
            self.unsynced.push_back((id, batch));
        }
        self.input(Input::StoreRoom);
    }

    /// Commits everything.
    pub fn commit(&mut self) {
        while self.submit().is_some() {
            self.sync(usize::MAX);
            let auto = std::mem::replace(&mut self.auto_commit, false);
            self.serve();
            self.auto_commit = auto;
        }
    }

    /// Time passes, and the deadline comes if there is one by then.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.monotonic_ms + ms;
        while let Some(deadline) = self.out.deadline_ms.filter(|deadline| *deadline <= end) {
            let step = deadline.saturating_sub(self.now.monotonic_ms).max(1);
            self.advance(step.min(end.saturating_sub(self.now.monotonic_ms).max(1)));
            self.input(Input::Tick);
            if self.now.monotonic_ms >= end {
                return;
            }
        }
        self.advance(end - self.now.monotonic_ms);
    }

    pub fn advance(&mut self, ms: u64) {
        self.now.monotonic_ms += ms;
        self.now.unix_ms += ms as i64;
    }

    pub fn open(&mut self, session: u64) {
        self.open_as(session, None);
    }

    pub fn open_as(&mut self, session: u64, client_id: Option<&str>) {
        let client = Client {
            client_id: client_id.map(str::to_owned),
            connection_id: format!("c{session}"),
            ..Client::default()
        };
        self.input(Input::Open { session: SessionId(session), client });
    }

    pub fn open_user(&mut self, session: u64, user: &str) {
        let client = Client { user: Some(user.to_owned()), ..Client::default() };
        self.input(Input::Open { session: SessionId(session), client });
    }

    pub fn close(&mut self, session: u64) {
        self.input(Input::Close { session: SessionId(session) });
    }

    pub fn admin(&mut self, admin: Admin) {
        self.input(Input::Admin(admin));
    }

    /// Sends a request without looking at what comes of it. Answers its token.
    pub fn send(&mut self, session: u64, id: u64, transaction: u64, verb: Verb) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let mut requests = vec![Request { token, confirm: true, id, transaction, verb }];
        self.input(Input::Requests { session: SessionId(session), requests: &mut requests });
        assert!(requests.is_empty());
        token
    }

    /// The answer to a request, if it has come.
    pub fn answer(&mut self, session: u64, token: u64) -> Option<Reaction> {
        let replies = self.replies.get_mut(&session)?;
        let at = replies.iter().position(|reply| reply.token == token)?;
        Some(match replies.remove(at)?.answer {
            Answer::Done => Reaction::Done,
            Answer::Told(told) => Reaction::Told(told.text),
            Answer::Refused(refusal) => Reaction::Refused(refusal.reason),
        })
    }

    /// Sends a request whose answer comes at once.
    pub fn ask(&mut self, session: u64, id: u64, transaction: u64, verb: Verb) -> Reaction {
        let token = self.send(session, id, transaction, verb);
        self.answer(session, token).expect("an answer")
    }

    pub fn done(&mut self, session: u64, id: u64, transaction: u64, verb: Verb) {
        assert_eq!(self.ask(session, id, transaction, verb), Reaction::Done);
    }

    /// Makes a producer for these destinations.
    pub fn produce(&mut self, session: u64, id: u64, destinations: &[&str]) {
        let attach = Attach { destinations: parse(destinations), producer_name: None };
        let token = self.send(session, id, 0, Verb::Attach(Box::new(attach)));
        assert_eq!(self.answer(session, token), Some(Reaction::Done));
    }

    /// Makes a producer that has a name for this queue.
    pub fn produce_as(&mut self, session: u64, id: u64, name: &str, destinations: &[&str]) {
        let attach = Attach { destinations: parse(destinations), producer_name: Some(name.to_owned()) };
        self.done(session, id, 0, Verb::Attach(Box::new(attach)));
    }

    pub fn publish(&mut self, session: u64, producer: u64, draft: Draft<'_>) -> u64 {
        self.send(session, producer, 0, Verb::Publish(draft.message()))
    }

    /// Sends pieces of a body.
    pub fn pieces(&mut self, session: u64, pieces: &[&[u8]]) {
        let piece = |(at, bytes): (usize, &&[u8])| Request {
            token: 0,
            confirm: false,
            id: 0,
            transaction: 0,
            verb: Verb::Piece { bytes: Bytes::copy_from_slice(bytes), first: at == 0 },
        };
        let mut requests = pieces.iter().enumerate().map(piece).collect();
        self.input(Input::Requests { session: SessionId(session), requests: &mut requests });
    }

    /// Sends a message whose body comes in pieces.
    pub fn publish_long(
        &mut self,
        session: u64,
        transaction: u64,
        draft: Draft<'_>,
        pieces: &[&[u8]],
    ) -> u64 {
        self.pieces(session, pieces);
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        let message = draft.message().with_body(Apart::Arrived(len));
        self.send(session, 1, transaction, Verb::Publish(message))
    }

    /// The bodies of what has come for a session since the last look, with what came.
    pub fn got_long(&mut self, session: u64) -> Vec<(Delivery, Vec<u8>)> {
        let queue = self.deliveries.remove(&session).unwrap_or_default();
        let with_body = |delivery: Delivery| {
            let DeliveryKind::Message { message, .. } = &delivery.kind else { return None };
            let stored = message.stored_body().expect("the body lies in the store");
            let body = self.store.body(stored.at());
            assert_eq!(body.len() as u64, stored.at().len);
            Some((delivery, body))
        };
        queue.into_iter().filter_map(with_body).collect()
    }

    /// Publishes persistent messages and expects them to be confirmed.
    pub fn publish_all<'t>(&mut self, session: u64, producer: u64, texts: impl IntoIterator<Item = &'t str>) {
        for text in texts {
            let token = self.publish(session, producer, draft(text));
            assert_eq!(self.answer(session, token), Some(Reaction::Done), "publishing {text}");
        }
    }

    pub fn subscribe(&mut self, session: u64, id: u64, destinations: &[&str], credit: u64) {
        self.subscribe_with(session, id, Subscribe { credit, ..subscribe(destinations) });
    }

    pub fn subscribe_with(&mut self, session: u64, id: u64, subscribe: Subscribe) {
        self.done(session, id, 0, Verb::Subscribe(Box::new(subscribe)));
    }

    pub fn declare(&mut self, session: u64, destination: &str) -> Reaction {
        let declare = Declare {
            destination: Destination::parse(destination).unwrap(),
            exchange_kind: None,
            durable: true,
            auto_delete: false,
            exclusive: false,
            passive: false,
        };
        self.ask(session, 0, 0, Verb::Declare(Box::new(declare)))
    }

    pub fn settle(&mut self, session: u64, subscription: u64, tag: u64, outcome: Outcome) -> Reaction {
        let settle = Settle { range: SettleRange::Tags { first: tag, last: tag }, outcome };
        self.ask(session, subscription, 0, Verb::Settle(settle))
    }

    pub fn settle_in(
        &mut self,
        session: u64,
        transaction: u64,
        subscription: u64,
        tag: u64,
        outcome: Outcome,
    ) {
        let settle = Settle { range: SettleRange::Tags { first: tag, last: tag }, outcome };
        self.done(session, subscription, transaction, Verb::Settle(settle));
    }

    pub fn accept(&mut self, session: u64, got: &Got) {
        assert_eq!(self.settle(session, got.subscription, got.tag, Outcome::Accept), Reaction::Done);
    }

    pub fn release(&mut self, session: u64, got: &Got) {
        let outcome = Outcome::Release { delay_ms: None };
        assert_eq!(self.settle(session, got.subscription, got.tag, outcome), Reaction::Done);
    }

    pub fn transact(&mut self, session: u64, transaction: u64, what: Transact) -> Reaction {
        self.ask(session, 0, transaction, Verb::Transact(what))
    }

    /// A step of the branch with this number.
    pub fn branch(&mut self, session: u64, transaction: u64, act: BranchAct, number: u8) -> Reaction {
        self.ask(session, 0, transaction, Verb::Branch(Box::new(BranchStep::new(act, branch(number)))))
    }

    /// The numbers of the branches that a session is told are prepared.
    pub fn prepared(&mut self, session: u64) -> Vec<u8> {
        let token = self.send(session, 0, 0, Verb::Query(Box::new(Query::Prepared { all: false })));
        let fields = self.told(session, token);
        let branches =
            fields::iter(&fields).map(Result::unwrap).filter(|(field, _)| *field == number::BRANCH);
        branches.map(|(_, bytes)| Branch::from_bytes(bytes).unwrap().qualifier[0]).collect()
    }

    /// The fields of the answer to a request, which has come.
    pub fn told(&mut self, session: u64, token: u64) -> Vec<u8> {
        let replies = self.replies.get_mut(&session).expect("replies");
        let at = replies.iter().position(|reply| reply.token == token).expect("an answer");
        match replies.remove(at).unwrap().answer {
            Answer::Told(told) => told.fields,
            other => panic!("{other:?}"),
        }
    }

    /// What has come for a session since the last look.
    pub fn got(&mut self, session: u64) -> Vec<Got> {
        let queue = self.deliveries.remove(&session).unwrap_or_default();
        queue.into_iter().filter_map(|delivery| message_of(&delivery)).collect()
    }

    /// The texts of what has come.
    pub fn texts(&mut self, session: u64) -> Vec<String> {
        self.got(session).into_iter().map(|got| got.text).collect()
    }
}

fn message_of(delivery: &Delivery) -> Option<Got> {
    let DeliveryKind::Message { message, label, redelivery_count, redelivered, group_first, .. } =
        &delivery.kind
    else {
        return None;
    };
    Some(Got {
        subscription: delivery.subscription,
        tag: delivery.tag,
        text: String::from_utf8(message.body().to_vec()).unwrap(),
        count: *redelivery_count,
        redelivered: *redelivered,
        group_first: *group_first,
        label: label.clone(),
    })
}

/// The branch with this number.
pub fn branch(number: u8) -> Branch {
    Branch::new(77, &[1, 2, 3], &[number]).unwrap()
}

pub fn parse(destinations: &[&str]) -> Vec<Destination> {
    destinations.iter().map(|one| Destination::parse(one).unwrap()).collect()
}

/// A subscription with credit for everything.
pub fn subscribe(destinations: &[&str]) -> Subscribe {
    Subscribe {
        destinations: parse(destinations),
        selector: None,
        name: None,
        credit: 1_000_000,
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
