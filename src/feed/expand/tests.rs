use proptest::prelude::*;

use super::*;

fn table() -> Arc<Table> {
    of_rel(1)
}

fn of_rel(rel: Oid) -> Arc<Table> {
    Arc::new(Table::of_paper(rel, rel, "public", "t"))
}

fn log(
    xid: u64,
    statement: i64,
    seq: i64,
    op: LogOp,
    old: Option<i64>,
    new: Option<i64>,
) -> LogRow {
    let row = |id: Option<i64>| id.map(|id| Arc::from(format!("{{\"id\":{id},\"v\":1}}")));
    LogRow {
        xid,
        statement: Some(statement),
        seq,
        rel: 1,
        op,
        at_us: 0,
        row: row(new),
        old: row(old),
    }
}

/// Applies the changes to a set of keys, as a client does.
fn apply(rows: Vec<LogRow>, start: &[i64]) -> Vec<String> {
    let (mut expander, mut out) = (Expander::default(), Vec::new());
    for row in rows {
        expander.push(row, &table(), &mut out).unwrap();
    }
    expander.finish(&mut out);
    assert_eq!(expander.held_bytes(), 0);
    let mut keys: std::collections::BTreeSet<String> =
        start.iter().map(|id| format!("{{\"id\":{id}}}")).collect();
    for (_, change) in out {
        let key = change.key.unwrap().to_string();
        match change.op {
            Op::Delete => assert!(keys.remove(&key), "delete of {key}, which is not there"),
            Op::Update => assert!(keys.contains(&key)),
            _ => assert!(keys.insert(key.clone()), "insert of {key}, which is there"),
        }
    }
    keys.into_iter().collect()
}

#[test]
fn a_shift_of_all_keys_works_in_any_order() {
    use LogOp::Update;
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let rows = order
            .iter()
            .enumerate()
            .map(|(i, id)| log(9, 4, i as i64 * 2, Update, Some(*id), Some(id + 1)));
        assert_eq!(
            apply(rows.collect(), &[1, 2, 3]),
            ["{\"id\":2}", "{\"id\":3}", "{\"id\":4}"]
        );
    }
}

#[test]
fn a_swap_keeps_both_keys() {
    let rows = vec![
        log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
        log(9, 4, 3, LogOp::Update, Some(2), Some(1)),
    ];
    assert_eq!(apply(rows, &[1, 2]), ["{\"id\":1}", "{\"id\":2}"]);
}

#[test]
fn two_statements_of_one_transaction_keep_their_order() {
    let rows = vec![
        log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
        log(9, 5, 3, LogOp::Update, Some(2), Some(3)),
    ];
    assert_eq!(apply(rows, &[1]), ["{\"id\":3}"]);
}

#[test]
fn rows_without_a_statement_are_one_each() {
    let mut rows = vec![
        log(9, 0, 1, LogOp::Update, Some(1), Some(2)),
        log(9, 0, 3, LogOp::Update, Some(2), Some(3)),
    ];
    rows.iter_mut().for_each(|row| row.statement = None);
    assert_eq!(apply(rows, &[1]), ["{\"id\":3}"]);
}

#[test]
fn another_transaction_on_the_new_key_comes_after_it() {
    let rows = vec![
        log(9, 4, 1, LogOp::Update, Some(1), Some(2)),
        log(10, 0, 3, LogOp::Delete, Some(2), None),
    ];
    assert_eq!(apply(rows, &[1]), Vec::<String>::new());
}

#[test]
fn key_changes_of_many_transactions_in_one_batch() {
    let shift = |i| {
        log(
            i,
            0,
            i as i64 * 2,
            LogOp::Update,
            Some(i as i64),
            Some(-(i as i64) - 1),
        )
    };
    let keys: Vec<i64> = (0..20_000).collect();
    assert_eq!(apply((0..20_000).map(shift).collect(), &keys).len(), 20_000);
}

#[test]
fn a_row_without_its_key_is_an_error() {
    let mut row = log(9, 4, 1, LogOp::Insert, None, None);
    row.row = Some("{\"renamed\":1}".into());
    assert!(
        Expander::default()
            .push(row, &table(), &mut Vec::new())
            .is_err()
    );
}

#[test]
fn a_key_change_is_two_changes_with_numbers_of_their_own() {
    let (mut expander, mut out) = (Expander::default(), Vec::new());
    expander
        .push(
            log(9, 4, 7, LogOp::Update, Some(1), Some(2)),
            &table(),
            &mut out,
        )
        .unwrap();
    expander.finish(&mut out);
    let seen: Vec<_> = out
        .iter()
        .map(|(_, c)| (c.op, c.seq, c.key.as_deref().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [(Op::Delete, 7, "{\"id\":1}"), (Op::Insert, 8, "{\"id\":2}")]
    );
}

/// A row of one of two tables: which, the transaction, the statement, what is done, and two keys.
fn any_row() -> impl Strategy<Value = (Oid, u64, i64, u8, i64, i64)> {
    (1..3u32, 1..4u64, 0..3i64, 0..5u8, 0..4i64, 0..4i64)
}

proptest! {
    /// Whoever catches up reads the rows of one table, and goes on behind the n-th change that he had of the hub, which
    /// reads all of them.
    #[test]
    fn what_comes_of_a_table_does_not_depend_on_the_others(rows in prop::collection::vec(any_row(), 0..60)) {
        let (mut of_all, mut of_one) = (Expander::default(), Expander::default());
        let (mut all, mut one) = (Vec::new(), Vec::new());
        for (n, (rel, xid, statement, op, old, new)) in rows.into_iter().enumerate() {
            let row = match op {
                0 => log(xid, statement, n as i64 * 2, LogOp::Insert, None, Some(new)),
                1 => log(xid, statement, n as i64 * 2, LogOp::Delete, Some(old), None),
                2 => log(xid, statement, n as i64 * 2, LogOp::Truncate, None, None),
                _ => log(xid, statement, n as i64 * 2, LogOp::Update, Some(old), Some(new)),
            };
            let row = LogRow { rel, ..row };
            of_all.push(row.clone(), &of_rel(rel), &mut all).unwrap();
            if rel == 1 {
                of_one.push(row, &of_rel(rel), &mut one).unwrap();
            }
        }
        of_all.finish(&mut all);
        of_one.finish(&mut one);
        let seqs = |changes: &[(Arc<Table>, Change)]| -> Vec<i64> {
            changes.iter().filter(|(t, _)| t.rel == 1).map(|(_, c)| c.seq).collect()
        };
        prop_assert_eq!(seqs(&all), seqs(&one));
    }
}
