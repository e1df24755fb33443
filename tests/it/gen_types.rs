//! `plank gen types`: what it writes is what plank sends.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::auth::{Secure, token, viewer};
use crate::rest::{TABLES, send};
use crate::support::program::run;
use crate::support::{Cluster, TestApp, within};

const MORE: &str = "
    create table lines (
      order_id bigint not null references orders (id), \"class\" int not null, \"Two words\" text, hidden text, at timestamp not null,
      moods mood[] not null default '{}', primary key (order_id, \"class\"));
    comment on table lines is 'What was ordered. */ \"\"\" \u{2028}';
    comment on column lines.class is 'One of the kinds.';
    create table apart (id int);
    create table one (id int primary key generated always as identity, order_id bigint unique references orders, flag boolean, real real);
    insert into lines values (1, 2, 'a', 'b', 'infinity', '{ok,null}');
    insert into one (order_id, flag, real) values (1, true, 'NaN');
    select plank.watch('lines', columns => '{Two words,at,moods}', writable => true), plank.watch('one', writable => true)";

async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.execute(TABLES).await;
    app.execute(MORE).await;
    app
}

async fn generate(app: &TestApp, args: &[&str]) -> (i32, String, String) {
    let url = Cluster::shared().url(&app.database);
    let own = ["gen", "types", "--database-url", url.as_str()];
    run(&[&own[..], args].concat()).await
}

async fn written(app: &TestApp, args: &[&str]) -> String {
    let (status, out, err) = generate(app, args).await;
    assert_eq!((status, err.as_str()), (0, ""));
    out
}

#[actix_web::test]
async fn typescript_has_the_shape_of_supabase() {
    let app = start().await;
    let out = written(&app, &[]).await;
    for part in [
        "export type Database = {\n  public: {\n    Tables: {\n",
        "      /** What was ordered. *\\/ \"\"\" */\n      lines: {\n        Row: {\n          order_id: number;\n          \
         /** One of the kinds. */\n          class: number;\n          \"Two words\": string | null;\n          at: string;\n          \
         moods: (Database[\"public\"][\"Enums\"][\"mood\"] | null)[];\n        };\n        Insert: {\n          order_id: number;\n",
        "          moods?: (Database[\"public\"][\"Enums\"][\"mood\"] | null)[];\n",
        "            foreignKeyName: \"lines_order_id_fkey\";\n            columns: [\"order_id\"];\n            isOneToOne: false;\n            \
         referencedRelation: \"orders\";\n            referencedColumns: [\"id\"];\n",
        "            foreignKeyName: \"one_order_id_fkey\";\n            columns: [\"order_id\"];\n            isOneToOne: true;\n",
        "          doubled?: never;\n",
        "      mood: \"sad\" | \"ok\" | \"happy\";\n",
        "      point3: {\n        x: number | null;\n        y: number | null;\n        z: string | null;\n      };\n",
        "  sales: {\n    Tables: {\n      \"Order Lines\": {\n",
        "    Views: { [_ in never]: never };\n",
    ] {
        assert!(out.contains(part), "{part}\nis not in\n{out}");
    }
    assert!(!out.contains("hidden"), "clients may not see it");
    assert!(!out.contains("apart"), "it is not watched");
    let texts = written(&app, &["--stringify-wide-numbers"]).await;
    assert!(texts.contains("          order_id: string;\n          /** One of the kinds. */\n          class: number;\n"));
}

#[actix_web::test]
async fn python_takes_the_rows_that_plank_sends() {
    let app = start().await;
    let out = written(&app, &["--lang", "python"]).await;
    let dir = tempfile::TempDir::new().unwrap();
    std::fs::write(dir.path().join("tables.py"), out).unwrap();
    let mut rows = json!({});
    for table in ["orders", "lines", "one"] {
        let (status, _, body) = send(&app, "GET", &format!("/rest/{table}"), &[], "").await;
        assert_eq!(status, 200);
        rows[table] = body;
    }
    std::fs::write(dir.path().join("rows.json"), rows.to_string()).unwrap();
    // Types are looked at as far as the standard library does: each annotation can be read, and each row fills its class.
    let script = "
import dataclasses, json, typing, tables
rows = json.load(open('rows.json'))
for name, cls in (('orders', tables.Orders), ('lines', tables.Lines), ('one', tables.One)):
    hints = typing.get_type_hints(cls)
    for row in rows[name]:
        own = cls.from_row(row)
        assert {c: getattr(own, f) for f, c in cls.columns.items()} == row, (own, row)
assert [f.name for f in dataclasses.fields(tables.Lines)] == ['order_id', 'class_', 'Two_words', 'at', 'moods']
assert typing.get_type_hints(tables.LinesInsert)['moods'] == list[tables.Mood | None], typing.get_type_hints(tables.LinesInsert)
assert tables.LinesInsert.__required_keys__ == {'order_id', 'class', 'at'}, tables.LinesInsert.__required_keys__
assert 'doubled' not in tables.OrdersInsert.__annotations__ and tables.OrdersUpdate.__required_keys__ == frozenset()
assert typing.get_args(tables.Mood) == ('sad', 'ok', 'happy')
assert tables.SalesOrderLines and tables.Lines.__doc__.startswith('What was ordered.')
print('ok')
";
    let mut python = Command::new("python3");
    python.args(["-c", script]).current_dir(dir.path());
    python.stdin(Stdio::null()).kill_on_drop(true);
    let output = within("python", python.output()).await.unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.stdout, b"ok\n", "{err}");
}

