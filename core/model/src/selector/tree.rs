// SPDX-License-Identifier: Apache-2.0
//! A selector ready to be evaluated: nodes in one flat array, children before their parents; and its canonical text.

use super::like::Like;
use std::fmt;

/// Place of a node in its tree.
pub(super) type NodeId = u32;

/// A whole condition.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// The last one is the root.
    pub(super) nodes: Box<[Node]>,
    /// Operands of AND and OR, which may be many.
    pub(super) lists: Box<[NodeId]>,
}

/// One operation or operand.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(Box<str>),
    Long(i64),
    Double(f64),
    Bool(bool),
    Property(Box<str>),
    Header(Header),
    /// A value where a condition is wanted: true only if it is the boolean true.
    Truth(NodeId),
    Not(NodeId),
    And(List),
    Or(List),
    Compare(Comparison, NodeId, NodeId),
    IsNull {
        value: NodeId,
        negated: bool,
    },
    Between {
        value: NodeId,
        low: NodeId,
        high: NodeId,
        negated: bool,
    },
    Like {
        value: NodeId,
        like: Box<Like>,
        negated: bool,
    },
    In {
        value: NodeId,
        texts: Box<[Box<str>]>,
        negated: bool,
    },
    Arithmetic(Arithmetic, NodeId, NodeId),
    Negate(NodeId),
}

/// A range of [`Tree::lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct List {
    pub(super) first: u32,
    pub(super) len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

/// What JMS reads from a message's head instead of its properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    CorrelationId,
    DeliveryCount,
    DeliveryMode,
    Destination,
    Expiration,
    GroupId,
    GroupSequence,
    MessageId,
    Priority,
    Redelivered,
    ReplyTo,
    Timestamp,
    Type,
    UserId,
}

const HEADERS: [(&str, Header); 14] = [
    ("JMSCorrelationID", Header::CorrelationId),
    ("JMSDeliveryMode", Header::DeliveryMode),
    ("JMSDestination", Header::Destination),
    ("JMSExpiration", Header::Expiration),
    ("JMSMessageID", Header::MessageId),
    ("JMSPriority", Header::Priority),
    ("JMSRedelivered", Header::Redelivered),
    ("JMSReplyTo", Header::ReplyTo),
    ("JMSTimestamp", Header::Timestamp),
    ("JMSType", Header::Type),
    ("JMSXDeliveryCount", Header::DeliveryCount),
    ("JMSXGroupID", Header::GroupId),
    ("JMSXGroupSeq", Header::GroupSequence),
    ("JMSXUserID", Header::UserId),
];

impl Header {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        HEADERS.iter().find(|(spelling, _)| *spelling == name).map(|(_, header)| *header)
    }

    pub(super) fn name(self) -> &'static str {
        HEADERS.iter().find(|(_, header)| *header == self).map_or("", |(spelling, _)| spelling)
    }
}

impl Comparison {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    fn strength(self) -> Strength {
        match self {
            Comparison::Equal | Comparison::NotEqual => Strength::Equality,
            _ => Strength::Comparison,
        }
    }
}

impl Arithmetic {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Arithmetic::Plus => "+",
            Arithmetic::Minus => "-",
            Arithmetic::Times => "*",
            Arithmetic::Divide => "/",
            Arithmetic::Remainder => "%",
        }
    }

    fn strength(self) -> Strength {
        match self {
            Arithmetic::Plus | Arithmetic::Minus => Strength::Sum,
            _ => Strength::Product,
        }
    }
}

/// How strongly an operator binds, weakest first, as the parser has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Or,
    And,
    Not,
    Equality,
    Comparison,
    Sum,
    Product,
    Sign,
    Primary,
}

impl Tree {
    pub(super) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn root(&self) -> NodeId {
        (self.nodes.len() as NodeId).saturating_sub(1)
    }

    pub(super) fn list(&self, list: List) -> &[NodeId] {
        let first = list.first as usize;
        self.lists.get(first..first + list.len as usize).unwrap_or(&[])
    }

