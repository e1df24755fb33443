//! Appends what the reader has read. Each append is conditional: where another reader has written meanwhile it is refused, and
//! this one ends. So there may be any number of them at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::feed::{Epoch, LogRow, Snapshot};
use crate::limits::{
    BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST, BACKPLANE_ANSWERS_MAX, BACKPLANE_APPEND_MAX,
    BACKPLANE_BEAT,
};
use crate::metrics::Metrics;

use super::codec::{Assembler, Head, TooLarge, encode};
use super::link::{AppendError, LinkError, LogStream};
use super::message::{Message, Origin};
use super::retry::Retry;

/// What nodes have asked. The reader answers with the batch of the read that began after the question.
#[derive(Debug, Default)]
pub struct Asked(Mutex<HashMap<u64, Waiting>>);

/// The questions of a node, each with its number among those of the reader: the oldest, so that it is not put off for ever, and the
/// newest behind it.
#[derive(Debug)]
struct Waiting {
    oldest: (u64, u64),
    newest: Option<(u64, u64)>,
}

impl Asked {
    /// Notes the question of a node. `number` numbers it among those of the reader.
    pub fn note(&self, node: u64, question: u64, number: impl FnOnce() -> u64, metrics: &Metrics) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= BACKPLANE_ANSWERS_MAX && !asked.contains_key(&node) {
            // It asks again.
            return metrics.limit("backplane_answers");
        }
        let new = (question, number());
        match asked.get_mut(&node) {
            None => {
                let waiting = Waiting {
                    oldest: new,
                    newest: None,
                };
                asked.insert(node, waiting);
            }
            Some(waiting) => {
                let newest = waiting.newest.map_or(0, |(question, _)| question);
                waiting.newest = Some((newest.max(question), new.1));
            }
        }
    }

    /// The questions up to a number, which are answered with this.
    fn answered(&self, number: u64) -> Vec<(u64, u64)> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::new();
        asked.retain(|node, waiting| {
            let is_answered = |(_, asked): (u64, u64)| asked <= number;
            if !is_answered(waiting.oldest) {
                return true;
            }
            match waiting.newest {
                Some(newest) if is_answered(newest) => {
                    answers.push((*node, newest.0.max(waiting.oldest.0)));
                    false
                }
                Some(newest) => {
                    answers.push((*node, waiting.oldest.0));
                    (waiting.oldest, waiting.newest) = (newest, None);
                    true
                }
                None => {
                    answers.push((*node, waiting.oldest.0));
                    false
                }
            }
        });
        answers
    }
}

/// See the module's documentation.
pub struct Writer {
    stream: LogStream,
    epoch: Epoch,
    id: u64,
    /// Messages so far.
    count: u64,
    batch: u64,
    /// The next part of the batch.
    number: u32,
    /// Where the batch leads of which a part was appended.
    open: Option<Snapshot>,
    /// The last message of the stream.
    sequence: u64,
    /// The end of the last whole batch.
    at: Option<Snapshot>,
    appended: Instant,
    /// A part of the batch was too large: followers read it from the log.
    is_left_out: bool,
    asked: Arc<Asked>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// Begins behind what is in the stream; where its last whole batch has ended, if that can be told.
    ///
    /// # Errors
    /// If NATS is away.
    pub async fn begin(
        stream: LogStream,
        epoch: Epoch,
        asked: Arc<Asked>,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Option<Snapshot>), LinkError> {
        let sequence = stream.tail().await?.sequence;
        let place = last_batch(&stream, &epoch, &metrics, sequence).await?;
        let writer = Self {
            stream,
            epoch,
            id: fastrand::u64(..),
            count: 0,
            batch: 0,
            number: 0,
            open: None,
            sequence,
            at: place.clone(),
            appended: Instant::now(),
            is_left_out: false,
            asked,
            metrics,
        };
        Ok((writer, place))
    }

    /// Of which log.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Says that what comes from here on does not continue the stream.
    ///
    /// # Errors
    /// If it can't be appended.
    pub async fn begin_anew(&mut self, origin: Origin, next: &Snapshot) -> Result<(), LinkError> {
        self.next_batch();
        let message = self.message(Err(origin), next.clone());
        let appended = self.append(message).await?;
        appended.map_err(|e| LinkError(e.to_string()))?;
        self.end_batch(next);
        Ok(())
    }

    /// Appends a part of a batch; `asked` is the number of the newest question that it answers.
    ///
    /// # Errors
    /// If it can't be appended.
    pub async fn part(
        &mut self,
        rows: Vec<LogRow>,
        next: &Snapshot,
        last: bool,
        asked: u64,
        behind: Duration,
    ) -> Result<(), LinkError> {
        if self.number == 0 {
            self.next_batch();
        }
        if !self.is_left_out {
            let from = self.at.clone().ok_or(Origin::Empty);
            let answers = match last {
                true => self.asked.answered(asked),
                false => Vec::new(),
            };
            let message = Message {
                rows,
                last,
                number: self.number,
                behind,
                answers,
                ..self.message(from, next.clone())
            };
            match self.append(message).await? {
                Ok(()) => {
                    self.number += 1;
                    self.open = Some(next.clone());
                }
                Err(TooLarge) => {
                    self.metrics.limit("backplane_message");
                    self.is_left_out = true;
                }
            }
        }
        if !last {
            return Ok(());
        }
        if self.is_left_out {
            return self.begin_anew(Origin::Empty, next).await;
        }
        self.end_batch(next);
        Ok(())
    }

