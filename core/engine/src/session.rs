// SPDX-License-Identifier: Apache-2.0
//! One connection: its producers, subscriptions and transactions, and the order of its answers.
//!
//! Answers leave in the order of the requests, each when the batch that it waits for is committed. A parked publish
//! holds back the answers to later publishes, but not those to settles and other verbs: whoever both produces and
//! consumes must be able to make room.

use crate::bodies::Upload;
use crate::commit::{CommitId, Commits};
use crate::duplicates::Named;
use crate::input::Client;
use crate::output::{FlowChange, Outputs};
use crate::queue::Queue;
use crate::routing::{Targets, VirtualHost};
use crate::slab::Key;
use crate::subscription::Subscription;
use crate::transaction::Transaction;
use sabir_model::verb::{Answer, Reply, SessionId};
use std::collections::{BTreeMap, VecDeque};

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    pub id: SessionId,
    pub client: Client,
    pub virtual_host: Key<VirtualHost>,
    pub producers: BTreeMap<u64, Targets>,
    /// Of `producers`: those whose repetitions are known.
    pub named: BTreeMap<u64, Named>,
    pub subscriptions: BTreeMap<u64, Key<Subscription>>,
    pub transactions: BTreeMap<u64, Transaction>,
    /// Queues that go with the session: its temporary and exclusive ones.
    pub owned_queues: Vec<Key<Queue>>,
    /// Names of temporary topics that go with the session.
    pub owned_topics: Vec<Box<str>>,
    pub line: Line,
    /// The tag of the last delivery.
    pub last_tag: u64,
    /// Deliveries not settled.
    pub unsettled: usize,
    /// Publishes that wait for room, and their bytes.
    pub parked: usize,
    pub parked_bytes: usize,
    /// Whether the server was asked to stop reading because of them.
    pub paused: bool,
    /// Whether it was asked to because a queue has no room in memory for a moment.
    pub held: bool,
    /// The body that it is sending in pieces.
    pub upload: Option<Upload>,
    /// It has said that it will end.
    pub orderly: bool,
    /// The batch for which the session is already noted.
    pub noted: CommitId,
}

impl Session {
    pub fn new(id: SessionId, client: Client, virtual_host: Key<VirtualHost>) -> Self {
        Session {
            id,
            client,
            virtual_host,
            producers: BTreeMap::new(),
            named: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            transactions: BTreeMap::new(),
            owned_queues: Vec::new(),
            owned_topics: Vec::new(),
            line: Line::default(),
            last_tag: 0,
            unsettled: 0,
            parked: 0,
            parked_bytes: 0,
            paused: false,
            held: false,
            upload: None,
            orderly: false,
            noted: CommitId(0),
        }
    }

    /// Takes a producer out.
    pub fn remove_producer(&mut self, id: u64) -> Option<Targets> {
        self.named.remove(&id);
        self.producers.remove(&id)
    }

    /// Whether it does nothing but publish through one producer.
    pub fn only_produces(&self) -> bool {
        self.subscriptions.is_empty() && self.transactions.is_empty() && self.producers.len() <= 1
    }

    /// Tells the server how the session's publishes fare; `reason`: why they wait, if they do.
    pub fn tell_flow(&self, reason: impl FnOnce() -> String, out: &mut Outputs) {
        let (parked, pause_reading) = (self.parked > 0, self.paused || self.held);
        let reason = if parked || pause_reading { reason() } else { String::new() };
        out.flow.push((self.id, FlowChange { parked, pause_reading, reason }));
    }
}

/// What an answer is to, as far as its place in line depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A publish: stays in line behind parked ones.
    Publish,
    /// A settle that only removes: a full store does not hold it back.
    Removal,
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Waiting {
    token: u64,
    /// The batch that must be committed first.
    need: CommitId,
    /// `None`: the publish is parked.
    answer: Option<Answer>,
    kind: Kind,
}

/// The answers that a session waits for.
#[derive(Debug, Default)]
pub(crate) struct Line {
    waiting: VecDeque<Waiting>,
    /// Tickets of answers that have left.
    base: u64,
    /// Parked publishes in `waiting`.
    parked: usize,
    /// Answers that do not wait for parked publishes.
    aside: VecDeque<Waiting>,
    /// The latest batch that any answer so far needs: later ones need no earlier one.
    need: CommitId,
}

