// SPDX-License-Identifier: Apache-2.0
//! Makes the authenticating service of a session.

use super::{Authenticate, Blocking};
use crate::policy::SharedPolicy;
use std::sync::Arc;
use tower::Layer;

/// Lets users in.
#[derive(Clone)]
pub struct AuthenticateLayer {
    policy: Arc<SharedPolicy>,
    blocking: Arc<dyn Blocking>,
}

impl AuthenticateLayer {
    /// By this policy, checking passwords on these threads.
    pub fn new(policy: Arc<SharedPolicy>, blocking: Arc<dyn Blocking>) -> Self {
        AuthenticateLayer { policy, blocking }
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Authenticate<S> {
        Authenticate::new(inner, self.policy.clone(), self.blocking.clone())
    }
}
