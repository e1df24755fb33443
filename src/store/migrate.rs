//! The schema: the files of `sql/migrations`, each run once and in its own transaction, by one node at a time.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Config};

use crate::limits::{MIGRATION_LOCK_MAX, MIGRATION_MAX};

use super::connect::{ConnectError, chain};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// For the server to say that it gave up waiting.
const LOCK_GRACE: Duration = Duration::from_secs(5);

/// Gives what the migrations have made to a role that owns nothing else.
const OWNER_SQL: &str = include_str!("../../sql/owner.sql");

/// The first part of the advisory locks of plank; this one is `(7012, 0)`.
const LOCK: &str = "select pg_advisory_lock(7012, 0)";
const UNLOCK: &str = "select pg_advisory_unlock(7012, 0)";

/// Brings the schema up to date; the names of the migrations that had to run.
///
/// Safe to call on several nodes at once: they wait for each other.
///
/// # Errors
/// Fatal if a right is missing, a migration fails, or the schema is of a newer plank.
pub async fn run(client: &mut Client, config: &Config) -> Result<Vec<String>, ConnectError> {
    let of = |e: &tokio_postgres::Error| ConnectError::of(e, config);
    let patience = format!("set lock_timeout = '{}s'", MIGRATION_LOCK_MAX.as_secs());
    client.batch_execute(&patience).await.map_err(|e| of(&e))?;
    let locked = timeout(MIGRATION_LOCK_MAX + LOCK_GRACE, client.execute(LOCK, &[])).await;
    if !matches!(locked, Ok(Ok(_))) {
        let why = "another plank has been migrating this database for a minute; waiting for it";
        return Err(ConnectError::Away(why.into()));
    }
    let Ok(result) = timeout(MIGRATION_MAX, run_locked(client, config)).await else {
        // The statement still runs; the lock goes with the connection, which the caller drops.
        return Err(ConnectError::Away(
            "the migrations took too long, and were given up".into(),
        ));
    };
    // A failed unlock means that the connection is gone, and the lock with it.
    let unlock = async {
        (
            client.execute(UNLOCK, &[]).await,
            client.batch_execute("set lock_timeout = 0").await,
        )
    };
    let _ = timeout(LOCK_GRACE, unlock).await;
    result
}

async fn run_locked(client: &mut Client, config: &Config) -> Result<Vec<String>, ConnectError> {
    // Creating a schema needs a right even if it is there, so look first.
    let is_there = client
        .query_opt("select from pg_namespace where nspname = 'plank'", &[])
        .await;
    if is_there
        .map_err(|e| ConnectError::of(&e, config))?
        .is_none()
    {
        let created = client.batch_execute("create schema plank").await;
        created.map_err(|e| ConnectError::of(&e, config))?;
    }
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name("plank.migrations");
    let report = runner
        .run_async(client)
        .await
        .map_err(|error| migration_error(&error, config))?;
    let names: Vec<String> = report
        .applied_migrations()
        .iter()
        .map(|m| format!("V{}__{}", m.version(), m.name()))
        .collect();
    // Each time: a plank may have ended between its last migration and this.
    client
        .batch_execute(OWNER_SQL)
        .await
        .map_err(|e| ConnectError::of(&e, config))?;
    let renewed = client.query_one("select plank.renew()", &[]).await;
    if renewed.map_err(|e| ConnectError::of(&e, config))?.get(0) {
        log::info!("log begun anew, it came from another database");
    }
    if !names.is_empty() {
        log::info!("schema migrated applied={}", names.join(","));
    }
    Ok(names)
}

fn migration_error(error: &refinery::Error, config: &Config) -> ConnectError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<tokio_postgres::Error>() {
            let Some(db) = cause.as_db_error() else {
                return ConnectError::of(cause, config);
            };
            if let known @ ConnectError::Fatal(_) = ConnectError::of(cause, config) {
                return known;
            }
            let hint = db
                .hint()
                .map(|hint| format!(" ({hint})"))
                .unwrap_or_default();
            return ConnectError::Fatal(format!(
                "the schema can't be migrated: {}{hint}; nothing of that step remains",
                db.message()
            ));
        }
        source = cause.source();
    }
    ConnectError::Fatal(format!(
        "the schema can't be migrated: {}; it may be of a newer plank: use that one, or restore a backup",
        chain(error)
    ))
}
