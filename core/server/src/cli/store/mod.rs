// SPDX-License-Identifier: Apache-2.0
//! `sabir store`: looking after a store while no broker has it.
//!
//! ```text
//!   subject    which store, and opening it     progress   how far it has come, on a terminal
//!   stats      what is in it                   transfer   export and import
//!   maintain   check, repair, compact: the store's own work, and how its report reads
//!   take_over  what another broker has stored, through an importer that the configuration names
//! ```
//! Whatever a store is, it is reached as the broker reaches it: through the plugin that the configuration names.

mod maintain;
mod progress;
mod stats;
mod subject;
mod take_over;
mod transfer;

use super::{Exit, SourceArguments};
use clap::{Args, Subcommand};
use sabir_host::Maintenance;
use std::path::PathBuf;

/// What to do with a store.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "sabir store import-NAME DIRECTORY takes over what another broker has stored; NAME is one of \
                        [importers] in the configuration: see sabir store import-NAME --help"
)]
pub enum StoreCommand {
    /// Look at everything that is stored, and change nothing. Exit code 1: something is damaged
    Check {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Make a damaged store whole again, without what is lost
    Repair {
        /// Do it: without this option it is only told what would be lost
        #[arg(long)]
        accept_loss: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Tell how much is in it, and where
    Stats {
        /// Destinations that are listed, those with the most messages first
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        destinations: usize,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Write all that it holds into one file, from which any kind of store can be filled
    Export {
        /// The file; "-": standard output
        file: PathBuf,
        /// Replace a file that exists
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Fill an empty store from such a file
    Import {
        /// The file; "-": standard input
        file: PathBuf,
        /// Lose what the store holds now
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Give back the room that nothing living needs
    Compact {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// import-NAME DIRECTORY: take over what another broker has stored
    #[command(external_subcommand)]
    TakeOver(Vec<String>),
}

/// Options that say which store.
#[derive(Args, Clone, Debug, Default)]
pub struct StoreArguments {
    #[command(flatten)]
    pub(super) source: SourceArguments,
    /// The store, instead of the configured one: KIND, KIND:PATH or KIND:PATH?key=value&...
    #[arg(long, value_name = "URI")]
    pub(super) store: Option<String>,
    /// Where the store is, instead of where the configuration says
    #[arg(long, value_name = "DIR")]
    pub(super) path: Option<String>,
    /// The result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Why a command could not be done, and how the program ends then.
pub(super) type Failure = (String, Exit);

/// Runs the command.
pub fn run(command: &StoreCommand) -> Exit {
    let done = match command {
        StoreCommand::Check { store } => maintain::run(store, Maintenance::Check, false),
        StoreCommand::Repair { accept_loss, store } => {
            maintain::run(store, Maintenance::Repair, *accept_loss)
        }
        StoreCommand::Compact { store } => maintain::run(store, Maintenance::Compact, false),
        StoreCommand::Stats { destinations, store } => stats::run(store, *destinations),
        StoreCommand::Export { file, force, store } => transfer::export(store, file, *force),
        StoreCommand::TakeOver(words) => take_over::run(words),
        StoreCommand::Import { file, replace, store } => transfer::import(store, file, *replace),
    };
    done.unwrap_or_else(|(problem, exit)| {
        eprintln!("error: {problem}");
        exit
    })
}
