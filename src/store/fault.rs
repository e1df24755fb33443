//! What PostgreSQL says when it refuses a statement of a request, for the client.

use tokio_postgres::error::DbError;

use super::sqlstate::{self, Blame};

/// A refusal of the database, or of the functions that plank runs there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its SQLSTATE.
    pub code: String,
    /// What it means.
    pub blame: Blame,
    /// For people.
    pub message: String,
    /// For people; only where it repeats nothing that is hidden.
    pub details: Option<String>,
    /// For people.
    pub hint: Option<String>,
    /// The column that it is about, if it says so.
    pub column: Option<String>,
}

impl Fault {
    /// `is_open`: no column of the table is hidden, so that values of the row may be repeated.
    pub(super) fn of(db: &DbError, is_open: bool) -> Self {
        let code = db.code().code();
        let text = |text: Option<&str>| text.map(str::to_owned);
        // What a failing row has is more than what the client sent: values of hidden columns, and of triggers.
        let repeats_row = matches!(code, "23502" | "23514" | "23P01");
        let is_collision = code.starts_with("23");
        let details = match (repeats_row, is_collision) {
            (true, _) => None,
            (_, true) if !is_open => None,
            _ => text(db.detail()),
        };
        Self {
            code: code.to_owned(),
            blame: sqlstate::meaning(db.code()).blame,
            message: db.message().to_owned(),
            details,
            hint: text(db.hint()),
            column: text(db.column()).or_else(|| named(db.message())),
        }
    }
}

/// The column that a message names: `column "a" ...`, `... for column "a"`.
fn named(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("column \"")?;
    let (name, _) = rest.split_once('"')?;
    Some(name.to_owned())
}
