//! Foreign keys in `GET /api/tables`: between watched tables, as they are now, and never the name of a table or a column that a
//! client may not see.

use serde_json::{Value, json};

use crate::auth::{Secure, viewer};
use crate::support::{TestApp, until};

/// The foreign keys of each table that has one, by its name.
fn references(answer: &Value) -> Value {
    let tables = answer["tables"].as_array().unwrap().iter();
    let of = tables.filter_map(|table| {
        let references = table.get("references")?;
        Some((
            table["table"].as_str().unwrap().to_owned(),
            references.clone(),
        ))
    });
    Value::Object(of.collect())
}

async fn until_they_are(app: &TestApp, expected: Value, why: &str) {
    let now = async || references(&app.request("GET", "/api/tables", None).await.1);
    until(why, async || now().await == expected).await;
}

fn reference(columns: Value, table: &str, to: Value) -> Value {
    json!({"columns": columns, "table": table, "to": to})
}

#[actix_web::test]
async fn foreign_keys_between_watched_tables_are_told_with_both_ends() {
    let app = TestApp::start().await;
    app.execute(
        "create schema sales;
         create table customers (id int primary key, mail text unique);
         create table hidden (id int primary key);
         create table categories (slug text primary key, parent text references categories);
         create table sales.\"Orders\" (a int, b int, customer int references customers, mail text references customers (mail),
           hidden int references hidden, primary key (a, b));
         create table lines (id int primary key, \"of b\" int, \"of a\" int, foreign key (\"of a\", \"of b\") references sales.\"Orders\");
         select plank.watch('customers'), plank.watch('categories'), plank.watch('sales.\"Orders\"'), plank.watch('lines')",
    )
    .await;
    let orders = "sales.\"Orders\"";
    let customers = "public.customers";
    let expected = json!({
        "public.categories": [reference(json!(["parent"]), "public.categories", json!(["slug"]))],
        "public.lines": [reference(json!(["of a", "of b"]), orders, json!(["a", "b"]))],
        orders: [
            reference(json!(["customer"]), customers, json!(["id"])),
            reference(json!(["mail"]), customers, json!(["mail"])),
        ],
    });
    until_they_are(
        &app,
        expected,
        "all but the one to the table that is not watched",
    )
    .await;
}

#[actix_web::test]
async fn a_foreign_key_that_comes_or_goes_is_followed_and_resets_nobody() {
    let app = TestApp::start().await;
    app.execute(
        "create table a (id int primary key); create table b (id int primary key, a int);
         select plank.watch('a'); select plank.watch('b')",
    )
    .await;
    until_they_are(&app, json!({}), "none yet").await;
    let mut client = app.subscribed("b").await;
    app.execute("alter table b add constraint of_a foreign key (a) references a")
        .await;
    let of = |to: &str| json!({"public.b": [reference(json!(["a"]), "public.a", json!([to]))]});
    until_they_are(&app, of("id"), "one that has come").await;
    app.execute("alter table a rename column id to number")
        .await;
    until_they_are(&app, of("number"), "its other end has another name").await;
    app.execute("select plank.unwatch('a')").await;
    until_they_are(&app, json!({}), "where it leads is not watched any more").await;
    app.execute("select plank.watch('a')").await;
    until_they_are(&app, of("number"), "and again").await;
    app.execute("alter table b drop constraint of_a").await;
    until_they_are(&app, json!({}), "it is gone").await;
    app.execute("insert into b values (1, 1)").await;
    let heard = client.expect("changes").await;
    assert_eq!(
        heard["changes"][0]["key"]["id"], 1,
        "nobody was reset: {heard}"
    );
}

#[actix_web::test]
async fn partitions_have_the_foreign_keys_of_their_tables_once() {
    let app = TestApp::start().await;
    app.execute(
        "create table days (day int primary key) partition by range (day);
         create table days_1 partition of days for values from (0) to (10);
         create table days_2 partition of days for values from (10) to (20);
         create table visits (id int, day int references days, primary key (id)) partition by hash (id);
         create table visits_0 partition of visits for values with (modulus 1, remainder 0);
         select plank.watch('days'); select plank.watch('visits')",
    )
    .await;
    let expected =
        json!({"public.visits": [reference(json!(["day"]), "public.days", json!(["day"]))]});
    until_they_are(&app, expected, "the one that was written").await;
}

#[actix_web::test]
async fn a_table_or_column_that_may_not_be_seen_is_not_named_by_a_foreign_key() {
    let app = Secure::start().await;
    app.execute(
        "create table secrets (id int primary key, word text unique);
         create table people (id int primary key, secret int references secrets, word text references secrets (word));
         create table pets (id int primary key, person int references people);
         select plank.watch('secrets', columns => '{id}'), plank.watch('people'), plank.watch('pets', columns => '{id}');
         select plank.allow(t, 'viewer') from unnest('{people,pets}'::regclass[]) t;
         select plank.allow(t, 'all') from unnest('{people,pets,secrets}'::regclass[]) t",
    )
    .await;
    let seen = async |token: &str| app.ask(token, "GET", "/api/tables", None).await.1;
    let all = crate::auth::token(json!({"sub": "bob", "role": "all"}));
    let expected =
        json!({"public.people": [reference(json!(["secret"]), "public.secrets", json!(["id"]))]});
    until("what may be seen", async || {
        references(&seen(&all).await) == expected
    })
    .await;
    let answer = seen(&viewer("ann")).await;
    assert_eq!(
        references(&answer),
        json!({}),
        "pets are narrowed, secrets are not allowed"
    );
    assert_eq!(answer["tables"].as_array().unwrap().len(), 2);
    assert!(!answer.to_string().contains("secrets"), "{answer}");
}
