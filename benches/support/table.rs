//! The tables that are written: those of `items`, without what would be in the way of a comparison.

use std::net::SocketAddr;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::client::Subscriber;
use super::{Outcome, SOON, within};

/// For a table to be filled.
const FILL_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Makes a table in the shape of `items`, with the numbers from 1 to `rows`.
///
/// Its only index is the primary key. Each further one would make a write of the bare table slower, and what plank adds to
/// it look smaller. Autovacuum would come when it likes; here every table is vacuumed when its turn comes.
///
/// # Errors
/// If that is refused.
pub async fn create(client: &Client, name: &str, rows: usize) -> Outcome<()> {
    let sql = format!(
        "create table {name} (
            id          bigint generated always as identity primary key,
            name        text not null check (char_length(name) between 1 and 200),
            description text,
            status      text not null default 'open' check (status in ('open', 'active', 'done')),
            data        jsonb not null default '{{}}' check (jsonb_typeof(data) = 'object'),
            version     int not null default 1,
            created_at  timestamptz not null default now(),
            updated_at  timestamptz not null default now()
        ) with (autovacuum_enabled = off);
        {};
        analyze {name};",
        insert_rows(name, rows)
    );
    within(FILL_MAX, name, client.batch_execute(&sql)).await
}

/// Inserts one row in one statement. `name_sql` is an expression.
pub fn insert(table: &str, name_sql: &str) -> String {
    format!(
        "insert into {table} (name, description, data) values ({name_sql}, {DESCRIPTION}, {DATA})"
    )
}

/// Inserts many in one statement.
pub fn insert_rows(table: &str, rows: usize) -> String {
    insert_select(
        table,
        "'row ' || i",
        &format!("generate_series(1, {rows}) i"),
    )
}

/// Inserts many in one statement, with a text in each that compression does not make smaller.
pub fn insert_random_rows(table: &str, rows: usize) -> String {
    format!(
        "insert into {table} (name, description, data) select 'row ' || i, {RANDOM}, {DATA} from generate_series(1, {rows}) i"
    )
}

/// Inserts one for each row of `from_sql`.
pub fn insert_select(table: &str, name_sql: &str, from_sql: &str) -> String {
    format!(
        "insert into {table} (name, description, data) select {name_sql}, {DESCRIPTION}, {DATA} from {from_sql}"
    )
}

/// Changes rows in one statement.
pub fn update(table: &str, condition: &str) -> String {
    format!(
        "update {table} set status = 'active', version = version + 1, updated_at = now() where {condition}"
    )
}

/// Changes rows in one statement, and gives each a text that compression does not make smaller.
pub fn update_randomly(table: &str, condition: &str) -> String {
    format!(
        "update {table} set description = {RANDOM}, version = version + 1, updated_at = now() where {condition}"
    )
}

/// 64 random digits of 16.
const RANDOM: &str = "md5(random()::text) || md5(random()::text)";
const DESCRIPTION: &str = "'a row as it occurs in practice'";
const DATA: &str = r#"'{"priority": 3}'::jsonb"#;

/// Makes plank watch a table, and subscribes to it as soon as plank has heard of that.
///
/// # Errors
/// If that is refused, or takes too long.
pub async fn watch(client: &Client, address: SocketAddr, name: &str) -> Outcome<Subscriber> {
    watch_at(client, address, name, None).await
}

/// The same, captured at a level that is not plank's choice.
///
/// # Errors
/// As [`watch`].
pub async fn watch_at(
    client: &Client,
    address: SocketAddr,
    name: &str,
    level: Option<&str>,
) -> Outcome<Subscriber> {
    /// plank hears of it by the doorbell.
    const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);
    let sql = match level {
        Some(level) => format!("select plank.watch('{name}', level => '{level}')"),
        None => format!("select plank.watch('{name}')"),
    };
    within(SOON, "plank.watch", client.batch_execute(&sql)).await?;
    let watched = Instant::now();
    loop {
        match Subscriber::connect(address, name).await {
            Err(error) if watched.elapsed() >= SOON => return Err(error),
            Err(_) => sleep(PAUSE).await,
            subscribed => return subscribed,
        }
    }
}
