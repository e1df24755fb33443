//! The schema: the files of `sql/migrations`, each run once and in its own transaction, by one node at a time.

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use crate::config::Server;
use crate::limits::{MIGRATION_LOCK_MAX, MIGRATION_MAX};

use super::connect::{ConnectError, chain};

mod lock;

use lock::{LOCK_GRACE, Lock};

mod embedded {
    refinery::embed_migrations!("sql/migrations");
}

/// Gives what the migrations have made to a role that owns nothing else.
const OWNER_SQL: &str = include_str!("../../sql/owner.sql");

/// Lets the role that writes write what clients may write.
const WRITER_SQL: &str = include_str!("../../sql/writer.sql");

const UNINSTALL_SQL: &str = include_str!("../../sql/uninstall.sql");

/// The migrations that were applied, and whether all else that [`run`] does is done: the log is of this database, and
/// each function is of the role that it is to run as.
const APPLIED: &str = "select array(select version::int from plank.migrations order by 1), \
    m.system_id = (select system_identifier from pg_control_system()) \
      and m.database = (select oid from pg_database where datname = current_database()) and m.own_oid = 'plank.meta'::regclass \
      and not exists (select from pg_proc p join pg_namespace n on n.oid = p.pronamespace \
        join pg_roles o on o.oid = p.proowner join pg_roles s on s.oid = n.nspowner \
        where n.nspname = 'plank' and plank.is_made('f', p.proname) \
        and o.rolname <> case when s.rolcanlogin then s.rolname else plank.runs_as(p.proname) end) \
    from plank.meta m";

/// Who plank is, if the schema belongs to a role that can log in: then what others have defined runs with its rights.
const UNDIVIDED: &str = "select quote_ident(current_user), quote_ident(current_database()) from pg_namespace n \
    join pg_roles r on r.oid = n.nspowner where n.nspname = 'plank' and r.rolcanlogin";

/// The migrations that this plank brings.
pub(super) fn versions() -> Vec<i32> {
    let runner = embedded::migrations::runner();
    let all = runner.get_migrations().iter();
    let mut versions: Vec<i32> = all.map(|m| m.version()).collect();
    versions.sort_unstable();
    versions
}

/// Brings the schema up to date if something of it is missing. It looks first, without a lock and without a write: a
/// connection that comes back finds nothing to do, and a database that can't be written now is no obstacle.
///
/// # Errors
/// See [`run`].
pub async fn run_if_due(client: &mut Client, server: &Server) -> Result<Vec<String>, ConnectError> {
    let config = &server.config;
    let applied = match client.query_opt(APPLIED, &[]).await {
        Ok(row) => row,
        // There is none, or none that this role may look at: `run` says it better.
        Err(error)
            if matches!(
                error.code(),
                Some(
                    &SqlState::UNDEFINED_TABLE
                        | &SqlState::INVALID_SCHEMA_NAME
                        | &SqlState::UNDEFINED_COLUMN
                        | &SqlState::UNDEFINED_FUNCTION
                        | &SqlState::INSUFFICIENT_PRIVILEGE
                )
            ) =>
        {
            None
        }
        Err(error) => return Err(ConnectError::of(&error, config)),
    };
    match applied {
        Some(row) if row.get::<_, Vec<i32>>(0) == versions() && row.get(1) => Ok(Vec::new()),
        _ => run(client, server).await,
    }
}

/// Brings the schema up to date; the names of the migrations that had to run.
///
/// Safe to call on several nodes at once: they wait for each other.
///
/// # Errors
/// Fatal if a right is missing, a migration fails, or the schema is of a newer plank.
pub async fn run(client: &mut Client, server: &Server) -> Result<Vec<String>, ConnectError> {
    let lock = Lock::take(server).await?;
    // Also within: what others do in this database has locks as well.
    let patience = format!("set lock_timeout = '{}s'", MIGRATION_LOCK_MAX.as_secs());
    let config = &server.config;
    let set = client.batch_execute(&patience).await;
    set.map_err(|e| ConnectError::of(&e, config))?;
    let Ok(result) = timeout(MIGRATION_MAX, run_locked(client, config)).await else {
        // The statement still runs; the caller drops its connection.
        return Err(ConnectError::Away(
            "the migrations took too long, and were given up".into(),
        ));
    };
    // Where that fails the connection is gone.
    let unset = client.batch_execute("set lock_timeout = 0");
    let _ = timeout(LOCK_GRACE, unset).await;
    lock.give_back().await;
    result
}