#[actix_web::test]
async fn json_schema_holds_of_what_plank_sends_and_takes() {
    let app = start().await;
    let out = written(&app, &["--lang", "json-schema"]).await;
    let schema: Value = serde_json::from_str(&out).unwrap();
    let validator = |name: &str| {
        let mut own = schema.clone();
        own["$ref"] = json!(format!("#/$defs/{name}"));
        jsonschema::validator_for(&own).unwrap()
    };
    for table in ["orders", "lines", "one", "quiet"] {
        let (_, _, rows) = send(&app, "GET", &format!("/rest/{table}"), &[], "").await;
        let own = validator(&format!("public.{table}.Row"));
        for row in rows.as_array().unwrap() {
            let errors: Vec<_> = own.iter_errors(row).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{table}: {errors:?} in {row}");
        }
    }
    let insert = validator("public.lines.Insert");
    for (row, status) in [
        (json!({"order_id": 2, "class": 1, "at": "2026-01-01"}), 201),
        (
            json!({"order_id": 2, "class": 2, "at": "2026-01-01", "moods": ["sad"]}),
            201,
        ),
        (json!({"order_id": 2, "class": 3}), 400),
        (
            json!({"order_id": 2, "class": 3, "at": "2026-01-01", "hidden": "x"}),
            400,
        ),
        (
            json!({"order_id": "two", "class": 3, "at": "2026-01-01"}),
            400,
        ),
    ] {
        assert_eq!(insert.is_valid(&row), status == 201, "{row}");
        let (got, _, body) = send(&app, "POST", "/rest/lines", &[], &row.to_string()).await;
        assert_eq!(got, status, "{row}: {body}");
    }
}

#[actix_web::test]
async fn check_says_when_a_file_is_stale_and_what_can_not_be_done_is_said() {
    let app = start().await;
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("database.ts");
    let path = file.to_str().unwrap();
    let done = generate(&app, &["--output", path]).await;
    assert_eq!(done, (0, String::new(), String::new()));
    assert_eq!(generate(&app, &["--check", path]).await.0, 0);
    app.execute("alter table quiet add more text").await;
    let (status, _, err) = generate(&app, &["--check", path]).await;
    assert_eq!(status, 1);
    assert!(
        err.contains("database.ts is not what the database says (line ")
            && err.ends_with("; run plank gen types again with --output\n"),
        "{err}"
    );
    for (args, said) in [
        (
            &["--lang", "python", "--zod"][..],
            "--zod goes with --lang typescript only",
        ),
        (&["--check", "/nowhere/x.ts"], "can't read /nowhere/x.ts: "),
        (
            &["--output", "/nowhere/x.ts"],
            "can't write /nowhere/x.ts: ",
        ),
    ] {
        let (status, _, err) = generate(&app, args).await;
        assert!(status == 1 && err.contains(said), "{err}");
    }
    // Without plank there is nothing that is watched, and --all does not need it.
    let empty = Cluster::shared().empty_database().await;
    let url = Cluster::shared().url(&empty);
    let (status, _, err) = run(&["gen", "types", "--database-url", &url]).await;
    assert_eq!(status, 1);
    assert!(
        err.contains("there is no plank in database") && err.contains(&empty),
        "{err}"
    );
    let (status, _, err) = run(&["gen", "types", "--all", "--database-url", &url]).await;
    assert_eq!(
        (status, err.as_str()),
        (1, "plank: the database has no table\n")
    );
    let all = written(&app, &["--all"]).await;
    assert!(
        all.contains("      apart: {\n") && !all.contains("  plank: {") && !all.contains("hidden")
    );
}

