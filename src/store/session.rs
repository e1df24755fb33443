//! What each of plank's sessions has set, in one place. The settings of the server, of the database and of the role are
//! made for other programs, and a session must not depend on them: `alter database ... set default_transaction_isolation`
//! or a short `statement_timeout` would change what plank's statements mean, or end them.

use std::time::Duration;

use tokio_postgres::Client;

/// Settings that every server has, also one that is too old for plank and is to be told so, and that every role may set. They come first: none of them needs a
/// snapshot, which under `default_transaction_deferrable` might have to wait.
///
/// A name without a schema means one of the system's own. `exit_on_error` would end the session with each refusal.
/// `quote_all_identifiers`, `standard_conforming_strings` and `array_nulls` change how names and values are written and
/// read. Compiling a statement takes longer than most of plank's statements run.
const PINNED: &str = "set default_transaction_isolation = 'read committed'; set default_transaction_read_only = off; \
    set default_transaction_deferrable = off; set search_path = pg_catalog, pg_temp; \
    set row_security = on; set exit_on_error = off; set timezone = 'UTC'; set datestyle = 'ISO'; \
    set intervalstyle = 'postgres'; set bytea_output = 'hex'; set extra_float_digits = 1; set xmloption = 'content'; \
    set quote_all_identifiers = off; set standard_conforming_strings = on; set array_nulls = on; \
    set default_table_access_method = heap; set default_tablespace = ''; set jit = off";

/// Settings that not every server has, or that only some roles may change: they are set only where they differ.
///
/// `session_replication_role = replica` would keep the triggers from firing. A value that says it was asked for by the
/// operator, as `synchronous_commit = remote_apply`, stays; `off` does not, for an answered request has to be on disk.
const PINNED_IF_OTHER: &str = "select pg_catalog.set_config(name, value, false) from (values \
      ('transaction_timeout', '0', null), ('idle_session_timeout', '0', null), ('restrict_nonsystem_relation_kind', '', null), \
      ('session_replication_role', 'origin', null), ('synchronous_commit', 'on', 'off')) as pinned (name, value, instead_of) \
    where pg_catalog.current_setting(name, true) <> value \
      and pg_catalog.current_setting(name, true) = coalesce(instead_of, pg_catalog.current_setting(name, true))";

/// How a session of plank is set up, besides what all have in common. A time of zero means no limit.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// For a statement.
    pub statement: Duration,
    /// For a lock.
    pub lock: Duration,
    /// For the next statement of an open transaction.
    pub idle_in_transaction: Duration,
    /// Statements that set what only this kind of session needs, run last.
    pub more: &'static str,
}

impl Session {
    /// One without limits.
    pub const UNLIMITED: Self = Self {
        statement: Duration::ZERO,
        lock: Duration::ZERO,
        idle_in_transaction: Duration::ZERO,
        more: "",
    };

    /// Sets all of it in a session that has just begun.
    ///
    /// # Errors
    /// When the connection is lost, or when a setting can't be changed: the error names it.
    pub async fn settle(&self, client: &Client) -> Result<(), tokio_postgres::Error> {
        let first = format!(
            "set statement_timeout = {}; set lock_timeout = {}; set idle_in_transaction_session_timeout = {}; {PINNED}",
            self.statement.as_millis(),
            self.lock.as_millis(),
            self.idle_in_transaction.as_millis(),
        );
        client.batch_execute(&first).await?;
        client.batch_execute(PINNED_IF_OTHER).await?;
        if !self.more.is_empty() {
            client.batch_execute(self.more).await?;
        }
        Ok(())
    }
}
