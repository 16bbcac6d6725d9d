// SPDX-License-Identifier: Apache-2.0
//! Options as the highest layer of the configuration.

use super::{RunArguments, SourceArguments};
use crate::config::Sources;

impl SourceArguments {
    /// The process's environment and these options.
    pub fn sources(&self) -> Sources {
        let mut sources = Sources::from_process();
        if self.config.is_some() {
            sources.file.clone_from(&self.config);
        }
        if let Some(data) = &self.data {
            push(&mut sources, "--data", &["broker", "data_dir"], data.clone());
        }
        if !self.plugins.is_empty() {
            push(&mut sources, "--plugins", &["plugins", "directories"], array(&self.plugins));
        }
        sources
    }
}

impl RunArguments {
    /// The process's environment and these options; or what is wrong with an option.
    pub fn sources(&self) -> Result<Sources, String> {
        let mut sources = self.source.sources();
        if !self.listen.is_empty() {
            let listeners: Vec<String> =
                self.listen.iter().map(|uri| format!("{{ uri = {} }}", quoted(uri))).collect();
            push(&mut sources, "--listen", &["listeners"], format!("[{}]", listeners.join(", ")));
        }
        if let Some(uri) = &self.store {
            store(&mut sources, uri)?;
        }
        Ok(sources)
    }
}

/// `KIND`, `KIND:PATH` or `KIND:PATH?key=value&…`; `KIND://PATH` means the same.
pub(super) fn store(sources: &mut Sources, uri: &str) -> Result<(), String> {
    let (rest, query) = uri.split_once('?').unwrap_or((uri, ""));
    let (kind, path) = rest.split_once(':').unwrap_or((rest, ""));
    let path = path.strip_prefix("//").unwrap_or(path);
    if kind.is_empty() {
        return Err(format!("--store {uri}: the store's kind is missing"));
    }
    push(sources, "--store", &["store", "kind"], kind.to_owned());
    if !path.is_empty() {
        push(sources, "--store", &["stores", kind, "path"], path.to_owned());
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(format!("--store {uri}: {pair:?} is not key=value"))?;
        push(sources, "--store", &["stores", kind, key], value.to_owned());
    }
    Ok(())
}

/// Where the store of this kind is.
pub(super) fn store_path(sources: &mut Sources, kind: &str, path: &str) {
    push(sources, "--path", &["stores", kind, "path"], path.to_owned());
}

fn push(sources: &mut Sources, option: &'static str, path: &[&str], value: String) {
    sources.arguments.push((option, path.iter().map(|part| (*part).to_owned()).collect(), value));
}

fn array(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
