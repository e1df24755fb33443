//! Two principals, random policies and random writes: what each has is what SQL says that it may see, after every step,
//! live and after a resume.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Secure, token};
use crate::support::WsClient;

/// A policy, and the same in SQL for a principal with this `sub` and `tenant`.
const POLICIES: [(&str, &str); 8] = [
    ("owner=eq.{sub}", "owner = $SUB"),
    ("tenant=eq.{claim.tenant}", "tenant = $TENANT"),
    (
        "or=(owner.eq.{sub},tenant.eq.{claim.tenant})",
        "owner = $SUB or tenant = $TENANT",
    ),
    ("owner=neq.{sub}", "owner <> $SUB"),
    (
        "not.and=(owner.eq.{sub},tenant.eq.{claim.tenant})",
        "not (owner = $SUB and tenant = $TENANT)",
    ),
    ("tenant=in.({claim.tenant},3)", "tenant in ($TENANT, 3)"),
    ("owner=eq.{claim.missing}", "false"),
    ("body=like.{sub}*", "body like $SUB || '%'"),
];

struct One {
    sub: &'static str,
    tenant: i32,
    role: &'static str,
    /// Its policy; none for nothing, a second none for all rows.
    policy: Option<Option<usize>>,
    client: Option<WsClient>,
    rows: BTreeMap<i64, Value>,
    cursor: String,
}

impl One {
    fn token(&self) -> String {
        token(json!({"sub": self.sub, "role": self.role, "tenant": self.tenant}))
    }

    fn condition(&self) -> String {
        match self.policy {
            None => "false".into(),
            Some(None) => "true".into(),
            Some(Some(which)) => {
                let (sub, tenant) = (format!("'{}'", self.sub), self.tenant.to_string());
                POLICIES[which]
                    .1
                    .replace("$SUB", &sub)
                    .replace("$TENANT", &tenant)
            }
        }
    }

    async fn expected(&self, app: &Secure) -> BTreeMap<i64, Value> {
        let sql = format!(
            "select id::bigint, row_to_json(n)::text from notes n where {}",
            self.condition()
        );
        let rows = app.sql.query(&sql, &[]).await.unwrap();
        let of =
            |row: &tokio_postgres::Row| (row.get(0), serde_json::from_str(row.get(1)).unwrap());
        rows.iter().map(of).collect()
    }

    /// Subscribes from the last cursor, or with the rows.
    async fn connect(&mut self, app: &Secure) {
        let mut client = app.socket(&self.token()).await;
        let mut message =
            json!({"type": "subscribe", "id": "a", "table": "notes", "snapshot": true});
        if !self.cursor.is_empty() {
            message["since"] = json!(self.cursor);
        }
        client.send(message).await;
        self.client = Some(client);
    }

    /// Applies what comes until the client has the marker row's change, or has been told that it sees nothing.
    async fn settle(&mut self, app: &Secure, step: i64) {
        let expected = self.expected(app).await;
        let Some(client) = &mut self.client else {
            return;
        };
        let mut pending: Vec<Value> = Vec::new();
        let mut snapshot: Option<Vec<Value>> = None;
        let mut is_live = true;
        // A pong comes behind what the session had been told; what is still on its way makes a difference that shows below.
        loop {
            if self.rows == expected && pending.is_empty() && is_live {
                break;
            }
            let message = client
                .next()
                .await
                .unwrap_or_else(|c| panic!("step {step}: {c:?}"));
            match message["type"].as_str().unwrap() {
                "snapshot" => {
                    is_live = false;
                    let rows = snapshot.get_or_insert_default();
                    rows.extend(message["rows"].as_array().unwrap().iter().cloned());
                    if message["more"] == false {
                        self.rows = snapshot
                            .take()
                            .unwrap()
                            .into_iter()
                            .map(|r| (r["id"].as_i64().unwrap(), r))
                            .collect();
                        self.cursor = message["cursor"].as_str().unwrap().into();
                    }
                }
                "subscribed" => {
                    is_live = true;
                    self.cursor = message["cursor"].as_str().unwrap().into();
                }
                "reset" => {
                    (is_live, pending) = (false, Vec::new());
                    self.cursor.clear();
                }
                "error" => {
                    assert_eq!(message["code"], "unknown_table", "step {step}");
                    (is_live, self.rows) = (true, BTreeMap::new());
                    self.cursor.clear();
                    if self.policy.is_some() {
                        // It was allowed again a moment later.
                        client.send(json!({"type": "subscribe", "id": "a", "table": "notes", "snapshot": true})).await;
                        is_live = false;
                    }
                }
                "changes" => {
                    pending.extend(message["changes"].as_array().unwrap().iter().cloned());
                    if message["last"] == true {
                        for change in pending.drain(..) {
                            apply(&mut self.rows, &change, step);
                        }
                        self.cursor = message["cursor"].as_str().unwrap().into();
                    }
                }
                "heartbeat" => {
                    self.cursor = message["cursor"]
                        .as_str()
                        .map_or(self.cursor.clone(), String::from)
                }
                other => panic!("step {step}: {other}"),
            }
        }
        assert_eq!(
            self.rows, expected,
            "step {step}, {} with {:?}",
            self.sub, self.policy
        );
    }
}

