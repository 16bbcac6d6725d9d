// SPDX-License-Identifier: Apache-2.0
//! What a condition is of one message: true, false or unknown. Never fails, never allocates.

use super::DeliveryState;
use super::tree::{Arithmetic, Comparison, Header, Node, NodeId, Tree};
use crate::message::{Field, Head};
use crate::property::Value;
use std::cmp::Ordering;

/// The three values of SQL's logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told: something is missing.
    Unknown,
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Truth {
        if value { Truth::True } else { Truth::False }
    }
}

/// What names stand for.
pub(super) struct Scope<'e, 'm> {
    pub(super) head: &'e Head<'m>,
    pub(super) delivery: DeliveryState,
    pub(super) convert_text: bool,
}

/// A value while it is computed with.
#[derive(Clone, Copy)]
enum Val<'m> {
    Null,
    Bool(bool),
    Long(i64),
    Double(f64),
    Text(&'m str),
    /// It is there, but nothing can be done with it: bytes, maps, lists, single characters.
    Other,
}

pub(super) fn evaluate(tree: &Tree, scope: &Scope<'_, '_>) -> Truth {
    Evaluation { tree, scope }.truth(tree.root())
}

struct Evaluation<'e, 'm> {
    tree: &'e Tree,
    scope: &'e Scope<'e, 'm>,
}

impl<'e, 'm> Evaluation<'e, 'm> {
    /// Of a node that is a condition. Anything else is unknown, which the parser lets nobody see.
    fn truth(&self, id: NodeId) -> Truth {
        let Some(node) = self.tree.node(id) else { return Truth::Unknown };
        match node {
            Node::Bool(value) => Truth::from(*value),
            Node::Truth(value) => self.as_truth(self.value(*value)),
            Node::Not(operand) => !self.truth(*operand),
            Node::And(list) => self.all(self.tree.list(*list), Truth::False),
            Node::Or(list) => self.all(self.tree.list(*list), Truth::True),
            Node::Compare(comparison, left, right) => {
                self.compare(*comparison, self.value(*left), self.value(*right))
            }
            Node::IsNull { value, negated } => {
                Truth::from(matches!(self.value(*value), Val::Null) != *negated)
            }
            Node::Between { value, low, high, negated } => {
                let (value, low, high) = (self.value(*value), self.value(*low), self.value(*high));
                if *negated {
                    let below = self.compare(Comparison::Less, value, low);
                    either(below, self.compare(Comparison::Greater, value, high), Truth::True)
                } else {
                    let above = self.compare(Comparison::GreaterOrEqual, value, low);
                    either(above, self.compare(Comparison::LessOrEqual, value, high), Truth::False)
                }
            }
            Node::Like { value, like, negated } => match self.value(*value) {
                Val::Null => Truth::Unknown,
                Val::Text(text) => Truth::from(like.matches(text) != *negated),
                _ => Truth::from(*negated),
            },
            Node::In { value, texts, negated } => match self.value(*value) {
                Val::Text(text) => Truth::from(texts.iter().any(|other| **other == *text) != *negated),
                _ => Truth::Unknown,
            },
            _ => Truth::Unknown,
        }
    }

    /// AND is decided by the first false, OR by the first true.
    fn all(&self, operands: &[NodeId], decisive: Truth) -> Truth {
        let mut result = !decisive;
        for operand in operands {
            result = either(result, self.truth(*operand), decisive);
            if result == decisive {
                break;
            }
        }
        result
    }

    fn value(&self, id: NodeId) -> Val<'e>
    where
        'm: 'e,
    {
        let Some(node) = self.tree.node(id) else { return Val::Null };
        match node {
            Node::Text(text) => Val::Text(text),
            Node::Long(value) => Val::Long(*value),
            Node::Double(value) => Val::Double(*value),
            Node::Property(name) => self.property(name),
            Node::Header(header) => self.header(*header),
            Node::Arithmetic(operator, left, right) => {
                self.arithmetic(*operator, self.value(*left), self.value(*right))
            }
            Node::Negate(operand) => match self.number(self.value(*operand)) {
                Val::Long(value) => value.checked_neg().map_or(Val::Double(-(value as f64)), Val::Long),
                Val::Double(value) => Val::Double(-value),
                _ => Val::Null,
            },
            _ => match self.truth(id) {
                Truth::True => Val::Bool(true),
                Truth::False => Val::Bool(false),
                Truth::Unknown => Val::Null,
            },
        }
    }