/// Place of a parked publish in its session's line.
pub(crate) type Ticket = u64;

impl Line {
    /// Adds an answer that counts once the batch `need` is committed. `held`: the store refuses batches.
    pub fn push(&mut self, token: u64, need: CommitId, answer: Answer, kind: Kind, held: bool) {
        let aside = (self.parked > 0 && kind != Kind::Publish) || (held && kind == Kind::Removal);
        if aside || (kind == Kind::Removal && !self.aside.is_empty()) {
            self.aside.push_back(Waiting { token, need, answer: Some(answer), kind });
            return;
        }
        self.need = self.need.max(need);
        self.waiting.push_back(Waiting { token, need: self.need, answer: Some(answer), kind });
    }

    /// Keeps the place of a publish that is parked.
    pub fn park(&mut self, token: u64) -> Ticket {
        self.parked += 1;
        self.waiting.push_back(Waiting { token, need: CommitId(0), answer: None, kind: Kind::Publish });
        self.base + self.waiting.len() as u64 - 1
    }

    /// The parked publish has its answer, which counts once the batch `need` is committed.
    pub fn unpark(&mut self, ticket: Ticket, need: CommitId, answer: Answer) {
        let at = ticket.wrapping_sub(self.base) as usize;
        if let Some(waiting) = self.waiting.get_mut(at)
            && waiting.answer.is_none()
        {
            self.parked -= 1;
            waiting.need = need;
            waiting.answer = Some(answer);
        }
    }

    /// Lets the answers leave whose time has come.
    pub fn flush(&mut self, session: SessionId, commits: &Commits, out: &mut Outputs) {
        while let Some(front) = self.waiting.front() {
            let moved_aside = front.answer.is_none() && front.kind != Kind::Publish;
            if !moved_aside && (front.answer.is_none() || !commits.has(front.need)) {
                break;
            }
            self.base += 1;
            if let Some(Waiting { token, answer: Some(answer), .. }) = self.waiting.pop_front() {
                out.replies.push((session, Reply { token, answer }));
            }
        }
        while let Some(front) = self.aside.front() {
            if !commits.has(front.need) {
                break;
            }
            if let Some(Waiting { token, answer: Some(answer), .. }) = self.aside.pop_front() {
                out.replies.push((session, Reply { token, answer }));
            }
        }
    }

    /// What settles waited for moved from the batch `from` to the batch `to`: they no longer wait behind publishes.
    pub fn move_aside(&mut self, from: CommitId, to: CommitId) {
        let mut moved = VecDeque::new();
        for waiting in &mut self.waiting {
            if waiting.need == from && waiting.kind == Kind::Removal {
                moved.push_back(Waiting {
                    token: waiting.token,
                    need: to,
                    answer: waiting.answer.take(),
                    kind: Kind::Removal,
                });
            }
        }
        // Others keep what they need: that batch comes later than `to`, although its number is lower.
        for waiting in &mut self.aside {
            if waiting.need == from && waiting.kind == Kind::Removal {
                waiting.need = to;
            }
        }
        if moved.is_empty() {
            return;
        }
        // Their places stay in line, for the sake of the tickets behind them; `flush` skips them.
        self.need = self.need.max(to);
        moved.append(&mut self.aside);
        self.aside = moved;
    }

    /// What does not only remove has not gone with the batch `from` and goes with the batch `to`. True: something
    /// waits for that.
    pub fn put_off(&mut self, from: CommitId, to: CommitId) -> bool {
        let mut any = false;
        for waiting in self.waiting.iter_mut().chain(&mut self.aside) {
            if waiting.need == from && waiting.kind != Kind::Removal {
                waiting.need = to;
                any = true;
            }
        }
        if any {
            self.need = self.need.max(to);
        }
        any
    }

    /// Everything that waits for an answer gets this one.
    pub fn refuse_all(&mut self, session: SessionId, answer: &Answer, out: &mut Outputs) {
        self.base += self.waiting.len() as u64;
        for waiting in self.waiting.drain(..).chain(self.aside.drain(..)) {
            if waiting.answer.is_none() && waiting.kind != Kind::Publish {
                continue;
            }
            out.replies.push((session, Reply { token: waiting.token, answer: answer.clone() }));
        }
        self.parked = 0;
    }
}
