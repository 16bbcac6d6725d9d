// SPDX-License-Identifier: Apache-2.0
//! What was let through and may still be refused further in: until the answer it counts as made, then it is taken back.

use sabir_model::verb::{Answer, Reply, Request};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Most things whose answer is awaited. Beyond, they count as made whatever the answer is: never too little is counted.
const MAX_AWAITED: usize = 1024;

/// By token, what is taken back if it is refused.
#[derive(Debug)]
pub(crate) struct Awaited<T> {
    /// `None`: two things were asked under one token, so that nobody can tell which of them an answer is for.
    by_token: HashMap<u64, Option<T>>,
}

impl<T> Default for Awaited<T> {
    fn default() -> Self {
        Awaited { by_token: HashMap::new() }
    }
}

impl<T> Awaited<T> {
    /// Only what wants an answer: the tokens of the others mean nothing.
    pub(crate) fn expect(&mut self, request: &Request, made: T) {
        if !request.confirm || self.by_token.len() >= MAX_AWAITED {
            return;
        }
        match self.by_token.entry(request.token) {
            Entry::Vacant(place) => {
                place.insert(Some(made));
            }
            Entry::Occupied(mut place) => {
                place.insert(None);
            }
        }
    }

    /// Takes back what these answers refuse.
    pub(crate) fn answered(&mut self, replies: &[Reply], mut take_back: impl FnMut(T)) {
        if self.by_token.is_empty() {
            return;
        }
        for reply in replies {
            let made = self.by_token.remove(&reply.token).flatten();
            if let (Some(made), Answer::Refused(_)) = (made, &reply.answer) {
                take_back(made);
            }
        }
    }
}
