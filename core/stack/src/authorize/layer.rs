// SPDX-License-Identifier: Apache-2.0
//! Makes the authorizing service of a session.

use super::Authorize;
use crate::policy::SharedPolicy;
use std::sync::Arc;
use tower::Layer;

/// Lets users do only what the rules allow.
#[derive(Clone, Debug)]
pub struct AuthorizeLayer {
    policy: Arc<SharedPolicy>,
}

impl AuthorizeLayer {
    /// By this policy.
    pub fn new(policy: Arc<SharedPolicy>) -> Self {
        AuthorizeLayer { policy }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize::new(inner, &self.policy)
    }
}
