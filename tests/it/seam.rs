//! Hundreds of subscriptions that begin at random moments while others write: none has a seam.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resume::cursor;
use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, WsClient, within};

const SOCKETS: usize = 20;
const ROUNDS: usize = 4;
const EACH: usize = 5;
const OWNERS: i64 = 4;

/// How a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Start {
    Now,
    Snapshot,
    Since,
}

/// One subscription: its rows where it has them all, and what it has seen of its own writes.
struct Follower {
    start: Start,
    owner: Option<i64>,
    topic: Option<String>,
    rows: BTreeMap<i64, Value>,
    own: Vec<i64>,
}

impl Follower {
    fn apply(&mut self, change: &Value) {
        let id = change["key"]["id"].as_i64().unwrap();
        if change["op"] != "delete"
            && self
                .owner
                .is_some_and(|owner| change["row"]["owner"] != owner)
        {
            panic!("not of owner {:?}: {change}", self.owner);
        }
        match (self.start, change["op"].as_str().unwrap()) {
            (Start::Snapshot, "insert") => assert_eq!(
                self.rows.insert(id, change["row"].clone()),
                None,
                "{change}"
            ),
            (Start::Snapshot, "update") => assert!(
                self.rows.insert(id, change["row"].clone()).is_some(),
                "{change}"
            ),
            (Start::Snapshot, _) => assert!(self.rows.remove(&id).is_some(), "{change}"),
            (_, "delete") => drop(self.rows.remove(&id)),
            _ => drop(self.rows.insert(id, change["row"].clone())),
        }
        if change["op"] == "insert" && change["row"]["note"] == "own" {
            self.own.push(id);
        }
    }
}

/// Reads until every subscription of the socket is live; what comes meanwhile is applied.
async fn read(
    ws: &mut WsClient,
    followers: &mut [Follower],
    mut until: impl FnMut(&[Follower], &Value) -> bool,
) {
    let mut open: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    loop {
        let message = within("a message", ws.next()).await.unwrap();
        let by_id = |message: &Value| {
            message["id"]
                .as_str()
                .map(|id| id.parse::<usize>().unwrap())
        };
        match message["type"].as_str().unwrap() {
            "welcome" | "heartbeat" | "pong" => {}
            "snapshot" => {
                let follower = &mut followers[by_id(&message).unwrap()];
                for row in message["rows"].as_array().unwrap() {
                    follower
                        .rows
                        .insert(row["id"].as_i64().unwrap(), row.clone());
                }
            }
            "subscribed" => {
                followers[by_id(&message).unwrap()].topic =
                    Some(message["topic"].as_str().unwrap().into());
            }
            "changes" => {
                let topic = message["topic"].as_str().unwrap();
                let batch = open.entry(topic.into()).or_default();
                batch.extend(message["changes"].as_array().unwrap().iter().cloned());
                if message["last"] == true {
                    let batch = std::mem::take(batch);
                    for follower in followers
                        .iter_mut()
                        .filter(|f| f.topic.as_deref() == Some(topic))
                    {
                        batch.iter().for_each(|change| follower.apply(change));
                    }
                }
            }
            other => panic!("{other}: {message}"),
        }
        if open.values().all(Vec::is_empty) && until(followers, &message) {
            return;
        }
    }
}

