// SPDX-License-Identifier: Apache-2.0
//! `sabir config`: show and check configurations.

use super::inspect::Inspected;
use super::{Exit, SourceArguments, out};
use crate::config::{Config, ConfigError, ConfigErrors, DEFAULTS};
use crate::plugins;
use clap::Subcommand;
use std::path::PathBuf;

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the embedded defaults
    Default,
    /// Check a file, with the environment over it: the broker's settings, those of its plugins, and the users' file.
    /// Starts nothing; plugins are looked at in child processes
    Check {
        /// The file; without it the one of --config or $SABIR_CONFIG, or the defaults alone
        file: Option<PathBuf>,
        /// Do not look at the plugins: their own settings stay unchecked
        #[arg(long)]
        without_plugins: bool,
        #[command(flatten)]
        source: SourceArguments,
    },
    /// Print the configuration that results from defaults, file, environment and options
    Show {
        /// With what was not set, too, each value with where it comes from (always so)
        #[arg(long)]
        effective: bool,
        #[command(flatten)]
        source: SourceArguments,
    },
}

/// Runs the command.
pub fn run(command: &ConfigCommand) -> Exit {
    match command {
        ConfigCommand::Default => {
            out::text(DEFAULTS);
            Exit::Success
        }
        ConfigCommand::Check { file, without_plugins, source } => {
            let mut sources = source.sources();
            if file.is_some() {
                sources.file.clone_from(file);
            }
            match sources.load() {
                Ok(settings) => {
                    for (name, meant) in sources.doubtful_variables() {
                        eprintln!("warning: ${name}: nobody looks at it; did you mean {meant}?");
                    }
                    check(&settings, *without_plugins)
                }
                Err(errors) => refuse(&errors),
            }
        }
        ConfigCommand::Show { source, .. } => match source.sources().effective() {
            Ok(text) => {
                out::text(&text);
                Exit::Success
            }
            Err(errors) => refuse(&errors),
        },
    }
}

/// What goes beyond the keys: the users' file, plugins, and listeners that strangers can reach.
fn check(settings: &Config, without_plugins: bool) -> Exit {
    let policy = match settings.security.policy() {
        Ok(policy) => policy,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Configuration;
        }
    };
    if !without_plugins {
        let mut inspected = Inspected::default();
        if let Err(error) = plugins::load(settings, &mut inspected) {
            eprintln!("error: {error}");
            return Exit::Plugin;
        }
        let mut errors = plugins::check_settings(settings, &inspected.0);
        for (index, listener) in settings.listeners.iter().enumerate() {
            let local_only = inspected.is_local_only(listener.scheme());
            if let Err(problem) = settings.security.allows(listener, local_only, &policy) {
                let path = format!("listeners[{index}].uri");
                errors.push(ConfigError::new(listener.origin.clone(), path, problem));
            }
        }
        if !errors.is_empty() {
            return refuse(&ConfigErrors(errors));
        }
    }
    out::line("the configuration is good");
    Exit::Success
}

/// Says what is wrong with a configuration, a line for each error.
pub fn refuse(errors: &ConfigErrors) -> Exit {
    for error in &errors.0 {
        eprintln!("error: {error}");
    }
    Exit::Configuration
}
