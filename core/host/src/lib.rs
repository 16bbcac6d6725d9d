// SPDX-License-Identifier: Apache-2.0
//! Loads plugins, owns the reactor, turns vtables into Rust objects.
//!
//! Everything goes through the tables of the plugin contract, whether a plugin was linked into the program or loaded
//! from a shared library: there is no private door. This crate knows no protocol, no transport and no store by
//! name, and nothing of the engine.
//!
//! ```text
//!   load       finding, opening and checking plugins; every refusal is typed and says what was expected and found
//!   registry   what was loaded: components by kind and name
//!   describe   what a plugin says of itself, for people and programs
//!   transport  listeners and links          protocol  sessions
//!   store      batches, reads, keys         codec     formats of stream batches
//!   runtime    the table that plugins are handed: log, time, metrics, timers, tasks, reactor (on tokio)
//! ```

pub mod codec;
pub mod describe;
pub mod load;
pub mod metrics;
pub mod protocol;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod transport;

pub use codec::Codec;
pub use describe::Description;
pub use load::LoadError;
pub use protocol::{Protocol, Session, SessionParams};
pub use registry::{Component, Registry};
pub use sabir_abi as abi;
pub use sabir_boundary::buffers::{BodyAssembler, Capacities, OutBuffers, Segment, SegmentBytes, VerbError};
pub use sabir_boundary::{ChunkInfo, Error, ErrorCode, Flow, Framing, Match, Result};
pub use store::{Maintenance, Region, Stats, Store};
pub use transport::{Link, Listener, Transport};
