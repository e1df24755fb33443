use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::feed::LogOp;

fn at(snapshot: &Snapshot) -> Arc<Cursor> {
    cursor(&Epoch::of("x"), snapshot.clone())
}

fn snapshot(text: &str) -> Snapshot {
    Snapshot::parse(text).unwrap()
}

fn row(xid: u64, seq: i64) -> LogRow {
    LogRow {
        xid,
        statement: 0,
        continues: false,
        began: None,
        row_id: None,
        old_id: None,
        seq,
        rel: 1,
        op: LogOp::Insert,
        at_us: 0,
        row: Some("{}".into()),
        old: None,
        trace: None,
    }
}

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Event {
    Begin,
    Write(prop::sample::Index),
    End(prop::sample::Index),
    /// One of two readers reads, and hands on so many parts of what it has found: more than there are is all.
    Read(bool, usize),
    /// A reader ends, and begins behind the last whole batch of the stream.
    Restart(bool),
    /// The stream is emptied.
    Wipe,
    /// A message is lost.
    Lose(prop::sample::Index),
    /// The follower takes so many messages.
    Follow(usize),
    /// The follower goes to the log by itself.
    Log,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let index = any::<prop::sample::Index>;
    let event = prop_oneof![
        4 => Just(Event::Begin),
        6 => index().prop_map(Event::Write),
        4 => index().prop_map(Event::End),
        4 => (any::<bool>(), 1_usize..6).prop_map(|(who, parts)| Event::Read(who, parts)),
        1 => any::<bool>().prop_map(Event::Restart),
        1 => Just(Event::Wipe),
        1 => index().prop_map(Event::Lose),
        6 => (1_usize..6).prop_map(Event::Follow),
        1 => Just(Event::Log),
    ];
    prop::collection::vec(event, 0..150)
}

#[derive(Clone, Debug, Default)]
struct Database {
    next: u64,
    running: Vec<u64>,
    rows: Vec<LogRow>,
}

impl Database {
    fn now(&self) -> Snapshot {
        let xmin = self.running.first().unwrap_or(&self.next);
        let running: Vec<String> = self.running.iter().map(u64::to_string).collect();
        snapshot(&format!("{xmin}:{}:{}", self.next, running.join(",")))
    }

    fn between(&self, from: &Snapshot, to: &Snapshot) -> Vec<LogRow> {
        let is_new = |row: &&LogRow| to.sees(row.xid) && !from.sees(row.xid);
        self.rows.iter().filter(is_new).cloned().collect()
    }
}

#[derive(Debug)]
struct Reader {
    id: u64,
    batch: u64,
    /// None: it has to begin behind the stream.
    at: Option<Snapshot>,
}

impl Reader {
    /// The messages of a read, `parts` of them. The others are never sent: the reader ends.
    fn read(&mut self, database: &Database, stream: &[Message], parts: usize) -> Vec<Message> {
        let now = database.now();
        let message = |from, number, last, batch, rows| Message {
            writer: self.id,
            batch,
            from,
            next: now.clone(),
            number,
            last,
            behind: Duration::ZERO,
            answers: vec![],
            rows,
        };
        self.batch += 1;
        if self.at.is_none() {
            self.at = match stream.last() {
                Some(last) if last.last => Some(last.next.clone()),
                Some(last) => last.from.clone().ok(),
                None => None,
            };
        }
        let Some(from) = self.at.clone() else {
            self.at = Some(now.clone());
            return vec![message(Err(Origin::Empty), 0, true, self.batch, vec![])];
        };
        let rows = database.between(&from, &now);
        let pieces: Vec<_> = rows.chunks(2).map(<[_]>::to_vec).collect();
        let pieces = if pieces.is_empty() {
            vec![vec![]]
        } else {
            pieces
        };
        let all = pieces.len();
        let pieces = pieces.into_iter().enumerate().take(parts);
        let messages: Vec<_> = pieces
            .map(|(i, rows)| message(Ok(from.clone()), i as u32, i + 1 == all, self.batch, rows))
            .collect();
        self.at = (messages.len() == all).then_some(now.clone());
        if self.at.is_none() {
            self.id += 2;
        }
        messages
    }
}

