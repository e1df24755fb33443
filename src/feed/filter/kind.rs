//! What the values of a column are, as far as filters are concerned.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

pub use super::moment::Form;

/// How the text of a column compares.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Collation {
    /// Byte by byte: "C" and "POSIX".
    Bytes,
    /// Equal texts are equal bytes, but their order is known to the server only.
    Deterministic,
    /// Different texts may be equal.
    Other,
}

/// How the letters of a column become lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Letters {
    /// Those of ASCII, nothing else.
    Ascii,
    /// As this table says, letter by letter. What is not in it stays.
    Table(Arc<HashMap<char, char>>),
    /// Those of the database's own collation, which have not been looked up.
    Default,
    /// It is known to the server only.
    #[default]
    Unknown,
}

impl Letters {
    /// The lower case of a letter.
    pub fn lower(&self, c: char) -> char {
        match self {
            Self::Table(table) => table.get(&c).copied().unwrap_or(c),
            _ => c.to_ascii_lowercase(),
        }
    }

    /// Of pairs, each a letter and its lower case.
    pub fn of_pairs(pairs: &str) -> Self {
        let chars: Vec<char> = pairs.chars().collect();
        let pairs = chars.as_chunks::<2>().0.iter();
        Self::Table(Arc::new(
            pairs.map(|[upper, lower]| (*upper, *lower)).collect(),
        ))
    }
}

/// A column's type, as `plank.describe` writes it.
#[derive(Debug, Deserialize)]
struct Described {
    base: Option<String>,
    collation: Option<Collation>,
    letters: Option<String>,
    labels: Option<Vec<String>>,
}

/// See the module's documentation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(from = "Described")]
pub enum Kind {
    /// `boolean`
    Bool,
    /// `smallint`, `integer`, `bigint`: so many bits.
    Int(u32),
    /// `real`
    Float4,
    /// `double precision`
    Float8,
    /// `numeric`
    Numeric,
    /// `text`, `varchar`
    Text(Collation, Letters),
    /// `char(n)`: blanks at the end do not count.
    Bpchar(Collation, Letters),
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// Dates and times.
    Moment(Form),
    /// An enumeration, and its labels.
    Enum(Arc<[String]>),
    /// `json`, `jsonb`: can only be null or not. JSON's own null is null as well, since a row of the log does not tell
    /// them apart.
    Json,
    /// Anything else can only be null or not.
    #[default]
    Other,
}

impl From<Described> for Kind {
    fn from(described: Described) -> Self {
        Self::new(&described)
    }
}

impl Kind {
    /// Of a type as `format_type` writes it without a modifier, a domain's being the one below it.
    fn new(described: &Described) -> Self {
        if let Some(labels) = &described.labels {
            return Self::Enum(labels.as_slice().into());
        }
        let collation = described.collation.unwrap_or(Collation::Other);
        let letters = match described.letters.as_deref() {
            Some("ascii") => Letters::Ascii,
            Some("default") => Letters::Default,
            _ => Letters::Unknown,
        };
        let base = described.base.as_deref().unwrap_or_default();
        match base {
            "boolean" => Self::Bool,
            "smallint" => Self::Int(16),
            "integer" => Self::Int(32),
            "bigint" => Self::Int(64),
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "numeric" => Self::Numeric,
            "text" | "character varying" => Self::Text(collation, letters),
            "character" | "bpchar" => Self::Bpchar(collation, letters),
            "uuid" => Self::Uuid,
            "json" | "jsonb" => Self::Json,
            "bytea" => Self::Bytea,
            "date" => Self::Moment(Form::Date),
            "time without time zone" => Self::Moment(Form::Time),
            "timestamp without time zone" => Self::Moment(Form::Timestamp),
            "timestamp with time zone" => Self::Moment(Form::Timestamptz),
            _ => Self::Other,
        }
    }

    /// Looks up the letters of the database's own collation.
    pub fn resolve(&mut self, default: &Letters) {
        if let Self::Text(_, letters) | Self::Bpchar(_, letters) = self
            && *letters == Letters::Default
        {
            *letters = default.clone();
        }
    }

    /// Whether values are in the order of PostgreSQL when they are compared here. The order of other collations, of labels, and
    /// of all other types is known to the server only.
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::Text(collation, _) | Self::Bpchar(collation, _) => *collation == Collation::Bytes,
            Self::Enum(_) | Self::Json | Self::Other => false,
            _ => true,
        }
    }

    /// Whether values that are equal here are equal for PostgreSQL, and the other way round.
    pub fn is_comparable(&self) -> bool {
        match self {
            Self::Text(collation, _) | Self::Bpchar(collation, _) => *collation != Collation::Other,
            Self::Json | Self::Other => false,
            _ => true,
        }
    }

    /// The type that a value is given in SQL.
    pub fn sql(&self) -> &'static str {
        match self {
            Self::Bool => "pg_catalog.bool",
            Self::Int(16) => "pg_catalog.int2",
            Self::Int(32) => "pg_catalog.int4",
            Self::Int(_) => "pg_catalog.int8",
            Self::Float4 => "pg_catalog.float4",
            Self::Float8 => "pg_catalog.float8",
            Self::Numeric => "pg_catalog.numeric",
            Self::Bpchar(..) => "pg_catalog.bpchar",
            Self::Uuid => "pg_catalog.uuid",
            Self::Bytea => "pg_catalog.bytea",
            Self::Moment(Form::Date) => "pg_catalog.date",
            Self::Moment(Form::Time) => "pg_catalog.time",
            Self::Moment(Form::Timestamp) => "pg_catalog.timestamp",
            Self::Moment(Form::Timestamptz) => "pg_catalog.timestamptz",
            Self::Text(..) | Self::Enum(_) | Self::Json | Self::Other => "pg_catalog.text",
        }
    }
}