#[actix_web::test]
async fn a_server_is_asked_for_the_same_types_as_its_database() {
    let app = start().await;
    let url = app.url("");
    for args in [
        &[][..],
        &["--zod"],
        &["--lang", "python"],
        &["--lang", "json-schema"],
        &["--stringify-wide-numbers"],
    ] {
        let own = ["gen", "types", "--url", url.as_str()];
        let asked = run(&[&own[..], args].concat()).await;
        assert_eq!(
            asked,
            (0, written(&app, args).await, String::new()),
            "{args:?}"
        );
    }
    // The file of the one is good for the other.
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("database.ts");
    std::fs::write(&file, written(&app, &[]).await).unwrap();
    let check = [
        "gen",
        "types",
        "--url",
        &url,
        "--check",
        file.to_str().unwrap(),
    ];
    assert_eq!(run(&check).await.0, 0);
    app.execute("alter table lines add column more int; select plank.watch('lines')")
        .await;
    let (status, _, err) = run(&check).await;
    assert!(status == 1 && err.contains("is not what"), "{err}");
    for (args, part) in [
        (["--url", "http://127.0.0.1:1"], "127.0.0.1:1"),
        (["--url", "nonsense"], "has no scheme"),
    ] {
        let (status, _, err) = run(&[&["gen", "types"][..], &args].concat()).await;
        assert!(status == 1 && err.contains(part), "{args:?}: {err}");
    }
    let elsewhere = format!("{url}/elsewhere");
    let (status, _, err) = run(&["gen", "types", "--url", &elsewhere]).await;
    assert!(status == 1 && err.contains("/api/types"), "{err}");
    // As the server writes numbers.
    let texts = TestApp::start_with(|config| config.stringify_wide_numbers = true).await;
    texts
        .execute("create table t (id bigint primary key); select plank.watch('t')")
        .await;
    let (_, out, _) = run(&["gen", "types", "--url", &texts.url("")]).await;
    assert!(out.contains("          id: string;\n"), "{out}");
}

#[actix_web::test]
async fn types_of_a_server_are_of_what_the_token_may_see() {
    let app = Secure::start().await;
    app.execute(
        "create type secret as enum ('hidden', 'labels'); create table papers (id int primary key, kind secret);
         select plank.watch('papers'), plank.allow('notes', 'viewer', 'owner=eq.{sub}')",
    )
    .await;
    let url = app.url("");
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, viewer("ann")).unwrap();
    let args = [
        "gen",
        "types",
        "--url",
        &url,
        "--token-file",
        file.to_str().unwrap(),
    ];
    let (status, out, err) = run(&args).await;
    assert_eq!(status, 0, "{err}");
    assert!(
        out.contains("      notes: {") && !out.contains("papers") && !out.contains("hidden"),
        "{out}"
    );
    let (status, body) = app.ask(&viewer("ann"), "GET", "/api/types", None).await;
    assert_eq!((status, body["tables"].as_array().unwrap().len()), (200, 1));
    assert!(!body.to_string().contains("hidden"), "{body}");
    let stranger = token(json!({"sub": "x", "role": "stranger"}));
    std::fs::write(&file, stranger).unwrap();
    let (status, _, err) = run(&args).await;
    assert!(
        status == 1 && err.contains("the token may see none"),
        "{err}"
    );
    let (status, _, err) = run(&args[..4]).await;
    assert!(status == 1 && err.contains("PLANK_TOKEN"), "{err}");
}
