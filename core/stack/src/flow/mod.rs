// SPDX-License-Identifier: Apache-2.0
//! Holds a session back while too much of what it asked is unanswered: its link is then not read.
//!
//! What is charged is what enters the engine and will be answered: verbs that want a reply, until it goes out; and while
//! the engine has parked the session's publishes, every publish, until the engine goes on. Nothing else makes a session
//! wait here.

mod budget;
mod layer;
mod service;

pub use budget::{Budget, Usage};
pub use layer::FlowLayer;
pub use service::Flow;
