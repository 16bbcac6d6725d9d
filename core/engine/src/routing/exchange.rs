// SPDX-License-Identifier: Apache-2.0
//! One exchange: which of its bindings a message satisfies.

use crate::queue::Queue;
use crate::session::Session;
use crate::slab::Key;
use sabir_model::Head;
use sabir_model::pattern::Pattern;
use sabir_model::selector::Selector;
use sabir_model::verb::ExchangeKind;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where a binding leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BindTarget {
    Queue(Key<Queue>),
    Exchange(Key<Exchange>),
}

/// Whose messages a subscription does not want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoLocal {
    /// Those of this session.
    Session(Key<Session>),
    /// Those of any session with this client id.
    ClientId(Box<str>),
}

/// Who sends a message, and its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publisher<'m> {
    pub head: Head<'m>,
    pub session: Option<Key<Session>>,
    pub client_id: Option<&'m str>,
}

/// From an exchange to a target.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    /// Of its key in the store; 0: it is not kept.
    pub number: u64,
    pub key: Box<str>,
    pub target: BindTarget,
    pub selector: Option<Arc<Selector>>,
    pub no_local: Option<NoLocal>,
    /// It follows from the names of its ends, and nobody asked for it.
    pub implied: bool,
    /// Only what one of these wants, unless all of it is wanted.
    pub wanted: Option<Arc<[Arc<Selector>]>>,
    pub wanted_by_all: bool,
}

impl Binding {
    /// A binding without conditions that is not kept.
    pub fn new(key: Box<str>, target: BindTarget) -> Self {
        Binding {
            number: 0,
            key,
            target,
            selector: None,
            no_local: None,
            implied: false,
            wanted: None,
            wanted_by_all: false,
        }
    }

    fn depends_on_message(&self) -> bool {
        self.selector.is_some() || self.no_local.is_some() || (self.wanted.is_some() && !self.wanted_by_all)
    }

    fn admits(&self, publisher: &Publisher<'_>) -> bool {
        let foreign = match &self.no_local {
            None => true,
            Some(NoLocal::Session(session)) => publisher.session != Some(*session),
            Some(NoLocal::ClientId(id)) => publisher.client_id != Some(id),
        };
        let wanted = |any: &Arc<[Arc<Selector>]>| any.iter().any(|one| one.matches(&publisher.head));
        foreign
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&publisher.head))
            && (self.wanted_by_all || self.wanted.as_ref().is_none_or(wanted))
    }
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Of its key in the store; 0: it is not kept.
    pub number: u64,
    pub name: Box<str>,
    pub kind: ExchangeKind,
    /// It goes with its last binding.
    pub auto_delete: bool,
    /// Bindings whose key must be the message's.
    literal: BTreeMap<Box<str>, Vec<Binding>>,
    /// Bindings with a pattern, or without any condition on the key.
    open: Vec<(Option<Pattern>, Binding)>,
    /// Exchanges and keys of bindings that lead here.
    pub bound: Vec<(Key<Exchange>, Box<str>)>,
}

impl Exchange {
    pub fn new(number: u64, name: &str, kind: ExchangeKind, auto_delete: bool) -> Self {
        Exchange {
            number,
            name: name.into(),
            kind,
            auto_delete,
            literal: BTreeMap::new(),
            open: Vec::new(),
            bound: Vec::new(),
        }
    }

    /// Adds a binding. A topic key that is no pattern stands for itself.
    pub fn add(&mut self, binding: Binding) {
        let pattern = match self.kind {
            ExchangeKind::Topic => Pattern::parse(&binding.key).ok().filter(|pattern| !pattern.is_literal()),
            ExchangeKind::Direct => None,
            ExchangeKind::Fanout | ExchangeKind::Headers => {
                self.open.push((None, binding));
                return;
            }
        };
        match pattern {
            Some(pattern) => self.open.push((Some(pattern), binding)),
            None => self.literal.entry(binding.key.clone()).or_default().push(binding),
        }
    }

    /// Removes the bindings of a key that `gone` says. Answers their numbers.
    pub fn remove(&mut self, key: &str, mut gone: impl FnMut(&Binding) -> bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        if let Some(bindings) = self.literal.get_mut(key) {
            // Mostly one of them goes, of thousands: those behind it move up together.
            let mut from = 0;
            while let Some(at) = bindings.iter().skip(from).position(&mut gone) {
                from += at;
                numbers.push(bindings.remove(from).number);
            }
            if bindings.is_empty() {
                self.literal.remove(key);
            }
        }
        self.open.retain(|(_, binding)| {
            let goes = &*binding.key == key && gone(binding);
            if goes {
                numbers.push(binding.number);
            }
            !goes
        });
        numbers
    }

    /// The bindings with this key.
    pub fn of_key_mut(&mut self, key: &str) -> impl Iterator<Item = &mut Binding> {
        let open = self.open.iter_mut().map(|(_, binding)| binding).filter(move |one| *one.key == *key);
        self.literal.get_mut(key).into_iter().flatten().chain(open)
    }

    /// Whether nothing is bound to it.
    pub fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.open.is_empty()
    }

    /// All bindings.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.literal.values().flatten().chain(self.open.iter().map(|(_, binding)| binding))
    }

    /// Adds what a message with this key reaches: queues, and exchanges not visited yet. True: which ones depends on
    /// the message itself.
    pub fn route(
        &self,
        key: &str,
        publisher: &Publisher<'_>,
        queues: &mut Vec<Key<Queue>>,
        exchanges: &mut Vec<Key<Exchange>>,
    ) -> bool {
        let literal = self.literal.get(key).into_iter().flatten();
        let open = self
            .open
            .iter()
            .filter(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(key)))
            .map(|(_, binding)| binding);
        let mut filtered = false;
        for binding in literal.chain(open) {
            filtered |= binding.depends_on_message();
            if !binding.admits(publisher) {
                continue;
            }
            match binding.target {
                BindTarget::Queue(queue) => queues.push(queue),
                BindTarget::Exchange(exchange) if !exchanges.contains(&exchange) => exchanges.push(exchange),
                BindTarget::Exchange(_) => {}
            }
        }
        filtered
    }
}
