// SPDX-License-Identifier: Apache-2.0
//! The connection's own temporary destinations.
//!
//! A client calls its own `/temp-queue/foo` as it likes; the broker knows it by a name that nobody else has. Others
//! see that name, as `/remote-temp-queue/NAME`, and can send to it.

use super::Core;
use super::problem::Problem;
use crate::destination::Address;
use sabir_model::destination::{Destination, DestinationKind};
use sabir_model::verb::Declare;
use sabir_sdk::protocol::{Out, VerbMeta};

/// Between the connection's id and the number: no colon, which would have to be escaped in every header.
const INFIX: &str = "-temp-";

/// The temporary destinations of one connection.
#[derive(Debug, Default)]
pub struct Temporaries {
    /// In the order in which they were made: the place is the end of the name.
    made: Vec<(DestinationKind, Box<str>)>,
}

/// Destinations of a client, as the broker knows them.
#[derive(Debug)]
pub struct Resolved {
    /// All of them.
    pub destinations: Vec<Destination>,
    /// The client's names of those that have yet to be made.
    pub new: Vec<(DestinationKind, String)>,
}

impl Core {
    /// What addresses mean on this connection. Nothing is changed: `declare` and `keep_temporaries` do that.
    pub fn resolve(&self, addresses: Vec<Address>) -> Result<Resolved, Problem> {
        let mut resolved = Resolved { destinations: Vec::with_capacity(addresses.len()), new: Vec::new() };
        for address in addresses {
            let destination = match address {
                Address::Plain(destination) => destination,
                Address::Temporary(kind, name) => self.resolve_own(kind, name, &mut resolved.new)?,
            };
            resolved.destinations.push(destination);
        }
        Ok(resolved)
    }

    fn resolve_own(
        &self,
        kind: DestinationKind,
        name: String,
        new: &mut Vec<(DestinationKind, String)>,
    ) -> Result<Destination, Problem> {
        let made = &self.temporaries.made;
        let same = |(other, text): &(DestinationKind, Box<str>)| *other == kind && **text == *name;
        let place = match made.iter().position(same) {
            Some(place) => place,
            None => {
                let place = made.len() + new.len();
                if place >= self.settings.max_temporaries {
                    return Err(Problem::limit("max_temporaries", self.settings.max_temporaries));
                }
                new.push((kind, name));
                place
            }
        };
        let unique = self.unique_name(place);
        Destination::new(kind, &unique)
            .map_err(|error| Problem::from(crate::destination::AddressError::Name(error)))
    }

    /// Makes what has yet to be made.
    pub fn declare(&self, resolved: &Resolved, meta: VerbMeta, out: &mut Out<'_>) {
        for place in 0..resolved.new.len() {
            let unique = self.unique_name(self.temporaries.made.len() + place);
            let destination = resolved.destinations.iter().find(|destination| *destination.name == *unique);
            let Some(destination) = destination else { continue };
            let declare = Declare {
                destination: destination.clone(),
                exchange_kind: None,
                durable: false,
                auto_delete: false,
                exclusive: true,
                passive: false,
            };
            out.declare(VerbMeta { confirm: false, ..meta }, &declare);
        }
    }

    /// Notes what `declare` has made.
    pub fn keep_temporaries(&mut self, resolved: Resolved) {
        self.temporaries.made.extend(resolved.new.into_iter().map(|(kind, name)| (kind, name.into())));
    }

    fn unique_name(&self, place: usize) -> String {
        format!("{}{INFIX}{}", self.connection_id, place + 1)
    }

    /// The client's own name of one of its temporary destinations.
    pub fn own_name(&self, unique: &str) -> Option<&str> {
        let place = unique.strip_prefix(&*self.connection_id)?.strip_prefix(INFIX)?;
        let place = place.parse::<usize>().ok()?.checked_sub(1)?;
        self.temporaries.made.get(place).map(|(_, name)| &**name)
    }
}
