// SPDX-License-Identifier: Apache-2.0
//! Simulated clients: what they have asked for, what they hold, and how answers and deliveries change that.

use crate::ledger::{Id, Ledger, Place, Tx};
use sabir_model::SessionId;
use std::collections::BTreeMap;

/// What a request was, to be looked up by its token when the answer comes.
#[derive(Clone, Debug)]
pub enum Asked {
    Publish(Id),
    Accept(Vec<(Id, Place)>),
    Commit(Tx),
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

/// One client; it opens a new session whenever it lost the one before.
#[derive(Debug, Default)]
pub struct Client {
    pub session: Option<SessionId>,
    pub next_token: u64,
    pub asked: BTreeMap<u64, Asked>,
    /// Number of the subscription to the place it is for; browsers have none.
    pub subscriptions: BTreeMap<u64, Option<Place>>,
    pub next_subscription: u64,
    pub held: Vec<Held>,
    pub tx: Option<Tx>,
    /// Deliveries settled within the open transaction: a rollback gives them back.
    pub settled_in_tx: Vec<Held>,
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
        self.held.clear();
        self.settled_in_tx.clear();
    }
}
