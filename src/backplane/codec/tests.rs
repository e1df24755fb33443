use proptest::prelude::*;

use super::*;

fn epoch() -> Epoch {
    Epoch::of("a log")
}

fn op() -> impl Strategy<Value = LogOp> {
    prop::sample::select(b"IUDTWXNR".to_vec()).prop_map(|op| LogOp::from_letter(op).unwrap())
}

fn row_id() -> impl Strategy<Value = Option<RowId>> {
    prop::option::of(
        (any::<u32>(), any::<u32>(), any::<u16>()).prop_map(|(leaf, page, line)| RowId {
            leaf,
            page,
            line,
        }),
    )
}

fn row() -> impl Strategy<Value = LogRow> {
    let numbers = (
        any::<u64>(),
        any::<i64>(),
        any::<i64>(),
        any::<i64>(),
        any::<u32>(),
    );
    let texts = (prop::option::of(".{0,40}"), prop::option::of(".{0,40}"));
    let rest = (any::<bool>(), prop::option::of(any::<i64>()), op(), trace());
    (numbers, texts, rest, row_id(), row_id()).prop_map(
        |(
            (xid, statement, seq, at_us, rel),
            (row, old),
            (continues, began, op, trace),
            row_id,
            old_id,
        )| LogRow {
            xid,
            statement,
            seq,
            continues,
            began,
            rel,
            op,
            at_us,
            row: row.map(Arc::from),
            old: old.map(Arc::from),
            row_id,
            old_id,
            trace,
        },
    )
}

/// Of a writer, or none.
fn trace() -> impl Strategy<Value = Option<TraceParent>> {
    prop::option::of("00-[0-9a-f]{31}1-[0-9a-f]{15}1-0[01]")
        .prop_map(|text| text.as_deref().and_then(TraceParent::parse))
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    (
        1_u64..1 << 40,
        prop::collection::btree_set(0_u64..1 << 40, 0..20),
    )
        .prop_map(|(xmax, running)| {
            let running: Vec<String> = running
                .iter()
                .filter(|xid| **xid < xmax)
                .map(u64::to_string)
                .collect();
            let xmin = running.first().cloned().unwrap_or(xmax.to_string());
            Snapshot::parse(&format!("{xmin}:{xmax}:{}", running.join(","))).unwrap()
        })
}

fn message() -> impl Strategy<Value = Message> {
    let from = prop_oneof![
        snapshot().prop_map(Ok),
        prop::sample::select(vec![Origin::Empty, Origin::Forgotten, Origin::Pruned]).prop_map(Err),
    ];
    let answers = prop::collection::vec(any::<(u64, u64)>(), 0..5);
    let rows = prop::collection::vec(row(), 0..10);
    let numbers = (
        any::<u64>(),
        any::<u64>(),
        any::<u32>(),
        any::<bool>(),
        any::<u32>(),
    );
    (numbers, from, snapshot(), answers, rows).prop_map(
        |((writer, batch, number, last, behind_ms), from, next, answers, rows)| Message {
            writer,
            batch,
            from,
            next,
            number,
            last,
            behind: Duration::from_millis(behind_ms.into()),
            answers,
            rows,
        },
    )
}

/// All that there is of a message; two that are shown the same are the same.
fn shown(message: &Message) -> String {
    format!("{message:?}")
}

fn assembler() -> Assembler {
    Assembler::new(&epoch(), &Arc::default())
}

fn read(parts: &[Bytes]) -> Result<Option<Message>, Broken> {
    let mut assembler = assembler();
    let mut read = Ok(None);
    for part in parts {
        read = assembler.take(part);
    }
    read
}

proptest! {
    #[test]
    fn a_message_reads_back_whatever_its_parts_are(message in message(), size in 1_usize..2_000) {
        let parts = encode(&message, &epoch(), 7, FRAME_BYTES + size).unwrap();
        prop_assert!(parts.iter().all(|part| part.len() <= FRAME_BYTES + size));
        let mut assembler = assembler();
        let (last, first) = parts.split_last().unwrap();
        for part in first {
            prop_assert!(assembler.take(part).unwrap().is_none());
        }
        let read = assembler.take(last).unwrap().unwrap();
        prop_assert_eq!(shown(&read), shown(&message));
    }

    #[test]
    fn an_altered_or_cut_off_message_is_broken(message in message(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let parts = encode(&message, &epoch(), 7, 1 << 20).unwrap();
        let at = at.index(parts[0].len());
        prop_assert!(read(&[parts[0].slice(..at)]).is_err());
        let mut altered = parts[0].to_vec();
        altered[at] ^= to;
        let read = read(&[altered.into()]);
        match to {
            0 => prop_assert_eq!(shown(&read.unwrap().unwrap()), shown(&message)),
            _ => prop_assert!(read.is_err()),
        }
    }

    #[test]
    fn a_message_of_another_log_is_broken(message in message()) {
        let parts = encode(&message, &Epoch::of("another log"), 7, 1 << 20).unwrap();
        prop_assert_eq!(read(&parts).err(), Some(Broken));
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), parts in 0_u32..3) {
        let _ = read(&[bytes.clone().into()]);
        let _ = take_message(&bytes, 1);
        let head = Head { log: epoch().id(), writer: 1, count: 1, part: 0, parts };
        let _ = read(&[head.write(&bytes).into()]);
        let _ = read(&[head.seal(&bytes, &epoch())]);
    }

    #[test]
    fn a_sealed_body_of_garbage_never_panics(message in message(), at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..12)) {
        let mut body = Vec::new();
        put_message(&mut body, &message);
        let at = at.index(body.len());
        let end = (at + with.len()).min(body.len());
        body.splice(at..end, with);
        let _ = take_message(&body, message.writer);
    }

    #[test]
    fn parts_that_are_missing_or_twice_are_broken(message in message(), drop in any::<prop::sample::Index>(), twice in any::<bool>()) {
        let parts = encode(&message, &epoch(), 7, FRAME_BYTES + 16).unwrap();
        prop_assume!(parts.len() > 2);
        // The first one begins anew, however often it comes.
        let at = 1 + drop.index(parts.len() - 2);
        let mut wrong = parts.clone();
        match twice {
            true => wrong.insert(at, parts[at].clone()),
            false => drop_at(&mut wrong, at),
        }
        let mut assembler = assembler();
        let read: Vec<_> = wrong.iter().map(|part| assembler.take(part)).collect();
        prop_assert!(read.iter().any(Result::is_err));
        prop_assert!(!read.iter().any(|read| matches!(read, Ok(Some(_)))));
    }
}

