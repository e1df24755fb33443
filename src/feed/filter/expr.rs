//! A filter as it was written: names and values are text, and no table has been looked at.

use std::fmt::{self, Write as _};

/// What compares a column with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Matches a pattern, in which `*` and `%` stand for anything and `_` for one character.
    Like,
    /// The same, whatever the case of the letters.
    Ilike,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Eq,
        Self::Neq,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::Like,
        Self::Ilike,
    ];

    /// As in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Neq => "neq",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Like => "like",
            Self::Ilike => "ilike",
        }
    }
}

/// A comparison that only PostgreSQL decides: served in requests, where it decides all, and not in subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ServerOp {
    /// One of the others, with any or all values of a list: PostgreSQL's operator, and whether with all.
    Each(&'static str, bool),
    /// An operator of PostgreSQL's.
    Operator(&'static str),
    /// Not equal, null being a value like others.
    IsDistinct,
    /// Full-text search: the function that reads the words.
    Words(&'static str),
}

impl ServerOp {
    /// All of them by their word in a filter, besides those with a list.
    pub const ALL: [(&'static str, Self); 15] = [
        ("match", Self::Operator("~")),
        ("imatch", Self::Operator("~*")),
        ("isdistinct", Self::IsDistinct),
        ("cs", Self::Operator("@>")),
        ("cd", Self::Operator("<@")),
        ("ov", Self::Operator("&&")),
        ("sl", Self::Operator("<<")),
        ("sr", Self::Operator(">>")),
        ("nxr", Self::Operator("&<")),
        ("nxl", Self::Operator("&>")),
        ("adj", Self::Operator("-|-")),
        ("fts", Self::Words("to_tsquery")),
        ("plfts", Self::Words("plainto_tsquery")),
        ("phfts", Self::Words("phraseto_tsquery")),
        ("wfts", Self::Words("websearch_to_tsquery")),
    ];

    /// PostgreSQL's operator of a word that takes `(any)` or `(all)`.
    pub fn of_list(word: &str) -> Option<&'static str> {
        Some(match word {
            "eq" => "=",
            "gt" => ">",
            "gte" => ">=",
            "lt" => "<",
            "lte" => "<=",
            "like" => "~~",
            "ilike" => "~~*",
            "match" => "~",
            "imatch" => "~*",
            _ => return None,
        })
    }
}

/// What `is` asks for. Unlike a comparison it is never unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Is {
    /// Null.
    Null,
    /// True, and not null.
    True,
    /// False, and not null.
    False,
}

impl Is {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Null, Self::True, Self::False];

    /// As in a filter, and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::True => "true",
            Self::False => "false",
        }
    }
}

/// See the module's documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// All of them hold.
    All(Vec<Expr>),
    /// One of them holds.
    Any(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// `column.op.value`
    Compare {
        /// The column.
        column: String,
        /// The operator.
        op: Op,
        /// What it is compared with.
        value: String,
    },
    /// `column.in.(values)`
    In {
        /// The column.
        column: String,
        /// What it may be.
        values: Vec<String>,
    },
    /// `column.is.what`
    Is {
        /// The column.
        column: String,
        /// What it has to be.
        what: Is,
    },
    /// `column.op.value` for PostgreSQL alone.
    Server {
        /// The column.
        column: String,
        /// The operator.
        op: ServerOp,
        /// As it was written: `cs`, `like(any)`, `fts(english)`.
        word: String,
        /// What it is compared with.
        value: String,
    },
}

impl Expr {
    /// Its conditions on single columns.
    pub fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::All(members) | Self::Any(members) => {
                members.iter().flat_map(Self::leaves).collect()
            }
            Self::Not(inner) => inner.leaves(),
            leaf => vec![leaf],
        }
    }

    /// The column of a condition, and the values that it is compared with; nothing for a group.
    pub fn parts(&self) -> (&str, &[String]) {
        match self {
            Self::Compare { column, value, .. } | Self::Server { column, value, .. } => {
                (column, std::slice::from_ref(value))
            }
            Self::In { column, values } => (column, values),
            Self::Is { column, .. } => (column, &[]),
            Self::All(_) | Self::Any(_) | Self::Not(_) => ("", &[]),
        }
    }
}

/// Writes it as a member of `and=(...)`, so that reading it gives the same again.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(members) => write_tree(f, "and", members),
            Self::Any(members) => write_tree(f, "or", members),
            Self::Not(inner) => match &**inner {
                Self::All(members) => write_tree(f, "not.and", members),
                Self::Any(members) => write_tree(f, "not.or", members),
                // Twice denied, or a comparison: in a group of its own, for which there is a word.
                other => write_tree(f, "not.and", std::slice::from_ref(other)),
            },
            Self::Compare { column, op, value } => {
                write_quoted(f, column)?;
                write!(f, ".{}.", op.as_str())?;
                write_quoted(f, value)
            }
            Self::In { column, values } => {
                write_quoted(f, column)?;
                f.write_str(".in.(")?;
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        f.write_char(',')?;
                    }
                    write_quoted(f, value)?;
                }
                f.write_char(')')
            }
            Self::Is { column, what } => {
                write_quoted(f, column)?;
                write!(f, ".is.{}", what.as_str())
            }
            Self::Server {
                column,
                word,
                value,
                ..
            } => {
                write_quoted(f, column)?;
                write!(f, ".{word}.")?;
                write_quoted(f, value)
            }
        }
    }
}

fn write_tree(f: &mut fmt::Formatter<'_>, word: &str, members: &[Expr]) -> fmt::Result {
    write!(f, "{word}(")?;
    for (i, member) in members.iter().enumerate() {
        if i > 0 {
            f.write_char(',')?;
        }
        write!(f, "{member}")?;
    }
    f.write_char(')')
}

/// In double quotes everything stands for itself but `"` and `\`.
fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