    /// Says that the reader is there, unless something was said a moment ago: with an empty batch, or within a batch with an empty
    /// part of it, for PostgreSQL may take its time with the next rows. `behind`: for how long it has not stood at the end of the log.
    ///
    /// # Errors
    /// If it can't be appended.
    pub async fn beat(&mut self, behind: Duration) -> Result<(), LinkError> {
        let Some(at) = self.at.clone() else {
            return Ok(());
        };
        if self.appended.elapsed() < BACKPLANE_BEAT {
            return Ok(());
        }
        let (next, last) = match self.open.clone() {
            Some(next) => (next, false),
            None => (at.clone(), true),
        };
        if last {
            self.next_batch();
        }
        let message = Message {
            number: self.number,
            last,
            behind,
            ..self.message(Ok(at), next)
        };
        let appended = self.append(message).await?;
        appended.map_err(|e| LinkError(e.to_string()))?;
        if !last {
            self.number += 1;
        }
        Ok(())
    }

    fn next_batch(&mut self) {
        self.batch += 1;
    }

    fn end_batch(&mut self, next: &Snapshot) {
        self.at = Some(next.clone());
        (self.number, self.open, self.is_left_out) = (0, None, false);
    }

    fn message(&self, from: Result<Snapshot, Origin>, next: Snapshot) -> Message {
        Message {
            writer: self.id,
            batch: self.batch,
            from,
            next,
            number: 0,
            last: true,
            behind: Duration::ZERO,
            answers: Vec::new(),
            rows: Vec::new(),
        }
    }

    async fn append(&mut self, message: Message) -> Result<Result<(), TooLarge>, LinkError> {
        self.count += 1;
        let parts = encode(
            &message,
            &self.epoch,
            self.count,
            self.stream.part_bytes_max(),
        );
        drop(message);
        let parts = match parts {
            Ok(parts) => parts,
            Err(too_large) => return Ok(Err(too_large)),
        };
        for part in parts {
            let bytes = part.len() as u64;
            self.append_part(part).await?;
            self.metrics.backplane_appended_bytes.inc_by(bytes);
        }
        self.appended = Instant::now();
        Ok(Ok(()))
    }

    /// Appends one, and finds out what became of it when nothing was heard.
    async fn append_part(&mut self, part: bytes::Bytes) -> Result<(), LinkError> {
        let until = Instant::now() + BACKPLANE_APPEND_MAX;
        let mut retry = Retry::new(BACKPLANE_AGAIN_FIRST, BACKPLANE_AGAIN_LONGEST);
        loop {
            let appended = self.stream.append(part.clone(), self.sequence).await;
            let error = match appended {
                Ok(sequence) => {
                    self.metrics.appended("done");
                    self.sequence = sequence;
                    return Ok(());
                }
                Err(error) => error,
            };
            match &error {
                AppendError::Refused => self.metrics.appended("refused"),
                AppendError::Full(_) => self.metrics.appended("full"),
                AppendError::Away(_) => self.metrics.appended("failed"),
            }
            if matches!(error, AppendError::Refused) {
                let tail = self.stream.tail().await?.sequence;
                let last = self.stream.get(tail).await?;
                let is_own = last.is_some_and(|(payload, _)| payload == part);
                if !is_own {
                    return Err(LinkError("another reader writes to the stream".into()));
                }
                // The acknowledgement was lost.
                self.sequence = tail;
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(LinkError(error.to_string()));
            }
            sleep(retry.failed()).await;
        }
    }
}

/// Where the last whole batch of a stream has ended. None if the stream is empty, or is not one of this log's readers.
async fn last_batch(
    stream: &LogStream,
    epoch: &Epoch,
    metrics: &Arc<Metrics>,
    last: u64,
) -> Result<Option<Snapshot>, LinkError> {
    let mut sequence = last;
    while sequence > 0 {
        let Some((payload, _)) = stream.get(sequence).await? else {
            return Ok(None);
        };
        let Ok((head, _)) = Head::read(&payload, epoch) else {
            return Ok(None);
        };
        let first = sequence.saturating_sub(head.part.into());
        if head.part + 1 < head.parts {
            // A reader has ended in the middle of this one.
            sequence = first.saturating_sub(1);
            continue;
        }
        let mut assembler = Assembler::new(epoch, metrics);
        for at in first.max(1)..=sequence {
            let Some((payload, _)) = stream.get(at).await? else {
                return Ok(None);
            };
            match assembler.take(&payload) {
                Err(_) => return Ok(None),
                Ok(None) => {}
                Ok(Some(message)) if message.last => return Ok(Some(message.next)),
                // In the middle of a batch: it begins anew.
                Ok(Some(message)) => return Ok(message.from.ok()),
            }
        }
        return Ok(None);
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_by_the_read_that_began_after_it() {
        let (asked, metrics) = (Asked::default(), Metrics::default());
        asked.note(1, 5, || 1, &metrics);
        asked.note(2, 9, || 2, &metrics);
        assert_eq!(asked.answered(0), []);
        assert_eq!(asked.answered(1), [(1, 5)]);
        // A node that asks all the time is answered all the same; a question that comes late takes nothing back.
        asked.note(2, 10, || 3, &metrics);
        asked.note(2, 8, || 4, &metrics);
        assert_eq!(asked.answered(2), [(2, 9)]);
        assert_eq!(asked.answered(3), []);
        assert_eq!(asked.answered(4), [(2, 10)]);
    }

    #[test]
    fn questions_of_many_nodes_take_bounded_memory() {
        let (asked, metrics) = (Asked::default(), Metrics::default());
        for node in 0..2 * BACKPLANE_ANSWERS_MAX as u64 {
            asked.note(node, 1, || node, &metrics);
        }
        assert_eq!(asked.answered(u64::MAX).len(), BACKPLANE_ANSWERS_MAX);
    }
}
