// SPDX-License-Identifier: Apache-2.0
//! How long selectors take: `cargo run --release -p sabir-model --example selector_speed`.

use sabir_model::Head;
use sabir_model::message::{Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::selector::Selector;
use std::hint::black_box;
use std::time::Instant;

fn main() {
    let mut bytes = Vec::new();
    let mut writer = HeadWriter::new(&mut bytes, &Fixed::default());
    assert!(writer.field(Field::Id, b"ID:host-1:1:1:1"));
    assert!(writer.field(Field::Destination, b"queue://ORDERS"));
    assert!(writer.field(Field::Type, b"order"));
    let properties = [
        ("customer", Value::Text("customer-00017")),
        ("region", Value::Text("EU")),
        ("price", Value::Double(12.5)),
        ("quantity", Value::Int(3)),
        ("text", Value::Text("42")),
    ];
    for (name, value) in &properties {
        assert!(writer.property(name, value));
    }
    writer.finish();
    let head = Head::parse(&bytes).expect("this is a head");
    let selectors = [
        "JMSPriority > 3",
        "customer = 'customer-00017'",
        "region = 'EU'",
        "quantity > 2",
        "missing = 'x'",
        "region = 'EU' AND quantity BETWEEN 2 AND 5",
        "region IN ('US', 'ASIA', 'EU') AND price * quantity > 30 AND customer LIKE 'customer-%'",
        "convert_string_expressions:text > 41",
        "customer LIKE '%000%17'",
    ];
    const ROUNDS: u32 = 1_000_000;
    for text in selectors {
        let selector = Selector::parse(text).expect("this is a selector");
        let best = (0..5)
            .map(|_| {
                let begun = Instant::now();
                for _ in 0..ROUNDS {
                    black_box(black_box(&selector).matches(black_box(&head)));
                }
                begun.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
            })
            .fold(f64::MAX, f64::min);
        println!("{best:>7.1} ns  {text}");
    }
    let begun = Instant::now();
    for _ in 0..ROUNDS / 10 {
        black_box(Selector::parse(black_box(selectors[6]))).ok();
    }
    println!(
        "{:>7.1} ns  to parse the longest of them",
        begun.elapsed().as_nanos() as f64 / f64::from(ROUNDS / 10)
    );
}
