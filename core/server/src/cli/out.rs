// SPDX-License-Identifier: Apache-2.0
//! Text on standard output. Whoever reads it may stop reading (`sabir plugin list | head`): that is no failure.

use std::io::Write;

/// Writes the text as it is.
pub fn text(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes the text and ends the line.
pub fn line(line: &str) {
    text(&format!("{line}\n"));
}
