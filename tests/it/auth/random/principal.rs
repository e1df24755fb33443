//! One principal: its policies, its client, and the rows that the client has.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{Secure, now_s, token};
use crate::support::WsClient;

/// A policy, and the same in SQL for a principal with this `sub` and `tenant`.
pub const POLICIES: [(&str, &str); 8] = [
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

/// What one client knows at a time: its rows, and the cursor that says of when they are.
#[derive(Clone, Default)]
pub struct Known {
    pub rows: BTreeMap<i64, Value>,
    pub cursor: String,
}

pub struct Principal {
    pub sub: &'static str,
    tenant: i32,
    pub role: &'static str,
    /// By name; `None` for all rows.
    pub policies: BTreeMap<&'static str, Option<usize>>,
    /// The SQL of the policies before the step and in it: a row has to satisfy one of them.
    conditions: Vec<String>,
    /// Its tokens are issued at this time, in seconds; earlier ones are revoked.
    pub issued: u64,
    pub client: Option<WsClient>,
    pub known: Known,
    /// What it knew before, in order.
    pub earlier: Vec<Known>,
}

impl Principal {
    pub fn new(sub: &'static str, role: &'static str, tenant: i32) -> Self {
        Self {
            sub,
            tenant,
            role,
            policies: BTreeMap::new(),
            conditions: Vec::new(),
            issued: now_s() - 1_000,
            client: None,
            known: Known::default(),
            earlier: Vec::new(),
        }
    }

    pub fn token(&self) -> String {
        token(
            json!({"sub": self.sub, "role": self.role, "tenant": self.tenant, "iat": self.issued}),
        )
    }

    /// What it may see, as SQL.
    fn condition(&self) -> String {
        let (sub, tenant) = (format!("'{}'", self.sub), self.tenant.to_string());
        let of = |policy: &Option<usize>| match policy {
            None => "true".to_owned(),
            Some(which) => POLICIES[*which]
                .1
                .replace("$SUB", &sub)
                .replace("$TENANT", &tenant),
        };
        let all: Vec<String> = self
            .policies
            .values()
            .map(|p| format!("({})", of(p)))
            .collect();
        match all.is_empty() {
            true => "false".into(),
            false => all.join(" or "),
        }
    }

    /// To be called before a step and behind each change of the policies.
    pub fn note_policies(&mut self) {
        self.conditions.push(self.condition());
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

    /// No row ever reaches the client that no policy has shown in this step or the one before.
    async fn may_see(&self, app: &Secure, row: &Value, step: i64) {
        let any = self.conditions.join(") or (");
        let sql = format!("select ({any}) from json_populate_record(null::notes, $1::text::json)");
        let row = row.to_string();
        let answer = app.sql.query_one(&sql, &[&row]).await.unwrap();
        assert!(
            answer.get::<_, bool>(0),
            "step {step}: {} got {row}, with the policies {any}",
            self.sub
        );
    }

    /// Subscribes from what it knows, or with the rows.
    pub async fn connect(&mut self, app: &Secure) {
        self.client = Some(app.socket(&self.token()).await);
        self.subscribe().await;
    }

    async fn subscribe(&mut self) {
        let mut message =
            json!({"type": "subscribe", "id": "a", "table": "notes", "snapshot": true});
        if !self.known.cursor.is_empty() {
            message["since"] = json!(self.known.cursor);
        }
        self.client.as_mut().unwrap().send(message).await;
    }

    /// Applies what comes until the subscription has passed all that is committed, and compares.
    pub async fn settle(&mut self, app: &Secure, step: i64) {
        let Some(mut client) = self.client.take() else {
            return;
        };
        // A subscription can end because plank had not heard of a policy yet; then the client asks again.
        for attempt in 0.. {
            let is_live = self.pass(app, &mut client, step).await;
            if is_live || self.policies.is_empty() {
                break;
            }
            assert!(
                attempt < 50,
                "step {step}: {} has no subscription",
                self.sub
            );
            self.client = Some(client);
            self.subscribe().await;
            client = self.client.take().unwrap();
        }
        let expected = self.expected(app).await;
        assert_eq!(
            self.known.rows, expected,
            "step {step}, {} with {:?}",
            self.sub, self.policies
        );
        self.client = Some(client);
        self.conditions = vec![self.condition()];
        if !self.known.cursor.is_empty() {
            self.earlier.push(self.known.clone());
        }
    }

    /// Until the receipt for now; whether the subscription is there still.
    async fn pass(&mut self, app: &Secure, client: &mut WsClient, step: i64) -> bool {
        let now = app.sql.query_one("select plank.cursor()", &[]).await;
        let now: String = now.unwrap().get(0);
        client
            .send(json!({"type": "ping", "id": "a", "cursor": now}))
            .await;
        let (mut pending, mut snapshot) = (Vec::new(), Vec::new());
        loop {
            let message = client
                .next()
                .await
                .unwrap_or_else(|c| panic!("step {step}: {c:?}"));
            let cursor = || message["cursor"].as_str().unwrap().to_owned();
            match message["type"].as_str().unwrap() {
                "snapshot" => {
                    for row in message["rows"].as_array().unwrap() {
                        self.may_see(app, row, step).await;
                        snapshot.push((row["id"].as_i64().unwrap(), row.clone()));
                    }
                    if message["more"] == false {
                        self.known.rows = snapshot.drain(..).collect();
                        self.known.cursor = cursor();
                    }
                }
                "subscribed" => self.known.cursor = cursor(),
                "reset" => {
                    pending.clear();
                    snapshot.clear();
                    self.known.cursor.clear();
                }
                "error" => {
                    assert_eq!(message["code"], "unknown_table", "step {step}");
                    // It is the answer to the ping as well: the subscription is over.
                    self.known = Known::default();
                    return false;
                }
                "changes" => {
                    for change in message["changes"].as_array().unwrap() {
                        if change["row"].is_object() {
                            self.may_see(app, &change["row"], step).await;
                        }
                        pending.push(change.clone());
                    }
                    if message["last"] == true {
                        for change in pending.drain(..) {
                            apply(&mut self.known.rows, &change, step);
                        }
                        self.known.cursor = cursor();
                    }
                }
                "heartbeat" if message["cursor"].is_string() => self.known.cursor = cursor(),
                "heartbeat" => {}
                "pong" => return !self.known.cursor.is_empty(),
                other => panic!("step {step}: {other}"),
            }
        }
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
