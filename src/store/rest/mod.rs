//! The statements of `/rest`: tables read and written on behalf of clients. Each is one statement and one way to the server
//! and back. It runs there in a function of plank's schema, with the rights of a role that can do nothing else: casts,
//! operators and triggers of a table's owner run within it. Where nothing of another role runs, it is a statement of its own.
//!
//! - [`plan`]: which table, which columns, and who may. `condition`: a filter in SQL.
//! - [`read`], [`write`]: what is read, what is written, as statements; `statement`: that of a write. `candidate`: rows before they
//!   are written.
//! - `own`: the tables that need no boundary. `shapes`: which statements stay prepared.
//! - [`run`]: sends them; `prepared`: one of them; `outcome`: what comes back. [`keys`]: answers that are kept for `Idempotency-Key`.

mod candidate;
mod condition;
pub mod keys;
mod outcome;
mod own;
pub mod plan;
mod prepared;
pub mod read;
mod replicated;
pub mod run;
mod shapes;
mod statement;
pub mod write;

pub(super) use own::Own;
pub use plan::{Access, Form, Rows, Selected, whole_key};
pub use read::{Counting, Read};
pub use run::{Page, Written};
pub(super) use shapes::Shapes;
pub use write::{Action, Conflict, Write};
