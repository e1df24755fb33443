//! Exactness of capture: after every transaction, in whatever way it changed rows, a client has exactly the table. Random
//! schemas, random transactions, and two oracles: a live client after each transaction, and one that resumes from every
//! cursor so far. `PLANK_RANDOM_SCHEMAS` and `PLANK_RANDOM_SEED` make it longer, or repeat one.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::cluster::connect;
use crate::support::{Cluster, TestApp, WsClient};

mod broken;
mod schema;
mod statement;

use schema::{Key, Table};
use statement::Transaction;

/// Transactions for each schema.
const TRANSACTIONS: usize = 35;

/// Ends what a drawn statement starts and does not end.
const LIMITED: &str = "set local statement_timeout = '3s'";

/// What a client holds of a table, by key. Nobody can follow the rows of a table without one.
type Rows = BTreeMap<String, Value>;

struct Script {
    seed: u64,
    tables: Vec<Table>,
    setup: Vec<String>,
    transactions: Vec<Transaction>,
}

impl Script {
    fn of(seed: u64, has_merge: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (tables, setup) = schema::schema(&mut rng);
        let transactions =
            (0..TRANSACTIONS).map(|_| statement::transaction(&mut rng, &tables, has_merge));
        Self {
            seed,
            transactions: transactions.collect(),
            tables,
            setup,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("seed {}\n{};\n", self.seed, self.setup.join(";\n"));
        for table in &self.tables {
            text += &format!("select plank.watch('{}');\n", table.name);
        }
        for transaction in &self.transactions {
            let how = if transaction.is_one_string {
                " -- as one string"
            } else {
                ""
            };
            text += &format!(
                "begin;{how}\n  {};\ncommit;\n",
                transaction.statements.join(";\n  ")
            );
        }
        text
    }
}

#[derive(Default)]
struct Counts {
    statements: usize,
    failed: usize,
    resets: usize,
    resumes: usize,
}

/// Two clients of one schema of one server.
struct Run<'a> {
    app: &'a TestApp,
    sql: Client,
    client: WsClient,
    script: &'a Script,
    schema: String,
    topics: BTreeMap<String, usize>,
    /// The topic of `items`.
    marker: String,
    held: Vec<Rows>,
    /// What was held at earlier cursors.
    earlier: Vec<(String, Vec<Rows>)>,
    counts: Counts,
}

impl<'a> Run<'a> {
    async fn start(app: &'a TestApp, script: &'a Script, schema: String) -> Self {
        let sql = connect(&Cluster::shared().config(&app.database)).await;
        let begin = format!(
            "create schema {schema}; set search_path = {schema}; {}",
            script.setup.join("; ")
        );
        sql.batch_execute(&begin)
            .await
            .unwrap_or_else(|e| panic!("{e:?}: {}", script.text()));
        let mut client = app.ws("/ws").await;
        client.expect("welcome").await;
        let mut topics = BTreeMap::new();
        for table in &script.tables {
            sql.batch_execute(&format!("select plank.watch('{}')", table.name))
                .await
                .unwrap_or_else(|e| panic!("{e:?}: {}", script.text()));
        }
        for (i, table) in script.tables.iter().enumerate() {
            let name = format!("{schema}.{}", table.name);
            crate::support::until("it is watched", async || {
                let path = format!("/api/tables/{name}/rows?limit=1");
                app.request("GET", &path, None).await.0 == 200
            })
            .await;
            let subscribed = client.subscribe(&i.to_string(), &name).await;
            topics.insert(subscribed["topic"].as_str().unwrap().to_owned(), i);
        }
        let marker = client.subscribe("marker", "items").await["topic"]
            .as_str()
            .unwrap()
            .to_owned();
        let held = script.tables.iter().map(|_| Rows::new()).collect();
        Self {
            app,
            sql,
            client,
            script,
            schema,
            topics,
            marker,
            held,
            earlier: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Runs all of it; what differed, if anything did.
    async fn all(&mut self) -> Result<(), String> {
        for (n, transaction) in self.script.transactions.iter().enumerate() {
            self.thin_out().await;
            self.execute(transaction).await;
            if transaction.alters {
                // The server may be looking at this moment.
                let followed = "select plank.follow_tables(), (select not exists (
                    select from plank.watched w join pg_class c on c.oid = w.rel where w.fingerprint is distinct from plank.fingerprint(w.rel)))";
                crate::support::until("the tables are followed", async || {
                    self.sql.query_one(followed, &[]).await.unwrap().get(1)
                })
                .await;
            }
            let cursor = self
                .catch_up(transaction.alters)
                .await
                .map_err(|why| format!("transaction {n}: {why}"))?;
            self.compare(&self.held)
                .await
                .map_err(|why| format!("transaction {n}, live: {why}"))?;
            self.earlier.push((cursor, self.held.clone()));
        }
        self.resume_all().await
    }

    /// Rows of tables without a key are never in each other's way, and triggers would multiply them for ever.
    async fn thin_out(&self) {
        for table in self
            .script
            .tables
            .iter()
            .filter(|table| table.key == Key::Missing)
        {
            let thin_out = format!(
                "delete from {0} where (select count(*) from {0}) > 200",
                table.name
            );
            let _ = self.sql.batch_execute(&thin_out).await;
        }
    }

