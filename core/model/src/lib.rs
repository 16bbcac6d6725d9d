// SPDX-License-Identifier: Apache-2.0
//! The words that every room of the broker shares: messages, destinations, verbs, selectors, batches, errors.
//!
//! Nothing here does input or output, reads a clock, or knows a protocol, a store or a plugin.
//!
//! ```text
//!   message      the canonical binary form of a message: writing and reading heads
//!   body         bodies in the form of their kind, from encodings in which a protocol left them
//!   property     values, and the map in which properties travel
//!   destination  queues, topics and their temporary kinds, by name
//!   pattern      one language of wildcards
//!   selector     the SQL-92 conditions of JMS, with three-valued logic
//!   branch       branches of distributed transactions, and their steps
//!   verb         what a session asks of the broker, and what it is answered
//!   delivery     a message on its way to a consumer
//!   fields       the encoding of rare verbs on the plugin boundary
//!   store        what the engine asks of a store
//!   stored       bodies that lie in the store and not in memory
//!   time         the two clocks
//! ```

pub mod body;
pub mod branch;
pub mod delivery;
pub mod destination;
pub mod fields;
pub mod message;
pub mod pattern;
pub mod property;
pub mod selector;
pub mod store;
pub mod stored;
pub mod time;
pub mod verb;

pub use branch::{Branch, BranchAct, BranchStep};
pub use delivery::Delivery;
pub use destination::{Destination, DestinationKind};
pub use message::{Head, HeadWriter, Message};
pub use time::Now;
pub use verb::{Refusal, Reply, Request, SessionId, Verb};
