// SPDX-License-Identifier: Apache-2.0
//! Client ids that one session wants for itself alone, and how it gets one from a session that lingers.
//!
//! Whoever does not ask for that shares its client id with anybody; whoever asks gets it only when nobody else of the
//! virtual host has it. Knows nothing of what a client id is for.

use crate::engine::Engine;
use crate::input::Client;
use crate::output::Outputs;
use crate::routing::VirtualHost;
use crate::session::Session;
use crate::slab::Key;
use sabir_model::verb::{Reason, Refusal};
use std::collections::BTreeMap;

/// A client id in its virtual host.
type Slot = (Key<VirtualHost>, Box<str>);

/// Who has which client id.
#[derive(Debug, Default)]
pub(crate) struct ClientIds(BTreeMap<Slot, Vec<Key<Session>>>);

impl Engine {
    /// Makes way for a session that wants its client id for itself, or refuses it.
    pub(crate) fn claim_client_id(
        &mut self,
        host: Key<VirtualHost>,
        client: &Client,
        out: &mut Outputs,
    ) -> Result<(), Refusal> {
        let Some(id) = client.client_id.as_deref().filter(|_| client.exclusive_client_id) else {
            return Ok(());
        };
        let holders = self.client_ids.0.get(&(host, id.into())).cloned().unwrap_or_default();
        for holder in &holders {
            let Some(holder) = self.sessions.get(*holder) else { continue };
            let of = &holder.client.connection_id;
            if !client.take_over {
                let text = format!("the client id {id:?} is in use by the connection {of}");
                return Err(Refusal::new(Reason::Conflict, text));
            }
            if holder.client.user != client.user {
                let text = format!(
                    "the client id {id:?} is in use by the connection {of} of another user, and only the same user \
                     may take it over"
                );
                return Err(Refusal::new(Reason::Conflict, text));
            }
        }
        for holder in holders {
            let Some(session) = self.sessions.get(holder).map(|session| session.id) else { continue };
            let text =
                format!("the client id {id:?} was taken over by the connection {}", client.connection_id);
            out.closes.push((session, Refusal { reason: Reason::Conflict, text, fatal: true }));
            self.close(session);
        }
        Ok(())
    }

    /// A session has come: it has its client id.
    pub(crate) fn note_client_id(&mut self, key: Key<Session>) {
        let Some(session) = self.sessions.get(key) else { return };
        if let Some(id) = &session.client.client_id {
            let slot = (session.virtual_host, id.as_str().into());
            self.client_ids.0.entry(slot).or_default().push(key);
        }
    }

    /// A session goes.
    pub(crate) fn free_client_id(&mut self, key: Key<Session>) {
        let Some(session) = self.sessions.get(key) else { return };
        let Some(id) = &session.client.client_id else { return };
        let slot = (session.virtual_host, id.as_str().into());
        if let Some(holders) = self.client_ids.0.get_mut(&slot) {
            holders.retain(|holder| *holder != key);
            if holders.is_empty() {
                self.client_ids.0.remove(&slot);
            }
        }
    }
}
