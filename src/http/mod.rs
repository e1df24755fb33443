//! HTTP: the routes, what goes wrong with a request, and the way to a WebSocket.
//!
//! - [`server`] binds the addresses and puts the services of a worker together.
//! - [`ws`] takes a socket out of HTTP: it is the only way to a session.
//! - [`routes`] is the list of all paths. [`items`], [`changes`], [`health`], [`assets`] answer there; [`openapi`] says
//!   to programs and people how.
//! - [`body`], [`problem`], [`observe`] are what all of them share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::actor::hub::Hub;
use crate::health::Health;
use crate::limits::STATEMENT_MAX;
use crate::metrics::Metrics;
use crate::store::{History, Pool, StoreError};

pub mod assets;
pub mod body;
pub mod changes;
pub mod health;
pub mod items;
mod list;
pub mod observe;
pub mod openapi;
pub mod origin;
pub mod problem;
pub mod routes;
pub mod server;
pub mod ws;

/// For the database to answer a request: its own deadline for a statement is a little below.
const ANSWER_MAX: Duration = STATEMENT_MAX.saturating_add(Duration::from_secs(2));

/// Runs a request's work in the database under a deadline, which also holds when the link swallows packets.
async fn soon<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(ANSWER_MAX, work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable("no answer in time".into())),
    }
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    /// Connections for requests.
    pub pool: Pool,
    /// The log, for those who ask for what they have missed.
    pub history: History,
    /// Knows the watched tables.
    pub hub: actix::Addr<Hub>,
    /// Who is alive.
    pub health: Arc<Health>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Origins besides plank's own whose pages may connect.
    pub allowed_origins: Arc<[String]>,
    /// Sockets at once.
    pub connections_max: usize,
    /// Bytes of one inbound WebSocket message.
    pub message_bytes_max: usize,
    /// Bytes of a request body.
    pub body_bytes_max: usize,
}
