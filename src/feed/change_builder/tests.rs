use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::change::RowId;
use super::*;
use crate::limits::STATEMENT_BYTES_MAX;

fn of_rel(rel: Oid) -> Arc<Table> {
    Arc::new(Table::of_paper(rel, "public", "t"))
}

/// A row of the table: its key and its value.
type Row = (i64, i64);

fn log(xid: u64, statement: i64, seq: i64, old: Option<Row>, new: Option<Row>) -> LogRow {
    let row = |row: Option<Row>| row.map(|(id, v)| Arc::from(format!("{{\"id\":{id},\"v\":{v}}}")));
    LogRow {
        xid,
        statement,
        seq: seq * 1024,
        continues: false,
        began: None,
        rel: 1,
        op: match (old, new) {
            (None, Some(_)) => LogOp::Insert,
            (Some(_), Some(_)) => LogOp::Update,
            (Some(_), None) => LogOp::Delete,
            (None, None) => LogOp::Truncate,
        },
        at_us: 0,
        row: row(new),
        old: row(old),
        row_id: None,
        old_id: None,
        trace: None,
    }
}

fn built(
    rows: impl IntoIterator<Item = LogRow>,
    table: &Arc<Table>,
) -> Result<Vec<Change>, BuildError> {
    let (mut builder, mut out) = (ChangeBuilder::new(1_000), Vec::new());
    for row in rows {
        builder.push(row, table, &mut out)?;
    }
    builder.finish(&mut out).map_err(|_| BuildError::Unclear)?;
    assert_eq!(builder.bytes(), 0);
    Ok(out.into_iter().map(|(_, change)| change).collect())
}

/// Applies the changes to rows, as a client does, and with what a count of rows would be.
fn apply(changes: &[Change], start: &[Row]) -> Vec<String> {
    let text = |(id, v): &Row| {
        (
            format!("{{\"id\":{id}}}"),
            format!("{{\"id\":{id},\"v\":{v}}}"),
        )
    };
    let mut rows: BTreeMap<String, String> = start.iter().map(text).collect();
    let mut count = rows.len() as i64;
    for change in changes {
        let key = change.key.as_deref().unwrap().to_owned();
        // What a filter or a count sees of it: the row before is the one that the client has.
        assert_eq!(
            rows.get(&key).map(String::as_str),
            change.old.as_deref(),
            "{change:?}"
        );
        count += i64::from(change.row.is_some()) - i64::from(change.old.is_some());
        match &change.row {
            Some(row) => rows.insert(key, row.to_string()),
            None => rows.remove(&key),
        };
    }
    assert_eq!(count, rows.len() as i64);
    rows.into_values().collect()
}

fn ends(rows: Vec<LogRow>, start: &[Row]) -> Vec<String> {
    apply(&built(rows, &of_rel(1)).unwrap(), start)
}

#[test]
fn shift_of_all_keys_works_in_any_order() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let rows = (0..)
            .zip(order)
            .map(|(i, id)| log(9, 4, i, Some((id, id)), Some((id + 1, id))));
        let end = ends(rows.collect(), &[(1, 1), (2, 2), (3, 3)]);
        assert_eq!(
            end,
            [
                r#"{"id":2,"v":1}"#,
                r#"{"id":3,"v":2}"#,
                r#"{"id":4,"v":3}"#
            ]
        );
    }
}

