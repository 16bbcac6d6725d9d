// SPDX-License-Identifier: Apache-2.0
//! What a conformance suite found: one case per contract, each with a stable id.
//!
//! It knows no suite and no kind of plugin; every suite fills one, and whoever ran it prints it.

use std::fmt;

/// What a suite found, in the order in which it looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One per contract.
    pub cases: Vec<Case>,
}

/// One contract, and whether it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Stable name, as `protocol.split.every-byte`: what documents and issues refer to.
    pub id: &'static str,
    /// What is promised, as a sentence.
    pub description: &'static str,
    /// Whether it is kept.
    pub outcome: Outcome,
}

/// Whether a contract is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is.
    Passed,
    /// It is not: what was expected and what was found.
    Failed(String),
    /// It was not looked at: why, as a capability that the plugin does not claim.
    Skipped(String),
}

impl Outcome {
    /// One word for tables.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "skipped",
        }
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Outcome::Passed,
            Err(text) => Outcome::Failed(text),
        }
    }
}

impl Report {
    /// A report without cases.
    pub fn new() -> Self {
        Report::default()
    }

    /// Adds a case.
    pub fn add(&mut self, id: &'static str, description: &'static str, outcome: Outcome) {
        self.cases.push(Case { id, description, outcome });
    }

    /// Runs a check and adds its case. A check that panics is a failed case, not the end of the suite.
    pub fn check(
        &mut self,
        id: &'static str,
        description: &'static str,
        check: impl FnOnce() -> Result<(), String>,
    ) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        let outcome = match caught {
            Ok(result) => Outcome::from(result),
            Err(panic) => Outcome::Failed(format!("panicked: {}", panic_text(&*panic))),
        };
        self.add(id, description, outcome);
    }

    /// Adds a case that was not looked at.
    pub fn skip(&mut self, id: &'static str, description: &'static str, why: impl Into<String>) {
        self.add(id, description, Outcome::Skipped(why.into()));
    }

    /// Adds the cases of another suite.
    pub fn extend(&mut self, other: Report) {
        self.cases.extend(other.cases);
    }

    /// Whether no case failed. A report without cases says nothing, so it has not passed.
    pub fn all_passed(&self) -> bool {
        !self.cases.is_empty() && self.failures().next().is_none()
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|case| matches!(case.outcome, Outcome::Failed(_)))
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "with something that is no text".to_owned())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
        let mut counts = [0usize; 3];
        for case in &self.cases {
            writeln!(f, "{:7}  {:width$}  {}", case.outcome.word(), case.id, case.description)?;
            let (slot, detail) = match &case.outcome {
                Outcome::Passed => (0, None),
                Outcome::Failed(text) => (1, Some(text)),
                Outcome::Skipped(text) => (2, Some(text)),
            };
            counts[slot] += 1;
            for line in detail.iter().flat_map(|text| text.lines()) {
                writeln!(f, "{:7}  {:width$}    {}", "", "", line.escape_debug())?;
            }
        }
        let [passed, failed, skipped] = counts;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_passes_only_if_it_looked_at_something_and_nothing_failed() {
        let mut report = Report::new();
        assert!(!report.all_passed());
        report.check("a.one", "One holds.", || Ok(()));
        report.skip("a.two", "Two holds.", "not claimed");
        assert!(report.all_passed());
        report.check("a.three", "Three holds.", || Err("2 is not 3".to_owned()));
        assert!(!report.all_passed());
        assert_eq!(report.failures().map(|case| case.id).collect::<Vec<_>>(), ["a.three"]);
    }

    #[test]
    fn a_check_that_panics_is_a_failed_case() {
        let mut report = Report::new();
        report.check("a.one", "One holds.", || panic!("no room for {}", 1));
        assert_eq!(report.cases[0].outcome, Outcome::Failed("panicked: no room for 1".to_owned()));
    }

    #[test]
    fn the_table_shows_every_case_with_its_reason_and_the_sums() {
        let mut report = Report::new();
        report.check("a.one", "One holds.", || Ok(()));
        report.check("a.three", "Three holds.", || Err("2 is not 3\nreally".to_owned()));
        assert_eq!(
            report.to_string(),
            "passed   a.one    One holds.\n\
             FAILED   a.three  Three holds.\n\
             \x20                   2 is not 3\n\
             \x20                   really\n\
             1 passed, 1 failed, 0 skipped"
        );
    }
}
