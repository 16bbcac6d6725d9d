// SPDX-License-Identifier: Apache-2.0
//! Who may do what with which destinations.
//!
//! A rule allows; nothing forbids. Without any rule everybody may do everything; with one, what no rule allows is
//! refused. `docs/security.md` tells operators.

use super::Principal;
use sabir_model::Destination;
use sabir_model::destination::{DestinationError, DestinationKind};
use sabir_model::pattern::{Pattern, PatternError};
use serde::Deserialize;

/// In the list of a rule's users: everybody who was let in, with a name or without.
pub const ANYBODY: &str = "*";

/// What is done with a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Consume, browse, take part in a binding as its source.
    Read,
    /// Produce, take part in a binding as its target.
    Write,
    /// Make and remove.
    Admin,
}

impl Operation {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Admin => "admin",
        }
    }
}

/// A rule, as it is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `queue://`, `topic://` or `exchange://`, and a pattern: `*` is one word, `#` is any number of words.
    pub destination: String,
    /// In which virtual host; without it in all of them.
    #[serde(default)]
    pub virtual_host: Option<String>,
    /// What is allowed.
    pub allow: Vec<Operation>,
    /// To whom: names, or `*` for everybody who was let in.
    #[serde(default)]
    pub users: Vec<String>,
    /// And to which groups.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Its destination is none.
    #[error("{0}")]
    Destination(#[from] DestinationError),
    /// Its pattern is none.
    #[error("{destination}: {error}")]
    Pattern {
        /// The destination.
        destination: String,
        /// What is wrong.
        error: PatternError,
    },
    /// Temporary destinations belong to their connections, whatever rules say.
    #[error("{0}: no rule is needed for temporary destinations, which only their own connection may read")]
    Temporary(String),
    /// It allows nothing.
    #[error("{0}: this rule allows nothing: `allow` takes read, write and admin")]
    NothingAllowed(String),
    /// It is for nobody.
    #[error("{0}: this rule is for nobody: name `users` or `groups`, or users = [\"*\"] for everybody")]
    ForNobody(String),
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Compiled>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Compiled {
    kind: DestinationKind,
    pattern: Pattern,
    rule: Rule,
}

impl Rules {
    /// Reads rules. One that makes no sense makes all of them an error.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let rules = rules.into_iter().map(Compiled::new).collect::<Result<_, _>>()?;
        Ok(Rules { rules })
    }

    /// Whether there is none, so that everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether somebody may do that, in a virtual host, with everything that a destination's name stands for.
    ///
    /// A name with wildcards is allowed only if one rule allows all that it can ever match: a rule for `a.b` does not
    /// open `a.*`.
    pub fn allow(
        &self,
        principal: &Principal,
        virtual_host: &str,
        operation: Operation,
        destination: &Destination,
    ) -> bool {
        if self.is_empty() {
            return true;
        }
        let Ok(asked) = Pattern::parse(&destination.name) else { return false };
        self.rules.iter().any(|rule| {
            rule.applies(principal, virtual_host, operation, destination) && rule.pattern.covers(&asked)
        })
    }

    /// Whether a rule for just this destination, without wildcards, allows it. No rules allow nothing here.
    pub fn allow_by_name(
        &self,
        principal: &Principal,
        virtual_host: &str,
        operation: Operation,
        destination: &Destination,
    ) -> bool {
        let name = destination.to_string();
        self.rules.iter().any(|rule| {
            rule.rule.destination == name && rule.applies(principal, virtual_host, operation, destination)
        })
    }
}

impl Compiled {
    /// Whether it allows this to them, there, for some destinations of that kind.
    fn applies(
        &self,
        principal: &Principal,
        virtual_host: &str,
        operation: Operation,
        destination: &Destination,
    ) -> bool {
        self.kind == destination.kind
            && self.rule.virtual_host.as_deref().is_none_or(|only| only == virtual_host)
            && self.rule.allow.contains(&operation)
            && self.is_for(principal)
    }

    fn new(rule: Rule) -> Result<Self, RuleError> {
        let destination = Destination::parse(&rule.destination)?;
        let text = || rule.destination.clone();
        if destination.kind.is_temporary() {
            return Err(RuleError::Temporary(text()));
        }
        if rule.allow.is_empty() {
            return Err(RuleError::NothingAllowed(text()));
        }
        if rule.users.is_empty() && rule.groups.is_empty() {
            return Err(RuleError::ForNobody(text()));
        }
        let pattern = Pattern::parse(&destination.name)
            .map_err(|error| RuleError::Pattern { destination: text(), error })?;
        Ok(Compiled { kind: destination.kind, pattern, rule })
    }

    fn is_for(&self, principal: &Principal) -> bool {
        let Rule { users, groups, .. } = &self.rule;
        let named = |user: &String| user == ANYBODY || principal.user.as_ref() == Some(user);
        users.iter().any(named) || groups.iter().any(|group| principal.groups.contains(group))
    }
}
