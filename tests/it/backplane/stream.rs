//! What a reader writes, and what becomes of a stream that has none.

use std::sync::Arc;
use std::time::Duration;

use plank::backplane::codec::Assembler;
use plank::backplane::link::LogStream;
use plank::backplane::writer::Asked;
use plank::backplane::{Chain, Link, Message, Origin, Step, Writer};
use plank::feed::{Cursor, Epoch, LogOp, LogRow, Snapshot};
use plank::metrics::Metrics;

use crate::support::nats::Nats;
use crate::support::{until, within};

fn place(text: &str) -> Snapshot {
    Snapshot::parse(text).unwrap()
}

fn row(seq: i64) -> LogRow {
    LogRow {
        xid: 10,
        statement: 1,
        seq,
        continues: false,
        began: None,
        rel: 1,
        op: LogOp::Insert,
        at_us: 1,
        row: Some("{}".into()),
        old: None,
        row_id: None,
        old_id: None,
        trace: None,
    }
}

async fn stream(nats: &Nats, epoch: &Epoch) -> (Link, LogStream) {
    let link = Link::connect(&nats.backplane(), "test").await.unwrap();
    let stream = link.make(epoch, &nats.backplane()).await.unwrap();
    (link, stream)
}

async fn writer(stream: &LogStream, epoch: &Epoch, metrics: &Arc<Metrics>) -> Writer {
    let asked = Arc::<Asked>::default();
    let begun = Writer::begin(stream.clone(), *epoch, asked, metrics.clone()).await;
    begun.unwrap().0
}

/// All that is on the stream.
async fn messages(stream: &LogStream, epoch: &Epoch, metrics: &Arc<Metrics>) -> Vec<Message> {
    let mut assembler = Assembler::new(epoch, metrics);
    let mut messages = Vec::new();
    for sequence in 1..=stream.tail().await.unwrap().sequence {
        let (payload, _) = stream.get(sequence).await.unwrap().unwrap();
        messages.extend(assembler.take(&payload).unwrap());
    }
    messages
}

#[actix_web::test]
async fn a_reader_beats_within_a_batch_and_the_batch_stays_whole() {
    let Some(nats) = Nats::start("beats within a batch").await else {
        return;
    };
    let (epoch, metrics) = (Epoch::of("a log"), Arc::<Metrics>::default());
    let (_link, stream) = stream(&nats, &epoch).await;
    let mut writer = writer(&stream, &epoch, &metrics).await;
    let (from, next) = (place("10:10:"), place("20:20:"));
    writer.begin_anew(Origin::Empty, &from).await.unwrap();
    let lag = Duration::from_secs(3);
    let mut part = async |seq: i64, last| {
        let part = writer.part(vec![row(seq)], &next, last, 0, lag).await;
        part.unwrap();
        if last {
            return;
        }
        let before = stream.tail().await.unwrap().sequence;
        // PostgreSQL does not send the next row.
        until("a beat", async || {
            writer.beat(lag).await.unwrap();
            stream.tail().await.unwrap().sequence > before
        })
        .await;
    };
    part(1, false).await;
    part(2, false).await;
    part(3, true).await;

    let mut chain = Chain::new(Arc::new(Cursor {
        epoch,
        snapshot: from,
    }));
    let (mut taken, mut beats) = (Vec::new(), 0);
    for message in messages(&stream, &epoch, &metrics).await {
        let is_beat = message.rows.is_empty() && message.from.is_ok();
        match chain.take(message) {
            Step::Take(rows, ..) => taken.extend(rows.iter().map(|row| row.seq)),
            Step::Skip => beats += i32::from(is_beat),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, [1, 2, 3]);
    assert!(beats >= 2, "{beats}");
    assert_eq!(chain.at().snapshot, next);
}

#[actix_web::test]
async fn a_stream_without_a_reader_is_removed_and_no_other() {
    let Some(nats) = Nats::start("streams that are left over").await else {
        return;
    };
    let (epoch, old) = (Epoch::of("a log"), Epoch::of("the log before"));
    let (link, own) = stream(&nats, &epoch).await;
    let (_, before) = stream(&nats, &old).await;
    let metrics = Arc::<Metrics>::default();
    let mut last = writer(&before, &old, &metrics).await;
    last.begin_anew(Origin::Empty, &place("1:1:"))
        .await
        .unwrap();
    let day = Duration::from_secs(24 * 3600);
    assert_eq!(link.remove_leftovers(&own, day).await.unwrap(), 0);
    assert!(
        link.find(&old).await.unwrap().is_some(),
        "it may have a reader"
    );
    // As if its last message were old.
    until("it is removed", async || {
        link.remove_leftovers(&own, Duration::from_millis(1))
            .await
            .unwrap()
            == 1
    })
    .await;
    assert!(link.find(&old).await.unwrap().is_none());
    assert!(link.find(&epoch).await.unwrap().is_some(), "its own");
}

#[actix_web::test]
async fn a_stream_takes_no_message_that_is_larger_than_a_part() {
    let Some(nats) = Nats::start_with("large messages", "max_payload: 8388608").await else {
        return;
    };
    let epoch = Epoch::of("a log");
    let (_link, stream) = stream(&nats, &epoch).await;
    let large = vec![7; 2 * 1024 * 1024];
    let refused = within("an answer", stream.append(large.into(), 0)).await;
    assert!(refused.is_err());
    assert_eq!(stream.tail().await.unwrap().sequence, 0);
    let part = vec![7; stream.part_bytes_max()];
    assert_eq!(stream.append(part.into(), 0).await.unwrap(), 1);
}
