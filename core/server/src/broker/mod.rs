// SPDX-License-Identifier: Apache-2.0
//! A running broker: the engine behind its lock, the threads around it, and how they begin and end.
//!
//! ```text
//!   serve       puts a broker together and takes it apart
//!   room        the engine behind one short lock     outbox    what waits for one session
//!   committer   what the engine wants stored, stored  grouping  who is awaited before a commit
//!   readers     records back from the store
//!   reactors    threads that serve links              signals   who is told when, and at what cost
//!   figures     all metrics as text                   exporter  writes them into a file
//!   clock       the time                              failure   the one after which nothing goes on
//! ```

mod clock;
mod committer;
mod exporter;
mod failure;
mod figures;
mod grouping;
mod outbox;
mod reactors;
mod readers;
mod room;
mod serve;
mod signals;

pub use clock::Clock;
pub use committer::Committer;
pub use outbox::{End, Outbox, Pieces, Taken};
pub use reactors::Reactors;
pub use readers::Fetch;
pub use room::Room;
pub use serve::{ListenerAddress, RunningBroker, ServeError, serve, serve_with};
pub use signals::Awaits;
