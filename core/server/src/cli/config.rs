// SPDX-License-Identifier: Apache-2.0
//! `sabir config`: show and check configurations.

use super::{Exit, SourceArguments, out};
use crate::config::{ConfigErrors, DEFAULTS};
use clap::Subcommand;
use std::path::PathBuf;

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the embedded defaults
    Default,
    /// Check a file, with the environment over it, and start nothing
    Check {
        /// The file; without it the one of --config or $SABIR_CONFIG, or the defaults alone
        file: Option<PathBuf>,
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
        ConfigCommand::Check { file, source } => {
            let mut sources = source.sources();
            if file.is_some() {
                sources.file.clone_from(file);
            }
            match sources.load() {
                Ok(_) => {
                    out::line("the configuration is good");
                    Exit::Success
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

/// Says what is wrong with a configuration, a line for each error.
pub fn refuse(errors: &ConfigErrors) -> Exit {
    for error in &errors.0 {
        eprintln!("error: {error}");
    }
    Exit::Configuration
}
