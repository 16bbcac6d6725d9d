// SPDX-License-Identifier: Apache-2.0
//! The broker as a library: [`serve`](broker::serve) a configuration with the plugins of a registry.
//!
//! ```text
//!   broker    a running broker: the engine behind its lock, and the threads around it
//!   link      from the listener to the session that is spoken on a link
//!   config    what the operator wants, checked
//!   archive   a store as one file
//!   plugins   finding the libraries that a configuration needs
//!   logging   log lines
//!   cli       the `sabir` program, all of it: main.rs only calls it
//! ```
//! Nothing here knows a protocol, a transport or a store by name: which ones a bare run opens is data (`default.toml`).

pub mod archive;
pub mod broker;
pub mod cli;
pub mod config;
pub mod link;
pub mod logging;
pub mod plugins;

pub use broker::{RunningBroker, ServeError, serve, serve_with};
