//! Everything that talks SQL. Nothing above this module sees a statement, and nothing in it knows of actors or HTTP.
//!
//! - [`connect`]: a connection, and what its failure means for people.
//! - [`migrate`]: the schema, from `sql/migrations`.
//! - [`log`]: the LISTEN connection, and reading the change log by cursor.
//! - [`history`]: the log and whole tables, for clients that come back.
//! - [`pool`], [`items`]: the requests.
//! - `policy`: whether what somebody may see is still what it was.
//! - [`tickets`]: what a browser opens a WebSocket with.
//! - [`retention`]: how much of the log is kept.
//! - [`canary`]: the heartbeat row.
//! - [`watch`]: which tables are live.
//! - [`inspect`]: what `plank doctor` looks at.
//! - [`private`]: a PostgreSQL of plank's own.

pub mod canary;
pub mod connect;
pub mod history;
pub mod inspect;
pub mod items;
pub mod log;
pub mod migrate;
mod param;
mod policy;
pub mod pool;
pub mod private;
pub mod retention;
pub mod revoked;
pub mod tickets;
mod tls;
pub mod watch;

pub use connect::ConnectError;
pub use history::{History, HistoryError};
pub use pool::{Pool, StoreError};
