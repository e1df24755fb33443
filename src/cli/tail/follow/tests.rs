//! Which lines come out of which messages, and which cursor is kept.

use super::*;

const CHANGE: &str = r#"{"op":"insert","key":{"id":1},"row":{"id":1},"seq":3,"xid":"7","at":"2026-11-23T17:56:47Z"}"#;

fn follow(snapshot: bool, since: Option<&str>) -> Follow {
    let request = Request {
        table: "t".into(),
        snapshot,
        ..Request::default()
    };
    let mut follow = Follow::new(request, since.map(str::to_owned));
    welcome(&mut follow);
    follow
}

fn welcome(follow: &mut Follow) -> String {
    let text =
        r#"{"type":"welcome","protocol":"plank.v1","session":"s","server":"x","heartbeat_s":2}"#;
    follow.take(text).send.unwrap()
}

fn subscribed(follow: &mut Follow, cursor: &str) -> String {
    let text = format!(
        r#"{{"type":"subscribed","id":"tail","topic":"t1","table":"public.t","key":["id"],"cursor":"{cursor}"}}"#
    );
    follow.take(&text).say.unwrap()
}

fn changes(cursor: &str, changes: &[&str], last: bool) -> String {
    format!(
        r#"{{"type":"changes","topic":"t1","cursor":"{cursor}","changes":[{}],"last":{last}}}"#,
        changes.join(",")
    )
}

fn snapshot(cursor: &str, rows: &str, more: bool) -> String {
    format!(
        r#"{{"type":"snapshot","id":"tail","topic":"t1","cursor":"{cursor}","rows":[{rows}],"more":{more}}}"#
    )
}

#[test]
fn a_batch_is_printed_when_it_is_whole_and_its_cursor_kept_when_it_is_printed() {
    let mut follow = follow(false, None);
    assert_eq!(
        subscribed(&mut follow, "A"),
        "following public.t from now on"
    );
    assert_eq!(
        follow.take(&changes("B", &[CHANGE, CHANGE], false)),
        Step::default()
    );
    let step = follow.take(&changes("B", &[], true));
    assert_eq!(step.lines, format!("{CHANGE}\n{CHANGE}\n"));
    assert_eq!(follow.cursor(), Some("A"), "not printed yet");
    follow.printed();
    assert_eq!(follow.cursor(), Some("B"));
}

#[test]
fn a_batch_that_is_cut_off_comes_again_and_is_printed_once() {
    let mut follow = follow(false, None);
    subscribed(&mut follow, "A");
    follow.take(&changes("B", &[CHANGE], false));
    assert_eq!(follow.lost(), None);
    let message: serde_json::Value = serde_json::from_str(&welcome(&mut follow)).unwrap();
    assert_eq!(
        message,
        json!({"type": "subscribe", "id": "tail", "table": "t", "since": "A"})
    );
    assert_eq!(
        subscribed(&mut follow, "A"),
        "following public.t again, from the cursor"
    );
    assert_eq!(
        follow.take(&changes("B", &[CHANGE], true)).lines,
        format!("{CHANGE}\n")
    );
}

