//! PostgREST's own clients. Run by `tests/rest/run.sh`, which installs them; without them this says that it was skipped.

use std::process::Stdio;

use tokio::process::Command;

use super::start;
use crate::support::program::run;
use crate::support::{Cluster, within};

#[actix_web::test]
async fn the_clients_of_postgrest_work_unchanged() {
    let Ok(python) = std::env::var("PLANK_REST_PYTHON") else {
        println!("skipped: PostgREST's clients (tests/rest/run.sh installs them)");
        return;
    };
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rest");
    for (program, script) in [("node", "client.mjs"), (python.as_str(), "client.py")] {
        let app = start().await;
        let mut command = Command::new(program);
        command
            .arg(format!("{here}/{script}"))
            .arg(app.url("/rest"));
        let command = command
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = within(script, command.output()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success() && out.contains("ok: "),
            "{script}: {out} {err}"
        );
        println!("{}", out.trim());
        app.stop().await.unwrap();
    }
}

/// `plank gen types` for TypeScript: the compiler takes what `PostgrestClient<Database>` is asked for with names and types that are
/// there, and refuses what is not; the checks of zod take the rows that come.
#[actix_web::test]
async fn the_types_for_typescript_fit_postgrest_js() {
    if std::env::var("PLANK_REST_PYTHON").is_err() {
        println!("skipped: types for postgrest-js (tests/rest/run.sh installs it)");
        return;
    }
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rest");
    let app = start().await;
    let url = Cluster::shared().url(&app.database);
    // Beside node_modules, where the packages are found.
    std::fs::create_dir_all(format!("{here}/made")).unwrap();
    let file = format!("{here}/made/database.ts");
    let args = [
        "gen",
        "types",
        "--zod",
        "--database-url",
        &url,
        "--output",
        &file,
    ];
    assert_eq!(run(&args).await, (0, String::new(), String::new()));
    let rest = app.url("/rest");
    for (what, args) in [
        (
            "tsc",
            vec!["node_modules/typescript/bin/tsc", "--project", "."],
        ),
        ("types.js", vec!["made/out/types.js", &rest]),
    ] {
        let mut node = Command::new("node");
        node.args(args).current_dir(here).env("NO_PROXY", "*");
        node.stdin(Stdio::null()).kill_on_drop(true);
        let output = within(what, node.output()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{what}: {out} {err}");
    }
    app.stop().await.unwrap();
}
