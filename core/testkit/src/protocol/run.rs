// SPDX-License-Identifier: Apache-2.0
//! One contract after another.

use super::{answering, feeding, garbage, script::Script, standing, timing};
use crate::Report;
use sabir_host::{Capacities, Component, Framing, Protocol};

/// The protocol that is looked at.
pub struct Subject {
    /// The component.
    pub component: Component,
    /// Its configuration, a JSON object.
    pub config: String,
    /// What peers of it say: at least one that logs in, and one for each thing that it can do.
    pub scripts: Vec<Script>,
    /// The least room in which any one step of the scripts fits.
    pub least: Capacities,
    /// Most memory, in bytes, that an idle session may hold.
    pub idle_bytes: usize,
}

impl Subject {
    /// A protocol with its default configuration.
    pub fn new(component: Component, scripts: Vec<Script>) -> Self {
        Subject {
            component,
            config: "{}".to_owned(),
            scripts,
            least: Capacities { verbs: 4, arena_bytes: 4096, segments: 4, owned: 2 },
            idle_bytes: 8 * 1024,
        }
    }
}

/// What every contract gets.
pub(super) struct Look<'s> {
    pub protocol: Protocol,
    pub subject: &'s Subject,
}

impl Look<'_> {
    /// Runs a check over every script, and names the script in which it fails.
    pub fn each(&self, mut check: impl FnMut(&Script) -> Result<(), String>) -> Result<(), String> {
        for script in &self.subject.scripts {
            check(script).map_err(|what| format!("in {}: {what}", script.name))?;
        }
        Ok(())
    }
}

/// Looks at a protocol contract by contract.
pub fn run(subject: &Subject) -> Report {
    let mut report = Report::new();
    standing::configuration(subject, &mut report);
    let protocol = match subject.component.open_protocol(&subject.config) {
        Ok(protocol) => protocol,
        Err(error) => {
            report.check("protocol.open", OPENS, || Err(error.to_string()));
            return report;
        }
    };
    report.check("protocol.open", OPENS, || Ok(()));
    if !protocol.works_on(Framing::Stream) {
        report.skip("protocol.stream", "Sessions work on links without boundaries.", "not claimed");
        return report;
    }
    let look = Look { protocol, subject };
    standing::memory(&look, &mut report);
    feeding::check(&look, &mut report);
    garbage::check(&look, &mut report);
    answering::check(&look, &mut report);
    timing::check(&look, &mut report);
    standing::check(&look, &mut report);
    report
}

const OPENS: &str = "The protocol opens with its configuration.";

/// Adds a contract that needs scripts.
pub(super) fn scripted(
    look: &Look<'_>,
    report: &mut Report,
    id: &'static str,
    description: &'static str,
    check: impl FnMut(&Script) -> Result<(), String>,
) {
    if look.subject.scripts.is_empty() {
        report.skip(id, description, "no scripts were given");
    } else {
        report.check(id, description, || look.each(check));
    }
}
