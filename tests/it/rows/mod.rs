//! `GET /api/tables/{table}/rows`: the rows of a table, in pages and all at once.

use serde_json::Value;

use crate::support::TestApp;

mod lines;
mod mistakes;
mod pages;

/// The address of a table's rows; the name is encoded as a browser would.
pub fn path(table: &str, query: &[(&str, &str)]) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let table = encode(table).replace('+', "%20");
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    format!("/api/tables/{table}/rows?{}", query.join("&"))
}

/// A page.
pub async fn page(app: &TestApp, table: &str, query: &[(&str, &str)]) -> Value {
    let path = path(table, query);
    let (status, page) = app.request("GET", &path, None).await;
    assert_eq!(status, 200, "{path}: {page}");
    page
}

/// All rows, page by page; how many pages there were.
pub async fn pages(app: &TestApp, table: &str, order: &str, limit: usize) -> (Vec<Value>, usize) {
    let limit = limit.to_string();
    let (mut rows, mut count, mut after) = (Vec::new(), 0, String::new());
    loop {
        let mut query = vec![("limit", limit.as_str())];
        query.extend((!order.is_empty()).then_some(("order", order)));
        query.extend((!after.is_empty()).then_some(("after", after.as_str())));
        let mut page = page(app, table, &query).await;
        let Value::Array(list) = page["rows"].take() else {
            panic!("{page}")
        };
        rows.extend(list);
        count += 1;
        match page["next"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return (rows, count),
        }
    }
}

/// What PostgreSQL says itself.
pub async fn selected(app: &TestApp, from: &str) -> Vec<Value> {
    let sql = format!("select row_to_json(x)::text from {from}");
    let rows = app.sql.query(&sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .collect()
}

/// Makes a table and waits until plank knows it.
pub async fn watched(app: &TestApp, table: &str, sql: &str) {
    app.execute(&format!("{sql}; select plank.watch('{table}')"))
        .await;
    crate::live::watched(app, table).await;
}
