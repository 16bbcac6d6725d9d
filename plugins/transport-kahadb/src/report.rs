// SPDX-License-Identifier: Apache-2.0
//! How far an import has come, and what it took over: a JSON object a line, in a file that whoever started it reads.

use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(100);

/// Most things of one sort that are told one by one.
const TOLD: usize = 10_000;

/// What became of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether everything was taken over, or what was not was said to be of no matter.
    pub good: bool,
    /// Why it ended early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Records that were read.
    pub records: u64,
    /// Queues, and their messages.
    pub queues: u64,
    /// Messages of queues.
    pub queue_messages: u64,
    /// Durable subscriptions.
    pub subscriptions: u64,
    /// Messages that wait for durable subscriptions, counted once for each topic.
    pub topic_messages: u64,
    /// Branches of distributed transactions that are prepared.
    pub prepared: u64,
    /// Messages that are put off.
    pub scheduled: u64,
    /// Batches that an earlier run had sent.
    pub resumed_at: u64,
    /// What is unusual and costs nothing.
    pub notes: Vec<String>,
    /// What cannot be read, or was refused: it is not taken over.
    pub lost: Vec<String>,
}

impl Report {
    /// Something that costs nothing.
    pub fn note(&mut self, text: String) {
        push(&mut self.notes, text);
    }

    /// Something that is not taken over.
    pub fn lose(&mut self, text: String) {
        push(&mut self.lost, text);
    }
}

fn push(list: &mut Vec<String>, text: String) {
    if list.len() < TOLD {
        list.push(text);
    } else if list.len() == TOLD {
        list.push("and more".to_owned());
    }
}

#[derive(Serialize)]
struct Line<'a> {
    phase: &'a str,
    done: u64,
    total: u64,
}

#[derive(Serialize)]
struct LastLine<'a> {
    report: &'a Report,
}

/// Writes the file.
#[derive(Debug)]
pub struct Reporter {
    file: File,
    told_at: Option<Instant>,
}

impl Reporter {
    /// Makes the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Reporter { file: File::create(path)?, told_at: None })
    }

    fn line(&mut self, line: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(line).map_err(io::Error::other)?;
        self.file.write_all(format!("{text}\n").as_bytes())
    }

    /// So much of so much is done.
    pub fn progress(&mut self, phase: &str, done: u64, total: u64) {
        if self.told_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.told_at = Some(Instant::now());
        // Progress that cannot be written is only not shown; the last line's failure shows by its absence.
        let _ = self.line(&Line { phase, done, total });
    }

    /// It has ended.
    pub fn end(mut self, report: &Report) {
        let _ = self.line(&LastLine { report });
    }
}
