//! Filters in PostgREST's words, the same in queries and subscriptions.
//!
//! - [`parse`] reads the text into an [`expr`].

pub mod expr;
pub mod parse;

pub use expr::Expr;
pub use parse::FilterError;