    fn strength(&self, id: NodeId) -> Strength {
        match self.node(id) {
            Some(Node::Or(_)) => Strength::Or,
            Some(Node::And(_)) => Strength::And,
            Some(Node::Not(_)) => Strength::Not,
            Some(Node::Compare(comparison, ..)) => comparison.strength(),
            Some(Node::IsNull { .. }) => Strength::Equality,
            Some(Node::Between { .. } | Node::Like { .. } | Node::In { .. }) => Strength::Comparison,
            Some(Node::Arithmetic(operator, ..)) => operator.strength(),
            Some(Node::Negate(_)) => Strength::Sign,
            Some(Node::Long(value)) if *value < 0 => Strength::Sign,
            Some(Node::Double(value)) if value.is_sign_negative() => Strength::Sign,
            Some(Node::Truth(value)) => self.strength(*value),
            _ => Strength::Primary,
        }
    }

    /// Writes a node, in parentheses if it binds less strongly than `least`.
    fn write(&self, f: &mut fmt::Formatter<'_>, id: NodeId, least: Strength) -> fmt::Result {
        if self.strength(id) >= least {
            return self.write_bare(f, id);
        }
        f.write_str("(")?;
        self.write_bare(f, id)?;
        f.write_str(")")
    }

    fn write_bare(&self, f: &mut fmt::Formatter<'_>, id: NodeId) -> fmt::Result {
        let Some(node) = self.node(id) else { return Ok(()) };
        match node {
            Node::Text(text) => write_text(f, text),
            Node::Long(value) => write!(f, "{value}"),
            Node::Double(value) => write!(f, "{value:?}"),
            Node::Bool(value) => f.write_str(if *value { "TRUE" } else { "FALSE" }),
            Node::Property(name) => f.write_str(name),
            Node::Header(header) => f.write_str(header.name()),
            Node::Truth(value) => self.write_bare(f, *value),
            Node::Not(operand) => {
                f.write_str("NOT ")?;
                self.write(f, *operand, Strength::Not)
            }
            Node::And(list) => self.write_list(f, *list, " AND ", Strength::Not),
            Node::Or(list) => self.write_list(f, *list, " OR ", Strength::And),
            Node::Compare(comparison, left, right) => {
                let above = if comparison.strength() == Strength::Equality {
                    Strength::Comparison
                } else {
                    Strength::Sum
                };
                self.write(f, *left, comparison.strength())?;
                write!(f, " {} ", comparison.sign())?;
                self.write(f, *right, above)
            }
            Node::IsNull { value, negated } => {
                self.write(f, *value, Strength::Equality)?;
                f.write_str(if *negated { " IS NOT NULL" } else { " IS NULL" })
            }
            Node::Arithmetic(operator, left, right) => {
                let above =
                    if operator.strength() == Strength::Sum { Strength::Product } else { Strength::Sign };
                self.write(f, *left, operator.strength())?;
                write!(f, " {} ", operator.sign())?;
                self.write(f, *right, above)
            }
            Node::Negate(operand) => {
                f.write_str("-")?;
                self.write(f, *operand, Strength::Sign)
            }
            Node::Between { .. } | Node::Like { .. } | Node::In { .. } => self.write_predicate(f, node),
        }
    }

    fn write_predicate(&self, f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
        let (Node::Between { value, negated, .. }
        | Node::Like { value, negated, .. }
        | Node::In { value, negated, .. }) = node
        else {
            return Ok(());
        };
        self.write(f, *value, Strength::Sum)?;
        f.write_str(if *negated { " NOT" } else { "" })?;
        match node {
            Node::Between { low, high, .. } => {
                f.write_str(" BETWEEN ")?;
                self.write(f, *low, Strength::Sum)?;
                f.write_str(" AND ")?;
                self.write(f, *high, Strength::Sum)
            }
            Node::Like { like, .. } => {
                f.write_str(" LIKE ")?;
                write_text(f, &like.pattern)?;
                let Some(escape) = like.escape else { return Ok(()) };
                f.write_str(" ESCAPE ")?;
                write_text(f, escape.encode_utf8(&mut [0; 4]))
            }
            Node::In { texts, .. } => {
                for (at, text) in texts.iter().enumerate() {
                    f.write_str(if at == 0 { " IN (" } else { ", " })?;
                    write_text(f, text)?;
                }
                f.write_str(")")
            }
            _ => Ok(()),
        }
    }

    fn write_list(
        &self,
        f: &mut fmt::Formatter<'_>,
        list: List,
        separator: &str,
        least: Strength,
    ) -> fmt::Result {
        for (at, operand) in self.list(list).iter().enumerate() {
            if at > 0 {
                f.write_str(separator)?;
            }
            self.write(f, *operand, least)?;
        }
        Ok(())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, self.root(), Strength::Or)
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}
