// SPDX-License-Identifier: Apache-2.0
//! Refuses what can make no sense, whoever asks: verbs out of order, destinations that cannot be used like that.
//!
//! What can only be told by looking at what exists (destinations, subscriptions, transactions) is the engine's to refuse.

mod layer;
mod service;
mod verbs;

pub use layer::ValidateLayer;
pub use service::Validate;
