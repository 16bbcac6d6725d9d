// SPDX-License-Identifier: Apache-2.0
//! Room for the layers of whoever embeds the broker. It knows nothing of what they do.

use crate::batch::{Admission, Admissions, Batch, Outbound, Outgoing, Stack};
use sabir_model::Refusal;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// A layer of whoever embeds the broker: wraps the service of one session.
pub type Extension = Arc<dyn Fn(Box<dyn Stack>) -> Box<dyn Stack> + Send + Sync>;

/// Wraps a service in all extensions, the last of them outermost.
pub fn extend<S: Stack + 'static>(extensions: &[Extension], inner: S) -> Extended<S> {
    if extensions.is_empty() {
        return Extended::Plain(inner);
    }
    let boxed: Box<dyn Stack> = Box::new(inner);
    Extended::Wrapped(extensions.iter().fold(boxed, |inner, extension| extension(inner)))
}

/// The service within, directly where nobody extends the stack.
pub enum Extended<S> {
    /// There is no extension.
    Plain(S),
    /// Behind a pointer, because nobody knows its type.
    Wrapped(Box<dyn Stack>),
}

impl<S: Stack> Service<Batch> for Extended<S> {
    type Response = Admissions;
    type Error = Infallible;
    type Future = Admission;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self {
            Extended::Plain(inner) => inner.poll_ready(cx),
            Extended::Wrapped(inner) => inner.poll_ready(cx),
        }
    }

    fn call(&mut self, batch: Batch) -> Admission {
        match self {
            Extended::Plain(inner) => inner.call(batch),
            Extended::Wrapped(inner) => inner.call(batch),
        }
    }
}

impl<S: Stack> Outbound for Extended<S> {
    fn outbound(&mut self, outgoing: &Outgoing<'_>) -> Result<(), Refusal> {
        match self {
            Extended::Plain(inner) => inner.outbound(outgoing),
            Extended::Wrapped(inner) => inner.outbound(outgoing),
        }
    }
}