#[test]
fn nested_statement_that_was_logged_first_comes_after_its_cause() {
    let rows = vec![
        log(9, 4, 1, Some((1, 1)), Some((1, 11))),
        log(9, 4, 2, Some((1, 0)), Some((1, 1))),
    ];
    assert_eq!(ends(rows, &[(1, 0)]), [r#"{"id":1,"v":11}"#]);
}

#[test]
fn foreign_key_actions_of_one_statement_end_with_the_row_gone() {
    // ON DELETE CASCADE fires before the statement trigger of ON DELETE SET NULL.
    let rows = vec![
        log(9, 4, 1, Some((1, 5)), None),
        log(9, 4, 2, Some((1, 7)), Some((1, 5))),
    ];
    assert_eq!(ends(rows, &[(1, 7)]), Vec::<String>::new());
}

#[test]
fn changes_of_one_statement_that_cancel_out_are_not_told() {
    for rows in [
        vec![
            log(9, 4, 1, None, Some((1, 1))),
            log(9, 4, 2, Some((1, 1)), None),
        ],
        vec![
            log(9, 4, 1, Some((1, 1)), None),
            log(9, 4, 2, None, Some((1, 1))),
        ],
    ] {
        assert!(built(rows.clone(), &of_rel(1)).unwrap().is_empty());
        // A DELETE that began behind the INSERT is the last of them.
        let mut last = rows.clone();
        let delete = usize::from(last[0].old.is_none());
        last[delete].began = Some(1);
        assert_eq!(built(last, &of_rel(1)).unwrap().len(), 2 * delete);
        // Of two statements they are in order by themselves.
        let mut apart = rows;
        apart[1].statement = 5;
        assert_eq!(built(apart, &of_rel(1)).unwrap().len(), 2);
    }
}

#[test]
fn two_statements_of_one_transaction_keep_their_order() {
    let rows = vec![
        log(9, 4, 1, Some((1, 1)), Some((2, 1))),
        log(9, 5, 2, Some((2, 1)), Some((1, 1))),
    ];
    assert_eq!(ends(rows, &[(1, 1)]), [r#"{"id":1,"v":1}"#]);
}

#[test]
fn another_transaction_on_a_key_comes_after_it() {
    let rows = vec![
        log(9, 4, 1, Some((1, 1)), Some((2, 1))),
        log(10, 4, 2, Some((2, 1)), None),
        log(11, 4, 3, None, Some((2, 3))),
    ];
    assert_eq!(ends(rows, &[(1, 1)]), [r#"{"id":2,"v":3}"#]);
}

#[test]
fn key_that_is_checked_late_may_be_taken_before_it_is_given_up() {
    let late = Arc::new(Table {
        late_key: true,
        ..Table::of_paper(1, "public", "t")
    });
    let version = |page| {
        Some(RowId {
            leaf: 1,
            page,
            line: 1,
        })
    };
    let insert = LogRow {
        row_id: version(2),
        ..log(9, 4, 1, None, Some((1, 1)))
    };
    let delete = LogRow {
        old_id: version(1),
        ..log(10, 4, 2, Some((1, 1)), None)
    };
    let changes = built([insert.clone(), delete], &late).unwrap();
    assert_eq!(apply(&changes, &[(1, 1)]), [r#"{"id":1,"v":1}"#]);
    // The one that was inserted is deleted: that is another thing.
    let delete = LogRow {
        old_id: version(2),
        ..log(10, 4, 2, Some((1, 1)), None)
    };
    assert_eq!(
        apply(&built([insert, delete], &late).unwrap(), &[]),
        Vec::<String>::new()
    );
}

#[test]
fn truncate_of_a_part_gives_places_out_again() {
    let id = Some(RowId {
        leaf: 1,
        page: 0,
        line: 1,
    });
    let rows = [
        LogRow {
            row_id: id,
            ..log(9, 4, 1, None, Some((1, 1)))
        },
        LogRow {
            old_id: id,
            began: Some(1),
            ..log(9, 4, 2, Some((1, 1)), None)
        },
        LogRow {
            row_id: id,
            ..log(9, 4, 3, None, Some((1, 2)))
        },
    ];
    assert_eq!(ends(rows.to_vec(), &[]), [r#"{"id":1,"v":2}"#]);
}

#[test]
fn late_key_that_a_row_only_passes_keeps_its_row() {
    let late = Arc::new(Table {
        late_key: true,
        ..Table::of_paper(1, "public", "t")
    });
    let version = |page| {
        Some(RowId {
            leaf: 1,
            page,
            line: 1,
        })
    };
    // A row goes from 2 to 3 and back, while 3 has another one.
    let rows = [
        LogRow {
            old_id: version(1),
            row_id: version(2),
            ..log(9, 4, 1, Some((2, 0)), Some((3, 0)))
        },
        LogRow {
            old_id: version(2),
            row_id: version(3),
            ..log(9, 4, 2, Some((3, 0)), Some((2, 0)))
        },
    ];
    let changes = built(rows, &late).unwrap();
    assert_eq!(
        apply(&changes, &[(2, 0), (3, 7)]),
        [r#"{"id":2,"v":0}"#, r#"{"id":3,"v":7}"#]
    );
}

#[test]
fn changes_that_do_not_fit_together_are_unclear() {
    let rows = vec![
        log(9, 4, 1, Some((1, 1)), Some((1, 2))),
        log(9, 4, 2, Some((1, 1)), Some((1, 3))),
    ];
    assert!(matches!(built(rows, &of_rel(1)), Err(BuildError::Unclear)));
}

#[test]
fn row_without_its_key_is_an_error() {
    let mut row = log(9, 4, 1, None, Some((1, 1)));
    row.row = Some("{\"renamed\":1}".into());
    assert!(matches!(built([row], &of_rel(1)), Err(BuildError::Row(_))));
}

#[test]
fn key_change_is_two_changes_with_numbers_of_their_own() {
    let changes = built([log(9, 4, 7, Some((1, 1)), Some((2, 1)))], &of_rel(1)).unwrap();
    let seen: Vec<_> = changes
        .iter()
        .map(|c| (c.op, c.seq, c.key.as_deref().unwrap()))
        .collect();
    let first = 7 * 1024;
    assert_eq!(
        seen,
        [
            (Op::Delete, first, "{\"id\":1}"),
            (Op::Insert, first + 1, "{\"id\":2}")
        ]
    );
}

#[test]
fn changes_of_many_transactions_stay_in_the_order_of_the_log() {
    let rows =
        (0..200_000).map(|i: i64| log(400_000 - i as u64, i, i, Some((i, i)), Some((-i - 1, i))));
    let changes = built(rows, &of_rel(1)).unwrap();
    assert!(changes.is_sorted_by_key(|c| c.seq) && changes.len() == 400_000);
}

/// A statement that is larger than what may wait.
fn large(
    op: impl Fn(i64) -> (Option<Row>, Option<Row>),
    from: i64,
    count: i64,
) -> impl Iterator<Item = LogRow> {
    (0..count).map(move |i| {
        let (old, new) = op(i);
        LogRow {
            continues: i > 0,
            ..log(9, 4, from + i, old, new)
        }
    })
}

#[test]
fn statement_of_any_size_goes_through() {
    let count = 100_000;
    let mut builder = ChangeBuilder::new(1_000);
    let mut out = Vec::new();
    for row in large(|i| (None, Some((i, i))), 0, count) {
        builder.push(row, &of_rel(1), &mut out).unwrap();
        assert!(builder.bytes() <= STATEMENT_BYTES_MAX);
    }
    assert!(out.len() > 50_000);
    // Nobody remembers all of its keys, so another capture of it can't be ordered behind them.
    let another = log(9, 4, count, Some((0, 0)), None);
    assert!(matches!(
        builder.push(another, &of_rel(1), &mut out),
        Err(BuildError::Unclear)
    ));
}

#[test]
fn large_statement_continues_keys_that_are_remembered() {
    let count = 60_000;
    let mut rows: Vec<LogRow> = large(|i| (None, Some((i, 0))), 0, count).collect();
    rows.extend(large(|i| (Some((i, 0)), Some((i, 1))), count, count));
    let (mut builder, mut out) = (ChangeBuilder::new(200_000), Vec::new());
    for row in rows {
        builder.push(row, &of_rel(1), &mut out).unwrap();
    }
    builder.finish(&mut out).unwrap();
    let changes: Vec<Change> = out.into_iter().map(|(_, change)| change).collect();
    assert_eq!(changes.len(), 120_000);
    assert_eq!(apply(&changes, &[]).len(), 60_000);
}

#[test]
fn large_shift_of_neighbouring_keys_goes_through() {
    let count = 100_000;
    let rows = large(|i| (Some((i, i)), Some((i + 1, i))), 0, count);
    let (mut builder, mut out) = (ChangeBuilder::new(1 << 20), Vec::new());
    for row in rows {
        builder.push(row, &of_rel(1), &mut out).unwrap();
    }
    builder.finish(&mut out).unwrap();
    let changes: Vec<Change> = out.into_iter().map(|(_, change)| change).collect();
    let start: Vec<Row> = (0..count).map(|i| (i, i)).collect();
    assert_eq!(apply(&changes, &start).len(), 100_000);
}

/// What a transaction of a database does: each event as it happens, and how its log rows may come.
#[derive(Clone, Debug)]
struct Event {
    key: i64,
    /// The key after it, if the row is there.
    to: Option<i64>,
    statement: i64,
    place: u32,
}

fn event() -> impl Strategy<Value = Event> {
    (0..4i64, prop::option::of(0..4i64), 0..2i64, any::<u32>()).prop_map(
        |(key, to, statement, place)| Event {
            key,
            to,
            statement,
            place,
        },
    )
}

proptest! {
    /// Whatever a statement does, in whatever order its triggers log it, a client ends with the table.
    #[test]
    fn clients_end_with_the_table(events in prop::collection::vec(event(), 0..24), identified in any::<bool>()) {
        let mut table: BTreeMap<i64, (Row, RowId)> = (0..2).map(|k| (k, ((k, 0), RowId { leaf: 1, page: k as u32, line: 1 }))).collect();
        let start: Vec<Row> = table.values().map(|(row, _)| *row).collect();
        let (mut logged, mut next, mut statement) = (Vec::new(), 10, 0);
        for (n, event) in events.iter().enumerate() {
            statement += event.statement;
            let id = RowId { leaf: 1, page: next, line: 1 };
            next += 1;
            let old = table.get(&event.key).copied();
            // Values come again, so that two versions may look the same.
            let new = event.to.filter(|to| *to == event.key && old.is_some() || !table.contains_key(to)).map(|to| ((to, n as i64 % 2), id));
            if old.is_none() && new.is_none() { continue }
            table.remove(&event.key);
            if let Some((row, id)) = new { table.insert(row.0, (row, id)); }
            let mut row = log(9, statement, 0, old.map(|(row, _)| row), new.map(|(row, _)| row));
            if identified { (row.old_id, row.row_id) = (old.map(|(_, id)| id), new.map(|(_, id)| id)); }
            logged.push((statement, event.place, row));
        }
        logged.sort_by_key(|(statement, place, _)| (*statement, *place));
        let rows = (0..).zip(logged).map(|(seq, (_, _, row))| LogRow { seq: seq * 1024, ..row });
        let changes = built(rows, &of_rel(1)).unwrap();
        let expected: Vec<String> = table.values().map(|((id, v), _)| format!("{{\"id\":{id},\"v\":{v}}}")).collect();
        prop_assert_eq!(apply(&changes, &start), expected);
    }

    /// A client that catches up reads the rows of one table, and goes on behind the n-th change that it had of the hub, which
    /// reads all of them.
    #[test]
    fn what_comes_of_a_table_does_not_depend_on_the_others(rows in prop::collection::vec((1..3u32, 1..4u64, 0..3i64, 0..4i64, 0..4i64), 0..60)) {
        let (mut of_all, mut of_one) = (ChangeBuilder::new(9), ChangeBuilder::new(9));
        let (mut all, mut one) = (Vec::new(), Vec::new());
        for (n, (rel, xid, statement, old, new)) in rows.into_iter().enumerate() {
            let row = LogRow { rel, ..log(xid, statement, n as i64, Some((old, 0)), Some((new, 0))) };
            let result = of_all.push(row.clone(), &of_rel(rel), &mut all).is_ok();
            if rel == 1 {
                prop_assert_eq!(of_one.push(row, &of_rel(rel), &mut one).is_ok(), result);
            }
        }
        let (_, _) = (of_all.finish(&mut all), of_one.finish(&mut one));
        let seqs = |changes: &[Built]| -> Vec<i64> {
            changes.iter().filter(|(t, _)| t.rel == 1).map(|(_, c)| c.seq).collect()
        };
        prop_assert_eq!(seqs(&all), seqs(&one));
    }
}
