//! A writer that does whatever a database allows, and dawdles between its trigger and its commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, Error, NoTls};

/// Writes until it is told to stop; how many transactions it knows to be committed.
pub async fn write(config: Config, seed: u64, stop: Arc<AtomicBool>) -> usize {
    let mut random = fastrand::Rng::with_seed(seed + 100);
    let (mut sql, mut committed) = (None::<Client>, 0);
    while !stop.load(Ordering::Relaxed) {
        let Some(client) = sql.as_ref().filter(|client| !client.is_closed()) else {
            let connected = timeout(Duration::from_secs(2), config.connect(NoTls)).await;
            sql = connected
                .ok()
                .and_then(Result::ok)
                .map(|(client, connection)| {
                    tokio::spawn(connection);
                    client
                });
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        match transaction(client, &mut random).await {
            Ok(is_committed) => committed += usize::from(is_committed),
            // A deadlock, a serialization failure, a key that is there already, or the database is away.
            Err(_) => drop(client.batch_execute("rollback").await),
        }
    }
    committed
}

async fn transaction(sql: &Client, random: &mut fastrand::Rng) -> Result<bool, Error> {
    let level = ["read committed", "repeatable read", "serializable"][random.usize(..3)];
    sql.batch_execute(&format!("begin isolation level {level}"))
        .await?;
    for _ in 0..random.usize(1..4) {
        if random.u8(..8) == 0 {
            copy(sql, random).await?;
            continue;
        }
        let statement = statement(random);
        match random.u8(..6) {
            0 => {
                let undone = format!("savepoint s; {statement}; rollback to s");
                sql.batch_execute(&undone).await?;
            }
            1 => {
                sql.batch_execute(&format!("savepoint s; {statement}; release s"))
                    .await?
            }
            _ => sql.batch_execute(&statement).await?,
        }
    }
    if random.u8(..3) == 0 {
        sleep(Duration::from_millis(random.u64(..60))).await;
    }
    let is_committed = random.u8(..6) > 0;
    let end = if is_committed { "commit" } else { "rollback" };
    sql.batch_execute(end).await?;
    Ok(is_committed)
}

fn statement(random: &mut fastrand::Rng) -> String {
    let id = random.u32(1..=150);
    let text: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(20)
        .collect();
    match random.u8(..9) {
        0 | 1 => format!("update h set ver = ver + 1, t = '{text}' where id = {id}"),
        2 => format!("delete from h where id = {id}"),
        3 => format!(
            "insert into h values ({id}, 1, '{text}') on conflict (id) do update set ver = h.ver + 1, t = excluded.t"
        ),
        4 => format!("insert into h values ({id}) on conflict do nothing"),
        // To a key that is free, or was a moment ago.
        5 => format!(
            "update h set id = id + 200 where id = {id}; update h set id = id - 200 where id = {id} + 200"
        ),
        6 => format!(
            "update h set id = {} where id = {id}",
            random.u32(151..=300)
        ),
        // In the order of the keys, or nearly every one would be a deadlock.
        7 => format!(
            "update h set ver = ver + 1 from (select id from h where id % 31 = {} order by id for update) x where h.id = x.id",
            id % 31
        ),
        _ => format!(
            "merge into h using (values ({id}), ({id} + 1)) s(id) on h.id = s.id \
            when matched and h.ver % 2 = 0 then delete when matched then update set ver = h.ver + 1 when not matched then insert values (s.id)"
        ),
    }
}

async fn copy(sql: &Client, random: &mut fastrand::Rng) -> Result<(), Error> {
    let first = random.u32(10_000..1_000_000 - 30);
    let rows: String = (first..first + random.u32(1..30))
        .map(|id| format!("{id}\t1\tcopied\n"))
        .collect();
    let sink = sql.copy_in("copy h from stdin").await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from(rows)).await?;
    sink.finish().await.map(drop)
}
