// SPDX-License-Identifier: Apache-2.0
//! What selectors mean, case by case.

mod activemq;
mod cases;
mod errors;
mod generated;
mod limits;

use sabir_model::message::{BodyKind, Field, Fixed, HeadWriter};
use sabir_model::property::Value;
use sabir_model::selector::{DeliveryState, Selector, Truth};

/// The message that the cases are about. Names that begin with `no` are not there.
pub fn message() -> Vec<u8> {
    let mut bytes = Vec::new();
    let fixed = Fixed {
        persistent: true,
        priority: 6,
        body_kind: BodyKind::Text,
        body_encoding: 0,
        timestamp_ms: 1_700_000_000_000,
        expiration_ms: 1_700_000_060_000,
        deliver_at_ms: 0,
    };
    let mut writer = HeadWriter::new(&mut bytes, &fixed);
    let fields: [(Field, &[u8]); 8] = [
        (Field::Id, b"ID:host-1:1:1:7"),
        (Field::Destination, b"queue://ORDERS.EU"),
        (Field::ReplyTo, b"temp-queue://ID:1:1"),
        (Field::CorrelationId, b"order-9"),
        (Field::Type, b"order"),
        (Field::Group, b"customer-5"),
        (Field::GroupSequence, &3u32.to_le_bytes()),
        (Field::User, b"ann"),
    ];
    for (field, value) in fields {
        assert!(writer.field(field, value));
    }
    let properties = [
        ("byte", Value::Byte(12)),
        ("short", Value::Short(-300)),
        ("int", Value::Int(100)),
        ("zero", Value::Int(0)),
        ("long", Value::Long(5_000_000_000)),
        ("max", Value::Long(i64::MAX)),
        ("min", Value::Long(i64::MIN)),
        ("float", Value::Float(1.5)),
        ("double", Value::Double(2.25)),
        ("nan", Value::Double(f64::NAN)),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("name", Value::Text("James")),
        ("same", Value::Text("James")),
        ("other", Value::Text("Kate")),
        ("quote", Value::Text("it's 100%_ok")),
        ("empty", Value::Text("")),
        ("digits", Value::Text("42")),
        ("decimal", Value::Text("4.5")),
        ("words", Value::Text("true")),
        ("nothing", Value::Null),
        ("letter", Value::Char(65)),
        ("bytes", Value::Bytes(&[1, 2])),
        ("map", Value::Map(&[0, 0, 0, 0])),
        ("städte", Value::Text("Köln")),
        ("$price_1", Value::Int(7)),
        ("my-name", Value::Text("hyphen")),
        ("JMSXAppID", Value::Text("app")),
    ];
    for (name, value) in &properties {
        assert!(writer.property(name, value));
    }
    writer.finish();
    bytes
}

/// Of a second delivery.
pub const DELIVERY: DeliveryState = DeliveryState { redelivered: true, redelivery_count: 2 };

/// The value of a selector for [`message`].
pub fn truth(text: &str) -> Truth {
    let bytes = message();
    let head = sabir_model::Head::parse(&bytes).unwrap();
    let selector = Selector::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    selector.evaluate(&head, DELIVERY)
}
