// SPDX-License-Identifier: Apache-2.0
//! Makes the service that charges a session's budget.

use super::{Budget, Flow};
use std::sync::Arc;
use tower::Layer;

/// Charges a session's budget.
#[derive(Clone, Debug)]
pub struct FlowLayer {
    budget: Arc<Budget>,
}

impl FlowLayer {
    /// Charges this one.
    pub fn new(budget: Arc<Budget>) -> Self {
        FlowLayer { budget }
    }
}

impl<S> Layer<S> for FlowLayer {
    type Service = Flow<S>;

    fn layer(&self, inner: S) -> Flow<S> {
        Flow::new(inner, self.budget.clone())
    }
}
