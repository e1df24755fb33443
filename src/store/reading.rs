//! Which node reads the log for the backplane: the one that holds a lock on a table of plank's own. A connection beside the
//! listener's holds it, for LISTEN hears nothing within a transaction. It saves work and decides nothing: that only one reader
//! writes, the stream sees to.

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::config::Server;
use crate::feed::Epoch;

use super::connect::{self, ConnectError};

/// The server notices a node that is gone within 5 s of silence.
const WATCHED: &str =
    "set tcp_keepalives_idle = 2; set tcp_keepalives_interval = 1; set tcp_keepalives_count = 3";

/// Also while it waits in line. Not every system has it: there such a node is noticed when its turn has come.
const WATCHED_IN_LINE: &str = "set client_connection_check_interval = '2s'";

/// Holds no snapshot and no transaction id, so it is in the way of nothing however long it lasts.
const TAKE: &str = "begin; lock table plank.reading in exclusive mode";

/// See the module's documentation. It ends with the connection.
pub struct Turn {
    client: Client,
    driver: JoinHandle<()>,
    server: Server,
}

impl Turn {
    /// Waits in line for as long as it takes.
    ///
    /// # Errors
    /// If the connection is lost, or plank's schema is not there.
    pub async fn wait(server: &Server) -> Result<Self, ConnectError> {
        let server = connect::harden(server.clone(), "plank reading");
        let (client, connection) = connect::connect(&server).await?;
        let turn = Self {
            client,
            driver: actix_rt::spawn(async move {
                let _ = connection.await;
            }),
            server,
        };
        let config = &turn.server.config;
        connect::soon("settings", connect::settle(&turn.client, config)).await?;
        connect::soon("check", connect::check(&turn.client, config)).await?;
        connect::soon("keepalives", turn.execute(WATCHED)).await?;
        if let Err(error) = connect::soon("check interval", turn.execute(WATCHED_IN_LINE)).await {
            log::debug!("a node that is gone waits in line all the same reason=\"{error}\"");
        }
        turn.execute(TAKE).await?;
        Ok(turn)
    }

    async fn execute(&self, sql: &str) -> Result<(), ConnectError> {
        let done = self.client.batch_execute(sql).await;
        done.map_err(|e| ConnectError::of(&e, &self.server.config))
    }

    /// Which log it is.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn epoch(&self) -> Result<Epoch, ConnectError> {
        let row = async {
            let row = self.client.query_one("select plank.identity()", &[]).await;
            row.map_err(|e| ConnectError::of(&e, &self.server.config))
        };
        Ok(Epoch::of(connect::soon("identity", row).await?.get(0)))
    }

    /// Resolves when it has ended: another node may have it.
    pub async fn lost(&mut self) {
        // However the connection has ended.
        let _ = (&mut self.driver).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
