// SPDX-License-Identifier: Apache-2.0
//! Runs the broker until the program's input ends.

use std::io::Read;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let broker = sabir_example_embed::start()?;
    for listener in broker.local_addresses() {
        println!("listening {} {} {}", listener.scheme, listener.address, listener.protocols.join(","));
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    match broker.shutdown(Duration::from_secs(5)) {
        None => Ok(()),
        Some(problem) => anyhow::bail!("the store could not be closed: {problem}"),
    }
}