    fn property(&self, name: &str) -> Val<'m> {
        match self.scope.head.property(name) {
            None | Some(Value::Null) => Val::Null,
            Some(Value::Bool(value)) => Val::Bool(value),
            Some(Value::Byte(value)) => Val::Long(value.into()),
            Some(Value::Short(value)) => Val::Long(value.into()),
            Some(Value::Int(value)) => Val::Long(value.into()),
            Some(Value::Long(value)) => Val::Long(value),
            Some(Value::Float(value)) => Val::Double(value.into()),
            Some(Value::Double(value)) => Val::Double(value),
            Some(Value::Text(text)) => Val::Text(text),
            Some(Value::Char(_) | Value::Bytes(_) | Value::Map(_) | Value::List(_)) => Val::Other,
        }
    }

    fn header(&self, header: Header) -> Val<'m> {
        let head = self.scope.head;
        let field = |field| match head.field(field) {
            None => Val::Null,
            Some(bytes) => std::str::from_utf8(bytes).map_or(Val::Other, Val::Text),
        };
        // Protocols without a field of their own for these carry them as properties.
        let field_or_property = |of| match field(of) {
            Val::Null => self.property(header.name()),
            value => value,
        };
        match header {
            Header::CorrelationId => field(Field::CorrelationId),
            Header::DeliveryCount => Val::Long(i64::from(self.scope.delivery.redelivery_count) + 1),
            Header::DeliveryMode => {
                Val::Text(if head.persistent() { "PERSISTENT" } else { "NON_PERSISTENT" })
            }
            Header::Destination => field(Field::Destination),
            Header::Expiration => Val::Long(head.expiration_ms()),
            Header::GroupId => field_or_property(Field::Group),
            Header::GroupSequence => match head.field(Field::GroupSequence).map(<[u8; 4]>::try_from) {
                Some(Ok(bytes)) => Val::Long(u32::from_le_bytes(bytes).into()),
                _ => self.property(header.name()),
            },
            Header::MessageId => field(Field::Id),
            Header::Priority => Val::Long(head.priority().into()),
            Header::Redelivered => Val::Bool(self.scope.delivery.redelivered),
            Header::ReplyTo => field(Field::ReplyTo),
            Header::Timestamp => Val::Long(head.timestamp_ms()),
            Header::Type => field(Field::Type),
            Header::UserId => field_or_property(Field::User),
        }
    }

    fn as_truth(&self, value: Val<'_>) -> Truth {
        match value {
            Val::Null => Truth::Unknown,
            Val::Bool(value) => Truth::from(value),
            Val::Text(text) if self.scope.convert_text => Truth::from(text_as_bool(text)),
            _ => Truth::False,
        }
    }

    /// The value if it is a number, or a text that is to be read as one.
    fn number<'v>(&self, value: Val<'v>) -> Val<'v> {
        match value {
            Val::Long(_) | Val::Double(_) => value,
            Val::Text(text) if self.scope.convert_text => text_as_number(text).unwrap_or(Val::Null),
            _ => Val::Null,
        }
    }

    /// Whole numbers stay whole while 64 bits hold them; a quotient is never whole, as in ActiveMQ. What has no result,
    /// as a division by zero, is unknown.
    fn arithmetic(&self, operator: Arithmetic, left: Val<'e>, right: Val<'e>) -> Val<'e> {
        let (left, right) = (self.number(left), self.number(right));
        if let (Val::Long(left), Val::Long(right)) = (left, right) {
            let exact = match operator {
                Arithmetic::Plus => left.checked_add(right),
                Arithmetic::Minus => left.checked_sub(right),
                Arithmetic::Times => left.checked_mul(right),
                Arithmetic::Divide | Arithmetic::Remainder => None,
            };
            if let Some(exact) = exact {
                return Val::Long(exact);
            }
        }
        let (Some(left), Some(right)) = (as_double(left), as_double(right)) else { return Val::Null };
        let result = match operator {
            Arithmetic::Plus => left + right,
            Arithmetic::Minus => left - right,
            Arithmetic::Times => left * right,
            Arithmetic::Divide | Arithmetic::Remainder if right == 0.0 => return Val::Null,
            Arithmetic::Divide => left / right,
            Arithmetic::Remainder => left % right,
        };
        Val::Double(result)
    }

    fn compare(&self, comparison: Comparison, left: Val<'_>, right: Val<'_>) -> Truth {
        if let (Val::Null, _) | (_, Val::Null) = (left, right) {
            return Truth::Unknown;
        }
        let order = match (left, right) {
            (Val::Text(left), Val::Text(right)) => Some(left.cmp(right)),
            (Val::Bool(left), Val::Bool(right)) => Some(left.cmp(&right)),
            (Val::Text(text), other) if self.scope.convert_text => {
                converted_order(text, other).map(Ordering::reverse)
            }
            (other, Val::Text(text)) if self.scope.convert_text => converted_order(text, other),
            _ => number_order(left, right),
        };
        let Some(order) = order else {
            // Values that cannot be compared are not equal, and nothing else is true of them.
            return Truth::from(comparison == Comparison::NotEqual);
        };
        Truth::from(match comparison {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })
    }
}

/// AND with `decisive` false, OR with `decisive` true.
fn either(left: Truth, right: Truth, decisive: Truth) -> Truth {
    if left == decisive || right == decisive {
        decisive
    } else if left == Truth::Unknown || right == Truth::Unknown {
        Truth::Unknown
    } else {
        !decisive
    }
}

fn as_double(value: Val<'_>) -> Option<f64> {
    match value {
        Val::Long(value) => Some(value as f64),
        Val::Double(value) => Some(value),
        _ => None,
    }
}

/// Whole numbers exactly; otherwise as Java promotes, to 64 bits of floating point.
fn number_order(left: Val<'_>, right: Val<'_>) -> Option<Ordering> {
    match (left, right) {
        (Val::Long(left), Val::Long(right)) => Some(left.cmp(&right)),
        _ => as_double(left)?.partial_cmp(&as_double(right)?),
    }
}

/// How `other` compares with a text that is read as what `other` is.
fn converted_order(text: &str, other: Val<'_>) -> Option<Ordering> {
    match other {
        Val::Bool(other) => Some(other.cmp(&text_as_bool(text))),
        _ => number_order(other, text_as_number(text)?),
    }
}

fn text_as_bool(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

fn text_as_number(text: &str) -> Option<Val<'static>> {
    if let Ok(value) = text.parse() {
        return Some(Val::Long(value));
    }
    // Rust also reads "inf" and "nan", which are no numbers to anybody who filters orders by their price.
    let shaped = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if shaped { text.parse().ok().map(Val::Double) } else { None }
}
