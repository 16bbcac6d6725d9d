// SPDX-License-Identifier: Apache-2.0
//! How far a command has come, drawn on a terminal and nowhere else.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error; nothing is drawn where that is no terminal.
pub struct Bar {
    bar: ProgressBar,
    phase: String,
}

impl Bar {
    /// A bar that counts entries or the like.
    pub fn of_things() -> Self {
        Bar::new("{msg:>12} [{bar:30}] {human_pos}/{human_len} {per_sec} {eta}")
    }

    /// A bar that counts bytes.
    pub fn of_bytes() -> Self {
        Bar::new("{msg:>12} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
    }

    fn new(form: &str) -> Self {
        // Hidden by itself where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("=> "));
        }
        Bar { bar, phase: String::new() }
    }

    /// So much of so much is done; a total of 0: nobody knows.
    pub fn show(&mut self, phase: &str, done: u64, total: u64) {
        if self.phase != phase {
            phase.clone_into(&mut self.phase);
            self.bar.set_message(self.phase.clone());
            self.bar.reset_eta();
        }
        self.bar.set_length(total.max(done));
        self.bar.set_position(done);
    }

    /// Takes the bar away.
    pub fn end(self) {
        self.bar.finish_and_clear();
    }
}
