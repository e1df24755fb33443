//! The test of the test: capture that is broken in one place is found out.

use super::*;

/// What is broken: the function, and a piece of its source before and after.
const BROKEN: [(&str, &str, &str, &str); 5] = [
    (
        "an update has no old row",
        "capture_update",
        "from old_rows o limit 1), began",
        "from old_rows o where false limit 1), began",
    ),
    (
        "a delete of few rows logs one",
        "capture_delete",
        "from old_rows o limit 8",
        "from old_rows o limit 1",
    ),
    (
        "versions of rows have no place",
        "capture_row",
        "then new.ctid end",
        "then old.ctid end",
    ),
    (
        "a statement began when it ends",
        "capture_delete",
        "then began operator(pg_catalog./) 1048576 end",
        "then pg_catalog.pg_sequence_last_value('plank.seq') end",
    ),
    (
        "truncate of a part tells nothing",
        "capture_truncate_part",
        "where m.rel = tg_relid and",
        "where false and",
    ),
];

#[actix_web::test]
async fn capture_that_is_broken_is_found_out() {
    for (what, function, from, to) in BROKEN {
        let app = TestApp::start().await;
        let sql = "update pg_proc set prosrc = replace(prosrc, $2, $3) where pronamespace = 'plank'::regnamespace and proname::text in ($1::text, $1::text || '_any') and strpos(prosrc, $2) > 0";
        let changed = app
            .sql
            .execute(sql, &[&function, &from, &to])
            .await
            .unwrap();
        assert!(changed > 0, "{what}: {function} has changed");
        let (mut name, mut found) = (0, None);
        for seed in 1..200 {
            if let Err(why) = fails(&app, &Script::of(seed, false), &mut name).await {
                found = Some((seed, why));
                break;
            }
        }
        let (seed, why) = found.unwrap_or_else(|| panic!("{what}: nobody has noticed"));
        println!(
            "{what}: seed {seed}: {}",
            why.chars().take(120).collect::<String>()
        );
    }
}
