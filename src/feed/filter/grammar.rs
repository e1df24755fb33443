//! The value of one member of a filter, read from left to right: `eq.open`, `in.(a,"b,c")`, `(a.gt.1,or(b.is.null,c.lt.2))`.
//! An error says at which character it is.

use crate::limits::{FILTER_CONDITIONS_MAX, FILTER_DEPTH_MAX, FILTER_VALUES_MAX};

use super::expr::{Expr, Is, Op, ServerOp};

/// Who decides a filter, and so which operators there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// plank and PostgreSQL, each by itself: subscriptions, policies, snapshots.
    #[default]
    Live,
    /// PostgreSQL alone: requests to `/rest`.
    Request,
}

/// The operators, for an error.
fn words(dialect: Dialect) -> String {
    let mut words: Vec<&str> = Op::ALL.iter().map(|op| op.as_str()).collect();
    words.extend(["in", "is"]);
    if dialect == Dialect::Request {
        words.extend(ServerOp::ALL.iter().map(|(word, _)| word));
    }
    words.join(", ")
}

/// Where it stands in the value of one member.
pub(super) struct Parser<'a> {
    text: &'a str,
    at: usize,
    conditions: &'a mut usize,
    dialect: Dialect,
}

impl<'a> Parser<'a> {
    /// At the beginning. `conditions` counts those of the whole filter.
    pub(super) fn new(text: &'a str, conditions: &'a mut usize, dialect: Dialect) -> Self {
        Self {
            text,
            at: 0,
            conditions,
            dialect,
        }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    /// An error here; members that are a value only are short enough to need no place.
    pub(super) fn wrong(&self, what: impl AsRef<str>) -> String {
        let characters = self.text[..self.at].chars().count();
        format!("at character {}: {}", characters + 1, what.as_ref())
    }

    /// `(member,member)`
    pub(super) fn tree(&mut self, depth: usize) -> Result<Vec<Expr>, String> {
        if depth > FILTER_DEPTH_MAX {
            let what = format!("nested more than {FILTER_DEPTH_MAX} deep");
            return Err(self.wrong(what));
        }
        if !self.take("(") {
            return Err(self.wrong("( is missing; write (column.operator.value,...)"));
        }
        let mut members = Vec::new();
        loop {
            members.push(self.member(depth)?);
            if self.take(")") {
                return Ok(members);
            }
            if !self.take(",") {
                return Err(self.wrong(", or ) is missing"));
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Expr, String> {
        for (word, is_denied, is_any) in [
            ("and(", false, false),
            ("or(", false, true),
            ("not.and(", true, false),
            ("not.or(", true, true),
        ] {
            if self.take(word) {
                self.at -= 1;
                let members = self.tree(depth + 1)?;
                let tree = if is_any {
                    Expr::Any(members)
                } else {
                    Expr::All(members)
                };
                return Ok(match is_denied {
                    true => Expr::Not(tree.into()),
                    false => tree,
                });
            }
        }
        let column = if self.rest().starts_with('"') {
            self.quoted()?
        } else {
            let rest = self.rest();
            let end = rest.find(['.', ',', '(', ')']).unwrap_or(rest.len());
            self.at += end;
            rest[..end].to_owned()
        };
        if column.is_empty() || !self.take(".") {
            return Err(self.wrong(
                "a condition is missing; write column.operator.value, with and(...) and or(...) around several",
            ));
        }
        self.operation(&column, true)
    }

    /// `[not.]operator.value` for a column.
    pub(super) fn operation(&mut self, column: &str, is_nested: bool) -> Result<Expr, String> {
        *self.conditions += 1;
        if *self.conditions > FILTER_CONDITIONS_MAX {
            let what = format!("the filter has more than {FILTER_CONDITIONS_MAX} conditions");
            return Err(what);
        }
        let is_denied = self.take("not.");
        let word = self.rest().split(['.', ',', ')', '(']).next().unwrap_or("");
        if self.dialect == Dialect::Request
            && let Some(condition) = self.of_server(column, word, is_nested)?
        {
            return Ok(match is_denied {
                true => Expr::Not(condition.into()),
                false => condition,
            });
        }
        let op = Op::ALL.into_iter().find(|op| op.as_str() == word);
        if op.is_none() && !matches!(word, "in" | "is") {
            let what = format!(
                "there is no operator {:?}; write operator.value with one of {}",
                short(word),
                words(self.dialect)
            );
            return Err(self.wrong(what));
        }
        self.at += word.len();
        if !self.take(".") {
            let what = format!("a dot and a value are missing behind {word}");
            return Err(self.wrong(what));
        }
        let column = column.to_owned();
        let condition = match (op, word) {
            (Some(op), _) => Expr::Compare {
                column,
                op,
                value: self.value(is_nested)?,
            },
            (None, "in") => Expr::In {
                column,
                values: self.list()?,
            },
            (None, _) => {
                let start = self.at;
                let word = self.value(is_nested)?;
                let what = Is::ALL.into_iter().find(|is| is.as_str() == word);
                let what = what.ok_or_else(|| {
                    self.at = start;
                    self.wrong(format!(
                        "is takes null, true or false, and not {:?}",
                        short(&word)
                    ))
                })?;
                Expr::Is { column, what }
            }
        };
        Ok(match is_denied {
            true => Expr::Not(condition.into()),
            false => condition,
        })
    }

    /// What only PostgreSQL decides: `cs.{a}`, `like(any).{a*,b*}`, `fts(english).word`, `is.not_null`. None if it is none of that.
    fn of_server(
        &mut self,
        column: &str,
        word: &str,
        is_nested: bool,
    ) -> Result<Option<Expr>, String> {
        let start = self.at;
        let behind = &self.rest()[word.len()..];
        let (inner, length) = match behind.strip_prefix('(').and_then(|b| b.split_once(')')) {
            Some((inner, _)) if word != "in" => (Some(inner), inner.len() + 2),
            _ => (None, 0),
        };
        let known = ServerOp::ALL.into_iter().find(|(name, _)| *name == word);
        let op = match (inner, known) {
            (None, Some((_, op))) => op,
            (Some(_), Some((_, op @ ServerOp::Words(_)))) => op,
            (Some(each @ ("any" | "all")), _) => match ServerOp::of_list(word) {
                Some(operator) => ServerOp::Each(operator, each == "all"),
                None => return Ok(None),
            },
            (None, None) if word == "is" => {
                self.at += word.len();
                let denied = |what, is_denied: bool| {
                    let column = column.to_owned();
                    let is = Expr::Is { column, what };
                    Some(if is_denied { Expr::Not(is.into()) } else { is })
                };
                for (text, what, is_denied) in
                    [(".not_null", Is::Null, true), (".unknown", Is::Null, false)]
                {
                    if self.take(text) {
                        return Ok(denied(what, is_denied));
                    }
                }
                self.at = start;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.at += word.len() + length;
        let word = self.text[start..self.at].to_owned();
        if !self.take(".") {
            let what = format!("a dot and a value are missing behind {word}");
            return Err(self.wrong(what));
        }
        let value = match (is_nested, self.rest().starts_with(['{', '['])) {
            (true, true) => self.bracketed()?,
            _ => self.value(is_nested)?,
        };
        let column = column.to_owned();
        Ok(Some(Expr::Server {
            column,
            op,
            word,
            value,
        }))
    }

    /// In a group: an array or an object up to the bracket that closes it, or a range, which may end with either bracket.
    fn bracketed(&mut self) -> Result<String, String> {
        let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
        for (i, c) in self.rest().char_indices() {
            match c {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                '{' | '[' | '(' if !is_quoted => depth += 1,
                '}' | ']' | ')' if !is_quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let end = i + c.len_utf8();
                let text = self.rest()[..end].to_owned();
                self.at += end;
                return Ok(text);
            }
        }
        Err(self.wrong("the bracket is never closed"))
    }

    /// In a group a value ends at a comma or a bracket, unless it is quoted. On its own it is all there is.
    fn value(&mut self, is_nested: bool) -> Result<String, String> {
        if !is_nested {
            let rest = self.rest();
            self.at = self.text.len();
            return Ok(rest.to_owned());
        }
        self.element()
    }

    fn element(&mut self) -> Result<String, String> {
        let rest = self.rest();
        if rest.starts_with('"') {
            return self.quoted();
        }
        let end = rest.find([',', ')']).unwrap_or(rest.len());
        self.at += end;
        Ok(rest[..end].to_owned())
    }

    /// `(value,"value")`
    fn list(&mut self) -> Result<Vec<String>, String> {
        if !self.take("(") {
            return Err(self.wrong("( is missing; write in.(a,b)"));
        }
        let mut values = Vec::new();
        if self.take(")") {
            return Ok(values);
        }
        loop {
            if values.len() == FILTER_VALUES_MAX {
                let what = format!("in has more than {FILTER_VALUES_MAX} values");
                return Err(self.wrong(what));
            }
            values.push(self.element()?);
            if self.take(")") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.wrong(", or ) is missing"));
            }
        }
    }

    /// `"text"`, with `\"` and `\\`.
    fn quoted(&mut self) -> Result<String, String> {
        let (mut text, mut is_escaped) = (String::new(), false);
        let start = self.at;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                _ if is_escaped => {
                    text.push(c);
                    is_escaped = false;
                }
                '\\' => is_escaped = true,
                '"' => {
                    self.at += i + 1;
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        self.at = start;
        Err(self.wrong("the quote is never closed"))
    }
}

/// What an error repeats of what was sent.
fn short(text: &str) -> &str {
    text.char_indices()
        .nth(40)
        .map_or(text, |(i, _)| &text[..i])
}
