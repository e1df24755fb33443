//! Everything at once: writers in all isolation levels that dawdle, abort and change keys; two nodes that are killed, cut
//! off and starved of their database, which crashes as well; clients that are cut at any moment and come back to either
//! node. In the end every client has received exactly what was committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::support::cluster::connect;
use crate::support::program::Program;
use crate::support::proxy::PgProxy;
use crate::support::{Cluster, until, within};

pub mod client;
pub mod writer;

use client::Client;

const WRITERS: u64 = 6;
const CLIENTS: u64 = 6;

/// What is watched, and an account of it that knows nothing of plank: a row trigger, as every textbook has it.
pub const SCHEMA: &str = "
    create table h (id int primary key, ver int not null default 1, t text);
    create table account (at bigint generated always as identity, xid text not null default pg_current_xact_id()::text, op text not null, id int not null);
    create function account() returns trigger language plpgsql as $$
    begin
      if tg_op = 'INSERT' then insert into account (op, id) values ('insert', new.id);
      elsif tg_op = 'DELETE' then insert into account (op, id) values ('delete', old.id);
      elsif old.id = new.id then insert into account (op, id) values ('update', new.id);
      else insert into account (op, id) values ('delete', old.id), ('insert', new.id);
      end if;
      return null;
    end $$;
    create trigger account after insert or update or delete on h for each row execute function account();
    insert into h select i from generate_series(1, 150) i;
    select plank.watch('h');
";

/// Where the nodes are at the moment; none while one is down.
pub type Nodes = watch::Receiver<Vec<Option<String>>>;

async fn node(proxy: &PgProxy) -> Program {
    let url = format!("postgres://postgres@{}/plank", proxy.address());
    Program::serve(&["--database-url", &url, "--workers", "1"]).await
}

#[actix_web::test]
async fn guarantee_1_under_a_hostile_workload_everybody_gets_what_was_committed_once_and_in_order()
{
    let mut cluster = Cluster::start();
    let target = cluster.config("plank");
    let proxies = [PgProxy::start(&target).await, PgProxy::start(&target).await];
    let mut nodes = [node(&proxies[0]).await, node(&proxies[1]).await];
    let sql = connect(&target).await;
    sql.batch_execute(SCHEMA).await.unwrap();
    // Behind everything so far: clients and account begin here.
    sql.batch_execute("truncate account").await.unwrap();
    let start: String = sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0);
    let rows = table(&sql).await;
    let addresses = |nodes: &[Program; 2]| {
        let addresses = nodes.iter().map(|node| Some(node.address.clone()));
        addresses.collect::<Vec<_>>()
    };
    let (where_they_are, nodes_now) = watch::channel(addresses(&nodes));

    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| tokio::spawn(writer::write(target.clone(), seed, stop.clone())))
        .collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| {
            let client = Client::new(seed, start.clone(), rows.clone());
            tokio::spawn(client.run(nodes_now.clone()))
        })
        .collect();

    for round in 0..3 {
        for (i, proxy) in proxies.iter().enumerate() {
            // kill -9, and a new one in its place.
            where_they_are.send_modify(|now| now[i] = None);
            let killed = std::mem::replace(&mut nodes[1 - i], node(proxy).await);
            let (dead, new) = nodes.split_at_mut(1);
            std::mem::swap(&mut dead[0], &mut new[0]);
            let _ = killed.end(Signal::SIGKILL).await;
            where_they_are.send_replace(addresses(&nodes));
            sleep(Duration::from_millis(300)).await;
            terminate_backends(&cluster).await;
        }
        match round {
            0 => black_hole(&proxies[0]).await,
            1 => {
                cluster.restart().await;
            }
            _ => cluster.crash().await,
        }
        sleep(Duration::from_millis(500)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut committed = 0;
    for writer in writers {
        committed += within("a writer", writer).await.unwrap();
    }
    assert!(
        committed > 500,
        "only {committed} transactions were committed"
    );
    let sql = connect(&target).await;
    // The last change of all, by which each client knows that it has everything.
    sql.batch_execute("insert into h values (1000000)")
        .await
        .unwrap();
    let account = account(&sql).await;
    let rows = table(&sql).await;
    let mut cuts = 0;
    for client in clients {
        let client = within("a client", client).await.unwrap();
        assert_eq!(client.rows, rows, "the end of client {}", client.seed);
        assert_eq!(client.account, account, "client {}", client.seed);
        cuts += client.cuts;
    }
    assert!(cuts > 20, "only {cuts} cuts");
}

/// The link to the database swallows everything until that has been noticed.
pub async fn black_hole(proxy: &PgProxy) {
    proxy.swallow(true);
    let answered = proxy.answered();
    sleep(Duration::from_secs(8)).await;
    proxy.swallow(false);
    until("it is back", async || proxy.answered() > answered + 10_000).await;
}

pub async fn terminate_backends(cluster: &Cluster) {
    let sql = connect(&cluster.config("plank")).await;
    let terminate = "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'plank%'";
    sql.execute(terminate, &[]).await.unwrap();
}

pub async fn table(sql: &tokio_postgres::Client) -> BTreeMap<i64, Value> {
    let rows = sql
        .query("select id, row_to_json(h)::text from h", &[])
        .await
        .unwrap();
    rows.iter()
        .map(|row| {
            (
                row.get::<_, i32>(0).into(),
                serde_json::from_str(row.get(1)).unwrap(),
            )
        })
        .collect()
}

/// What happened to each row, by transaction: the changes of one key in the order in which they were made.
pub async fn account(sql: &tokio_postgres::Client) -> BTreeMap<(String, i64), Vec<String>> {
    let mut account = BTreeMap::<_, Vec<String>>::new();
    for row in sql
        .query("select xid, op, id from account order by at", &[])
        .await
        .unwrap()
    {
        let key = (row.get(0), row.get::<_, i32>(2).into());
        account.entry(key).or_default().push(row.get(1));
    }
    account
}
