//! `GET /api/activity`: which topics send the most, for those who may read `/metrics`.

use serde_json::{Value, json};

use crate::auth::{Secure, token, viewer};
use crate::support::{TestApp, until};

async fn activity(app: &TestApp) -> Value {
    let (status, answer) = app.request("GET", "/api/activity", None).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[actix_web::test]
async fn the_topics_that_send_the_most_are_told_with_what_they_are() {
    let app = TestApp::start().await;
    assert_eq!(activity(&app).await, json!({"total": 0, "topics": []}));
    app.execute("create table a (id int primary key, what text); create table b (id int primary key); select plank.watch('a'); select plank.watch('b')")
        .await;
    let (mut first, mut second) = (app.subscribed("a").await, app.subscribed("a").await);
    let mut third = app.ws("/ws").await;
    third.expect("welcome").await;
    let filter = "id=gt.2&what=neq.x";
    third
        .send(json!({"type": "subscribe", "id": "f", "table": "a", "filter": filter}))
        .await;
    third.expect("subscribed").await;
    let _still = app.subscribed("b").await;
    app.execute("insert into a select i, repeat('w', 100) from generate_series(1, 5) i")
        .await;
    first.changes(5).await;
    second.changes(5).await;
    third.changes(3).await;
    let answer = activity(&app).await;
    assert_eq!(answer["total"], 3);
    let topics = answer["topics"].as_array().unwrap();
    let of = |at: usize, name: &str| topics[at][name].clone();
    let shown: Vec<_> = (0..3)
        .map(|at| (of(at, "table"), of(at, "subscriptions"), of(at, "changes")))
        .collect();
    let expected = [("public.a", 2, 5), ("public.a", 1, 3), ("public.b", 1, 0)];
    assert_eq!(
        shown,
        expected.map(|(t, s, c)| (json!(t), json!(s), json!(c)))
    );
    // The same frame to two, and a smaller one to one.
    let bytes = |at| of(at, "bytes").as_u64().unwrap();
    assert!(
        bytes(0) > 2 * 500 && bytes(1) > 300 && bytes(1) * 2 < bytes(0),
        "{answer}"
    );
    assert_eq!(bytes(2), 0);
    let text = of(1, "filter");
    assert!(text.as_str().unwrap().contains("\"id\".gt.\"2\""), "{text}");
    assert_eq!(
        (of(0, "filter"), of(0, "role"), of(0, "kind")),
        (Value::Null, Value::Null, json!("rows"))
    );
    drop((first, second));
    until("a topic that nobody follows is gone", async || {
        activity(&app).await["total"] == 2
    })
    .await;
}

#[actix_web::test]
async fn what_is_told_of_topics_is_bounded() {
    let app = TestApp::start().await;
    let mut client = app.ws("/ws").await;
    client.expect("welcome").await;
    let long = "ä".repeat(1_000);
    for at in 0..40 {
        let filter = format!("name=eq.{long}{at}");
        client
            .send(json!({"type": "subscribe", "id": at.to_string(), "table": "items", "filter": filter}))
            .await;
        client.expect("subscribed").await;
    }
    let answer = activity(&app).await;
    assert_eq!(answer["total"], 40);
    let topics = answer["topics"].as_array().unwrap();
    assert_eq!(topics.len(), 30);
    for topic in topics {
        let filter = topic["filter"].as_str().unwrap();
        assert_eq!(filter.chars().count(), 201);
        assert!(filter.ends_with('\u{2026}'));
    }
}

#[actix_rt::test]
async fn the_activity_is_for_operators_as_the_metrics_are() {
    let app = Secure::start().await;
    let operator = token(json!({"sub": "prometheus", "role": "metrics"}));
    let passed_on = ("x-forwarded-for", "127.0.0.1");
    let bearer = |token: &str| format!("Bearer {token}");
    let (viewer, operator) = (bearer(&viewer("ann")), bearer(&operator));
    for (headers, expected) in [
        (vec![], 200),
        (vec![passed_on], 401),
        (vec![passed_on, ("authorization", viewer.as_str())], 403),
        (vec![passed_on, ("authorization", operator.as_str())], 200),
        (vec![passed_on, ("authorization", "Bearer abc")], 401),
    ] {
        for path in ["/metrics", "/api/activity"] {
            let (status, _) = app.with_headers("GET", path, &headers).await;
            assert_eq!(status, expected, "{path} {headers:?}");
        }
    }
    // The policies that a topic goes by are named by their role.
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let mut client = app.socket(&crate::auth::viewer("ann")).await;
    client.subscribe("a", "notes").await;
    let (_, answer) = app.with_headers("GET", "/api/activity", &[]).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["topics"][0]["role"], "viewer");
    assert_eq!(
        answer["topics"][0].get("filter"),
        None,
        "that of the policy is not told"
    );
}
