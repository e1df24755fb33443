//! What each SQLSTATE means to plank: one table for connecting, migrating, the pools, the listener and the catch-up.
//!
//! PostgreSQL's list is in its manual, appendix A. A code of five characters has its own line where it means something else
//! than its class; a class is the first two characters. What is in no line is new to plank: it does not pass by itself,
//! and it is plank's fault.

use tokio_postgres::error::SqlState;

/// Whether it makes sense to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It passes by itself, or when an operator is done with something that is done while programs run.
    Passing,
    /// It stays until something is changed. At its very first start plank ends with it, to show the mistake at
    /// once. Later it waits, for what has worked before can work again.
    Lasting,
}

/// What is said to a client whose request met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Other writers were faster: plank tries again, and then says 409.
    Race,
    /// The session knows the table as it was, or is not the one it was: plank tries again with another one, then says 503.
    Stale,
    /// The database can't now: 503.
    Away,
    /// Another row is in the way: 409.
    Collision,
    /// The database does not let plank: 403.
    Forbidden,
    /// The values do not fit the table: 422.
    Value,
    /// A bug of plank, or a schema that is not plank's: 500.
    Own,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// A code, or a class.
    pub code: &'static str,
    /// For plank's own work.
    pub outlook: Outlook,
    /// For a request.
    pub blame: Blame,
}

const fn line(code: &'static str, outlook: Outlook, blame: Blame) -> Meaning {
    Meaning {
        code,
        outlook,
        blame,
    }
}

use Blame::{Away, Collision, Forbidden, Own, Race, Stale, Value};
use Outlook::{Lasting, Passing};

/// The table. Codes stand before the classes that they are of.
pub const TABLE: &[Meaning] = &[
    // Connection exceptions. A pooler says 08P01 for all that it dislikes, also for a server that is just away.
    line("08", Passing, Away),
    line("09", Lasting, Value), // triggered action
    // "cached plan must not change result type": the table was altered. Else a feature that the server lacks.
    line("0A000", Lasting, Stale),
    line("0L", Lasting, Forbidden), // invalid grantor
    line("0P", Lasting, Forbidden), // invalid role
    line("10", Lasting, Value),     // XQuery
    line("20", Lasting, Value),     // CASE without a match, in a trigger
    line("21", Lasting, Value),     // cardinality: a statement would change one row twice
    line("22", Lasting, Value),     // data
    line("23502", Lasting, Value),  // not null
    line("23514", Lasting, Value),  // check
    line("23", Lasting, Collision), // foreign key, unique, exclusion
    // Transaction states: read only after a failover, or a transaction that was left open for too long.
    line("25006", Passing, Away),
    line("25P03", Passing, Away),
    line("25P04", Passing, Away),
    line("25", Lasting, Own),
    line("26", Passing, Stale), // no such prepared statement: a pooler has lent the session out
    line("27", Lasting, Collision), // a trigger has changed the row meanwhile
    line("28", Lasting, Away),  // wrong password, no such role, pg_hba.conf
    line("2B", Lasting, Collision), // others depend on it
    line("2F", Lasting, Value), // a function of a trigger
    line("38", Lasting, Value), // the same, in another language
    line("39", Lasting, Value),
    line("3D", Lasting, Away), // no such database
    line("40002", Lasting, Collision),
    line("40", Passing, Race),         // serialization, deadlock
    line("42501", Lasting, Forbidden), // missing right
    line("42P05", Passing, Stale),     // a prepared statement of that name is there: see 26
    line("42", Lasting, Own),          // syntax, unknown names
    line("44", Lasting, Value),        // WITH CHECK OPTION
    line("53", Passing, Away),         // disk, memory, connections
    line("54", Lasting, Value),        // too long, too complex: an index entry, a row
    line("55006", Passing, Away),      // in use
    line("55P03", Passing, Away),      // locked
    line("55", Lasting, Own),
    line("57", Passing, Away), // canceled, shut down, starting, dropped, idle for too long
    line("58", Passing, Away), // the server's system
    line("72", Passing, Race), // snapshot too old
    line("F0", Passing, Away), // the server's configuration
    line("HV", Lasting, Away), // a foreign server
    // The functions that plank runs for /rest say these.
    line("PK403", Lasting, Forbidden), // the policy does not allow the row
    line("PK404", Lasting, Stale),     // not watched any more
    line("PK409", Lasting, Collision), // a row is in the way that may not be replaced
    line("PK499", Lasting, Forbidden), // a function of others leaves something behind
    line("PK503", Passing, Away),      // the policy has just changed
    line("PK", Lasting, Value),        // too many rows, too many bytes
    line("P0004", Lasting, Own),       // ASSERT
    line("P0", Lasting, Value),        // RAISE, in a trigger
    line("XX", Passing, Own),          // internal, damaged data
];

/// What a code that is in no line means.
const UNKNOWN: Meaning = line("", Lasting, Own);

/// Whether the database could not make anything of a value: trying it again never helps.
pub fn is_data(code: &SqlState) -> bool {
    code.code().starts_with("22")
}

/// What a code means.
pub fn meaning(code: &SqlState) -> Meaning {
    let code = code.code();
    let found = TABLE.iter().find(|meaning| code.starts_with(meaning.code));
    found.copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_before_its_class() {
        for (i, meaning) in TABLE.iter().enumerate() {
            assert!(matches!(meaning.code.len(), 2 | 5), "{}", meaning.code);
            let hidden = TABLE[..i].iter().find(|m| meaning.code.starts_with(m.code));
            assert_eq!(hidden, None, "{} is never reached", meaning.code);
        }
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let outlook = |code| meaning(&SqlState::from_code(code)).outlook;
        for code in [
            "08006", "08P01", "25006", "25P03", "40001", "40P01", "53100", "53300", "55006",
            "55P03", "57014", "57P01", "57P02", "57P03", "57P05", "58030", "XX000", "26000",
            "42P05",
        ] {
            assert_eq!(outlook(code), Passing, "{code}");
        }
        for code in [
            "28000", "28P01", "3D000", "42501", "42601", "42P01", "P0001", "0A000", "ZZ999",
        ] {
            assert_eq!(outlook(code), Lasting, "{code}");
        }
    }

    #[test]
    fn nothing_that_is_said_of_data_is_a_fault_of_the_server() {
        let classes = [
            "21000", "22001", "22003", "22P02", "22021", "22P05", "2203G", "23502", "23503",
            "23505", "23514", "23P01", "27000", "40001", "40P01", "42501", "44000", "54000",
            "54001", "P0001", "P0002", "38001", "09000",
        ];
        for code in classes {
            let blame = meaning(&SqlState::from_code(code)).blame;
            assert!(!matches!(blame, Own | Away), "{code}: {blame:?}");
        }
    }
}
