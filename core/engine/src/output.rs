// SPDX-License-Identifier: Apache-2.0
//! What the engine answers.

use sabir_model::Delivery;
use sabir_model::store::Read;
use sabir_model::verb::{Refusal, Reply, SessionId};

/// Number of a read; never used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// Something to be fetched from the store, and answered with `Input::Records`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// Its number.
    pub id: ReadId,
    /// What to fetch.
    pub read: Read,
}

/// Whether there is a batch to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitNeed {
    /// There is none.
    #[default]
    None,
    /// Nobody waits for it: within some milliseconds is soon enough.
    Lazy,
    /// Somebody waits for it.
    Now,
}

/// How the publishes of a session fare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowChange {
    /// Some of them wait until there is room.
    pub parked: bool,
    /// So many wait that nothing more should be read from the session.
    pub pause_reading: bool,
    /// Why, for people; empty when nothing waits any more.
    pub reason: String,
}

/// What came of the inputs; the caller drains it and uses it again.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Answers, for each session in the order in which they count.
    pub replies: Vec<(SessionId, Reply)>,
    /// Messages, for each session in order.
    pub deliveries: Vec<(SessionId, Delivery)>,
    /// Answers that are to be handed over behind all `deliveries` up to here.
    pub drained: Vec<(SessionId, Reply)>,
    /// Changes of flow.
    pub flow: Vec<(SessionId, FlowChange)>,
    /// Bytes of bodies in pieces that the store has taken, by the session that sent them.
    pub taken: Vec<(SessionId, u64)>,
    /// What to fetch.
    pub reads: Vec<ReadRequest>,
    /// Sessions to be ended.
    pub closes: Vec<(SessionId, Refusal)>,
    /// Whether `Engine::take_batch` has something; set by every call of `Engine::handle`.
    pub commit: CommitNeed,
    /// When to send `Input::Tick`, on the monotonic clock; set by every call of `Engine::handle`.
    pub deadline_ms: Option<u64>,
}

impl Outputs {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.replies.clear();
        self.deliveries.clear();
        self.drained.clear();
        self.flow.clear();
        self.taken.clear();
        self.reads.clear();
        self.closes.clear();
        self.commit = CommitNeed::None;
        self.deadline_ms = None;
    }
}
