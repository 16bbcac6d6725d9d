// SPDX-License-Identifier: Apache-2.0
//! The safe Rust face of the plugin contract.
//!
//! A plugin implements one small trait per kind of component and lists its components in a descriptor. The contract
//! itself (C types, ownership, threads) is `sabir-abi`; this crate keeps its promises for the author: it catches
//! panics, converts wakers and errors, and checks what crosses.
//!
//! ```text
//!   transport  listeners and links           host    what the broker offers: log, time, timers, tasks, reactor
//!   protocol   sessions: bytes to verbs      socket  a socket on the host's reactor, for tokio's traits
//!   store      logs, batches, keys
//!   codec      formats of stream batches     settings, uri  what is set, and where, by one table
//! ```

pub mod codec;
pub mod disk;
#[doc(hidden)]
pub mod export;
mod guard;
pub mod host;
pub mod protocol;
pub mod settings;
mod shim;
pub mod socket;
pub mod store;
pub mod transport;
pub mod uri;

pub use host::{Host, HostIo, Interest, LogLevel, Metric, MetricKind};
pub use sabir_abi as abi;
pub use sabir_boundary::{Error, ErrorCode, Result};

/// Compiles the plugin in Rust that the page on plugins shows.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/plugin-abi.md")]
struct ThePageOnPlugins;
