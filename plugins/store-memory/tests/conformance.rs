// SPDX-License-Identifier: Apache-2.0
//! The store's conformance suite, run over the static descriptor.

use sabir_host::Registry;
use sabir_testkit::store::{Subject, run};

#[test]
fn the_store_keeps_every_contract_of_its_kind() {
    let mut registry = Registry::new();
    registry.add(&sabir_store_memory::PLUGIN).unwrap();
    let scratch = env!("CARGO_TARGET_TMPDIR");
    let report = run(&Subject::of(registry.store("memory").unwrap(), scratch));
    println!("{report}");
    assert!(report.all_passed(), "{report}");
}