    /// Only the drawn statements have a time limit, for triggers may call each other for ever. What the test itself
    /// does may take as long as a busy machine needs.
    async fn execute(&mut self, transaction: &Transaction) {
        self.counts.statements += transaction.statements.len();
        if transaction.is_one_string {
            let all = format!(
                "begin; {LIMITED}; {}; commit",
                transaction.statements.join("; ")
            );
            if self.sql.batch_execute(&all).await.is_err() {
                self.counts.failed += transaction.statements.len();
                self.sql.batch_execute("rollback").await.unwrap();
            }
            return;
        }
        self.sql.batch_execute("begin").await.unwrap();
        for statement in &transaction.statements {
            self.sql.batch_execute("savepoint each").await.unwrap();
            let limited = format!("{LIMITED}; {statement}; set local statement_timeout = 0");
            if self.sql.batch_execute(&limited).await.is_err() {
                self.counts.failed += 1;
                self.sql.batch_execute("rollback to each").await.unwrap();
            }
        }
        // A deferred constraint may refuse it.
        let _ = self.sql.batch_execute("commit").await;
        self.sql.batch_execute("rollback").await.unwrap();
    }

    /// Applies all that was committed so far; the cursor there. Where a table was altered the client may have to load it
    /// again.
    async fn catch_up(&mut self, may_reset: bool) -> Result<String, String> {
        let cursor: String = self
            .sql
            .query_one("select plank.cursor()", &[])
            .await
            .unwrap()
            .get(0);
        // What is logged last is sent last; and a subscription that falls behind answers a ping when it has caught up.
        self.sql
            .batch_execute("insert into public.items (name) values ('marker')")
            .await
            .unwrap();
        let (mut pongs, mut is_marked) = (0, false);
        while pongs < self.script.tables.len() {
            let message = self
                .client
                .next()
                .await
                .map_err(|closed| format!("{closed:?}"))?;
            match message["type"].as_str().unwrap() {
                "pong" => pongs += 1,
                "changes" if message["topic"] == self.marker.as_str() => {
                    assert!(!std::mem::replace(&mut is_marked, true));
                    for i in 0..self.script.tables.len() {
                        self.client
                            .send(json!({"type": "ping", "id": i.to_string()}))
                            .await;
                    }
                }
                "changes" => {
                    let table = self.topics[message["topic"].as_str().unwrap()];
                    for change in message["changes"].as_array().unwrap() {
                        apply(&mut self.held[table], change)
                            .map_err(|why| format!("{}: {why}", self.script.tables[table].name))?;
                    }
                }
                "reset" if may_reset => {
                    self.counts.resets += 1;
                    let table: usize = message["id"].as_str().unwrap().parse().unwrap();
                    self.held[table] = self.rows(table).await;
                }
                "subscribed" => {
                    let table = message["id"].as_str().unwrap().parse().unwrap();
                    self.topics
                        .insert(message["topic"].as_str().unwrap().to_owned(), table);
                }
                "heartbeat" => {}
                _ => return Err(format!("{message}")),
            }
        }
        Ok(cursor)
    }

    async fn rows(&self, table: usize) -> Rows {
        let of = &self.script.tables[table].name;
        let key: Vec<String> = self
            .sql
            .query_one(
                &format!(
                    "select key::text[] from plank.tables where \"table\" = '{}.{of}'::regclass",
                    self.schema
                ),
                &[],
            )
            .await
            .unwrap()
            .get(0);
        let sql = format!("select row_to_json(x)::text from {of} x");
        let mut rows = Rows::new();
        for row in self.sql.query(&sql, &[]).await.unwrap() {
            let row = known(serde_json::from_str(row.get(0)).unwrap());
            if !key.is_empty() {
                let key: serde_json::Map<String, Value> =
                    key.iter().map(|k| (k.clone(), row[k].clone())).collect();
                rows.insert(Value::Object(key).to_string(), row);
            }
        }
        rows
    }

    async fn compare(&self, held: &[Rows]) -> Result<(), String> {
        for (i, held) in held.iter().enumerate() {
            let table = self.rows(i).await;
            if *held != table {
                let missing: Vec<_> = table
                    .iter()
                    .filter(|(k, v)| held.get(*k) != Some(v))
                    .collect();
                let ghosts: Vec<_> = held
                    .iter()
                    .filter(|(k, v)| table.get(*k) != Some(v))
                    .collect();
                return Err(format!(
                    "{}: only in the table {missing:?}, only at the client {ghosts:?}",
                    self.script.tables[i].name
                ));
            }
        }
        Ok(())
    }

