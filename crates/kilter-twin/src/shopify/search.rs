//! The search language of `query:` arguments.
//!
//! Reads   a query's text; a row's values, field by field, as the index has them.
//! Writes  warnings: they are all that tells of a value that was not understood.
//! Never   fails: what it cannot read it leaves out, and the list is longer than was meant.
//!
//! A value with a colon must be quoted. `updated_at:>=2026-01-01T00:00:00Z` is cut at the second
//! colon, is no date then, and filters nothing.

use serde_json::{Value, json};

use super::clock;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Is,
    Over,
    From,
    Under,
    To,
}

#[derive(Debug, Clone)]
pub enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    /// A field of "" is a word to be found anywhere.
    Term {
        field: String,
        op: Op,
        value: String,
    },
}

#[derive(Debug, Default)]
pub struct Query {
    pub expr: Option<Expr>,
    pub warnings: Vec<Value>,
}

/// Fields that are compared as dates.
const DATES: &[&str] =
    &["created_at", "updated_at", "processed_at", "published_at", "last_order_date"];

/// What a row has under a field: `None` for a field the list cannot be searched by.
pub trait Searched {
    fn values(&self, field: &str) -> Option<Vec<String>>;
    /// The texts a bare word is looked for in.
    fn words(&self) -> Vec<String>;
}

/// Reads a query; `known` says which fields there are.
pub fn parse(text: &str, known: &dyn Fn(&str) -> bool) -> Query {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let mut query = Query::default();
    let expr = parser.any();
    query.expr = expr.and_then(|expr| sound(expr, known, &mut query.warnings));
    query
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Term { field: String, op: Op, value: String },
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            c if c.is_whitespace() => at += 1,
            '(' => {
                out.push(Token::Open);
                at += 1;
            }
            ')' => {
                out.push(Token::Close);
                at += 1;
            }
            '-' => {
                out.push(Token::Not);
                at += 1;
            }
            _ => out.push(term(&chars, &mut at)),
        }
    }
    out
}

fn term(chars: &[char], at: &mut usize) -> Token {
    let quoted = matches!(chars[*at], '"' | '\'');
    let first = word(chars, at);
    if !quoted {
        match first.as_str() {
            "AND" => return Token::And,
            "OR" => return Token::Or,
            "NOT" => return Token::Not,
            _ => {}
        }
    }
    if quoted || chars.get(*at) != Some(&':') {
        return Token::Term { field: String::new(), op: Op::Is, value: first };
    }
    *at += 1;
    let op = match (chars.get(*at), chars.get(*at + 1)) {
        (Some('>'), Some('=')) => Op::From,
        (Some('<'), Some('=')) => Op::To,
        (Some('>'), _) => Op::Over,
        (Some('<'), _) => Op::Under,
        _ => Op::Is,
    };
    *at += match op {
        Op::From | Op::To => 2,
        Op::Over | Op::Under => 1,
        Op::Is => 0,
    };
    let value = if *at < chars.len() && !chars[*at].is_whitespace() {
        let loose = !matches!(chars[*at], '"' | '\'');
        let mut value = word(chars, at);
        // A second colon ends an unquoted value; what follows it is lost, and so is the value.
        while loose && chars.get(*at) == Some(&':') {
            *at += 1;
            let rest = if *at < chars.len() && !chars[*at].is_whitespace() {
                word(chars, at)
            } else {
                String::new()
            };
            value = format!("{value}:{rest}\u{0}");
        }
        value
    } else {
        String::new()
    };
    Token::Term { field: first, op, value }
}

