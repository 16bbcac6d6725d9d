// SPDX-License-Identifier: Apache-2.0
//! Makes the limiting service of a session.

use super::Limited;
use crate::policy::SharedPolicy;
use std::sync::Arc;
use tower::Layer;

/// Bounds what a session may make.
#[derive(Clone, Debug)]
pub struct LimitsLayer {
    policy: Arc<SharedPolicy>,
}

impl LimitsLayer {
    /// By this policy.
    pub fn new(policy: Arc<SharedPolicy>) -> Self {
        LimitsLayer { policy }
    }
}

impl<S> Layer<S> for LimitsLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited::new(inner, &self.policy)
    }
}