    /// From every cursor so far: by a long poll, which takes the same way as a socket that resumes from the log.
    async fn resume_all(&mut self) -> Result<(), String> {
        let earlier = std::mem::take(&mut self.earlier);
        for (n, (cursor, held)) in earlier.into_iter().enumerate().step_by(3) {
            let altered = self.script.transactions[n..].iter().any(|t| t.alters);
            for (i, mut rows) in held.into_iter().enumerate() {
                // Nobody follows the rows of a table without a key.
                if self.script.tables[i].key == Key::Missing {
                    continue;
                }
                let name = format!("{}.{}", self.schema, self.script.tables[i].name);
                let mut since = cursor.clone();
                loop {
                    let path = format!("/api/changes?table={name}&since={since}&limit={}", 1 + n);
                    let (status, page) = self.app.request("GET", &path, None).await;
                    if status == 410 && altered {
                        rows = self.rows(i).await;
                        break;
                    }
                    if status != 200 {
                        return Err(format!(
                            "resume of {name} behind transaction {n}: {status} {page}"
                        ));
                    }
                    for change in page["changes"].as_array().unwrap() {
                        apply(&mut rows, change).map_err(|why| {
                            format!("{name}, resumed behind transaction {n}: {why}")
                        })?;
                    }
                    since = page["cursor"].as_str().unwrap().to_owned();
                    if page["more"] == false {
                        break;
                    }
                }
                self.counts.resumes += 1;
                let table = self.rows(i).await;
                if rows != table {
                    return Err(format!(
                        "{name}, resumed behind transaction {n}: {rows:?} is not {table:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    async fn end(self) -> Counts {
        self.sql.batch_execute(&format!(
            "select plank.unwatch(\"table\") from plank.tables where \"table\"::text like '{}.%'; drop schema {} cascade", self.schema, self.schema
        )).await.unwrap();
        self.counts
    }
}

/// A row without the columns that were added and hold nothing: rows that were sent before do not have them.
fn known(mut row: Value) -> Value {
    let members = row.as_object_mut().unwrap();
    members.retain(|name, value| !name.starts_with('c') || !value.is_null());
    row
}

/// As a client does that also counts rows: an insert is of a row that is not there, and so on.
fn apply(rows: &mut Rows, change: &Value) -> Result<(), String> {
    let op = change["op"].as_str().unwrap();
    if op == "truncate" {
        rows.clear();
        return Ok(());
    }
    let key = &change["key"];
    if key.is_null() {
        return Ok(());
    }
    let key = key.to_string();
    let was = rows.contains_key(&key);
    if was != (op != "insert") {
        return Err(format!(
            "{change} while the client {} the row",
            if was { "has" } else { "does not have" }
        ));
    }
    match op {
        "delete" => drop(rows.remove(&key)),
        _ => drop(rows.insert(key, known(change["row"].clone()))),
    }
    Ok(())
}

async fn fails(app: &TestApp, script: &Script, name: &mut u32) -> Result<Counts, String> {
    *name += 1;
    let mut run = Run::start(app, script, format!("r{name}")).await;
    match run.all().await {
        Ok(()) => Ok(run.end().await),
        Err(why) => {
            run.end().await;
            Err(why)
        }
    }
}

/// Leaves out what the failure does not need.
async fn shrink(app: &TestApp, mut script: Script, name: &mut u32) -> Script {
    for i in (0..script.transactions.len()).rev() {
        let gone = script.transactions.remove(i);
        if fails(app, &script, name).await.is_ok() {
            script.transactions.insert(i, gone);
        }
    }
    for i in 0..script.transactions.len() {
        for j in (0..script.transactions[i].statements.len()).rev() {
            let gone = script.transactions[i].statements.remove(j);
            if fails(app, &script, name).await.is_ok() {
                script.transactions[i].statements.insert(j, gone);
            }
        }
    }
    script
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

#[actix_web::test]
async fn clients_have_exactly_the_table_whichever_way_rows_change() {
    let app = TestApp::start().await;
    let version: i32 = app
        .sql
        .query_one("select current_setting('server_version_num')::int", &[])
        .await
        .unwrap()
        .get(0);
    let (first, schemas) = (
        from_env("PLANK_RANDOM_SEED", 1),
        from_env("PLANK_RANDOM_SCHEMAS", 180),
    );
    let (mut name, mut all) = (0, Counts::default());
    for seed in first..first + schemas {
        let script = Script::of(seed, version >= 150_000);
        match fails(&app, &script, &mut name).await {
            Ok(counts) => {
                all.statements += counts.statements;
                all.failed += counts.failed;
                all.resets += counts.resets;
                all.resumes += counts.resumes;
            }
            Err(why) => {
                let small = shrink(&app, script, &mut name).await;
                let again = fails(&app, &small, &mut name).await.err();
                panic!(
                    "{why}\nshrunk: {}\n{}",
                    again.unwrap_or_default(),
                    small.text()
                );
            }
        }
        if schemas >= 100 && (seed - first) % 50 == 49 {
            println!(
                "{} schemas, {} statements, {} resets, {} resumes",
                seed - first + 1,
                all.statements,
                all.resets,
                all.resumes
            );
        }
    }
    println!(
        "{schemas} schemas, {} statements of which PostgreSQL refused {}, {} resets, {} resumes",
        all.statements, all.failed, all.resets, all.resumes
    );
    assert!(
        all.failed * 2 < all.statements,
        "most statements do something"
    );
}
