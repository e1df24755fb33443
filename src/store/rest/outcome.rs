//! What comes out of a statement: what was written, where that is in the log, and what an error means.

use crate::feed::filter::FilterError;
use crate::feed::{Cursor, PolicyVersion, Snapshot, Table};

use super::super::fault::Fault;
use super::super::pool::{Doubt, StoreError};
use super::super::sqlstate::Blame;
use super::plan::Access;

/// Transactions that a cursor may list because they began between the statement and its write. Where there are more, the place
/// is asked for again.
const BETWEEN_MAX: u64 = 1_024;

/// What a function of others leaves behind is not to be run: see V9__rest.sql.
const LEFT_BEHIND: &str = "PK499";

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// How many rows.
    pub affected: u64,
    /// How many of the rows that it is about were there before, where that matters.
    pub existed: Option<u64>,
    /// What the client may see of them, if it asked for it.
    pub rows: Option<Vec<String>>,
    /// The values of the key of the one row that was written, as PostgreSQL writes them.
    pub key: Option<Vec<Option<String>>>,
    /// Its entity tag, without quotes.
    pub tag: Option<String>,
    /// What has seen it, and everything before.
    pub cursor: Option<Cursor>,
    /// The transaction; none if nothing was written.
    pub xid: Option<String>,
}

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The database is away, or the like.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The filter does not fit the table.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The rows have more bytes than one answer may have.
    #[error("the rows have too many bytes for one answer")]
    TooLarge,
    /// Row security hides rows from plank.
    #[error(
        "row security hides rows of the table {0} from plank; its owner has to call plank.watch again"
    )]
    Hidden(String),
    /// The table is not watched any more, or was dropped.
    #[error("the table is gone")]
    Gone,
}

/// What policies a statement depends on, as parameters.
pub(super) struct Holding {
    pub role: Option<String>,
    pub ops: Vec<&'static str>,
    pub versions: Vec<String>,
}

impl Holding {
    pub fn of(access: &Access) -> Self {
        let held = |held: &PolicyVersion| (held.right.as_str(), held.since.to_string());
        let (ops, versions) = access.held.iter().map(held).unzip();
        Self {
            role: access.role.clone(),
            ops,
            versions,
        }
    }
}

/// The place in the log of a snapshot, and of a transaction that it did not see. None if too many began in between. `newest` was
/// asked for behind it: a transaction of one's own that is above has no row in the log, and would never be passed.
pub(super) fn place(snapshot: &str, own: Option<u64>, newest: Option<&str>) -> Option<Snapshot> {
    let mut snapshot = Snapshot::parse(snapshot)?;
    if let Some(own) = own {
        snapshot = snapshot.and_own(own, BETWEEN_MAX)?;
    }
    let newest = newest.and_then(|newest| newest.parse().ok()).unwrap_or(0);
    Some(snapshot.up_to(newest))
}

/// What an error of a statement means. What the database refuses is for the client; the rest is as everywhere.
pub(super) fn explain(error: tokio_postgres::Error, table: &Table, doubt: &Doubt) -> StoreError {
    let Some(db) = error.as_db_error() else {
        return error.into();
    };
    // What has failed may have left a prepared statement behind, which no error undoes.
    doubt.suspect();
    let mut fault = Fault::of(db, !table.narrowed);
    if fault.code == LEFT_BEHIND {
        fault.message = format!(
            "a function of the owner of {} or of its types {}; later that would run with the rights of plank, so nothing is done",
            table.quoted, fault.message
        );
        log::warn!(
            "request refused table={} reason=\"{}\"",
            table.quoted,
            fault.message
        );
    }
    let is_altered = db.message().starts_with("cached plan");
    match fault.blame {
        Blame::Race | Blame::Away => error.into(),
        Blame::Stale if is_altered || fault.code != "0A000" => error.into(),
        Blame::Own if fault.code.starts_with("XX") => error.into(),
        _ => StoreError::Refused(Box::new(fault)),
    }
}
