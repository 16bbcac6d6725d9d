// SPDX-License-Identifier: Apache-2.0
//! Reads a condition by recursive descent, one function per strength of binding, weakest first.
//!
//! ```text
//!   or          and (OR and)*
//!   and         not (AND not)*
//!   not         NOT not | equality
//!   equality    comparison (= comparison | <> comparison | IS [NOT] NULL)*
//!   comparison  sum (< sum | <= sum | > sum | >= sum | [NOT] BETWEEN sum AND sum
//!               | [NOT] LIKE text [ESCAPE text] | [NOT] IN (text, ...))*
//!   sum         product (+ product | - product)*
//!   product     sign (* sign | / sign | % sign)*
//!   sign        + sign | - sign | primary
//!   primary     name | text | number | TRUE | FALSE | (or)
//! ```

use super::error::SelectorProblem;
use super::lexer::{Fault, Keyword, Lexer, Sign, Token};
use super::like::Like;
use super::tree::{Arithmetic, Comparison, Header, List, Node, NodeId, Tree};
use super::{MAX_LIKE_BYTES, MAX_SELECTOR_DEPTH};

/// What is known of a value before any message is there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Condition,
    Number,
    Text,
    /// A name: what it stands for depends on the message.
    Any,
}

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Kind::Condition => "a condition",
            Kind::Number => "a number",
            Kind::Text => "a text",
            Kind::Any => "a name",
        }
    }
}

