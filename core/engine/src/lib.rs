// SPDX-License-Identifier: Apache-2.0
//! Routing, queues and transactions: a deterministic state machine.
//!
//! [`Engine::handle`] takes one [`Input`], at a time that it is told, and fills [`Outputs`]: answers, deliveries, reads.
//! [`Engine::take_batch`] gives what the store is to be told; [`Input::Committed`] says that it has arrived, and only
//! then persistent messages are delivered and confirmed. Nothing here knows a protocol, a socket, a file, a clock
//! or a thread: the same inputs give the same outputs.
//!
//! # Layout
//!
//! ```text
//!   input, output    what the engine is told and what it answers
//!   config           policies and limits
//!   engine           the state machine: which input goes where
//!   session          one connection, and the order of its answers
//!   client_ids       who has a client id for itself
//!   publish          from a producer to queues
//!   routing/         virtual hosts, exchanges, bindings
//!   queue/           what waits: lanes, views, paging, dispatch
//!   subscription     consumers: credit, and what they have not settled
//!   consume          subscribing and leaving
//!   browse           looking without consuming
//!   drain            credit that is used or lost
//!   settle           done with, again, or never
//!   dead_letter      what cannot be processed
//!   delayed          what is not to be delivered yet
//!   expiry           what is too late
//!   bodies           bodies that come in pieces
//!   transaction      together or not at all
//!   branch           the same for parts of several sessions, and in two phases
//!   prepared         how what is prepared is kept
//!   virtual_topics   queues that are views of topics, by their names
//!   flow             publishes that wait for room
//!   duplicates       messages that are sent again
//!   commit           batches, and what waits for them
//!   reads            what was asked of the store, and why
//!   admin, query     making, removing, asking
//!   events           what happens, told to whoever subscribes to it
//!   figures          of single queues, for metrics
//!   keys, definition what is kept in the store beside messages
//!   recovery         from what the store has kept to an engine
//!   slab             places by key
//!   seeded           faults on purpose, in no build but that of `cargo xtask seeded`
//! ```

mod admin;
mod bodies;
mod branch;
mod browse;
mod client_ids;
mod commit;
mod config;
mod consume;
mod dead_letter;
mod definition;
mod delayed;
mod drain;
mod duplicates;
mod engine;
mod events;
mod expiry;
mod figures;
mod flow;
mod input;
mod keys;
mod output;
mod prepared;
mod publish;
mod query;
mod queue;
mod reads;
mod recovery;
mod routing;
mod seeded;
mod session;
mod settle;
mod slab;
mod subscription;
mod transaction;
mod virtual_topics;

pub use commit::CommitId;
pub use config::{Config, DeadLetter, Limits, Policy, PolicyRule, WhenFull};
pub use engine::Engine;
pub use figures::QueueFigures;
pub use input::{Admin, Client, Input};
pub use output::{CommitNeed, FlowChange, Outputs, ReadId, ReadRequest};
pub use query::Stats;
pub use recovery::RecoverError;
pub use virtual_topics::{VirtualTopic, VirtualTopicError};

/// The server keeps the engine behind a lock, shared by its threads.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Engine>();
};
