// SPDX-License-Identifier: Apache-2.0
//! The broker as a library: [`serve`](broker::serve) a configuration with the plugins of a registry.
//!
//! ```text
//!   config    what the operator wants, checked
//!   logging   log lines
//!   cli       the `sabir` program, all of it: main.rs only calls it
//! ```
//! Nothing here knows a protocol, a transport or a store by name: which ones a bare run opens is data (`default.toml`).

pub mod cli;
pub mod config;
pub mod logging;
