//! Two principals, random policies and random writes: what each has is what SQL says that it may see, after every step, live,
//! after a resume from any cursor so far, with policies that change while rows are written, and across revoked tokens. Forged
//! cursors are refused in between.

mod principal;

use serde_json::json;

use super::Secure;
use super::cursors::forgeries;
use crate::support::cluster::connect;
use crate::support::{Cluster, WsClient};
use principal::{Known, POLICIES, Principal};

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

/// Draws a change of a principal's policies: what to execute. The principal has them from now on.
fn change_policies(random: &mut fastrand::Rng, who: &mut Principal) -> String {
    let (role, name) = (who.role, ["one", "two", "three"][random.usize(..3)]);
    let sql = match random.u8(..6) {
        0 => {
            who.policies.clear();
            format!("select plank.deny('notes', '{role}')")
        }
        1 | 2 => {
            who.policies.remove(name);
            format!("select plank.deny('notes', '{role}', name => '{name}')")
        }
        3 if random.bool() => {
            who.policies.insert(name, None);
            format!("select plank.allow('notes', '{role}', name => '{name}')")
        }
        _ => {
            let which = random.usize(..POLICIES.len());
            who.policies.insert(name, Some(which));
            let rows = POLICIES[which].0;
            format!("select plank.allow('notes', '{role}', '{rows}', name => '{name}')")
        }
    };
    who.note_policies();
    sql
}

/// Whatever a client makes of a cursor of its own is a `bad_cursor`.
async fn forge(app: &Secure, who: &Principal, random: &mut fastrand::Rng) {
    let cursor: String = app
        .sql
        .query_one("select plank.cursor()", &[])
        .await
        .unwrap()
        .get(0);
    let forgeries = forgeries(&cursor);
    let (what, forged) = &forgeries[random.usize(..forgeries.len())];
    let mut spy: WsClient = app.socket(&who.token()).await;
    spy.send(json!({"type": "subscribe", "id": "s", "table": "notes", "since": forged}))
        .await;
    assert_eq!(spy.expect("error").await["code"], "bad_cursor", "{what}");
}

/// All tokens so far are over: the socket ends, an old one opens no other, and a new one goes on.
async fn revoke(app: &Secure, who: &mut Principal) {
    let old = who.token();
    who.issued += 1;
    let (sub, issued) = (who.sub, who.issued);
    app.execute(&format!(
        "select plank.revoke('{sub}', to_timestamp({issued}))"
    ))
    .await;
    if let Some(mut client) = who.client.take() {
        let closed = loop {
            if let Err(closed) = client.next().await {
                break closed;
            }
        };
        assert_eq!(closed.code, 4502, "{closed:?}");
        let path = "/api/tables/notes/rows";
        assert_eq!(app.ask(&old, "GET", path, None).await.0, 401);
        who.connect(app).await;
    }
}

async fn random_steps(seed: u64, steps: i64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let app = Secure::start().await;
    // A second session, for what happens at the same time.
    let other = connect(&Cluster::shared().config(&app.database)).await;
    let mut both = [Principal::new("ann", "a", 1), Principal::new("bob", "b", 2)];
    for who in &mut both {
        who.policies.insert("one", Some(0));
        who.note_policies();
        let role = who.role;
        app.execute(&format!(
            "select plank.allow('notes', '{role}', 'owner=eq.{{sub}}', name => 'one')"
        ))
        .await;
        who.connect(&app).await;
    }
    for step in 0..steps {
        let who = &mut both[random.usize(..2)];
        let had_none = who.policies.is_empty();
        match random.u8(..16) {
            0 | 1 => app.execute(&change_policies(&mut random, who)).await,
            2..=4 => {
                // At the same time, in whichever order.
                let (sql, write) = (change_policies(&mut random, who), write(&mut random));
                let (_, done) = tokio::join!(app.execute(&sql), other.batch_execute(&write));
                done.unwrap();
            }
            5..=8 => {
                // Away for some writes, and sometimes for a change of its policies; back from what it knew some time ago.
                who.client = None;
                for _ in 0..random.usize(..4) {
                    app.execute(&write(&mut random)).await;
                }
                if random.u8(..4) == 0 {
                    app.execute(&change_policies(&mut random, who)).await;
                }
                let count = who.earlier.len();
                if count > 0 && random.bool() {
                    who.known = who.earlier[random.usize(..count)].clone();
                }
                who.connect(&app).await;
            }
            9 => forge(&app, who, &mut random).await,
            10 => revoke(&app, who).await,
            _ => app.execute(&write(&mut random)).await,
        }
        if had_none && !who.policies.is_empty() {
            who.known = Known::default();
            who.connect(&app).await;
        }
        for who in &mut both {
            Box::pin(who.settle(&app, step)).await;
        }
    }
}

/// `PLANK_RANDOM_SEEDS=n` draws more of them.
#[actix_rt::test]
async fn each_principal_has_what_sql_says_it_may_see() {
    let seeds = std::env::var("PLANK_RANDOM_SEEDS").map_or(4, |n| n.parse().unwrap());
    for seed in 1..=seeds {
        eprintln!("seed {seed}");
        Box::pin(random_steps(seed, 60)).await;
    }
}

#[actix_rt::test]
async fn each_has_what_sql_says_from_another_seed() {
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    Box::pin(random_steps(seed, 60)).await;
}
