// SPDX-License-Identifier: Apache-2.0
//! Makes the tracing service of a session.

use super::Trace;
use tower::Layer;

/// Says in the log what sessions ask.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceLayer(());

impl TraceLayer {
    /// It needs nothing.
    pub fn new() -> Self {
        TraceLayer(())
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace::new(inner)
    }
}
