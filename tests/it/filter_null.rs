//! What is null: as a filter decides it and as PostgreSQL is asked for it, also where a value only looks like it.

use plank::feed::filter::Filter;
use plank::feed::filter::row::Row;

use crate::filter_random::{describe, passing, read};
use crate::support::TestApp;

#[actix_web::test]
async fn null_is_decided_alike_in_rows_of_the_log_and_of_the_table() {
    let app = TestApp::start().await;
    app.execute(
        "create type pair as (a int, b int); create domain duo as pair; create domain doc as jsonb; \
         create table t (id int primary key, p pair, d duo, js json, jb jsonb, dj doc, te text); select plank.watch('t'); \
         insert into t values (1); insert into t values (2, row(null, null), row(null, null), E' null\\n', 'null', 'null', 'null'), \
           (3, row(1, null), row(1, null), '\"null\"', '\"null\"', '\"null\"', ''), (4, row(1, 2), row(1, 2), '{}', '[]', '0', 'x')",
    )
    .await;
    let table = describe(&app.sql, "t").await;
    let rows = app
        .sql
        .query("select id, row_to_json(t)::text from t order by id", &[])
        .await
        .unwrap();
    for (column, nulls) in [
        // A row of nulls is none, whatever `is null` says.
        ("p", vec![1]),
        ("d", vec![1]),
        // JSON's null is one: the log does not tell them apart.
        ("js", vec![1, 2]),
        ("jb", vec![1, 2]),
        ("dj", vec![1, 2]),
        ("te", vec![1]),
    ] {
        for not in ["", "not."] {
            let filter = format!("{column}.{not}is.null");
            let bound = Filter::bind(&read(&filter), &table).unwrap();
            let own: Vec<i32> = rows
                .iter()
                .filter(|row| {
                    let row = Row::read(&table, row.get(1)).unwrap();
                    bound.passes(&row).unwrap()
                })
                .map(|row| row.get(0))
                .collect();
            let expected: Vec<i32> = (1..=4)
                .filter(|id| nulls.contains(id) == not.is_empty())
                .collect();
            assert_eq!(own, expected, "{filter}");
            assert_eq!(passing(&app.sql, &bound).await, expected, "{filter}");
        }
    }
}
