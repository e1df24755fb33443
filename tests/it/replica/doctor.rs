//! What `plank doctor` says of a replica.

use crate::support::cluster::connect;
use crate::support::program::run;
use crate::support::{Cluster, until};

/// The findings about the replica, of a doctor that knows it by `read`.
async fn findings(primary: &Cluster, read: &str) -> Vec<(String, String)> {
    let url = primary.url("plank");
    let (_, out, err) = run(&[
        "doctor",
        "--json",
        "--database-url",
        &url,
        "--read-database-url",
        read,
    ])
    .await;
    let report: serde_json::Value =
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let all = report["findings"].as_array().unwrap().iter();
    let own = all.filter(|finding| finding["check"] == "replica");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    own.map(|finding| (text(&finding["state"]), text(&finding["what"])))
        .collect()
}

#[actix_web::test]
async fn doctor_says_whether_the_replica_can_be_used() {
    let mut primary = Cluster::start();
    primary.prepare().await;
    let mut standby = primary.streaming_standby().await;
    let other = Cluster::start();
    other.prepare().await;
    let other_standby = other.streaming_standby().await;
    let sql = connect(&standby.config("plank")).await;

    let says = async |primary: &Cluster, read: String, state: &str, part: &str| {
        let found = findings(primary, &read).await;
        let is_said = found
            .iter()
            .any(|(s, what)| s == state && what.contains(part));
        assert!(is_said, "{state}: {part}: {found:?}");
    };
    until("the replica has caught up", async || {
        let found = findings(&primary, &standby.url("plank")).await;
        found
            .iter()
            .any(|(state, what)| state == "ok" && what.contains("behind"))
    })
    .await;
    says(&primary, primary.url("plank"), "wrong", "is no replica").await;
    says(
        &primary,
        other_standby.url("plank"),
        "wrong",
        "replica of another",
    )
    .await;
    says(
        &primary,
        standby.url("postgres"),
        "wrong",
        "has no schema of plank",
    )
    .await;

    sql.batch_execute("select pg_wal_replay_pause()")
        .await
        .unwrap();
    let admin = connect(&primary.config("plank")).await;
    admin
        .batch_execute("create table late (t text); insert into late select repeat(md5(i::text), 20) from generate_series(1, 4000) i")
        .await
        .unwrap();
    says(&primary, standby.url("plank"), "note", "behind").await;
    sql.batch_execute("select pg_wal_replay_resume()")
        .await
        .unwrap();

    let promoted = sql.query_one("select pg_promote()", &[]).await.unwrap();
    assert!(promoted.get::<_, bool>(0));
    says(&primary, standby.url("plank"), "wrong", "is no replica").await;
    let url = standby.url("plank");
    standby.stop().await;
    says(&primary, url, "wrong", "out of reach").await;
    primary.stop().await;
}
