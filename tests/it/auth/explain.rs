//! Policies on the command line: `allow`, `deny`, `policies`, `revoke`, `explain`, and what `doctor` says of them.

use super::Secure;
use crate::support::Cluster;
use crate::support::program::run;

/// Runs it on the database of an app: whether it went well, and what it said.
async fn plank(app: &Secure, args: &[&str]) -> (bool, String) {
    let url = Cluster::shared().url(&app.database);
    let args = [args, &["--database-url", &url]].concat();
    let (code, out, error) = run(&args).await;
    (code == 0, format!("{out}{error}"))
}

#[actix_rt::test]
async fn policies_are_given_listed_and_taken_back_on_the_command_line() {
    let app = Secure::start().await;
    for (args, is_done, part) in [
        (&["policies"][..], true, "there is no policy"),
        (
            &["allow", "notes", "viewer", "--rows", "owner=eq.{sub}"],
            true,
            "public.notes: role viewer may select owner=eq.{sub}",
        ),
        (
            &[
                "allow",
                "notes",
                "viewer",
                "--rows",
                "tenant=eq.2",
                "--name",
                "two",
                "--ops",
                "select,update",
            ],
            true,
            "may select, update tenant=eq.2",
        ),
        (&["allow", "notes", "editor"], true, "all rows"),
        (
            &["policies", "notes"],
            true,
            "public.notes  role viewer  policy two  tenant=eq.2  (select, update)",
        ),
        (
            &["policies"],
            true,
            "public.notes  role editor  policy default  all rows  (select)",
        ),
        (
            &["allow", "notes", "viewer", "--rows", "ownr=eq.x"],
            false,
            "no such column",
        ),
        (
            &["allow", "notes", "viewer", "--rows", "owner=eq.{claims.x}"],
            false,
            "there is no {claims.x}",
        ),
        (
            &["allow", "notes", "viewer", "--rows", "tenant=like.1*"],
            false,
            "--rows can't be followed",
        ),
        (
            &["allow", "notes", "viewer", "--ops", "see"],
            false,
            "there is no op",
        ),
        (&["allow", "nothing", "viewer"], false, "nothing"),
        (
            &["deny", "notes", "viewer", "--name", "two"],
            true,
            "policy two does not let role viewer",
        ),
        (
            &["deny", "notes", "editor"],
            true,
            "role editor may not select",
        ),
        (&["revoke", "ann"], true, "tokens of ann from before now"),
        (&["revoke", "ann", "--before", "soon"], false, "soon"),
    ] {
        let (done, said) = plank(&app, args).await;
        assert_eq!(done, is_done, "{args:?}: {said}");
        assert!(said.contains(part), "{args:?}: {said}");
    }
    let left = plank(&app, &["policies"]).await.1;
    assert_eq!(
        left.trim(),
        "public.notes  role viewer  policy default  owner=eq.{sub}  (select)"
    );
}

#[actix_rt::test]
async fn explain_says_which_rows_a_role_sees_and_why_one_is_seen_or_not() {
    let app = Secure::start().await;
    app.execute(
        "select plank.allow('notes', 'viewer', 'owner=eq.{sub}', name => 'own');
         select plank.allow('notes', 'viewer', 'tenant=eq.{claim.tenant}&id=gt.2', name => 'tenant')",
    )
    .await;
    let explain = async |args: &[&str]| {
        let args = [&["explain", "notes", "--role"], args].concat();
        plank(&app, &args).await.1
    };
    let ann = explain(&["viewer", "--sub", "ann", "--key", "id=1"]).await;
    for part in [
        "policy own: owner=eq.{sub}\n    shows rows with \"owner\".eq.\"ann\"",
        "shows nothing: the token says nothing as {claim.tenant}",
        "1 of 3 rows are seen",
        "the row with id=1 is seen",
        "policy own shows it:",
        "\"owner\".eq.\"ann\" holds",
        "policy tenant shows nothing",
    ] {
        assert!(ann.contains(part), "{part}: {ann}");
    }
    let chief = explain(&["viewer", "--claim", "tenant=1", "--key", "id=1"]).await;
    for part in [
        "0 of 3 rows are seen",
        "the row with id=1 is not seen",
        "policy tenant does not show it:",
        "\"tenant\".eq.\"1\" holds",
        "\"id\".gt.\"2\" does not hold",
    ] {
        assert!(chief.contains(part), "{part}: {chief}");
    }
    let nobody = explain(&["nobody", "--key", "id=99"]).await;
    assert!(
        nobody.contains("role nobody may not see this table"),
        "{nobody}"
    );
    assert!(nobody.contains("there is no row with id=99"), "{nobody}");
    let broken = explain(&["viewer", "--claim", "tenant=x"]).await;
    assert!(
        broken.contains("does not fit the column \"tenant\""),
        "{broken}"
    );
}

#[actix_rt::test]
async fn doctor_finds_a_policy_that_shows_nothing() {
    let app = Secure::start().await;
    let args = ["doctor", "--max-connections", "10"];
    app.execute("select plank.allow('notes', 'viewer', 'owner=eq.{sub}')")
        .await;
    let (is_well, said) = plank(&app, &args).await;
    assert!(
        is_well && said.contains("1, and all can be followed"),
        "{said}"
    );
    // The column was hidden after the policy was given.
    app.execute("select plank.watch('notes', columns => '{id,body}')")
        .await;
    let (is_well, said) = plank(&app, &args).await;
    assert!(!is_well && said.contains("shows nothing"), "{said}");
    assert!(
        said.contains("select plank.deny('\"public\".\"notes\"', 'viewer', '{select}')"),
        "{said}"
    );
}
