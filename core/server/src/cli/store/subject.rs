// SPDX-License-Identifier: Apache-2.0
//! Which store is meant, where it is, and opening it.

use super::{Failure, StoreArguments};
use crate::cli::Exit;
use crate::cli::source;
use crate::config::{Config, ConfigErrors};
use crate::plugins;
use sabir_host::describe::Kind;
use sabir_host::{Component, Error, ErrorCode, Registry, Store};
use std::path::{Path, PathBuf};

/// A store that is not open.
pub struct Subject {
    /// The configuration that names it.
    pub config: Config,
    /// Its plugin's component.
    pub component: Component,
    /// What the component is handed, as JSON.
    pub settings: String,
}

impl StoreArguments {
    /// Finds and loads the plugin of the store that these options mean.
    pub(super) fn subject(&self) -> Result<Subject, Failure> {
        let wrong = |errors: ConfigErrors| {
            let lines: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            (lines.join("\nerror: "), Exit::Configuration)
        };
        let mut sources = self.source.sources();
        if let Some(uri) = &self.store {
            source::store(&mut sources, uri).map_err(|problem| (problem, Exit::Configuration))?;
        }
        let mut config = sources.load().map_err(wrong)?;
        if let Some(path) = &self.path {
            source::store_path(&mut sources, &config.store.kind, path);
            config = sources.load().map_err(wrong)?;
        }
        let mut registry = Registry::new();
        let kind = config.store.kind.clone();
        plugins::load_only(&config, &mut registry, &[(Kind::Store, kind.clone())])
            .map_err(|error| (error.to_string(), Exit::Plugin))?;
        let errors = plugins::check_settings(&config, &registry.plugins());
        if !errors.is_empty() {
            return Err(wrong(ConfigErrors(errors)));
        }
        let missing = || (format!("the store {kind:?} is not loaded"), Exit::Plugin);
        let component = registry.store(&kind).ok_or_else(missing)?.clone();
        let settings = config.stores.get(&kind).cloned().unwrap_or_else(|| "{}".to_owned());
        Ok(Subject { config, component, settings })
    }
}

impl Subject {
    /// Where the store is, if it is somewhere.
    pub fn path(&self) -> Option<PathBuf> {
        let settings: serde_json::Value = serde_json::from_str(&self.settings).ok()?;
        settings.get("path")?.as_str().map(PathBuf::from)
    }

    /// What to call it.
    pub fn name(&self) -> String {
        match self.path() {
            Some(path) => format!("{} in {}", self.component.name(), path.display()),
            None => self.component.name().to_owned(),
        }
    }

    /// Fails when there is no store: opening one would make it.
    pub fn must_exist(&self) -> Result<(), Failure> {
        let Some(path) = self.path() else { return Ok(()) };
        there_is_something(&path).map_err(|problem| (problem, Exit::StoreOpen))
    }

    /// Opens the store, which exists.
    pub fn open(&self) -> Result<Store, Failure> {
        self.must_exist()?;
        self.open_or_make()
    }

    /// Opens the store, and makes it if there is none.
    pub fn open_or_make(&self) -> Result<Store, Failure> {
        self.component.open_store(&self.settings).map_err(|error| self.failure(&error))
    }

    /// What an error of the store means to whoever called the program.
    pub fn failure(&self, error: &Error) -> Failure {
        let exit = match error.code {
            ErrorCode::Config => Exit::Configuration,
            ErrorCode::Unsupported => Exit::Failure,
            _ => Exit::StoreOpen,
        };
        let hint = match error.code {
            ErrorCode::Locked => ": stop that process first",
            _ => "",
        };
        (format!("the store {:?}: {}{hint}", self.component.name(), error.message), exit)
    }
}

fn there_is_something(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let mut entries = std::fs::read_dir(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no store in {shown}: no such directory"),
        std::io::ErrorKind::NotADirectory => format!("there is no store in {shown}: it is no directory"),
        _ => format!("{shown} cannot be read: {error}"),
    })?;
    // What lies hidden is nobody's, and no store consists of its lock alone.
    let visible = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.map_or(true, |entry| {
            let name = entry.file_name();
            !name.to_string_lossy().starts_with('.') && name != "lock"
        })
    };
    match entries.any(visible) {
        true => Ok(()),
        false => Err(format!("there is no store in {shown}: it is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_store_is_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let told = |path: &Path| there_is_something(path).unwrap_err();
        assert!(told(&folder.path().join("nowhere")).contains("no such directory"));
        assert!(told(folder.path()).contains("it is empty"));
        std::fs::write(&file, "x").unwrap();
        assert!(told(&file).contains("it is no directory"));
        assert_eq!(there_is_something(folder.path()), Ok(()));
    }
}
