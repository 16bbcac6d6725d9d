// SPDX-License-Identifier: Apache-2.0
//! Writes all metrics into a file from time to time, for whoever collects such files, as node_exporter does.
//!
//! The file is written beside and renamed, so that nobody reads half of it, and removed when the broker ends: figures
//! that stand still would be taken for a broker that does.

use super::figures::Figures;
use crate::link::Quiet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread that writes. Ends when it is dropped.
#[derive(Debug)]
pub struct Exporter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Writes at once, and then again and again.
    pub fn start(figures: Figures, file: PathBuf, interval: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            let failed = Quiet::every(600_000);
            loop {
                if let Err(error) = replace(&file, &figures.render())
                    && let Some(more) = failed.pass(figures.now_ms())
                {
                    let file = file.display();
                    tracing::warn!(%file, %error, suppressed = more, "cannot write the metrics (metrics.file)");
                }
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            // It may never have come to be.
            let _ = std::fs::remove_file(&file);
        };
        let thread = std::thread::Builder::new().name("sabir-metrics".to_owned()).spawn(run)?;
        Ok(Exporter { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was told.
            let _ = thread.join();
        }
    }
}

/// Puts `text` in the file's place.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, file)
}
