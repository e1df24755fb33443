//! One node migrates at a time. The lock is on a table of plank's own, and each migration is a transaction of its own, so a second
//! connection holds it. An advisory lock would do without, and all roles that may connect could take it.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::config::Server;
use crate::limits::MIGRATION_LOCK_MAX;

use super::super::connect::{self, ConnectError};

/// For the server to say that it gave up waiting.
pub(super) const LOCK_GRACE: Duration = Duration::from_secs(5);

/// Creating needs a right even where it changes nothing, so each is looked for first.
const IS_THERE: &str = "select exists (select from pg_catalog.pg_namespace where nspname = 'plank'), \
    exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
      where n.nspname = 'plank' and c.relname = 'migrating')";
const CREATE_SCHEMA: &str = "create schema plank";
const CREATE: &str = "create table plank.migrating ()";
const TAKE: &str = "begin; lock table plank.migrating in exclusive mode";

/// The table gets the owner of the schema. Others that wait for it can't be in the way: they wait for this transaction.
const GIVE_BACK: &str = "do $$ declare owner name := (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'plank'); \
    begin \
      if (select pg_get_userbyid(relowner) from pg_class where oid = 'plank.migrating'::regclass) <> owner then \
        execute format('alter table plank.migrating owner to %I', owner); \
      end if; \
    exception when insufficient_privilege then null; \
    end $$; commit";

/// See the module's documentation. It ends with the connection.
pub(super) struct Lock {
    client: Client,
    driver: JoinHandle<()>,
}

impl Lock {
    /// Waits for it.
    ///
    /// # Errors
    /// Away while another node has it; fatal if a right is missing.
    pub(super) async fn take(server: &Server) -> Result<Self, ConnectError> {
        let server = connect::harden(server.clone(), "plank migrating");
        let (client, connection) = connect::connect(&server).await?;
        let lock = Self {
            client,
            driver: actix_rt::spawn(async move {
                let _ = connection.await;
            }),
        };
        let taken = timeout(MIGRATION_LOCK_MAX + LOCK_GRACE, lock.wait()).await;
        match taken {
            Ok(Ok(())) => Ok(lock),
            Ok(Err(error)) if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                Err(ConnectError::of(&error, &server.config))
            }
            _ => {
                let why =
                    "another plank has been migrating this database for a minute; waiting for it";
                Err(ConnectError::Away(why.into()))
            }
        }
    }

    async fn wait(&self) -> Result<(), Error> {
        let patience = format!(
            "set search_path = pg_catalog, pg_temp; set default_transaction_read_only = off; set lock_timeout = '{}s'",
            MIGRATION_LOCK_MAX.as_secs()
        );
        self.client.batch_execute(&patience).await?;
        let is_there = self.client.query_one(IS_THERE, &[]).await?;
        for (create, is_there) in [
            (CREATE_SCHEMA, is_there.get::<_, bool>(0)),
            (CREATE, is_there.get(1)),
        ] {
            if !is_there {
                created(self.client.batch_execute(create).await)?;
            }
        }
        self.client.batch_execute(TAKE).await
    }

    /// Lets others have it.
    pub(super) async fn give_back(self) {
        // Where that fails the connection is gone, and the lock with it.
        let _ = timeout(LOCK_GRACE, self.client.batch_execute(GIVE_BACK)).await;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Another node may have been faster. A table has a row type of the same name, and that one is met first where the other node
/// commits between PostgreSQL's two looks: then the code is that of an object.
fn created(result: Result<(), Error>) -> Result<(), Error> {
    let there = [
        SqlState::DUPLICATE_SCHEMA,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::UNIQUE_VIOLATION,
    ];
    match result {
        Err(error) if error.code().is_some_and(|code| there.contains(code)) => Ok(()),
        other => other,
    }
}