#[test]
fn a_batch_too_large_to_hold_is_printed_as_it_comes_and_said_when_cut_off() {
    let mut follow = follow(false, None);
    follow.held_max = CHANGE.len() + 1;
    subscribed(&mut follow, "A");
    assert_eq!(
        follow.take(&changes("B", &[CHANGE], false)).lines,
        "",
        "just fits"
    );
    let lines = follow.take(&changes("B", &[CHANGE], false)).lines;
    assert_eq!(lines.lines().count(), 2);
    assert_eq!(
        follow
            .take(&changes("B", &[CHANGE], false))
            .lines
            .lines()
            .count(),
        1
    );
    follow.printed();
    assert_eq!(follow.cursor(), Some("A"), "the batch is not whole");
    follow.take(r#"{"type":"heartbeat","cursor":"X"}"#);
    assert_eq!(follow.cursor(), Some("A"));
    assert!(follow.lost().unwrap().contains("first 3 changes"));
    welcome(&mut follow);
    subscribed(&mut follow, "A");
    follow.take(&changes("B", &[CHANGE, CHANGE], false));
    let lines = follow.take(&changes("B", &[CHANGE], true)).lines;
    assert_eq!(lines.lines().count(), 1, "the end of a large batch");
    follow.printed();
    assert_eq!(follow.cursor(), Some("B"));
    assert_eq!(follow.lost(), None);
}

#[test]
fn a_heartbeat_moves_the_cursor_between_batches_of_a_live_subscription_only() {
    let heartbeat = |cursor: &str| format!(r#"{{"type":"heartbeat","cursor":"{cursor}"}}"#);
    let mut follow = follow(false, Some("A"));
    assert_eq!(follow.silence_max(), Duration::from_secs(5));
    follow.take(&heartbeat("X"));
    assert_eq!(follow.cursor(), Some("A"), "not subscribed yet");
    subscribed(&mut follow, "A");
    follow.take(&heartbeat("B"));
    assert_eq!(follow.cursor(), Some("B"));
    follow.take(&changes("C", &[CHANGE], false));
    follow.take(&heartbeat("X"));
    assert_eq!(follow.cursor(), Some("B"), "a batch is open");
    follow.take(&changes("C", &[], true));
    follow.printed();
    follow.take(r#"{"type":"reset","id":"tail","reason":"schema"}"#);
    follow.take(&heartbeat("X"));
    assert_eq!(follow.cursor(), Some("C"), "a reset is under way");
}

#[test]
fn a_reset_throws_the_open_batch_away_and_is_said() {
    let mut follow = follow(false, None);
    subscribed(&mut follow, "A");
    follow.take(&changes("B", &[CHANGE], false));
    let step = follow.take(r#"{"type":"reset","id":"tail","reason":"expired"}"#);
    assert!(step.say.unwrap().starts_with("reset (expired): "));
    assert_eq!(step.lines, "");
    assert_eq!(
        subscribed(&mut follow, "D"),
        "following public.t again, from now on"
    );
    assert_eq!(
        follow.take(&changes("E", &[CHANGE], true)).lines,
        format!("{CHANGE}\n")
    );
}

#[test]
fn rows_come_first_and_again_after_a_reset() {
    let mut follow = follow(true, None);
    let step = follow.take(&snapshot("S", r#"{"id":1},{"id":2}"#, false));
    assert_eq!(
        step.lines,
        "{\"op\":\"row\",\"row\":{\"id\":1}}\n{\"op\":\"row\",\"row\":{\"id\":2}}\n"
    );
    follow.printed();
    assert_eq!(follow.cursor(), Some("S"));
    assert_eq!(
        subscribed(&mut follow, "S"),
        "following public.t behind its rows"
    );
    let step = follow.take(r#"{"type":"reset","id":"tail","reason":"epoch"}"#);
    assert_eq!(step.lines, "{\"op\":\"reset\",\"reason\":\"epoch\"}\n");
}

#[test]
fn a_snapshot_that_is_cut_off_is_taken_back() {
    let mut follow = follow(true, None);
    follow.take(&snapshot("S", r#"{"id":1}"#, true));
    follow.printed();
    follow.lost();
    assert!(
        !welcome(&mut follow).contains("since"),
        "from the beginning"
    );
    let step = follow.take(&snapshot("T", r#"{"id":1}"#, false));
    assert!(
        step.lines
            .starts_with("{\"op\":\"reset\",\"reason\":\"cut\"}\n{\"op\":\"row\"")
    );
}

#[test]
fn a_value_of_several_lines_stays_one_line() {
    let mut follow = follow(false, None);
    subscribed(&mut follow, "A");
    let change = "{\"op\":\"insert\",\"row\":{\"j\":{\n  \"a\": \"x\\ny\"\r\n}}}";
    let lines = follow.take(&changes("B", &[change], true)).lines;
    assert_eq!(
        lines,
        "{\"op\":\"insert\",\"row\":{\"j\":{   \"a\": \"x\\ny\"  }}}\n"
    );
}

#[test]
fn what_ends_it_and_what_does_not() {
    let error =
        |code: &str| format!(r#"{{"type":"error","id":"tail","code":"{code}","message":"why"}}"#);
    let end = |text: &str| follow(false, Some("x")).take(text).end;
    let failed = |text: &str| Some(End::Failed(text.into()));
    assert_eq!(
        end(&error("unknown_table")),
        failed("why; plank watch t makes it live")
    );
    assert_eq!(end(&error("unsupported")), failed("why (unsupported)"));
    assert_eq!(end(&error("bad_cursor")), failed("why (bad_cursor)"));
    assert_eq!(end(&error("busy")), Some(End::Later("why".into())));
    assert_eq!(
        end(r#"{"type":"unsubscribed","id":"tail"}"#),
        failed("t is not watched any more")
    );
    for text in [
        "",
        "[]",
        "hello",
        r#"{"type":"changes","changes":3}"#,
        r#"{"type":"welcome"}"#,
    ] {
        assert!(matches!(end(text), Some(End::Failed(_))), "{text}");
    }
    for text in [
        r#"{"type":"pong"}"#,
        r#"{"type":"new","changes":3,"key":{}}"#,
    ] {
        assert_eq!(end(text), None, "{text}");
    }
}

#[test]
fn rows_of_a_window_say_their_places_and_it_begins_anew_with_a_connection() {
    let request = Request {
        table: "t".into(),
        snapshot: true,
        window: Some(("n.desc".into(), 3)),
        ..Request::default()
    };
    let mut follow = Follow::new(request, None);
    let asked: serde_json::Value = serde_json::from_str(&welcome(&mut follow)).unwrap();
    let window =
        json!({"type": "subscribe", "id": "tail", "table": "t", "order": "n.desc", "limit": 3});
    let mut expected = window.clone();
    expected["snapshot"] = json!(true);
    assert_eq!(asked, expected);
    let first = follow.take(&snapshot("A", r#"{"id":7},{"id":8}"#, true));
    assert_eq!(
        first.lines,
        "{\"op\":\"row\",\"index\":0,\"row\":{\"id\":7}}\n{\"op\":\"row\",\"index\":1,\"row\":{\"id\":8}}\n"
    );
    let second = follow.take(&snapshot("A", r#"{"id":9}"#, false));
    assert_eq!(
        second.lines,
        "{\"op\":\"row\",\"index\":2,\"row\":{\"id\":9}}\n"
    );
    follow.printed();
    subscribed(&mut follow, "A");
    follow.lost();
    let asked: serde_json::Value = serde_json::from_str(&welcome(&mut follow)).unwrap();
    expected["since"] = json!("A");
    assert_eq!(asked, expected);
    let reset = follow.take(r#"{"type":"reset","id":"tail","reason":"window"}"#);
    assert_eq!(reset.lines, "{\"op\":\"reset\",\"reason\":\"window\"}\n");
    let again = follow.take(&snapshot("B", r#"{"id":1}"#, false));
    assert_eq!(
        again.lines,
        "{\"op\":\"row\",\"index\":0,\"row\":{\"id\":1}}\n"
    );
}

#[test]
fn a_live_query_is_named_without_its_schema() {
    let mut follow = follow(false, None);
    let text = r#"{"type":"subscribed","id":"tail","topic":"t1","table":"plank_query.board","key":["id"],"cursor":"A"}"#;
    let said = follow.take(text).say.unwrap();
    assert_eq!(said, "following board from now on");
}
