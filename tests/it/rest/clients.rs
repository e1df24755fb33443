//! PostgREST's own clients. Run by `tests/rest/run.sh`, which installs them; without them this says that it was skipped.

use std::process::Stdio;

use tokio::process::Command;

use super::start;
use crate::support::within;

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
