// SPDX-License-Identifier: Apache-2.0
//! Lets users do only what the rules allow, destination by destination. What is not allowed is refused.
//!
//! | Verb | Needs |
//! |---|---|
//! | attach (and so publish) | write on every destination; a temporary one may be written by anybody |
//! | subscribe, browse | read on every destination, with wildcards on everything they can match; a temporary one: its owner |
//! | declare | admin; passively any of read, write, admin; a temporary one: anybody, who then owns it |
//! | delete | admin; a temporary one: its owner; a durable subscription: the session with its client id |
//! | bind, unbind | read on the source, write on the target |
//! | steps of branches | nothing for one's own; admin on `queue://#` to see and end what others have prepared |
//! | list, explain | read, or admin; the names of temporary ones may be listed by anybody |
//!
//! A decision is made once per session, destination, operation and generation of the policy, and kept. When the policy
//! is replaced, producers and subscriptions that stand are judged anew, before anything else comes in or goes out.

mod decisions;
mod layer;
mod service;

pub use layer::AuthorizeLayer;
pub use service::Authorize;