/// A quoted text, or everything up to a blank, a colon or a parenthesis. `gid:` ids stay whole.
fn word(chars: &[char], at: &mut usize) -> String {
    let mut out = String::new();
    if let quote @ ('"' | '\'') = chars[*at] {
        *at += 1;
        while *at < chars.len() && chars[*at] != quote {
            if chars[*at] == '\\' && *at + 1 < chars.len() {
                *at += 1;
            }
            out.push(chars[*at]);
            *at += 1;
        }
        *at += 1;
        return out;
    }
    while *at < chars.len() {
        let c = chars[*at];
        if c.is_whitespace() || c == '(' || c == ')' || c == ':' {
            break;
        }
        if c == '\\' && *at + 1 < chars.len() {
            *at += 1;
        }
        out.push(chars[*at]);
        *at += 1;
    }
    if out.is_empty() && *at < chars.len() {
        *at += 1;
    }
    out
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Option<Expr> {
        let mut all = vec![];
        all.extend(self.all());
        while self.tokens.get(self.at) == Some(&Token::Or) {
            self.at += 1;
            all.extend(self.all());
        }
        if all.len() > 1 { Some(Expr::Any(all)) } else { all.pop() }
    }

    fn all(&mut self) -> Option<Expr> {
        let mut all = vec![];
        loop {
            match self.tokens.get(self.at) {
                None | Some(Token::Or | Token::Close) => break,
                Some(Token::And) => self.at += 1,
                Some(_) => all.extend(self.one()),
            }
        }
        if all.len() > 1 { Some(Expr::All(all)) } else { all.pop() }
    }

    fn one(&mut self) -> Option<Expr> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Not => self.one().map(|expr| Expr::Not(Box::new(expr))),
            Token::Open => {
                let expr = self.any();
                if self.tokens.get(self.at) == Some(&Token::Close) {
                    self.at += 1;
                }
                expr
            }
            Token::Term { field, op, value } => Some(Expr::Term { field, op, value }),
            Token::Close | Token::And | Token::Or => None,
        }
    }
}

/// The expression without what it does not understand, which is warned of.
fn sound(expr: Expr, known: &dyn Fn(&str) -> bool, warnings: &mut Vec<Value>) -> Option<Expr> {
    let mut many = |list: Vec<Expr>| -> Vec<Expr> {
        list.into_iter().filter_map(|expr| sound(expr, known, warnings)).collect()
    };
    match expr {
        Expr::All(list) => Some(many(list)).filter(|l| !l.is_empty()).map(Expr::All),
        Expr::Any(list) => Some(many(list)).filter(|l| !l.is_empty()).map(Expr::Any),
        Expr::Not(expr) => sound(*expr, known, warnings).map(|expr| Expr::Not(Box::new(expr))),
        Expr::Term { field, op, value } => {
            let cut = value.contains('\u{0}');
            let value = value.replace('\u{0}', "");
            let message = if !field.is_empty() && !known(&field) {
                Some(("Invalid search field for this query.".to_owned(), "invalid_field"))
            } else if (DATES.contains(&field.as_str()) && (cut || date(&value).is_none()))
                || (cut && !field.is_empty())
            {
                let shown = value.split(':').next().unwrap_or("");
                Some((format!("Input `{shown}` is not an accepted value."), "invalid_value"))
            } else {
                None
            };
            match message {
                Some((message, code)) => {
                    warnings.push(json!({ "field": field, "message": message, "code": code }));
                    None
                }
                None => Some(Expr::Term { field, op, value }),
            }
        }
    }
}

fn date(text: &str) -> Option<i64> {
    clock::parse(text).map(|ms| ms.div_euclid(1000))
}

impl Expr {
    pub fn matches(&self, row: &dyn Searched) -> bool {
        match self {
            Self::All(list) => list.iter().all(|expr| expr.matches(row)),
            Self::Any(list) => list.iter().any(|expr| expr.matches(row)),
            Self::Not(expr) => !expr.matches(row),
            Self::Term { field, value, .. } if field.is_empty() => {
                let wanted = value.trim_end_matches('*').to_lowercase();
                row.words().iter().any(|word| word.to_lowercase().contains(&wanted))
            }
            Self::Term { field, op, value } => {
                let values = row.values(field).unwrap_or_default();
                if value == "*" {
                    return values.iter().any(|v| !v.is_empty());
                }
                let dated = DATES.contains(&field.as_str());
                values.iter().any(|own| compare(own, op, value, dated))
            }
        }
    }
}

/// `>` on a date behaves like `>=`, as was observed.
fn compare(own: &str, op: &Op, wanted: &str, dated: bool) -> bool {
    if dated {
        let (Some(own), Some(wanted)) = (date(own), date(wanted)) else { return false };
        return match op {
            Op::Is => own == wanted,
            Op::Over | Op::From => own >= wanted,
            Op::Under => own < wanted,
            Op::To => own <= wanted,
        };
    }
    if *op == Op::Is {
        let (own, wanted) = (own.to_lowercase(), wanted.to_lowercase());
        return match wanted.strip_suffix('*') {
            Some(start) => own.starts_with(start),
            None => own == wanted,
        };
    }
    let number = |text: &str| text.parse::<rust_decimal::Decimal>().ok();
    let (Some(own), Some(wanted)) = (number(own), number(wanted)) else { return false };
    match op {
        Op::Is => own == wanted,
        Op::Over => own > wanted,
        Op::From => own >= wanted,
        Op::Under => own < wanted,
        Op::To => own <= wanted,
    }
}
