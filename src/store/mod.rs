//! Everything that talks SQL. Nothing above this module sees a statement, and nothing in it knows of actors or HTTP.
//!
//! - [`connect`]: a connection, and what its failure means for people. `dial`: to which of several hosts, with which
//!   password. `tls`, `certificate`: what the server's certificate has to be.
//! - [`migrate`]: the schema, from `sql/migrations`.
//! - [`demo`]: the table of the demo.
//! - [`log`]: the LISTEN connection, and reading the change log by cursor.
//! - [`history`]: the log and whole tables, for clients that come back.
//! - `replica`: a streaming replica that serves reads as exactly as the primary.
//! - [`pool`]: the requests. `driven`: the thread of their connections. `lease`: whether one still answers. `turns`: whose turn it is.
//! - `session`: what every session has set. [`sqlstate`]: what each error code of PostgreSQL means.
//! - `policy`: whether what a principal may see is still what it was.
//! - [`rest`]: tables read and written on behalf of clients.
//! - [`fault`]: what a refusal of the database says to a client.
//! - [`tickets`]: what a browser opens a WebSocket with.
//! - [`reading`]: which node reads the log for the backplane.
//! - [`retention`]: how much of the log is kept.
//! - [`canary`]: the heartbeat row.
//! - [`watch`]: which tables are live.
//! - [`inspect`]: what `plank doctor` looks at. [`shapes`]: what `plank gen types` writes down.
//! - [`live_query`]: how the results of live queries are refreshed.
//! - [`private`]: a PostgreSQL of plank's own.

pub mod canary;
mod certificate;
pub mod connect;
pub mod demo;
mod dial;
mod driven;
pub mod fault;
pub mod history;
pub mod inspect;
mod lease;
pub mod live_query;
pub mod log;
pub mod migrate;
mod param;
mod params;
mod policy;
pub mod pool;
pub mod private;
pub mod reading;
mod replica;
pub mod rest;
pub mod retention;
pub mod revoked;
mod session;
pub mod shapes;
pub mod sqlstate;
pub mod tickets;
mod tls;
mod turns;
pub mod watch;

pub use connect::ConnectError;
pub use history::{History, HistoryError};
pub use pool::{Doubt, Pool, StoreError};
