//! Filters in PostgREST's words, the same in queries and subscriptions.
//!
//! [`parse`] reads the text into an [`expr`], whose names and values [`bind`] looks up in a table. The [`Filter`] that comes
//! out is decided row by row by [`eval`], and translated by [`sql`] for snapshots. Both have to agree, for every type in
//! [`kind`]; what can't be decided here exactly as PostgreSQL does is refused by [`bind`].

pub mod bind;
pub mod datum;
mod decimal;
pub mod eval;
pub mod expr;
mod grammar;
pub mod kind;
mod like;
mod moment;
pub mod parse;
pub mod row;
pub mod sql;

pub use bind::Filter;
pub use eval::{Opened, Shape};
pub use expr::Expr;
pub use kind::Kind;
pub use parse::FilterError;
