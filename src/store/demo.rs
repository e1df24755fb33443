//! The demo: the table `public.items`, for those who have no tables yet. A database that has a table of that name is left as it is.

use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::limits::MIGRATION_MAX;

use super::connect::ConnectError;

const DEMO_SQL: &str = include_str!("../../sql/demo.sql");

/// Whether there is such a table, and whether it is the demo's.
const FOUND: &str = "select to_regclass('public.items') is not null, \
    to_regprocedure('public.items_touch()') is not null";

/// One node at a time.
const LOCK: &str = "lock table plank.migrating in exclusive mode";

/// Makes the table if it is not there. The schema of plank has to be there.
///
/// # Errors
/// Fatal if there is another table of that name, or a right is missing.
pub async fn install(client: &Client, config: &Config) -> Result<(), ConnectError> {
    let work = async {
        if is_there(client, config).await? {
            return Ok(());
        }
        let of = |e: &tokio_postgres::Error| ConnectError::of(e, config);
        client.batch_execute("begin").await.map_err(|e| of(&e))?;
        let made = async {
            client.execute(LOCK, &[]).await.map_err(|e| of(&e))?;
            // Another node may have made it meanwhile.
            if !is_there(client, config).await? {
                client.batch_execute(DEMO_SQL).await.map_err(|e| of(&e))?;
                log::info!("demo installed table=public.items");
            }
            Ok(())
        };
        let made = made.await;
        let end = if made.is_ok() { "commit" } else { "rollback" };
        client.batch_execute(end).await.map_err(|e| of(&e))?;
        made
    };
    match timeout(MIGRATION_MAX, work).await {
        Ok(result) => result,
        Err(_) => Err(ConnectError::Away("the database does not answer".into())),
    }
}

/// # Errors
/// Fatal if the table is not the demo's.
async fn is_there(client: &Client, config: &Config) -> Result<bool, ConnectError> {
    let row = client.query_one(FOUND, &[]).await;
    let row = row.map_err(|e| ConnectError::of(&e, config))?;
    match (row.get(0), row.get(1)) {
        (false, _) => Ok(false),
        (true, true) => Ok(true),
        (true, false) => Err(ConnectError::Fatal(format!(
            "the database {:?} has a table public.items that is not the demo's; start plank without --demo (PLANK_DEMO=0), or \
             rename it; nothing was changed",
            config.get_dbname().unwrap_or_default()
        ))),
    }
}
