// SPDX-License-Identifier: Apache-2.0
//! Who may connect and what they may do: `[security]`, `[[authorization]]`, and the bounds of the stack.

use super::reader::{Errors, Reader};
use super::sections::{ANYBODY, ListenerConfig, Substitutions};
use sabir_stack::Limits as StackLimits;
use sabir_stack::policy::{Authentication, FileError, Operation, Policy, Remember, Rule, Rules, Users};
use std::path::PathBuf;

/// Whether clients must log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationMode {
    /// They must if there is a users' file.
    Auto,
    /// They must.
    Users,
    /// They need not.
    Off,
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Whether clients must log in.
    pub authentication: AuthenticationMode,
    /// The users.
    pub users_file: PathBuf,
    /// Whoever gives neither name nor password is let in.
    pub allow_anonymous: bool,
    /// Listening beyond this machine without users was asked for in words.
    pub allow_unauthenticated_remote: bool,
    /// How long passwords that were right are remembered, and of how many users.
    pub remember: Remember,
    /// Passwords that are checked at the same time.
    pub password_checks: usize,
    /// Who may do what.
    pub rules: Rules,
    /// Bounds that the stack keeps.
    pub limits: StackLimits,
}

impl Security {
    /// Reads the users and puts the policy together.
    pub fn policy(&self) -> Result<Policy, FileError> {
        let policy = |authentication| {
            Policy::new(authentication, self.rules.clone(), self.limits.clone()).with_remember(self.remember)
        };
        if self.authentication == AuthenticationMode::Off {
            return Ok(policy(Authentication::Off));
        }
        match Users::load(&self.users_file) {
            Ok(users) => Ok(policy(Authentication::Users { users, anonymous: self.allow_anonymous })),
            Err(error) if error.is_missing() && self.authentication == AuthenticationMode::Auto => {
                Ok(policy(Authentication::Off))
            }
            Err(error) => Err(error),
        }
    }
}

impl Security {
    /// Whether a listener may be opened under a policy: not where strangers reach it and nobody must log in. `local_only`:
    /// the transport's listeners cannot be reached from other machines.
    pub fn allows(&self, listener: &ListenerConfig, local_only: bool, policy: &Policy) -> Result<(), String> {
        let must_log_in = !matches!(policy.authentication, Authentication::Off);
        if must_log_in || local_only || listener.is_loopback() || self.allow_unauthenticated_remote {
            return Ok(());
        }
        Err(format!(
            "it is reachable from other machines, and nobody must log in. Add a user (sabir user add NAME), or set \
             security.allow_unauthenticated_remote = {ANYBODY:?}"
        ))
    }
}

/// The section `security`.
pub fn security(reader: &Reader<'_>, names: &Substitutions, rules: Rules, limits: StackLimits) -> Security {
    let words = reader.text("allow_unauthenticated_remote");
    if !words.is_empty() && words != ANYBODY {
        reader.wrong("allow_unauthenticated_remote", format!("must be empty, or in words: {ANYBODY:?}"));
    }
    let modes = [
        ("auto", AuthenticationMode::Auto),
        ("users", AuthenticationMode::Users),
        ("off", AuthenticationMode::Off),
    ];
    Security {
        authentication: reader.word("authentication", &modes, AuthenticationMode::Users),
        users_file: PathBuf::from(names.apply(&reader.text("users_file"))),
        allow_anonymous: reader.boolean("allow_anonymous"),
        allow_unauthenticated_remote: words == ANYBODY,
        remember: Remember {
            lifetime_ms: reader.integer("remember_logins_ms", 0..=24 * 3600 * 1000),
            max_users: reader.integer("max_remembered_logins", 0..=10_000_000) as usize,
        },
        password_checks: reader.integer("password_checks", 1..=256) as usize,
        rules,
        limits,
    }
}

/// The tables of `[[authorization]]`.
pub fn rules(top: &Reader<'_>, errors: &Errors) -> Rules {
    let mut rules = Vec::new();
    for (table, origin, path) in top.tables("authorization") {
        let reader = Reader::new(&table, origin, path, errors);
        let mut allow = Vec::new();
        for text in reader.texts("allow") {
            let known = [Operation::Read, Operation::Write, Operation::Admin];
            match known.into_iter().find(|operation| operation.name() == text) {
                Some(operation) => allow.push(operation),
                None => reader.wrong("allow", format!("takes read, write and admin, not {text:?}")),
            }
        }
        let rule = Rule {
            destination: reader.text("destination"),
            virtual_host: reader.text_if("virtual_host"),
            allow,
            users: reader.texts_if("users").unwrap_or_default(),
            groups: reader.texts_if("groups").unwrap_or_default(),
        };
        // Looked at alone first, so that the error is told where the rule stands.
        match Rules::new(vec![rule.clone()]) {
            Ok(_) => rules.push(rule),
            Err(error) => reader.wrong("destination", error.to_string()),
        }
        reader.finish();
    }
    Rules::new(rules).unwrap_or_else(|error| {
        // No rules would let everybody do everything: what was noted here keeps the broker from starting.
        top.wrong("authorization", error.to_string());
        Rules::default()
    })
}

/// The stack's bounds, out of the section `limits`.
pub fn limits(reader: &Reader<'_>) -> StackLimits {
    let count = |key| reader.integer(key, 1..=u64::from(u32::MAX)) as u32;
    StackLimits {
        max_subscriptions: count("max_subscriptions_per_session"),
        max_producers: count("max_producers_per_session"),
        max_transactions: count("max_transactions_per_session"),
        max_temporary_destinations: count("max_temporary_per_session"),
        max_composite_destinations: count("max_composite"),
        max_destination_name_bytes: reader.integer("max_destination_name_bytes", 1..=1024) as u32,
        max_name_bytes: reader.integer("max_name_bytes", 1..=65_535) as u32,
        max_selector_bytes: reader.integer("max_selector_bytes", 1..=65_536) as u32,
        max_message_bytes: reader.bytes("max_message", 1024..=(1 << 40)),
        max_credit: reader.integer("max_credit", 1..=u64::from(u32::MAX)),
        max_in_flight_items: u64::from(count("max_in_flight")),
        max_in_flight_bytes: reader.bytes("max_in_flight_bytes", 1024..=(1 << 40)),
        max_login_attempts: count("max_login_attempts"),
        max_sessions_per_user: count("max_sessions_per_user"),
    }
}
