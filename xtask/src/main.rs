// SPDX-License-Identifier: Apache-2.0
//! The project's own tasks: `cargo xtask run | test | tidy | seeded | headers | bench`.
//!
//! Everything that a developer or a CI machine does with this repository goes through here, so that both do the
//! same. Nothing here is part of the broker.

mod bench;
mod headers;
mod run;
mod test;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own tasks.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the broker and its plugins, and start it, ready for clients
    Run(run::RunArguments),
    /// Run every check and test, as CI does
    Test(test::TestArguments),
    /// Check the rules that no compiler checks: imports, headers of files, `unsafe`, licences ...
    Tidy,
    /// Put faults into the journal and the engine on purpose, one by one, and see that the tests catch each
    Seeded,
    /// Generate the C header of the plugin contract from core/abi
    Headers {
        /// Only compare it with the committed one
        #[arg(long)]
        check: bool,
    },
    /// Measure speed and size in release, beside the machine's limits and other brokers
    Bench(bench::BenchArguments),
    /// The load of a measurement; reads what to do from standard input
    #[command(hide = true)]
    BenchLoad,
}

fn main() -> ExitCode {
    workspace::create_for_owner_alone();
    let result = match Arguments::parse().task {
        Task::Run(arguments) => run::run(arguments),
        Task::Test(arguments) => test::test(&arguments),
        Task::Tidy => tidy::tidy(),
        Task::Seeded => test::seeded::check(),
        Task::Headers { check } => headers::headers(check),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::BenchLoad => bench::load(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
