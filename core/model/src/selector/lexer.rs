// SPDX-License-Identifier: Apache-2.0
//! Cuts a selector into words, texts, numbers and signs.

use super::error::SelectorProblem;

/// A piece of a selector.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// A name that is no keyword.
    Name(&'t str),
    Keyword(Keyword),
    /// A text, between its quotes and with its doubled quotes as they are.
    Text(&'t str),
    Long(i64),
    /// 2^63, which is a number only behind a minus.
    LongMinimumAbs,
    Double(f64),
    Sign(Sign),
    End,
}

/// Words that are no names, in any case (JMS 3.8.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Between,
    Escape,
    False,
    In,
    Is,
    Like,
    Not,
    Null,
    Or,
    True,
}

const KEYWORDS: [(&str, Keyword); 11] = [
    ("AND", Keyword::And),
    ("BETWEEN", Keyword::Between),
    ("ESCAPE", Keyword::Escape),
    ("FALSE", Keyword::False),
    ("IN", Keyword::In),
    ("IS", Keyword::Is),
    ("LIKE", Keyword::Like),
    ("NOT", Keyword::Not),
    ("NULL", Keyword::Null),
    ("OR", Keyword::Or),
    ("TRUE", Keyword::True),
];

/// Signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Open,
    Close,
    Comma,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

/// Longer signs first, so that `<=` is not `<` and `=`.
const SIGNS: [(&str, Sign); 14] = [
    ("<>", Sign::NotEqual),
    ("<=", Sign::LessOrEqual),
    (">=", Sign::GreaterOrEqual),
    ("<", Sign::Less),
    (">", Sign::Greater),
    ("=", Sign::Equal),
    ("(", Sign::Open),
    (")", Sign::Close),
    (",", Sign::Comma),
    ("+", Sign::Plus),
    ("-", Sign::Minus),
    ("*", Sign::Times),
    ("/", Sign::Divide),
    ("%", Sign::Remainder),
];

impl Token<'_> {
    /// For error messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Token::Name(name) => format!("the name {name}"),
            Token::Keyword(keyword) => keyword.spelling().to_owned(),
            Token::Text(_) => "a text".to_owned(),
            Token::Long(_) | Token::LongMinimumAbs | Token::Double(_) => "a number".to_owned(),
            Token::Sign(sign) => {
                let spelling = SIGNS.iter().find(|(_, other)| other == sign).map_or("", |(text, _)| text);
                format!("'{spelling}'")
            }
            Token::End => "the end".to_owned(),
        }
    }
}

impl Keyword {
    fn spelling(self) -> &'static str {
        KEYWORDS.iter().find(|(_, keyword)| *keyword == self).map_or("", |(text, _)| text)
    }
}

/// Whether a text can be a name and is no keyword.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    KEYWORDS.iter().find(|(text, _)| text.eq_ignore_ascii_case(word)).map(|(_, keyword)| *keyword)
}

/// Where a problem is, in bytes, and what it is.
pub(super) type Fault = (usize, SelectorProblem);

/// Reads token after token.
#[derive(Clone)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    hyphens: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str, hyphens: bool) -> Self {
        Lexer { text, at: 0, hyphens }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// The next token and where it begins. After the end come only ends.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'t>), Fault> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']).len();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok((start, Token::End)) };
        let token = if is_name_start(first) {
            self.name(rest)
        } else if first == '\'' {
            self.quoted(rest)?
        } else if first.is_ascii_digit() || starts_fraction(rest) {
            self.number(rest)?
        } else if let Some((sign_text, sign)) = SIGNS.iter().find(|(text, _)| rest.starts_with(text)) {
            self.at += sign_text.len();
            Token::Sign(*sign)
        } else {
            return Err((start, SelectorProblem::Character(first)));
        };
        Ok((start, token))
    }

    fn name(&mut self, rest: &'t str) -> Token<'t> {
        let is_part = |c: char| is_name_part(c) || (self.hyphens && c == '-');
        let word = rest.find(|c| !is_part(c)).and_then(|end| rest.get(..end)).unwrap_or(rest);
        self.at += word.len();
        keyword(word).map_or(Token::Name(word), Token::Keyword)
    }

    fn quoted(&mut self, rest: &'t str) -> Result<Token<'t>, Fault> {
        let bytes = rest.as_bytes();
        let mut end = 1;
        loop {
            match (bytes.get(end), bytes.get(end + 1)) {
                (Some(b'\''), Some(b'\'')) => end += 2,
                (Some(b'\''), _) => break,
                (Some(_), _) => end += 1,
                (None, _) => return Err((self.at, SelectorProblem::UnclosedText)),
            }
        }
        self.at += end + 1;
        Ok(Token::Text(rest.get(1..end).unwrap_or("")))
    }

    fn number(&mut self, rest: &'t str) -> Result<Token<'t>, Fault> {
        let len = number_len(rest);
        let text = rest.get(..len).unwrap_or(rest);
        let token =
            read_number(text).map_err(|why| (self.at, SelectorProblem::Number(text.to_owned(), why)))?;
        self.at += len;
        Ok(token)
    }
}

/// Java's rule for the first character of an identifier (JMS 3.8.1.1), as far as Unicode's letters go.
fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '$'
}

/// Java's rule for the others.
pub(super) fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn starts_fraction(rest: &str) -> bool {
    let mut chars = rest.chars();
    chars.next() == Some('.') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

/// Bytes of the number at the front, with the letters that run into it, so that an error shows all of `12abc`.
fn number_len(rest: &str) -> usize {
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut previous = ' ';
    rest.char_indices()
        .find(|(_, c)| {
            let exponent_sign = !hex && matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
            let inside = is_name_part(*c) || *c == '.' || exponent_sign;
            previous = *c;
            !inside
        })
        .map_or(rest.len(), |(at, _)| at)
}

const TOO_LARGE: &str = ": it is too large";

/// Reads decimal, hexadecimal, octal and floating literals with Java's suffixes.
fn read_number(text: &str) -> Result<Token<'static>, &'static str> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return read_integer(digits.strip_suffix(['l', 'L']).unwrap_or(digits), 16);
    }
    let plain = text.strip_suffix(['l', 'L']).unwrap_or(text);
    if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        let octal = plain.len() > 1 && plain.starts_with('0');
        return read_integer(plain, if octal { 8 } else { 10 });
    }
    let float = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let shaped = float.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let value: f64 = float.parse().ok().filter(|_| shaped).ok_or("")?;
    if value.is_finite() { Ok(Token::Double(value)) } else { Err(TOO_LARGE) }
}

fn read_integer(digits: &str, radix: u32) -> Result<Token<'static>, &'static str> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(if radix == 8 { ": behind a leading 0 it is octal, with digits 0 to 7" } else { "" });
    }
    match u64::from_str_radix(digits, radix) {
        Ok(value) if value == i64::MIN.unsigned_abs() && radix == 10 => Ok(Token::LongMinimumAbs),
        Ok(value) => i64::try_from(value).map(Token::Long).map_err(|_| TOO_LARGE),
        Err(_) => Err(TOO_LARGE),
    }
}
