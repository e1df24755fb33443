//! What can't be followed is refused at once and whole, with the reason.

use super::{BOARD, shop, watch};

#[actix_web::test]
async fn what_does_not_fit_is_refused_and_leaves_nothing() {
    let app = shop().await;
    watch(&app, "board", BOARD, "id", "").await;
    app.execute(
        "create table unwatched (id int primary key); create view behind as select * from unwatched; \
         create materialized view stored as select id from orders; create temp table mine (id int); \
         create function reads() returns bigint language sql stable as 'select count(*) from orders'; \
         create view locking as select id from orders for update; create type pair as (a int, b int); \
         create table twin (id int primary key); select plank.watch('twin')",
    )
    .await;
    let many = format!("select id{} from orders", " ".repeat(32_768));
    let cases: &[(&str, &str, &str, &str, &str)] = &[
        // name, query, key, more, what it says
        ("a", "select 1; select 2", "{id}", "", "one statement"),
        ("a", "select id from orders;", "{id}", "", "one statement"),
        (
            "a",
            "select id from orders; drop table orders",
            "{id}",
            "",
            "one statement",
        ),
        (
            "a",
            "select 'x$$;' as id, $$ a;b",
            "{id}",
            "",
            "can't be read",
        ),
        (
            "a",
            "with x as (delete from orders returning id) select id from x",
            "{id}",
            "",
            "changes data",
        ),
        (
            "a",
            "insert into orders values (1) returning id",
            "{id}",
            "",
            "syntax error",
        ),
        (
            "a",
            "select id into t from orders",
            "{id}",
            "",
            "SELECT INTO",
        ),
        (
            "a",
            "select id from orders for update",
            "{id}",
            "",
            "locks rows",
        ),
        ("a", "select id from locking", "{id}", "", "locks rows"),
        (
            "a",
            "select id, random() as r from orders",
            "{id}",
            "",
            "random(), which is volatile",
        ),
        (
            "a",
            "select id, clock_timestamp() as r from orders",
            "{id}",
            "",
            "clock_timestamp(), which is volatile",
        ),
        (
            "a",
            "select id, nextval('orders_id_seq') as r from orders",
            "{id}",
            "",
            "orders_id_seq, which is not a table",
        ),
        (
            "a",
            "select id, public.reads() as r from orders",
            "{id}",
            "",
            "public.reads(), which may read tables",
        ),
        (
            "a",
            "select id, plank.log_size() is null as r from orders",
            "{id}",
            "",
            "belongs to plank itself",
        ),
        (
            "a",
            "select id from orders tablesample system (10)",
            "{id}",
            "",
            "TABLESAMPLE",
        ),
        ("a", "select id from orders", "{nr}", "", "no column nr"),
        ("a", "select id from orders", "{}", "", "key is empty"),
        (
            "a",
            "select id from orders",
            "{id,id}",
            "",
            "key names id twice",
        ),
        (
            "a",
            "select customer_id from orders",
            "{customer_id}",
            "",
            "not unique in the result: Key (customer_id)",
        ),
        (
            "a",
            "select nullif(id, 3) as id from orders",
            "{id}",
            "",
            "the key is null",
        ),
        ("a", "select id, 1 from orders", "{id}", "", "has no name"),
        (
            "a",
            "select id, total as id from orders",
            "{id}",
            "",
            "one name",
        ),
        (
            "a",
            "select id, row(1, 2)::public.pair as p from orders",
            "{id}",
            "",
            "type public.pair, which can't be kept",
        ),
        (
            "a",
            "select to_json(total)::jsonb as j, id::text::point as id from (select '(1,2)'::text as id, total from orders limit 1) o",
            "{id}",
            "",
            "can't be compared",
        ),
        ("a", "select id from mine", "{id}", "", "temporary table"),
        (
            "a",
            "select id from unwatched",
            "{id}",
            "",
            "public.unwatched, which is not watched",
        ),
        (
            "a",
            "select id from behind",
            "{id}",
            "",
            "public.unwatched, which is not watched",
        ),
        (
            "a",
            "select id from stored",
            "{id}",
            "",
            "a materialised view",
        ),
        (
            "a",
            "select oid as id from pg_class",
            "{id}",
            "",
            "pg_class, which belongs to PostgreSQL itself",
        ),
        (
            "a",
            "select seq as id from plank.log",
            "{id}",
            "",
            "plank.log, which belongs to plank itself",
        ),
        (
            "a",
            "select last_value as id from orders_id_seq",
            "{id}",
            "",
            "not a table",
        ),
        (
            "a",
            "select id from plank_query.a",
            "{id}",
            "",
            "reads its own result",
        ),
        ("a", "select 1 as id", "{id}", "", "reads no table"),
        (
            "a",
            "select id from nowhere",
            "{id}",
            "",
            "\"nowhere\" does not exist",
        ),
        (
            "a",
            "select id, 1 / (id - 3) as x from orders",
            "{id}",
            "",
            "division by zero",
        ),
        ("a", "   ", "{id}", "", "query is empty"),
        ("a", &many, "{id}", "", "more than 32768 characters"),
        (
            "board",
            "select id from orders",
            "{id}",
            "",
            "a live query board already",
        ),
        (
            "twin",
            "select id from orders",
            "{id}",
            "",
            "a watched table is called twin",
        ),
        (
            "Bad",
            "select id from orders",
            "{id}",
            "",
            "'Bad' is no name",
        ),
        ("a;b", "select id from orders", "{id}", "", "is no name"),
        ("", "select id from orders", "{id}", "", "is no name"),
        (
            "a",
            "select id from orders",
            "{id}",
            ", every => '1ms'",
            "every has to be",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", every => null",
            "every has to be",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", scope => '[]'",
            "scope has to be an object",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", scope => '{\"twin\":\"id\"}'",
            "scope names 'twin'",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", scope => '{\"orders\":\"x\"}'",
            "scope names the column 'x' of public.orders",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", scope => '{\"orders\":{\"id\":\"x\"}}'",
            "scope names the column 'x' of the result",
        ),
        (
            "a",
            "select id from orders",
            "{id}",
            ", scope => '{\"orders\":7}'",
            "scope of public.orders has to be",
        ),
        (
            "a",
            "select id, now() as t from orders",
            "{id}",
            ", scope => '{\"orders\":\"id\"}'",
            "does not ask for the time",
        ),
        (
            "a",
            "select id, current_date as t from orders",
            "{id}",
            ", scope => '{\"orders\":\"id\"}'",
            "does not ask for the time",
        ),
    ];
    let left = "select (select count(*) from plank.live_query) || ' ' || (select count(*) from pg_class where relnamespace = 'plank_query'::regnamespace)";
    let before: String = app.sql.query_one(left, &[]).await.unwrap().get(0);
    for (name, query, key, more, expected) in cases {
        let sql =
            format!("select plank.watch_query('{name}', $query${query}$query$, '{key}'{more})");
        let error = app.sql.batch_execute(&sql).await.expect_err(query);
        let error = error.as_db_error().unwrap();
        let message = error.message();
        assert!(
            message.starts_with("plank: ") && message.contains(expected),
            "{query}: {message}"
        );
        let after: String = app.sql.query_one(left, &[]).await.unwrap().get(0);
        assert_eq!(before, after, "{query}");
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn quotes_and_comments_may_have_semicolons() {
    let app = shop().await;
    for (i, query) in [
        "select id, ';' as a from orders",
        "select id, 'it''s;' as a from orders -- and; so on",
        "select id, E'\\';' as a from orders",
        "select id, $$;$$ as a from orders",
        "select id, $x$;$$;$x$ as a from orders",
        "select id, total as \"a;\"\"b\" from orders",
        "select /* ; /* nested; */ ; */ id from orders",
        "select id, 1 - -1 as e from orders",
        "values (1), (2)",
        "table orders",
        "with x as (select id from orders) select id from x order by id limit 3",
    ]
    .iter()
    .enumerate()
    {
        if query.starts_with("values") {
            let query = format!("select id from orders union ({query})");
            watch(&app, &format!("q{i}"), &query, "id", "").await;
            continue;
        }
        watch(&app, &format!("q{i}"), query, "id", "").await;
    }
    app.stop().await.unwrap();
}

#[actix_web::test]
async fn number_of_queries_is_bounded() {
    let app = shop().await;
    for i in 0..100 {
        watch(&app, &format!("q{i}"), "select id from orders", "id", "").await;
    }
    let sql = "select plank.watch_query('more', 'select id from orders', '{id}')";
    let error = app.sql.batch_execute(sql).await.unwrap_err();
    assert!(
        error
            .as_db_error()
            .unwrap()
            .message()
            .contains("100 live queries")
    );
    app.stop().await.unwrap();
}
