//! One binary, a file per feature. Everything here talks to a real PostgreSQL and to the server as `plank::app` builds
//! it, on a database of its own and on a port that the system chose.

#![allow(clippy::unwrap_used, missing_docs)]

mod abuse;
mod altered;
mod architecture;
mod capture;
mod changes;
mod churn;
mod cli;
mod deflate;
mod doorbell;
mod failover;
mod filter;
mod filter_null;
mod filter_state;
mod filter_types;
mod fuzz;
mod hostile;
mod items;
mod items_input;
mod live;
mod long_poll;
mod migrate;
mod openapi;
mod pooler;
mod private;
mod protocol;
mod reconnect;
mod replay;
mod resume;
mod retention;
mod rows;
mod seam;
mod slow;
mod snapshot;
mod stream;
mod support;
mod tables;
mod tail;
mod transports;
mod ui;
mod watch_cli;
