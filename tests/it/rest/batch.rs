//! Several writes at once, all or nothing.

use serde_json::{Value, json};

use super::{get, header, send, start};
use crate::support::TestApp;

async fn batch(app: &TestApp, headers: &[(&str, &str)], operations: &Value) -> (u16, Value) {
    let (status, _, body) = send(app, "POST", "/rest", headers, &operations.to_string()).await;
    (status, body)
}

#[actix_web::test]
async fn operations_are_carried_out_in_their_order_and_seen_at_one_place() {
    let app = start().await;
    let before = {
        let (_, headers, _) = send(&app, "GET", "/rest/orders", &[], "").await;
        header(&headers, "plank-cursor").to_owned()
    };
    let operations = json!([
        {"op": "insert", "table": "orders", "values": {"id": 50, "name": "a"}},
        {"op": "update", "table": "orders", "key": {"id": 50}, "values": {"name": "b"}, "match": {"version": 1, "price": null}},
        {"op": "upsert", "table": "sales.\"Order Lines\"", "values": {"a": 1, "b": "x", "c": "up"}},
        {"op": "upsert", "table": "sales.\"Order Lines\"", "values": {"a": 9, "b": "y"}},
        {"op": "delete", "table": "public.orders", "key": {"id": 1}},
    ]);
    let (status, headers, body) = send(&app, "POST", "/rest", &[], &operations.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let rows: Vec<&Value> = body
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["row"])
        .collect();
    assert_eq!(
        (&rows[0]["name"], &rows[1]["name"]),
        (&json!("a"), &json!("b"))
    );
    assert_eq!(rows[2], &json!({"a": 1, "b": "x", "c": "up"}));
    assert_eq!(rows[3]["c"], "c");
    assert_eq!(
        (&body[4]["op"], &body[4]["table"]),
        (&json!("delete"), &json!("public.orders"))
    );
    let xid = header(&headers, "plank-xid").to_owned();
    let changes = get(
        &app,
        &format!("/api/changes?table=orders&since={before}&wait=20"),
    )
    .await;
    let changes = changes["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 3);
    assert!(
        changes.iter().all(|c| c["xid"] == xid.as_str()),
        "{changes:?}"
    );
    let cursor = header(&headers, "plank-cursor");
    let behind = get(&app, &format!("/api/changes?table=orders&since={cursor}")).await;
    assert_eq!(behind["changes"], json!([]));
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn the_first_refusal_names_its_place_and_takes_all_back() {
    let app = start().await;
    let good = json!({"op": "insert", "table": "orders", "values": {"name": "good"}});
    let cases = [
        (
            json!({"op": "insert", "table": "orders", "values": {"name": null}}),
            400,
            "name",
        ),
        (
            json!({"op": "insert", "table": "orders", "values": {"id": 1, "name": "x"}}),
            409,
            "duplicate key",
        ),
        (
            json!({"op": "insert", "table": "orders", "values": {}}),
            400,
            "values",
        ),
        (json!({"op": "insert", "table": "orders"}), 400, "values"),
        (
            json!({"op": "insert", "table": "orders", "values": {"nonsense": 1}}),
            400,
            "nonsense",
        ),
        (
            json!({"op": "insert", "table": "orders", "key": {"id": 1}, "values": {"name": "x"}}),
            400,
            "key",
        ),
        (
            json!({"op": "insert", "table": "nonsense", "values": {"id": 1}}),
            404,
            "nonsense",
        ),
        (
            json!({"op": "insert", "table": "quiet", "values": {"id": 1}}),
            403,
            "writable",
        ),
        (json!({"op": "replace", "table": "orders"}), 400, "replace"),
        (
            json!({"op": "update", "table": "orders", "values": {"name": "x"}}),
            400,
            "key",
        ),
        (
            json!({"op": "update", "table": "orders", "key": {"name": "tea"}, "values": {"name": "x"}}),
            400,
            "key",
        ),
        (
            json!({"op": "update", "table": "orders", "key": {"id": "x"}, "values": {"name": "x"}}),
            400,
            "id",
        ),
        (
            json!({"op": "update", "table": "orders", "key": {"id": [1]}, "values": {"name": "x"}}),
            400,
            "key",
        ),
        (
            json!({"op": "update", "table": "orders", "key": {"id": 99}, "values": {"name": "x"}}),
            404,
            "no such row",
        ),
        (
            json!({"op": "update", "table": "orders", "key": {"id": 1}, "values": {"name": "x"}, "match": {"version": 7}}),
            412,
            "version",
        ),
        (
            json!({"op": "delete", "table": "orders", "key": {"id": 99}}),
            404,
            "no such row",
        ),
        (
            json!({"op": "delete", "table": "orders", "key": {"id": 1}, "values": {"name": "x"}}),
            400,
            "values",
        ),
        (
            json!({"op": "delete", "table": "orders", "key": {"id": 1}, "why": "x"}),
            400,
            "why",
        ),
        (json!(1), 400, "object"),
    ];
    for (bad, status, part) in cases {
        for place in [0, 1, 30] {
            let mut operations = vec![good.clone(); 32];
            operations[place] = bad.clone();
            let (got, body) = batch(&app, &[], &json!(operations)).await;
            assert_eq!(
                (got, &body["index"]),
                (status, &json!(place)),
                "{bad}: {body}"
            );
            assert!(body.to_string().contains(part), "{bad}: {body}");
        }
    }
    for (operations, part) in [
        (json!(vec![good.clone(); 1_001]), "1001 operations"),
        (json!([]), "0 operations"),
        (json!({}), "list"),
        (good.clone(), "list"),
    ] {
        let (status, body) = batch(&app, &[], &operations).await;
        assert!(
            status == 400 && body["detail"].as_str().unwrap().contains(part),
            "{body}"
        );
    }
    assert_eq!(get(&app, "/rest/orders?name=eq.good").await, json!([]));
    let (status, body) = batch(&app, &[("prefer", "tx=rollback")], &json!([good])).await;
    assert_eq!((status, &body[0]["row"]["name"]), (200, &json!("good")));
    assert_eq!(get(&app, "/rest/orders?name=eq.good").await, json!([]));
    let (status, body) = batch(&app, &[], &json!(vec![good; 1_000])).await;
    assert_eq!((status, body.as_array().unwrap().len()), (200, 1_000));
    app.stop().await.unwrap();
}