#[actix_web::test]
async fn guarantee_3_hundreds_of_subscriptions_at_random_moments_have_no_seam() {
    let app = TestApp::start().await;
    app.execute(&format!(
        "create table notes (id bigint generated always as identity primary key, owner int, note text, n int); \
         insert into notes (owner, note, n) select i % {OWNERS}, 'first', 0 from generate_series(1, 400) i; select plank.watch('notes')"
    ))
    .await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for writer in 0..3_i64 {
        let sql = connect(&Cluster::shared().config(&app.database)).await;
        let stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut round = writer;
            while !*stopped.borrow() {
                round += 3;
                let id = round * 37 % 400 + 1;
                let end = if round % 7 == 0 { "rollback" } else { "commit" };
                sql.batch_execute(&format!(
                    "begin; update notes set n = n + 1, owner = (owner + {round}) % {OWNERS} where id = {id}; \
                     insert into notes (owner, note, n) values ({round} % {OWNERS}, 'more', 0); \
                     delete from notes where note = 'more' and id % 5 = {round} % 5; {end}"
                ))
                .await
                .unwrap();
            }
        }));
    }
    let sql = connect(&Cluster::shared().config(&app.database)).await;
    let mut count = 0;
    for round in 0..ROUNDS {
        let since = cursor(&app).await;
        let mut sockets: Vec<(WsClient, Vec<Follower>)> = Vec::new();
        for socket in 0..SOCKETS {
            let mut ws = app.ws("/ws").await;
            let mut followers = Vec::new();
            for i in 0..EACH {
                // Different ones, or those that share a topic on one socket would be given what only one of them missed.
                let start = [Start::Now, Start::Snapshot, Start::Since][(round + socket + i) % 3];
                let owner = (i as i64 != OWNERS).then_some(i as i64);
                let filter = owner.map(|owner| format!("owner=eq.{owner}"));
                let since = (start == Start::Since).then_some(&since);
                ws.send(json!({"type": "subscribe", "id": i.to_string(), "table": "notes", "filter": filter, "since": since,
                    "snapshot": start == Start::Snapshot}))
                    .await;
                followers.push(Follower {
                    start,
                    owner,
                    topic: None,
                    rows: BTreeMap::new(),
                    own: Vec::new(),
                });
            }
            read(&mut ws, &mut followers, |followers, _| {
                followers.iter().all(|f| f.topic.is_some())
            })
            .await;
            // Right after `subscribed`: one write for each.
            let mut own = Vec::new();
            for i in 0..OWNERS {
                let insert =
                    "insert into notes (owner, note, n) values ($1, 'own', 0) returning id";
                own.push(
                    sql.query_one(insert, &[&(i as i32)])
                        .await
                        .unwrap()
                        .get::<_, i64>(0),
                );
            }
            read(&mut ws, &mut followers, |followers, _| {
                followers.iter().all(|f| match f.owner {
                    Some(owner) => f.own.contains(&own[owner as usize]),
                    None => own.iter().all(|id| f.own.contains(id)),
                })
            })
            .await;
            count += followers.len();
            sockets.push((ws, followers));
        }
        if round + 1 < ROUNDS {
            continue;
        }
        stop.send(true).unwrap();
        for writer in writers.drain(..) {
            writer.await.unwrap();
        }
        let rows = sql
            .query("select id, row_to_json(x)::text from notes x", &[])
            .await
            .unwrap();
        let all: BTreeMap<i64, Value> = rows
            .iter()
            .map(|row| (row.get(0), serde_json::from_str(row.get(1)).unwrap()))
            .collect();
        for (ws, followers) in &mut sockets {
            let expected = |owner: Option<i64>| -> BTreeMap<i64, Value> {
                let is_his = |row: &&Value| owner.is_none_or(|owner| row["owner"] == owner);
                all.iter()
                    .filter(|(_, row)| is_his(row))
                    .map(|(id, row)| (*id, row.clone()))
                    .collect()
            };
            let is_there = |followers: &[Follower]| {
                let mut whole = followers.iter().filter(|f| f.start == Start::Snapshot);
                whole.all(|f| f.rows == expected(f.owner))
            };
            ws.send(json!({"type": "ping"})).await;
            read(ws, followers, |followers, _| is_there(followers)).await;
            ws.send(json!({"type": "ping"})).await;
            read(ws, followers, |_, message| message["type"] == "pong").await;
            assert!(is_there(followers));
        }
    }
    assert!(count >= 400, "{count}");
}
