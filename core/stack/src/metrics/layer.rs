// SPDX-License-Identifier: Apache-2.0
//! Makes the counting service of a session.

use super::{Count, ProtocolMetrics};
use std::sync::Arc;
use tower::Layer;

/// Counts for one protocol.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    protocol: Arc<ProtocolMetrics>,
}

impl MetricsLayer {
    /// Counts here.
    pub fn new(protocol: Arc<ProtocolMetrics>) -> Self {
        MetricsLayer { protocol }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count::new(inner, self.protocol.clone())
    }
}