fn drop_at(parts: &mut Vec<Bytes>, at: usize) {
    parts.remove(at);
}

fn beat() -> Message {
    Message {
        writer: 1,
        batch: 1,
        from: Err(Origin::Empty),
        next: Snapshot::parse("10:10:").unwrap(),
        number: 0,
        last: true,
        behind: Duration::ZERO,
        answers: vec![],
        rows: vec![],
    }
}

#[test]
fn a_follower_that_begins_in_the_middle_of_a_message_waits_for_the_next_one() {
    let parts = encode(&beat(), &epoch(), 1, FRAME_BYTES + 8).unwrap();
    let mut assembler = assembler();
    for part in &parts[1..] {
        assert!(assembler.take(part).unwrap().is_none());
    }
    let whole = encode(&beat(), &epoch(), 2, 1 << 20).unwrap();
    assert!(assembler.take(&whole[0]).unwrap().is_some());
}

#[test]
fn a_reader_that_ends_in_the_middle_of_a_message_leaves_nothing_of_it() {
    let parts = encode(&beat(), &epoch(), 1, FRAME_BYTES + 8).unwrap();
    let mut assembler = assembler();
    assert!(assembler.take(&parts[0]).unwrap().is_none());
    let other = encode(
        &Message {
            writer: 2,
            ..beat()
        },
        &epoch(),
        1,
        1 << 20,
    )
    .unwrap();
    let read = assembler.take(&other[0]).unwrap().unwrap();
    assert_eq!(read.writer, 2);
    assert_eq!(assembler.take(&parts[1]).err(), Some(Broken));
}

#[test]
fn a_count_beyond_what_there_is_takes_no_memory() {
    let mut body = vec![0, 1, 1, 0, 0];
    put_text(&mut body, "1:1:");
    put_text(&mut body, "1:1:");
    put_number(&mut body, 0);
    put_number(&mut body, u64::MAX);
    assert!(take_message(&body, 1).is_err());
}

#[test]
fn a_forged_part_is_refused_when_it_comes_and_nothing_of_it_is_held() {
    let metrics = Arc::<Metrics>::default();
    let head = |part, parts, writer| Head {
        log: epoch().id(),
        writer,
        count: 1,
        part,
        parts,
    };
    let piece = vec![7; 1 << 20];
    let genuine = encode(&beat(), &epoch(), 1, FRAME_BYTES + 8).unwrap();
    let of_another = |head: Head| head.seal(&piece, &Epoch::of("another log"));
    let unsealed = |head: Head| Bytes::from(head.write(&piece));
    let mut altered = genuine[0].to_vec();
    // It says that many more are to come.
    altered[HEAD_BYTES - 1] = 0x7f;
    for (what, forged) in [
        ("the first of many", unsealed(head(0, u32::MAX, 9))),
        (
            "the next of a genuine one",
            unsealed(head(1, genuine.len() as u32, 1)),
        ),
        ("sealed with another key", of_another(head(0, 2, 9))),
        ("another number of parts", altered.into()),
        ("nothing", Bytes::new()),
    ] {
        let mut assembler = Assembler::new(&epoch(), &metrics);
        assembler.take(&genuine[0]).unwrap();
        assert!(metrics.backplane_held_bytes.get() > 0);
        assert_eq!(assembler.take(&forged).err(), Some(Broken), "{what}");
        assert_eq!(metrics.backplane_held_bytes.get(), 0, "{what}");
    }
}

#[test]
fn parts_that_come_again_and_again_are_held_once() {
    let metrics = Arc::<Metrics>::default();
    let parts = encode(&beat(), &epoch(), 1, FRAME_BYTES + 8).unwrap();
    let mut assembler = Assembler::new(&epoch(), &metrics);
    for _ in 0..1_000 {
        for part in &parts[..parts.len() - 1] {
            assembler.take(part).unwrap();
        }
        let held = metrics.backplane_held_bytes.get();
        assert_eq!(held, 8 * (parts.len() as i64 - 1));
    }
    drop(assembler);
    assert_eq!(metrics.backplane_held_bytes.get(), 0);
}

#[test]
fn what_is_repeated_may_not_follow_what_was_written() {
    let at = |writer, count, part| Head {
        log: epoch().id(),
        writer,
        count,
        part,
        parts: 9,
    };
    let before = at(1, 5, 3);
    for (head, may) in [
        (at(1, 5, 4), true),
        (at(1, 6, 0), true),
        (at(2, 1, 0), true),
        (at(1, 5, 3), false),
        (at(1, 5, 2), false),
        (at(1, 4, 8), false),
    ] {
        assert_eq!(head.may_follow(&before), may, "{head:?}");
    }
}
