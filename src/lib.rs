//! plank makes PostgreSQL tables live: a row changes, and every browser that looks at it sees it a few milliseconds
//! later. This is the map of the house; each module says what it owns and what it never does.
//!
//! - [`cli`] has one file per subcommand; the program itself only dispatches.
//! - [`app`] puts it all together: what starts in which order, and how it ends.
//! - [`http`] is the routes, the pages, and the upgrade to a WebSocket.
//! - [`actor`] is who moves what: listener, hub, shards, sessions, and every message between them.
//! - [`store`] is everything that talks SQL, [`backplane`] the stream that many nodes follow instead of the log.
//! - [`auth`] is who asks: tokens, and the keys that they are signed with.
//! - [`wire`] is the protocol of the WebSocket, bytes in and bytes out.
//! - [`feed`] is the core: changes, cursors, topics.
//! - [`config`], [`limits`], [`metrics`], [`health`], [`throttle`], [`text`], [`trace`], [`canary`], [`descriptors`] and [`systemd`] are what all of them may use.
//!
//! Imports go only down this list, and a test checks it.

pub mod actor;
pub mod app;
pub mod auth;
pub mod backplane;
pub mod canary;
pub mod cli;
pub mod config;
pub mod descriptors;
pub mod feed;
pub mod health;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod store;
pub mod systemd;
pub mod text;
pub mod throttle;
pub mod trace;
pub mod wire;
