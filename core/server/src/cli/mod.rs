// SPDX-License-Identifier: Apache-2.0
//! The `sabir` program: its command line. Every command is a module; all of them answer an [`Exit`].

mod config;
mod exit;
mod inspect;
mod out;
mod plugin;
mod run;
mod source;
mod store;
mod user;
mod verify;

pub use exit::Exit;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A message broker, and a gateway between message protocols.
#[derive(Debug, Parser)]
#[command(name = "sabir", version, args_conflicts_with_subcommands = true, after_help = exit::HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the broker. `sabir` alone does the same
    Run(RunArguments),
    /// Show and check configurations
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Manage the users who may connect
    #[command(subcommand)]
    User(user::UserCommand),
    /// Look after a store while no broker has it
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Look at plugins
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print the version
    Version {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Options that say where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArguments {
    /// Configuration file; also $SABIR_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory for what must survive [broker.data_dir]
    #[arg(long, value_name = "DIR")]
    data: Option<String>,
    /// Directory in which plugins are looked for, instead of those configured; repeatable [plugins.directories]
    #[arg(long, value_name = "DIR")]
    plugins: Vec<String>,
}

/// Options of `sabir run`.
#[derive(Args, Clone, Debug, Default)]
pub struct RunArguments {
    #[command(flatten)]
    source: SourceArguments,
    /// Where clients connect to, instead of the configured listeners; repeatable
    #[arg(long, value_name = "URI")]
    listen: Vec<String>,
    /// Store: KIND, KIND:PATH or KIND:PATH?key=value&...
    #[arg(long, value_name = "URI")]
    store: Option<String>,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let line = CommandLine::parse();
    let exit = match line.command {
        None => run::run(&line.run),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Config(command)) => config::run(&command),
        Some(Command::User(command)) => user::run(&command),
        Some(Command::Store(command)) => store::run(&command),
        Some(Command::Plugin(command)) => plugin::run(&command),
        Some(Command::Version { json }) => version(json),
    };
    exit.into()
}

fn version(json: bool) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let (major, minor) = (sabir_abi::SABIR_ABI_MAJOR, sabir_abi::SABIR_ABI_MINOR);
    if json {
        out::line(
            &serde_json::json!({ "version": version, "abi": { "major": major, "minor": minor } }).to_string(),
        );
    } else {
        out::line(&format!("sabir {version} (plugin ABI {major}.{minor})"));
    }
    Exit::Success
}
