//! The document shows to each caller what it may see, and nothing else.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::auth::{Secure, token, viewer};
use crate::support::until;

struct Answer {
    status: StatusCode,
    tag: String,
    text: String,
}

impl Answer {
    async fn of(app: &Secure, headers: &[(&str, &str)]) -> Self {
        let mut request = app.http.get(app.url("/openapi.json"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag");
        let tag = tag.map_or(String::new(), |tag| tag.to_str().unwrap().into());
        if answer.status() == 200 {
            // Nobody in between may give it to another caller.
            let kept = answer.headers()["cache-control"].to_str().unwrap();
            assert_eq!(kept, "private, no-cache");
            let mut vary = answer.headers().get_all("vary").iter();
            assert!(vary.any(|v| v.to_str().unwrap().contains("authorization, cookie")));
        }
        let status = answer.status();
        let text = answer.text().await.unwrap();
        Self { status, tag, text }
    }

    async fn with(app: &Secure, token: &str) -> Self {
        Self::of(app, &[("authorization", &format!("Bearer {token}"))]).await
    }

    fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The tables, each with the methods that the caller may use.
    fn tables(&self) -> Vec<(String, Vec<String>)> {
        let value = self.value();
        let paths = value["paths"].as_object().unwrap();
        let tables = paths.iter().filter(|(path, _)| path.starts_with("/rest/"));
        let methods = |item: &Value| {
            let all = item.as_object().unwrap().iter();
            let may = all.filter(|(_, operation)| {
                let description = operation["description"].as_str().unwrap();
                !description.contains("it is a 403")
            });
            may.map(|(method, _)| method.clone()).collect()
        };
        tables
            .map(|(path, item)| (path[6..].to_owned(), methods(item)))
            .collect()
    }
}

fn list(tables: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let methods = |list: &[&str]| list.iter().map(|&m| m.to_owned()).collect();
    tables
        .iter()
        .map(|(name, list)| ((*name).to_owned(), methods(list)))
        .collect()
}

#[actix_web::test]
async fn each_caller_sees_its_own_tables_columns_and_methods() {
    let app = Secure::start().await;
    app.execute(
        "alter table notes add hidden_salary int;
         select plank.watch('notes', columns => '{id,owner,tenant,body}');
         create table secret_plans (id int primary key); select plank.watch('secret_plans');
         select plank.allow('notes', 'viewer', 'owner=eq.{sub}'), plank.allow('notes', 'editor', null, '{select,insert,update}'),
           plank.allow('notes', 'writer', null, '{insert}'), plank.allow('notes', 'owner', null, '{select,insert,update,delete}'),
           plank.allow('secret_plans', 'owner')",
    )
    .await;
    let of = |role: &str| token(json!({"sub": "ann", "role": role}));
    let owner = of("owner");
    until("the policies are known", async || {
        Answer::with(&app, &owner).await.tables().len() == 2
    })
    .await;
    for (role, expected) in [
        ("viewer", list(&[("notes", &["get"])])),
        (
            "editor",
            list(&[("notes", &["get", "patch", "post", "put"])]),
        ),
        (
            "owner",
            list(&[
                ("notes", &["delete", "get", "patch", "post", "put"]),
                ("secret_plans", &["get"]),
            ]),
        ),
        // Its rows can't be seen, and so it is no table of `/api/tables` either.
        ("writer", list(&[])),
        ("nobody", list(&[])),
    ] {
        let answer = Answer::with(&app, &of(role)).await;
        assert_eq!(answer.tables(), expected, "{role}");
        assert!(!answer.text.contains("hidden_salary"), "{role}");
        assert_eq!(
            answer.text.contains("secret_plans"),
            role == "owner",
            "{role}"
        );
        let (_, tables) = app.ask(&of(role), "GET", "/api/tables", None).await;
        assert_eq!(
            tables["tables"].as_array().unwrap().len(),
            expected.len(),
            "{role}"
        );
        // Others who may do the same get the same.
        let other = token(json!({"sub": "bob", "role": role}));
        assert_eq!(Answer::with(&app, &other).await.tag, answer.tag);
        let bearer = format!("Bearer {}", of(role));
        let headers = [
            ("authorization", bearer.as_str()),
            ("if-none-match", &answer.tag),
        ];
        assert_eq!(Answer::of(&app, &headers).await.status, 304);
    }
    let columns = Answer::with(&app, &owner).await.value();
    let columns = columns["components"]["schemas"]["notes.Row"]["properties"].clone();
    assert_eq!(columns.as_object().unwrap().len(), 4);
}

#[actix_web::test]
async fn without_a_token_there_is_no_table() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let ann = viewer("ann");
    until("the policy is known", async || {
        !Answer::with(&app, &ann).await.tables().is_empty()
    })
    .await;
    let open = Answer::of(&app, &[]).await;
    assert_eq!((open.status.as_u16(), open.tables()), (200, vec![]));
    // The page `/docs` is there for those whose log-in is over, and for those who have come from elsewhere.
    for headers in [
        vec![("cookie", "plank_session=nonsense")],
        vec![
            ("cookie", "plank_session=nonsense"),
            ("origin", "https://evil.example"),
        ],
    ] {
        assert_eq!(Answer::of(&app, &headers).await.tag, open.tag);
    }
    let cookie = format!("plank_session={ann}");
    let foreign = [
        ("cookie", cookie.as_str()),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(Answer::of(&app, &foreign).await.tag, open.tag);
    let own = [
        ("cookie", cookie.as_str()),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(
        Answer::of(&app, &own).await.tables(),
        list(&[("notes", &["get"])])
    );
    // A program wants to know that its token is not taken.
    assert_eq!(Answer::with(&app, "nonsense").await.status, 401);
}

#[actix_web::test]
async fn a_table_that_changes_changes_the_document() {
    let app = Secure::start().await;
    app.execute("select plank.allow('notes', 'viewer')").await;
    let ann = viewer("ann");
    let columns = async || {
        let value = Answer::with(&app, &ann).await.value();
        let columns = &value["components"]["schemas"]["notes.Row"]["properties"];
        columns.as_object().map_or(0, serde_json::Map::len)
    };
    until("the policy is known", async || columns().await == 4).await;
    app.execute("alter table notes add extra text; select plank.watch('notes')")
        .await;
    until("a column comes", async || columns().await == 5).await;
    app.execute("select plank.allow('notes', 'viewer', null, '{delete}')")
        .await;
    until("a method comes", async || {
        Answer::with(&app, &ann).await.tables() == list(&[("notes", &["delete", "get"])])
    })
    .await;
    app.execute("select plank.unwatch('notes')").await;
    until("the table goes", async || columns().await == 0).await;
}
