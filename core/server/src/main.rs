// SPDX-License-Identifier: Apache-2.0
//! The `sabir` program.

fn main() -> std::process::ExitCode {
    sabir_server::cli::main()
}