/// Exactly once, and nothing of a row that was never seen.
fn apply(rows: &mut BTreeMap<i64, Value>, change: &Value, step: i64) {
    let id = change["key"]["id"].as_i64();
    match change["op"].as_str().unwrap() {
        "insert" => {
            let before = rows.insert(id.unwrap(), change["row"].clone());
            assert!(before.is_none(), "step {step}: twice {change}");
        }
        "update" => {
            let before = rows.insert(id.unwrap(), change["row"].clone());
            assert!(before.is_some(), "step {step}: never seen {change}");
        }
        "delete" => assert!(
            rows.remove(&id.unwrap()).is_some(),
            "step {step}: never seen {change}"
        ),
        _ => rows.clear(),
    }
}

fn write(random: &mut fastrand::Rng) -> String {
    let (id, tenant) = (random.i32(1..=8), random.i32(1..=3));
    let owner = ["ann", "bob", "cid"][random.usize(..3)];
    let body = ["ann-x", "bob-y", "z"][random.usize(..3)];
    match random.u8(..10) {
        0..=3 => format!(
            "insert into notes values ({id}, '{owner}', {tenant}, '{body}')
             on conflict (id) do update set owner = excluded.owner, body = excluded.body"
        ),
        4..=5 => format!("update notes set owner = '{owner}' where id <= {id}"),
        6 => format!("update notes set tenant = {tenant}, body = '{body}' where id >= {id}"),
        7 => format!(
            "update notes set id = id + 10 where id = {id} and not exists (select from notes where id = {id} + 10)"
        ),
        8 => format!("delete from notes where id = {id} or id > 14"),
        _ => format!(
            "begin; delete from notes; insert into notes values ({id}, '{owner}', {tenant}, '{body}'); commit"
        ),
    }
}

async fn random_steps(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let app = Secure::start().await;
    let one = |sub, role, tenant| One {
        sub,
        tenant,
        role,
        policy: None,
        client: None,
        rows: BTreeMap::new(),
        cursor: String::new(),
    };
    let mut both = [one("ann", "a", 1), one("bob", "b", 2)];
    for who in &mut both {
        who.policy = Some(Some(0));
        app.execute(&format!(
            "select plank.allow('notes', '{}', 'owner=eq.{{sub}}')",
            who.role
        ))
        .await;
        who.connect(&app).await;
    }
    for step in 0..60 {
        let which = random.usize(..2);
        match random.u8(..12) {
            0 | 1 => {
                let policy = random.choose_multiple(
                    [None, Some(None)]
                        .into_iter()
                        .chain((0..POLICIES.len()).map(|i| Some(Some(i)))),
                    1,
                )[0];
                let role = both[which].role;
                let sql = match policy {
                    None => format!("select plank.deny('notes', '{role}')"),
                    Some(None) => format!("select plank.allow('notes', '{role}')"),
                    Some(Some(i)) => {
                        format!("select plank.allow('notes', '{role}', '{}')", POLICIES[i].0)
                    }
                };
                let was_denied = both[which].policy.is_none();
                app.execute(&sql).await;
                both[which].policy = policy;
                if was_denied && policy.is_some() {
                    both[which].cursor.clear();
                    both[which].connect(&app).await;
                }
            }
            2 | 3 => {
                // Away for some writes.
                both[which].client = None;
                for _ in 0..random.usize(..4) {
                    app.execute(&write(&mut random)).await;
                }
                if both[which].policy.is_some() || both[which].cursor.is_empty() {
                    both[which].connect(&app).await;
                } else {
                    both[which].rows.clear();
                }
            }
            _ => app.execute(&write(&mut random)).await,
        }
        for who in &mut both {
            who.settle(&app, step).await;
        }
    }
}

#[actix_rt::test]
async fn each_principal_has_what_sql_says_it_may_see() {
    for seed in 1..=4 {
        Box::pin(random_steps(seed)).await;
    }
}

#[actix_rt::test]
async fn each_has_what_sql_says_from_another_seed() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    Box::pin(random_steps(seed)).await;
}