struct Follower {
    chain: Chain,
    /// The next message.
    next: usize,
    got: Vec<LogRow>,
    /// Of the batch that is under way.
    open: Vec<LogRow>,
}

impl Follower {
    fn take(&mut self, rows: Vec<LogRow>, is_last: bool) {
        self.open.extend(rows);
        if is_last {
            assert!(
                self.open.is_sorted_by_key(|row| row.seq),
                "the order of the log"
            );
            self.got.append(&mut self.open);
        }
    }

    /// As the listener does: first the rest of the batch, then what there is.
    fn go_to_the_log(&mut self, database: &Database, messages: usize) {
        let mut from = self.chain.at().snapshot.clone();
        if let Some(Rest { end, seq }) = self.chain.interrupted() {
            let rest = database.between(&from, &end.snapshot);
            self.take(rest.into_iter().filter(|row| row.seq > seq).collect(), true);
            from = end.snapshot.clone();
        }
        let now = database.now();
        self.take(database.between(&from, &now), true);
        self.chain = Chain::new(at(&now));
        self.next = messages;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Two readers at once, without any lock; readers that end in the middle of a batch; messages that are lost; a stream that
    /// is emptied. The appends are conditional: whatever one reader writes is behind what the other one has written.
    #[test]
    fn a_follower_takes_each_row_once_whatever_becomes_of_the_stream(events in events()) {
        let mut database = Database { next: 10, ..Database::default() };
        let mut stream: Vec<Message> = Vec::new();
        let mut readers = [Reader { id: 0, batch: 0, at: None }, Reader { id: 1, batch: 0, at: None }];
        // The last one that has written: to the other one an append is refused, and it begins behind the stream.
        let mut last = 0;
        let begin = database.now();
        let mut follower = Follower { chain: Chain::new(at(&begin)), next: 0, got: vec![], open: vec![] };
        for event in events {
            match event {
                Event::Begin => {
                    database.running.push(database.next);
                    database.next += 1;
                }
                Event::Write(i) if !database.running.is_empty() => {
                    let xid = database.running[i.index(database.running.len())];
                    database.rows.push(row(xid, database.rows.len() as i64));
                }
                Event::End(i) if !database.running.is_empty() => {
                    database.running.remove(i.index(database.running.len()));
                }
                Event::Write(_) | Event::End(_) => {}
                Event::Read(who, parts) => {
                    let who = usize::from(who);
                    if who != last {
                        readers[who].at = None;
                        readers[who].id += 2;
                    }
                    last = who;
                    let messages = readers[who].read(&database, &stream, parts);
                    stream.extend(messages);
                }
                Event::Restart(who) => {
                    readers[usize::from(who)].at = None;
                    readers[usize::from(who)].id += 2;
                }
                Event::Wipe => {
                    stream.clear();
                    readers.iter_mut().for_each(|reader| reader.at = None);
                    // Its place is not there any more.
                    follower.go_to_the_log(&database, 0);
                }
                Event::Lose(i) if !stream.is_empty() => {
                    // The last one is what a reader looks at, and what it has written it knows.
                    let i = i.index(stream.len());
                    if i + 1 < stream.len() {
                        stream.remove(i);
                        follower.next -= usize::from(i < follower.next);
                    }
                }
                Event::Lose(_) => {}
                Event::Follow(count) => {
                    for _ in 0..count {
                        let Some(message) = stream.get(follower.next).cloned() else { break };
                        follower.next += 1;
                        match follower.chain.take(message) {
                            Step::Skip => {}
                            Step::Take(rows, _, is_last) => follower.take(rows, is_last),
                            Step::Leave => follower.go_to_the_log(&database, stream.len()),
                            Step::Void(origin) => panic!("{origin:?}"),
                        }
                    }
                }
                Event::Log => follower.go_to_the_log(&database, stream.len()),
            }
        }
        follower.go_to_the_log(&database, stream.len());
        let mut seen = HashMap::new();
        for row in &follower.got {
            *seen.entry(row.seq).or_insert(0) += 1;
        }
        let wanted: HashMap<i64, i32> = database.between(&begin, &database.now()).iter().map(|row| (row.seq, 1)).collect();
        prop_assert_eq!(seen, wanted);
    }
}

fn message(from: Result<&str, Origin>, next: &str, rows: &[(u64, i64)]) -> Message {
    Message {
        writer: 1,
        batch: 1,
        from: from.map(snapshot),
        next: snapshot(next),
        number: 0,
        last: true,
        behind: Duration::ZERO,
        answers: vec![],
        rows: rows.iter().map(|(xid, seq)| row(*xid, *seq)).collect(),
    }
}

#[test]
fn a_batch_is_taken_skipped_or_left_to_the_log() {
    let cases = [
        ("continues", Ok("10:10:"), "12:12:", "[1, 2] to 12:12:"),
        ("is there already", Ok("5:5:"), "10:10:", "skip"),
        (
            "begins earlier",
            Ok("10:11:10"),
            "12:12:",
            "[1, 2] to 12:12:",
        ),
        ("begins later", Ok("11:11:"), "12:12:", "leave"),
        (
            "empty stream at the same place",
            Err(Origin::Empty),
            "10:10:",
            "skip",
        ),
        ("empty stream behind", Err(Origin::Empty), "9:9:", "skip"),
        ("empty stream ahead", Err(Origin::Empty), "12:12:", "leave"),
        (
            "pruned at the same place",
            Err(Origin::Pruned),
            "10:10:",
            "void Pruned",
        ),
        ("pruned behind", Err(Origin::Pruned), "9:9:", "skip"),
        ("pruned ahead", Err(Origin::Pruned), "12:12:", "leave"),
        (
            "forgotten at the same place",
            Err(Origin::Forgotten),
            "10:10:",
            "skip",
        ),
        (
            "forgotten behind",
            Err(Origin::Forgotten),
            "9:9:",
            "void Forgotten",
        ),
        ("forgotten ahead", Err(Origin::Forgotten), "12:12:", "leave"),
    ];
    for (name, from, next, expected) in cases {
        let mut chain = Chain::new(at(&snapshot("10:10:")));
        let step = match chain.take(message(from, next, &[(10, 1), (11, 2)])) {
            Step::Skip => "skip".to_owned(),
            Step::Take(rows, end, true) => {
                let rows: Vec<i64> = rows.iter().map(|row| row.seq).collect();
                format!("{rows:?} to {}", end.snapshot)
            }
            Step::Take(..) => "a part".to_owned(),
            Step::Leave => "leave".to_owned(),
            Step::Void(origin) => format!("void {origin:?}"),
        };
        assert_eq!(step, expected, "{name}");
    }
}

#[test]
fn a_part_of_a_batch_is_completed_by_its_own_reader_or_by_the_log() {
    let part = |number, last, writer| Message {
        number,
        last,
        writer,
        ..message(Ok("10:10:"), "12:12:", &[(10, i64::from(number))])
    };
    let begun = || {
        let mut chain = Chain::new(at(&snapshot("10:10:")));
        assert!(matches!(
            chain.take(part(0, false, 1)),
            Step::Take(_, _, false)
        ));
        chain
    };
    assert!(matches!(
        begun().take(part(1, true, 1)),
        Step::Take(_, _, true)
    ));
    for wrong in [part(0, true, 1), part(2, true, 1), part(1, true, 2)] {
        let mut chain = begun();
        assert!(matches!(chain.take(wrong), Step::Leave));
        let rest = chain.interrupted().unwrap();
        assert_eq!(
            (rest.seq, rest.end.snapshot.to_string()),
            (0, "12:12:".into())
        );
    }
}
