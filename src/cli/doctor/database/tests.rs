use super::*;

fn said(work: impl FnOnce(&mut Report)) -> String {
    let mut report = Report::default();
    work(&mut report);
    report.text()
}

fn healthy() -> ServerFacts {
    ServerFacts {
        version_num: 150_018,
        version: "15.18".into(),
        is_standby: false,
        encoding: "UTF8".into(),
        user: "plank".into(),
        database: "shop".into(),
        sees_others: true,
        may_create: true,
        may_create_in_public: true,
        connections_max: 97,
        connections: 9,
        fsync: true,
        clock_ahead_s: 0.0,
        clock_error_s: 0.001,
    }
}

#[test]
fn a_server_is_judged() {
    let schema = SchemaFacts {
        owner: "plank_owner".into(),
        owner_logs_in: false,
        is_usable: true,
        applied: vec![1, 2],
        known: vec![1, 2],
    };
    let judge = |facts: &ServerFacts, schema: Option<&SchemaFacts>| {
        said(|report| {
            server(report, facts, schema);
        })
    };
    let fine = judge(&healthy(), Some(&schema));
    assert!(fine.ends_with("Nothing is wrong.\n"), "{fine}");
    type Change<'a> = &'a dyn Fn(&mut ServerFacts, &mut Option<SchemaFacts>);
    let cases: [(&str, Change<'_>); 9] = [
        ("upgrade PostgreSQL to 14", &|s, _| s.version_num = 130_009),
        ("encoding SQL_ASCII", &|s, _| {
            s.encoding = "SQL_ASCII".into()
        }),
        ("the server is a standby", &|s, _| s.is_standby = true),
        (
            "grant create on database \"shop\" to \"plank\"",
            &|s, schema| {
                (s.may_create, *schema) = (false, None);
            },
        ),
        ("is no member of it", &|_, schema| {
            schema.as_mut().unwrap().is_usable = false;
        }),
        ("of a newer plank: V9 ran", &|_, schema| {
            schema.as_mut().unwrap().applied.push(9);
        }),
        (
            "note   schema        migrations that have not run: V2",
            &|_, schema| {
                schema.as_mut().unwrap().applied = vec![1];
            },
        ),
        ("note   fsync", &|s, _| s.fsync = false),
        ("note   connections   90 of 97", &|s, _| s.connections = 90),
    ];
    for (part, change) in cases {
        let (mut facts, mut schema) = (healthy(), Some(schema.clone()));
        change(&mut facts, &mut schema);
        let text = judge(&facts, schema.as_ref());
        assert!(text.contains(part), "{part}: {text}");
        let is_note = part.starts_with("note");
        assert_eq!(text.contains("Nothing is wrong;"), is_note, "{text}");
    }
}

#[test]
fn a_clock_is_judged_with_what_the_way_took() {
    assert!(said(|r| clock(r, 1.9, 0.0)).contains("Nothing is wrong."));
    assert!(said(|r| clock(r, -5.0, 4.0)).contains("Nothing is wrong."));
    let text = said(|r| clock(r, -3_600.0, 0.001));
    assert!(text.contains("60 min behind this machine's"), "{text}");
}

#[test]
fn a_log_is_judged() {
    let fine = LogFacts {
        keep_s: 86_400.0,
        rows_max: 1_000_000,
        rows: 10,
        bytes: 65_536,
        is_closed: false,
        oldest_s: 60.0,
        was_pruned: false,
        is_of_here: true,
        listeners: 1,
    };
    let text = said(|r| log(r, &fine));
    assert!(text.ends_with("Nothing is wrong.\n"), "{text}");
    type Change<'a> = &'a dyn Fn(&mut LogFacts);
    let cases: [(&str, Change<'_>); 7] = [
        ("WRONG  log           the log is full and closed", &|l| {
            l.is_closed = true
        }),
        ("nobody prunes it", &|l| l.rows = 1_500_000),
        ("back to 3 days ago", &|l| l.oldest_s = 250_000.0),
        ("kept for 1 s only", &|l| l.keep_s = 1.0),
        ("reaches back 60 s only, not 24 h", &|l| {
            (l.rows, l.was_pruned) = (900_000, true)
        }),
        ("note   listeners", &|l| l.listeners = 0),
        ("note   log", &|l| l.is_of_here = false),
    ];
    for (part, change) in cases {
        let mut facts = fine.clone();
        change(&mut facts);
        let text = said(|r| log(r, &facts));
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn tables_are_judged_by_what_watch_makes() {
    let all = |names: &[&str]| {
        names
            .iter()
            .map(|n| ((*n).to_owned(), "A".to_owned()))
            .collect()
    };
    let fine = TableFacts {
        name: "public.orders".into(),
        is_there: true,
        kind: "r".into(),
        is_root: true,
        level: "statement".into(),
        triggers: all(&[
            "capture_delete",
            "capture_insert",
            "capture_truncate",
            "capture_update",
        ]),
        is_unlogged: false,
        is_alone: true,
        is_readable: true,
        hides_rows: false,
        unwatched: vec![],
        problem: String::new(),
    };
    let root = TableFacts {
        kind: "p".into(),
        triggers: all(&["capture_row", "capture_truncate", "capture_truncate_begin"]),
        level: "row".into(),
        is_alone: false,
        ..fine.clone()
    };
    let between = TableFacts {
        kind: "p".into(),
        is_root: false,
        triggers: all(&["capture_row"]),
        level: "row".into(),
        is_alone: false,
        ..fine.clone()
    };
    let text = said(|r| tables(r, &[fine.clone(), root, between]));
    assert!(
        text.contains("2 watched") && text.ends_with("Nothing is wrong.\n"),
        "{text}"
    );
    type Change<'a> = &'a dyn Fn(&mut TableFacts);
    let cases: [(&str, Change<'_>); 8] = [
        ("lacks capture_update", &|t| {
            t.triggers.pop();
        }),
        ("capture_delete disabled", &|t| t.triggers[0].1 = "D".into()),
        ("capture_insert not enabled for every writer", &|t| {
            t.triggers[1].1 = "O".into()
        }),
        ("can't be followed: no right", &|t| {
            t.problem = "no right".into()
        }),
        ("not watched public.p2", &|t| {
            t.unwatched = vec!["public.p2".into()]
        }),
        ("may not read public.orders", &|t| t.is_readable = false),
        ("row security hides rows", &|t| t.hides_rows = true),
        ("note   unlogged", &|t| t.is_unlogged = true),
    ];
    for (part, change) in cases {
        let mut facts = fine.clone();
        change(&mut facts);
        let text = said(|r| tables(r, &[facts]));
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_is_to_be_pasted_is_quoted() {
    let facts = TableFacts {
        name: "public.\"x'; drop table y; --\\\u{1b}\"".into(),
        is_there: true,
        kind: "r".into(),
        is_root: true,
        level: "statement".into(),
        triggers: vec![],
        is_unlogged: true,
        is_alone: true,
        is_readable: false,
        hides_rows: false,
        unwatched: vec![],
        problem: "no right".into(),
    };
    let text = said(|r| tables(r, &[facts]));
    let literal = r#"E'public."x''; drop table y; --\\\U0000001b"'"#;
    assert_eq!(
        text.matches(&format!("plank.watch({literal}")).count(),
        3,
        "{text}"
    );
    let name = r#"alter table "public".U&"x'; drop table y; --\\\+00001B" set logged"#;
    assert!(text.contains(name), "{text}");

    let mut server = healthy();
    (server.user, server.may_create) = ("a; drop".into(), false);
    let text = said(|r| assert!(super::server(r, &server, None)));
    assert!(text.contains("on schema public to \"a; drop\""), "{text}");
}

#[test]
fn a_transaction_that_writes_is_worse_than_one_that_reads() {
    let open = |writes| OpenTransaction {
        who: "process 7 of bob".into(),
        age_s: 600.0,
        writes,
    };
    let text = said(|r| transactions(r, &[open(false), open(true), open(true)], 300.0, true));
    assert!(
        text.contains("WRONG  transactions  process 7 of bob, open for 10 min, and 1 more"),
        "{text}"
    );
    let text = said(|r| transactions(r, &[open(false)], 300.0, true));
    assert!(text.contains("note   transactions"), "{text}");
    let text = said(|r| transactions(r, &[], 300.0, false));
    assert!(text.contains("grant pg_read_all_stats"), "{text}");
}
