// SPDX-License-Identifier: Apache-2.0
//! The tower layers between a session and the engine: one policy each, one folder each, the same files in every folder.
//!
//! They know verbs, users and limits. They know no protocol, no transport, no store and no runtime: passwords are
//! checked on whatever threads the server lends through [`Blocking`].
//!
//! ```text
//!   batch ─▶ trace ─▶ metrics ─▶ validate ─▶ authenticate ─▶ authorize ─▶ limits ─▶ (yours) ─▶ flow ─▶ engine
//!                                                                                                    │
//!   replies, deliveries ◀──────────────── the same layers, from the outside in, once per batch ◀─────┘
//! ```
//! A layer takes the requests that it refuses out of the batch and answers them itself. What reaches the innermost
//! service was admitted by all of them. Everything is ready at once, save a log-in.

pub mod authenticate;
pub mod authorize;
mod awaited;
pub mod batch;
pub mod extension;
pub mod flow;
pub mod limits;
pub mod metrics;
pub mod policy;
pub mod trace;
pub mod validate;
pub mod verb_kind;

pub use authenticate::Blocking;
pub use batch::{Admission, Admissions, Batch, Outbound, Outgoing, Session, Stack};
pub use extension::Extension;
pub use flow::Budget;
pub use limits::Limits;
pub use metrics::Metrics;
pub use policy::{Authentication, Policy, Principal, SharedPolicy};

use std::sync::Arc;
use tower::ServiceBuilder;

/// What all sessions of a broker share.
#[derive(Clone)]
pub struct Shared {
    /// Users, rules and limits; may be replaced at any time.
    pub policy: Arc<SharedPolicy>,
    /// Counters, which the server renders.
    pub metrics: Arc<Metrics>,
    /// Threads that may block, for passwords.
    pub blocking: Arc<dyn Blocking>,
    /// Layers of whoever embeds the broker, the outermost last.
    pub extensions: Vec<Extension>,
}

/// The whole stack of one session, over the service that enters the engine.
///
/// The order is the order in which a request meets the layers.
pub fn build<S>(shared: &Shared, protocol: &str, budget: Arc<Budget>, engine: S) -> impl Stack + use<S>
where
    S: Stack + 'static,
{
    ServiceBuilder::new()
        // First, so that what any other layer refuses can be seen too.
        .layer(trace::TraceLayer::new())
        // Before everything that refuses, so that refusals are counted; it costs one addition per kind and batch.
        .layer(metrics::MetricsLayer::new(shared.metrics.protocol(protocol)))
        // Before the log-in: nobody is asked for a password by a verb that makes no sense, and nothing passes before one.
        .layer(validate::ValidateLayer::new())
        // From here on it is known who asks.
        .layer(authenticate::AuthenticateLayer::new(shared.policy.clone(), shared.blocking.clone()))
        // Before limits: a refused subscription must not use up what is allowed, and a stranger learns no limits.
        .layer(authorize::AuthorizeLayer::new(shared.policy.clone()))
        // Behind everything that refuses for a reason of its own, so that only what is really made is counted.
        .layer(limits::LimitsLayer::new(shared.policy.clone()))
        // Layers of the embedding program see what was admitted, and may refuse it still.
        .layer(tower::layer::layer_fn(|inner| extension::extend(&shared.extensions, inner)))
        // Last, so that exactly what enters the engine is charged to the session's budget.
        .layer(flow::FlowLayer::new(budget))
        .service(engine)
}
