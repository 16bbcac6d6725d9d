// SPDX-License-Identifier: Apache-2.0
//! Simulated clients: what they have asked for, what they hold, and how answers and deliveries change that.

use crate::ledger::{Id, Ledger, Place, Tx};
use crate::scene::Desk;
use sabir_model::{Message, SessionId};
use std::collections::BTreeMap;

/// What a request was, to be looked up by its token when the answer comes.
#[derive(Clone, Debug)]
pub enum Asked {
    Publish(Id),
    Accept(Vec<(Id, Place)>),
    Commit(Tx),
    /// A branch is prepared.
    Prepare(Tx),
    /// A prepared branch is committed or rolled back.
    End(Tx),
    Rollback,
    Other,
}

/// A delivery that is not settled.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub tag: u64,
    pub subscription: u64,
    pub id: Id,
    pub place: Place,
}

/// A publish without an answer, to be sent again.
#[derive(Clone, Debug)]
pub struct Unanswered {
    pub id: Id,
    /// The session's number of the producer: the same in every session.
    pub producer: u64,
    pub message: Message,
}

/// What a subscription takes from.
#[derive(Clone, Copy, Debug)]
pub enum From {
    /// Queues, or a durable subscription.
    Places(&'static [Place]),
    Desk(Place),
    /// The topics of a desk, as long as the session lasts.
    Passing(&'static Desk),
    /// It looks at a queue, and holds nothing.
    Browser(&'static [Place]),
}

/// A subscription, as its client knows it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub from: From,
    /// Numbers of messages, modulo 2, that its selector lets pass.
    pub parity: Option<u64>,
}

/// One client; it opens a new session whenever it lost the one before.
#[derive(Debug, Default)]
pub struct Client {
    pub session: Option<SessionId>,
    pub next_token: u64,
    pub asked: BTreeMap<u64, Asked>,
    pub subscriptions: BTreeMap<u64, Taken>,
    /// Subscriptions that the broker says are at their end: browsers that have seen everything.
    pub ended: Vec<u64>,
    pub next_subscription: u64,
    pub held: Vec<Held>,
    pub tx: Option<Tx>,
    /// The open transaction is a branch of a distributed one.
    pub is_branch: bool,
    /// Deliveries settled within the open transaction: a rollback gives them back.
    pub settled_in_tx: Vec<Held>,
    /// How far the producer for each target has counted: over all sessions.
    counts: BTreeMap<usize, u64>,
    /// What has no answer, in the order in which it was sent, over all sessions.
    pub unanswered: BTreeMap<Id, Unanswered>,
}

/// A number for «this client's hold on it», for the ledger.
pub fn holder(session: SessionId) -> u64 {
    session.0
}

impl Client {
    pub fn token(&mut self, asked: Asked) -> u64 {
        self.next_token += 1;
        self.asked.insert(self.next_token, asked);
        self.next_token
    }

    /// The place of the next message for this target in the count of its producer.
    pub fn count(&mut self, target: usize) -> u64 {
        let count = self.counts.entry(target).or_default();
        *count += 1;
        *count
    }

    /// The session has ended: nothing that was asked will be answered.
    pub fn lost_session(&mut self, ledger: &mut Ledger) {
        if let Some(session) = self.session.take() {
            ledger.holder_gone(|other| other == holder(session));
        }
        if let Some(tx) = self.tx.take() {
            ledger.rolled_back(tx);
        }
        self.asked.clear();
        self.subscriptions.clear();
        self.ended.clear();
        self.held.clear();
        self.settled_in_tx.clear();
    }
}