async fn run_locked(client: &mut Client, config: &Config) -> Result<Vec<String>, ConnectError> {
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
    client
        .batch_execute(WRITER_SQL)
        .await
        .map_err(|e| ConnectError::of(&e, config))?;
    let undivided = client.query_opt(UNDIVIDED, &[]).await;
    if let Some(row) = undivided.map_err(|e| ConnectError::of(&e, config))? {
        let (user, database): (&str, &str) = (row.get(0), row.get(1));
        log::warn!(
            "capture and reading run with the rights of plank's own role, which may not make roles for them todo=\"{}\"",
            no_roles(user, database)
        );
    }
    let renewed = client.query_one("select plank.renew()", &[]).await;
    if renewed.map_err(|e| ConnectError::of(&e, config))?.get(0) {
        log::info!("log begun anew, it came from another database");
    }
    if !names.is_empty() {
        log::info!("schema migrated applied={}", names.join(","));
    }
    Ok(names)
}

/// The tables that are watched, as PostgreSQL quotes them.
///
/// # Errors
/// Also if there is no plank in this database.
pub async fn watched(client: &Client, config: &Config) -> Result<Vec<String>, ConnectError> {
    let sql = "select \"table\"::text from plank.tables order by 1";
    let rows = client.query(sql, &[]).await.map_err(|e| match e.code() {
        Some(&SqlState::UNDEFINED_TABLE | &SqlState::INVALID_SCHEMA_NAME) => {
            ConnectError::Fatal("there is no plank in this database; nothing was changed".into())
        }
        _ => ConnectError::of(&e, config),
    })?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Takes the schema out of the database, with the triggers on all watched tables.
///
/// # Errors
/// Then nothing was changed.
pub async fn uninstall(client: &Client, config: &Config) -> Result<(), ConnectError> {
    let patience = format!("set lock_timeout = '{}s'", MIGRATION_LOCK_MAX.as_secs());
    let work = async {
        client.batch_execute(&patience).await?;
        // One statement, and so one transaction.
        client.batch_execute(UNINSTALL_SQL).await
    };
    match timeout(MIGRATION_MAX, work).await {
        Ok(done) => done.map_err(|e| migration_failed(&e, config)),
        Err(_) => Err(ConnectError::Away("the database does not answer".into())),
    }
}

/// What an administrator has to do so that what others have defined does not run with the rights of plank's own role.
pub fn no_roles(user: &str, database: &str) -> String {
    format!(
        "as an administrator: create role plank_owner nologin; create role plank_capture nologin; create role plank_reader nologin; \
         create role plank_writer nologin; create role plank_json nologin; \
         grant plank_owner, plank_capture, plank_reader, plank_writer, plank_json to {user}; \
         grant create on database {database} to plank_owner; then run plank migrate"
    )
}

fn migration_error(error: &refinery::Error, config: &Config) -> ConnectError {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<tokio_postgres::Error>() {
            return migration_failed(cause, config);
        }
        source = cause.source();
    }
    let database = config.get_dbname().unwrap_or_default();
    ConnectError::Fatal(match error.kind() {
        kind if is_of_development(kind) => format!(
            "the schema plank of database {database:?} was made by a development version, and there is no way from it to this \
             version; run `plank migrate --uninstall` with the version that made it (your tables keep their rows), then start this one"
        ),
        _ => format!(
            "the schema of database {database:?} can't be migrated: {}; it may be of a newer plank: use that one, or restore a backup",
            chain(error)
        ),
    })
}

/// Whether the schema has other migrations than this version has under the same numbers. A newer plank has higher ones.
fn is_of_development(kind: &refinery::error::Kind) -> bool {
    let runner = embedded::migrations::runner();
    let newest = runner.get_migrations().iter().map(|m| m.version()).max();
    match kind {
        refinery::error::Kind::DivergentVersion(..) => true,
        refinery::error::Kind::MissingVersion(missing) => Some(missing.version()) <= newest,
        _ => false,
    }
}

fn migration_failed(error: &tokio_postgres::Error, config: &Config) -> ConnectError {
    let Some(db) = error.as_db_error() else {
        return ConnectError::of(error, config);
    };
    let known = ConnectError::of(error, config);
    if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE {
        return known;
    }
    let hint = db
        .hint()
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    match known {
        ConnectError::Away(text) => ConnectError::Away(format!("{text}{hint}")),
        _ => ConnectError::Fatal(format!(
            "the schema can't be migrated in database {:?}: {}{hint}; nothing of that step remains",
            config.get_dbname().unwrap_or_default(),
            db.message()
        )),
    }
}
