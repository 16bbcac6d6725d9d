// SPDX-License-Identifier: Apache-2.0
//! Makes the validating service of a session.

use super::Validate;
use tower::Layer;

/// Refuses what can make no sense.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidateLayer(());

impl ValidateLayer {
    /// It needs nothing.
    pub fn new() -> Self {
        ValidateLayer(())
    }
}

impl<S> Layer<S> for ValidateLayer {
    type Service = Validate<S>;

    fn layer(&self, inner: S) -> Validate<S> {
        Validate::new(inner)
    }
}