/// Reads a whole condition.
pub(super) fn parse(text: &str, hyphens: bool) -> Result<Tree, Fault> {
    let mut parser = Parser {
        lexer: Lexer::new(text, hyphens),
        token: Token::End,
        token_at: 0,
        nodes: Vec::new(),
        depths: Vec::new(),
        lists: Vec::new(),
        nesting: 0,
    };
    parser.advance()?;
    if parser.token == Token::End {
        return Err((0, SelectorProblem::Empty));
    }
    let root = parser.or()?;
    if parser.token != Token::End {
        return Err(parser.expected("an operator or the end"));
    }
    parser.condition(root, "a selector", 0)?;
    Ok(Tree { nodes: parser.nodes.into(), lists: parser.lists.into() })
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The next token, which is looked at before it is taken.
    token: Token<'t>,
    token_at: usize,
    nodes: Vec<Node>,
    /// Of each node, how deep the tree below it is.
    depths: Vec<usize>,
    lists: Vec<NodeId>,
    /// How deep the parser is inside itself.
    nesting: usize,
}

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<Token<'t>, Fault> {
        let (at, token) = self.lexer.next()?;
        self.token_at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn take_keyword(&mut self, keyword: Keyword) -> Result<bool, Fault> {
        let here = self.token == Token::Keyword(keyword);
        if here {
            self.advance()?;
        }
        Ok(here)
    }

    fn need_keyword(&mut self, keyword: Keyword, expected: &'static str) -> Result<(), Fault> {
        if self.take_keyword(keyword)? { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn need_sign(&mut self, sign: Sign, expected: &'static str) -> Result<(), Fault> {
        if self.token != Token::Sign(sign) {
            return Err(self.expected(expected));
        }
        self.advance().map(|_| ())
    }

    fn need_text(&mut self, expected: &'static str) -> Result<String, Fault> {
        let Token::Text(quoted) = self.token else { return Err(self.expected(expected)) };
        self.advance()?;
        Ok(quoted.replace("''", "'"))
    }

    fn expected(&self, expected: &'static str) -> Fault {
        (self.token_at, SelectorProblem::Expected { expected, found: self.token.describe() })
    }

    /// Runs `read` one level deeper.
    fn deeper(&mut self, read: fn(&mut Self) -> Result<NodeId, Fault>) -> Result<NodeId, Fault> {
        if self.nesting == MAX_SELECTOR_DEPTH {
            return Err((self.token_at, SelectorProblem::TooDeep));
        }
        self.nesting += 1;
        let node = read(self);
        self.nesting -= 1;
        node
    }

    fn push(&mut self, node: Node, children: &[NodeId], at: usize) -> Result<NodeId, Fault> {
        let below = children.iter().filter_map(|child| self.depths.get(*child as usize)).max();
        let depth = below.map_or(1, |depth| depth + 1);
        if depth > MAX_SELECTOR_DEPTH {
            return Err((at, SelectorProblem::TooDeep));
        }
        self.nodes.push(node);
        self.depths.push(depth);
        Ok((self.nodes.len() - 1) as NodeId)
    }

    fn kind(&self, id: NodeId) -> Kind {
        match self.nodes.get(id as usize) {
            Some(Node::Text(_)) => Kind::Text,
            Some(Node::Long(_) | Node::Double(_) | Node::Arithmetic(..) | Node::Negate(_)) => Kind::Number,
            Some(Node::Property(_) | Node::Header(_)) => Kind::Any,
            _ => Kind::Condition,
        }
    }

    /// The node as a condition; a name is one if the message has a boolean there.
    fn condition(&mut self, id: NodeId, operator: &'static str, at: usize) -> Result<NodeId, Fault> {
        match self.kind(id) {
            Kind::Condition => Ok(id),
            Kind::Any => self.push(Node::Truth(id), &[id], at),
            kind => {
                Err((at, SelectorProblem::Operand { operator, needed: "conditions", found: kind.describe() }))
            }
        }
    }

    fn numbers(&self, ids: &[NodeId], operator: &'static str, at: usize) -> Result<(), Fault> {
        let wrong =
            ids.iter().map(|id| self.kind(*id)).find(|kind| !matches!(kind, Kind::Number | Kind::Any));
        match wrong {
            None => Ok(()),
            Some(kind) => {
                Err((at, SelectorProblem::Operand { operator, needed: "numbers", found: kind.describe() }))
            }
        }
    }

    fn or(&mut self) -> Result<NodeId, Fault> {
        self.list(Keyword::Or, "OR", Self::and, Node::Or)
    }

    fn and(&mut self) -> Result<NodeId, Fault> {
        self.list(Keyword::And, "AND", Self::not, Node::And)
    }

    /// Operands with the same operator between them become one node, however many they are.
    fn list(
        &mut self,
        keyword: Keyword,
        operator: &'static str,
        operand: fn(&mut Self) -> Result<NodeId, Fault>,
        node: fn(List) -> Node,
    ) -> Result<NodeId, Fault> {
        let at = self.token_at;
        let first = operand(self)?;
        if self.token != Token::Keyword(keyword) {
            return Ok(first);
        }
        let mut operands = vec![self.condition(first, operator, at)?];
        while self.take_keyword(keyword)? {
            let at = self.token_at;
            let next = operand(self)?;
            operands.push(self.condition(next, operator, at)?);
        }
        let list = List { first: self.lists.len() as u32, len: operands.len() as u32 };
        self.lists.extend_from_slice(&operands);
        self.push(node(list), &operands, at)
    }

    fn not(&mut self) -> Result<NodeId, Fault> {
        let at = self.token_at;
        if !self.take_keyword(Keyword::Not)? {
            return self.equality();
        }
        let operand_at = self.token_at;
        let operand = self.deeper(Self::not)?;
        let operand = self.condition(operand, "NOT", operand_at)?;
        self.push(Node::Not(operand), &[operand], at)
    }

    fn equality(&mut self) -> Result<NodeId, Fault> {
        let at = self.token_at;
        let mut left = self.comparison()?;
        loop {
            let comparison = match self.token {
                Token::Sign(Sign::Equal) => Comparison::Equal,
                Token::Sign(Sign::NotEqual) => Comparison::NotEqual,
                Token::Keyword(Keyword::Is) => {
                    self.advance()?;
                    let negated = self.take_keyword(Keyword::Not)?;
                    self.need_keyword(Keyword::Null, "NULL or NOT NULL behind IS")?;
                    left = self.push(Node::IsNull { value: left, negated }, &[left], at)?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right = self.comparison()?;
            self.comparable(comparison, left, right, at)?;
            left = self.push(Node::Compare(comparison, left, right), &[left, right], at)?;
        }
    }

    /// A condition is equal to conditions only; a text and a number are just never equal, unless text is converted.
    fn comparable(
        &self,
        comparison: Comparison,
        left: NodeId,
        right: NodeId,
        at: usize,
    ) -> Result<(), Fault> {
        let found = match (self.kind(left), self.kind(right)) {
            (Kind::Condition, found @ (Kind::Number | Kind::Text)) => found,
            (found @ (Kind::Number | Kind::Text), Kind::Condition) => found,
            _ => return Ok(()),
        };
        let operator = comparison.sign();
        let needed = "a condition on both sides or on none";
        Err((at, SelectorProblem::Operand { operator, needed, found: found.describe() }))
    }

    fn comparison(&mut self) -> Result<NodeId, Fault> {
        let at = self.token_at;
        let mut left = self.sum()?;
        loop {
            let comparison = match self.token {
                Token::Sign(Sign::Less) => Comparison::Less,
                Token::Sign(Sign::LessOrEqual) => Comparison::LessOrEqual,
                Token::Sign(Sign::Greater) => Comparison::Greater,
                Token::Sign(Sign::GreaterOrEqual) => Comparison::GreaterOrEqual,
                Token::Keyword(Keyword::Not | Keyword::Between | Keyword::Like | Keyword::In) => {
                    left = self.predicate(left, at)?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right = self.sum()?;
            self.numbers(&[left, right], comparison.sign(), at)?;
            left = self.push(Node::Compare(comparison, left, right), &[left, right], at)?;
        }
    }

    fn predicate(&mut self, value: NodeId, at: usize) -> Result<NodeId, Fault> {
        let negated = self.take_keyword(Keyword::Not)?;
        if self.take_keyword(Keyword::Between)? {
            let low = self.sum()?;
            self.need_keyword(Keyword::And, "the AND of BETWEEN")?;
            let high = self.sum()?;
            self.numbers(&[value, low, high], "BETWEEN", at)?;
            self.push(Node::Between { value, low, high, negated }, &[value, low, high], at)
        } else if self.take_keyword(Keyword::Like)? {
            self.like(value, negated, at)
        } else if self.take_keyword(Keyword::In)? {
            self.in_list(value, negated, at)
        } else {
            Err(self.expected("BETWEEN, LIKE or IN behind NOT"))
        }
    }

    fn like(&mut self, value: NodeId, negated: bool, at: usize) -> Result<NodeId, Fault> {
        let kind = self.kind(value);
        if !matches!(kind, Kind::Text | Kind::Any) {
            let problem =
                SelectorProblem::Operand { operator: "LIKE", needed: "a name", found: kind.describe() };
            return Err((at, problem));
        }
        let pattern_at = self.token_at;
        let pattern = self.need_text("a text behind LIKE")?;
        if pattern.len() > MAX_LIKE_BYTES {
            return Err((pattern_at, SelectorProblem::LikeTooLong { bytes: pattern.len() }));
        }
        let mut escape = None;
        if self.take_keyword(Keyword::Escape)? {
            let escape_at = self.token_at;
            let text = self.need_text("a text of one character behind ESCAPE")?;
            let mut chars = text.chars();
            escape = chars.next();
            if escape.is_none() || chars.next().is_some() {
                return Err((escape_at, SelectorProblem::Escape));
            }
        }
        let like = Box::new(Like::new(&pattern, escape));
        self.push(Node::Like { value, like, negated }, &[value], at)
    }

    fn in_list(&mut self, value: NodeId, negated: bool, at: usize) -> Result<NodeId, Fault> {
        let kind = self.kind(value);
        if kind != Kind::Any {
            let problem =
                SelectorProblem::Operand { operator: "IN", needed: "a name", found: kind.describe() };
            return Err((at, problem));
        }
        self.need_sign(Sign::Open, "'(' and texts behind IN")?;
        let mut texts: Vec<Box<str>> = Vec::new();
        loop {
            texts.push(self.need_text("a text in the list of IN")?.into());
            if self.token != Token::Sign(Sign::Comma) {
                break;
            }
            self.advance()?;
        }
        self.need_sign(Sign::Close, "',' or ')' in the list of IN")?;
        self.push(Node::In { value, texts: texts.into(), negated }, &[value], at)
    }

    fn sum(&mut self) -> Result<NodeId, Fault> {
        let operator = |sign| match sign {
            Sign::Plus => Some(Arithmetic::Plus),
            Sign::Minus => Some(Arithmetic::Minus),
            _ => None,
        };
        self.chain(operator, Self::product)
    }

    fn product(&mut self) -> Result<NodeId, Fault> {
        let operator = |sign| match sign {
            Sign::Times => Some(Arithmetic::Times),
            Sign::Divide => Some(Arithmetic::Divide),
            Sign::Remainder => Some(Arithmetic::Remainder),
            _ => None,
        };
        self.chain(operator, Self::sign)
    }

    fn chain(
        &mut self,
        operator_of: fn(Sign) -> Option<Arithmetic>,
        operand: fn(&mut Self) -> Result<NodeId, Fault>,
    ) -> Result<NodeId, Fault> {
        let at = self.token_at;
        let mut left = operand(self)?;
        while let Token::Sign(sign) = self.token {
            let Some(operator) = operator_of(sign) else { break };
            self.advance()?;
            let right = operand(self)?;
            self.numbers(&[left, right], operator.sign(), at)?;
            left = self.push(Node::Arithmetic(operator, left, right), &[left, right], at)?;
        }
        Ok(left)
    }

    fn sign(&mut self) -> Result<NodeId, Fault> {
        let at = self.token_at;
        match self.token {
            Token::Sign(Sign::Plus) => {
                self.advance()?;
                let operand = self.deeper(Self::sign)?;
                self.numbers(&[operand], "the sign +", at)?;
                Ok(operand)
            }
            Token::Sign(Sign::Minus) => {
                self.advance()?;
                if self.token == Token::LongMinimumAbs {
                    self.advance()?;
                    return self.push(Node::Long(i64::MIN), &[], at);
                }
                let operand = self.deeper(Self::sign)?;
                self.numbers(&[operand], "the sign -", at)?;
                self.negate(operand, at)
            }
            _ => self.primary(),
        }
    }

    /// A number with a minus is a number; anything else is an operation.
    fn negate(&mut self, operand: NodeId, at: usize) -> Result<NodeId, Fault> {
        match self.nodes.get_mut(operand as usize) {
            Some(Node::Long(value)) => {
                let negated = value.checked_neg().map(Node::Long);
                let negated = negated.unwrap_or(Node::Double(-(*value as f64)));
                if let Some(node) = self.nodes.get_mut(operand as usize) {
                    *node = negated;
                }
                Ok(operand)
            }
            Some(Node::Double(value)) => {
                *value = -*value;
                Ok(operand)
            }
            _ => self.push(Node::Negate(operand), &[operand], at),
        }
    }

    fn primary(&mut self) -> Result<NodeId, Fault> {
        const EXPECTED: &str = "a name, a text, a number or '('";
        let at = self.token_at;
        let node = match self.advance()? {
            Token::Name(name) => self.named(name, at)?,
            Token::Text(quoted) => Node::Text(quoted.replace("''", "'").into()),
            Token::Long(value) => Node::Long(value),
            Token::LongMinimumAbs => {
                let text = i64::MIN.unsigned_abs().to_string();
                return Err((at, SelectorProblem::Number(text, ": it is too large")));
            }
            Token::Double(value) => Node::Double(value),
            Token::Keyword(Keyword::True) => Node::Bool(true),
            Token::Keyword(Keyword::False) => Node::Bool(false),
            Token::Keyword(Keyword::Null) => {
                let expected = "IS NULL or IS NOT NULL: nothing is equal to NULL";
                return Err((at, SelectorProblem::Expected { expected, found: "NULL".to_owned() }));
            }
            Token::Sign(Sign::Open) => {
                let inner = self.deeper(Self::or)?;
                self.need_sign(Sign::Close, "an operator or ')'")?;
                return Ok(inner);
            }
            other => {
                return Err((at, SelectorProblem::Expected { expected: EXPECTED, found: other.describe() }));
            }
        };
        self.push(node, &[], at)
    }

    fn named(&self, name: &str, at: usize) -> Result<Node, Fault> {
        let xml = name.eq_ignore_ascii_case("XPATH") || name.eq_ignore_ascii_case("XQUERY");
        if xml && matches!(self.token, Token::Text(_)) {
            return Err((at, SelectorProblem::Unsupported(name.to_owned())));
        }
        if self.token == Token::Sign(Sign::Open) {
            return Err((at, SelectorProblem::Unsupported(format!("the function {name}"))));
        }
        Ok(Header::from_name(name).map_or_else(|| Node::Property(name.into()), Node::Header))
    }
}
