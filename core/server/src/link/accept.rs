// SPDX-License-Identifier: Apache-2.0
//! Listeners: each a task that takes links and hands them to the reactor threads in turn.

use super::{LinkContext, Quiet, peer_of, serve};
use crate::broker::Reactors;
use sabir_host::{ErrorCode, Link, Listener, Protocol};
use std::future::poll_fn;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long a listener waits when the system has no descriptors or memory for another link.
const RETRY: Duration = Duration::from_millis(100);

/// What the next link will share with the others.
#[derive(Debug)]
pub struct CurrentContext(RwLock<Arc<LinkContext>>);

impl CurrentContext {
    /// To begin with.
    pub fn new(context: Arc<LinkContext>) -> Self {
        CurrentContext(RwLock::new(context))
    }

    /// What it is now.
    pub fn get(&self) -> Arc<LinkContext> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next link on.
    pub fn replace(&self, context: Arc<LinkContext>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = context;
    }
}

/// Takes links until the task is ended, or the listener fails.
pub async fn accept(
    mut listener: Listener,
    protocols: Arc<[Protocol]>,
    context: Arc<CurrentContext>,
    reactors: Arc<Reactors>,
) {
    static EXHAUSTED: Quiet = Quiet::every(10_000);
    loop {
        match poll_fn(|cx| listener.poll_accept(cx)).await {
            Ok(link) => admit(link, &protocols, context.get(), &reactors),
            Err(error) if error.code == ErrorCode::Limit => {
                if let Some(more) = EXHAUSTED.pass(context.get().room.now().monotonic_ms) {
                    tracing::warn!(%error, suppressed = more, "cannot take another link for now");
                }
                tokio::time::sleep(RETRY).await;
            }
            Err(error) => {
                let address = listener.local_address();
                return tracing::error!(%error, address, "a listener has failed; it takes no more links");
            }
        }
    }
}

fn admit(link: Link, protocols: &Arc<[Protocol]>, context: Arc<LinkContext>, reactors: &Reactors) {
    static TURNED_AWAY: Quiet = Quiet::every(1_000);
    let peer = peer_of(link.attributes());
    let limits = &context.limits;
    let place = context.connections.admit(&peer, limits.max_connections, limits.max_connections_per_address);
    match place {
        Ok(place) => reactors.spawn(serve(context, protocols.clone(), link, place)),
        Err(reason) => {
            if let Some(more) = TURNED_AWAY.pass(context.room.now().monotonic_ms) {
                tracing::warn!(peer, %reason, suppressed = more, "a link was turned away");
            }
        }
    }
}
