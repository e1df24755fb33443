//! What a client has that loads a snapshot through a filter and follows the changes is what `select ... where` gives,
//! whatever the types, the filters and the writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use plank::feed::filter::Filter;
use plank::feed::{Expr, Table};
use serde_json::{Value, json};

use crate::filter_random::{COLUMNS, TYPES, describe, passing, read, rng, tree, value};
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, WsClient, within};

const STATEMENTS: usize = 700;
const CLIENTS: usize = 60;
const KEYS: i32 = 80;

/// A client that applies whole batches, and believes nothing.
struct Follower {
    ws: WsClient,
    filter: Option<(String, Filter)>,
    rows: BTreeMap<i64, Value>,
    batch: Vec<Value>,
    is_live: bool,
}

impl Follower {
    async fn start(app: &TestApp, table: &Table, rng: &mut fastrand::Rng) -> Self {
        let filter = loop {
            if rng.u8(..8) == 0 {
                break None;
            }
            let written = tree(rng, 2);
            let expr: Arc<Expr> = read(&written);
            if let Ok(filter) = Filter::bind(&expr, table) {
                break Some((written, filter));
            }
        };
        let text = filter.as_ref().map(|(written, _)| {
            form_urlencoded::Serializer::new(String::new())
                .append_pair("and", &format!("({written})"))
                .finish()
        });
        let mut ws = app.ws("/ws").await;
        ws.send(
            json!({"type": "subscribe", "id": "a", "table": "t", "filter": text, "snapshot": true}),
        )
        .await;
        Self {
            ws,
            filter,
            rows: BTreeMap::new(),
            batch: Vec::new(),
            is_live: false,
        }
    }

    /// Takes everything that is there when it asks.
    async fn catch_up(&mut self) {
        self.ws.send(json!({"type": "ping"})).await;
        loop {
            let message = self.ws.next().await.unwrap();
            match message["type"].as_str().unwrap() {
                "pong" => return,
                "welcome" | "heartbeat" => {}
                "subscribed" => self.is_live = true,
                "snapshot" => {
                    for row in message["rows"].as_array().unwrap() {
                        let old = self.rows.insert(row["id"].as_i64().unwrap(), row.clone());
                        assert_eq!(old, None);
                    }
                }
                "changes" => {
                    assert!(self.is_live);
                    self.batch
                        .extend(message["changes"].as_array().unwrap().iter().cloned());
                    if message["last"] == true {
                        for change in std::mem::take(&mut self.batch) {
                            self.apply(&change);
                        }
                    }
                }
                other => panic!("{other}: {message}"),
            }
        }
    }

    fn apply(&mut self, change: &Value) {
        let filter = self.filter.as_ref().map(|(written, _)| written);
        let id = change["key"]["id"].as_i64();
        match change["op"].as_str().unwrap() {
            "truncate" => self.rows.clear(),
            "insert" => {
                let old = self.rows.insert(id.unwrap(), change["row"].clone());
                assert_eq!(old, None, "{filter:?} {change}");
            }
            "update" => {
                let old = self.rows.insert(id.unwrap(), change["row"].clone());
                assert!(old.is_some(), "{filter:?} {change}");
            }
            _ => {
                let old = self.rows.remove(&id.unwrap());
                assert_eq!(old.as_ref(), Some(&change["old"]), "{filter:?} {change}");
            }
        }
    }
}

fn upsert(rng: &mut fastrand::Rng) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let id = rng.i32(0..KEYS);
    let values: Vec<String> = COLUMNS.iter().map(|column| value(column, rng)).collect();
    let set: Vec<String> = names
        .iter()
        .map(|name| format!("{name} = excluded.{name}"))
        .collect();
    format!(
        "insert into t (id, {}) values ({id}, {}) on conflict (id) do update set {}",
        names.join(", "),
        values.join(", "),
        set.join(", ")
    )
}

fn statement(rng: &mut fastrand::Rng) -> String {
    let id = rng.i32(0..KEYS);
    let some = |rng: &mut fastrand::Rng| {
        let column = &COLUMNS[rng.usize(..COLUMNS.len())];
        (column.0, value(column, rng))
    };
    match rng.u8(..20) {
        0 => "truncate t".into(),
        1 => "begin; delete from t; rollback".into(),
        2 => format!("delete from t where id % 7 = {}", id % 7),
        3 => format!("delete from t where id = {id}"),
        4 => format!("update t set id = -id where id between {id} and {}", id + 3),
        5 | 6 => {
            let (column, value) = some(rng);
            format!("update t set {column} = {value} where id % 3 = {}", id % 3)
        }
        7..=9 => {
            let (column, value) = some(rng);
            format!("update t set {column} = {value} where id = {id}")
        }
        10 => {
            let ((a, x), (b, y)) = (some(rng), some(rng));
            format!(
                "begin; update t set {a} = {x} where id < {id}; update t set {b} = {y} where id > {id}; commit"
            )
        }
        _ => upsert(rng),
    }
}

#[actix_web::test]
async fn guarantee_3_snapshot_and_changes_through_any_filter_are_select_where() {
    let app = TestApp::start().await;
    let mut rng = rng();
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, kind, _)| format!("{name} {kind}"))
        .collect();
    app.execute(&format!(
        "{TYPES}; create table t (id int primary key, {})",
        columns.join(", ")
    ))
    .await;
    app.execute("select plank.watch('t')").await;
    let table = describe(&app.sql, "t").await;

    let writer = connect(&Cluster::shared().config(&app.database)).await;
    let mut statements: Vec<String> = (0..STATEMENTS).map(|_| statement(&mut rng)).collect();
    // Not all of it may end with a TRUNCATE.
    statements.extend((0..KEYS).map(|_| upsert(&mut rng)));
    let writing = actix_web::rt::spawn(async move {
        for statement in statements {
            // An update may meet a key that is there already.
            let _ = writer.batch_execute(&statement).await;
            let _ = writer.batch_execute("rollback").await;
        }
    });
    // Some come while it writes.
    let mut clients = Vec::new();
    while clients.len() < CLIENTS {
        clients.push(Follower::start(&app, &table, &mut rng).await);
        let place = rng.usize(..clients.len());
        clients[place].catch_up().await;
    }
    writing.await.unwrap();
    app.sql
        .batch_execute("set timezone = 'UTC'; set extra_float_digits = 1")
        .await
        .unwrap();
    let rows = app
        .sql
        .query("select id, row_to_json(t)::text from t", &[])
        .await
        .unwrap();
    let all: BTreeMap<i64, Value> = rows
        .iter()
        .map(|row| {
            (
                row.get::<_, i32>(0).into(),
                serde_json::from_str(row.get(1)).unwrap(),
            )
        })
        .collect();
    let mut sizes = Vec::new();
    for client in &mut clients {
        let expected: BTreeMap<i64, Value> = match &client.filter {
            None => all.clone(),
            Some((_, filter)) => {
                let ids = passing(&app.sql, filter).await;
                ids.iter()
                    .map(|id| (i64::from(*id), all[&i64::from(*id)].clone()))
                    .collect()
            }
        };
        sizes.push(expected.len());
        within("the state of the table", async {
            while client.rows != expected {
                client.catch_up().await;
            }
        })
        .await;
        client.catch_up().await;
        assert_eq!(
            client.rows,
            expected,
            "{:?}",
            client.filter.as_ref().map(|(written, _)| written)
        );
    }
    assert!(
        sizes.iter().any(|size| *size > 0 && *size < all.len()),
        "{sizes:?}"
    );
}
