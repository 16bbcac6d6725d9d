// SPDX-License-Identifier: Apache-2.0
//! `sabir store export` and `import`: a store to one file, and back.

use super::progress::Bar;
use super::stats::size;
use super::subject::Subject;
use super::{Failure, StoreArguments};
use crate::archive::{self, ExportError, ImportError, Totals};
use crate::cli::{Exit, out};
use sabir_host::Store;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// What is written or read at a time.
const BUFFER_BYTES: usize = 1 << 20;

fn is_standard(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn failed(what: &Path, error: &io::Error) -> Failure {
    (format!("{}: {error}", what.display()), Exit::Failure)
}

/// Writes a store into a file.
pub fn export(arguments: &StoreArguments, file: &Path, force: bool) -> Result<Exit, Failure> {
    let standard = is_standard(file);
    if standard && io::stdout().is_terminal() {
        return Err(("a store is not for a terminal: name a file, or pipe it".to_owned(), Exit::Failure));
    }
    if !standard && !force && file.exists() {
        return Err((format!("{} exists; --force replaces it", file.display()), Exit::Failure));
    }
    let subject = arguments.subject()?;
    let store = subject.open()?;
    let done = match standard {
        true => write_all(&subject, &store, io::stdout().lock()).map(|(_, totals)| totals),
        false => write_file(&subject, &store, file),
    };
    let closed = store.close().map_err(|error| subject.failure(&error));
    let totals = done?;
    closed?;
    let told = tell(arguments.json, "exported", &subject, file, totals);
    // Standard output is the file.
    if standard {
        eprint!("{told}")
    } else {
        out::text(&told)
    }
    Ok(Exit::Success)
}

/// The file has its name only when it is whole.
fn write_file(subject: &Subject, store: &Store, file: &Path) -> Result<Totals, Failure> {
    let unfinished = PathBuf::from(format!("{}.unfinished", file.display()));
    let made = File::create(&unfinished).map_err(|error| failed(&unfinished, &error))?;
    let done = write_all(subject, store, made).and_then(|(made, totals)| {
        let name = || {
            made.sync_all()?;
            std::fs::rename(&unfinished, file)
        };
        name().map(|()| totals).map_err(|error| failed(file, &error))
    });
    if done.is_err() {
        // What stays says by its name what it is.
        let _ = std::fs::remove_file(&unfinished);
    }
    done
}

fn write_all<W: Write>(subject: &Subject, store: &Store, to: W) -> Result<(W, Totals), Failure> {
    let mut bar = Bar::of_things();
    let mut progress = |done, total| bar.show("exporting", done, total);
    let done = archive::export(store, BufWriter::with_capacity(BUFFER_BYTES, to), &mut progress);
    bar.end();
    let (to, totals) = done.map_err(|error| match error {
        ExportError::Store(error) => subject.failure(&error),
        other => (other.to_string(), Exit::Failure),
    })?;
    match to.into_inner() {
        Ok(to) => Ok((to, totals)),
        Err(error) => Err((format!("writing failed: {}", error.error()), Exit::Failure)),
    }
}

/// Fills a store from a file.
pub fn import(arguments: &StoreArguments, file: &Path, replace: bool) -> Result<Exit, Failure> {
    let subject = arguments.subject()?;
    let (from, total): (Box<dyn Read>, u64) = if is_standard(file) {
        (Box::new(io::stdin().lock()), 0)
    } else {
        let opened = File::open(file).map_err(|error| failed(file, &error))?;
        let len = opened.metadata().map_or(0, |meta| meta.len());
        (Box::new(opened), len)
    };
    let store = subject.open_or_make()?;
    let mut bar = Bar::of_bytes();
    let from = BufReader::with_capacity(BUFFER_BYTES, from);
    let done = archive::import(&store, from, replace, &mut |done| bar.show("importing", done, total));
    bar.end();
    let closed = store.close().map_err(|error| subject.failure(&error));
    let totals = done.map_err(|error| match error {
        ImportError::Store(error) => subject.failure(&error),
        ImportError::Frame(error) => (format!("{}: {error}", file.display()), Exit::Failure),
        other => (other.to_string(), Exit::Failure),
    })?;
    closed?;
    out::text(&tell(arguments.json, "imported", &subject, file, totals));
    Ok(Exit::Success)
}

fn tell(as_json: bool, what: &str, subject: &Subject, file: &Path, totals: Totals) -> String {
    let Totals { logs, records, links, keys, record_bytes } = totals;
    if as_json {
        let path = subject.path().map(|path| path.display().to_string());
        let told = json!({
            "done": what, "store": subject.component.name(), "path": path, "file": file.display().to_string(),
            "totals": totals,
        });
        return format!("{told}\n");
    }
    format!(
        "{what} {}: {records} records of {} and {links} links to them in {logs} logs, {keys} keys\n",
        subject.name(),
        size(record_bytes)
    )
}
