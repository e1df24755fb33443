//! Frames for one subscription that catches up: the same messages as everybody gets who is live.

use std::sync::Arc;

use bytes::Bytes;

use crate::feed::change_encoder::Unfit;
use crate::feed::{ChangeEncoder, LogRow, Newest, Shown, TopicId, View};
use crate::limits::CHUNK_BYTES;
use crate::wire::message::Changes;

/// One batch of one topic.
#[derive(Debug)]
pub struct Encoder {
    topic: TopicId,
    cursor: Arc<str>,
    renderer: ChangeEncoder,
    open: Changes,
    /// Whether a message of this batch has been handed out.
    has_begun: bool,
    /// Changes in all messages.
    count: usize,
    /// Changes that the client has already.
    skip: usize,
}

impl Encoder {
    /// Of a batch that ends at `cursor`.
    pub fn new(topic: TopicId, view: View, cursor: Arc<str>) -> Self {
        Self {
            topic,
            renderer: ChangeEncoder::new(view),
            open: Changes::new(topic, &cursor),
            cursor,
            has_begun: false,
            count: 0,
            skip: 0,
        }
    }

    /// For a client that is in the middle of the batch: it has the first `sent` changes. Where only the newest of each key
    /// are wanted, none can be counted off; that one comes again does no harm.
    pub fn go_on_behind(&mut self, sent: usize) {
        self.has_begun = sent > 0;
        self.skip = if self.renderer.conflates() { 0 } else { sent };
    }

    /// Whether the client has a part of the batch, or will have.
    pub fn has_begun(&self) -> bool {
        self.has_begun || !self.open.is_empty()
    }

    /// What is held back because only the newest change of each key is wanted: it may be of the batch before, or wait for
    /// the one behind.
    pub fn newest(&mut self) -> &mut Newest<Shown> {
        self.renderer.newest()
    }

    /// The batch ends, but what is held back may wait; gives the frames that are full.
    ///
    /// # Errors
    /// See [`ChangeEncoder::settle`].
    pub fn settle(&mut self) -> Result<Vec<Bytes>, Unfit> {
        self.render(|renderer, out| renderer.settle(out))
    }

    /// Takes the next row; gives the frames that are full.
    ///
    /// # Errors
    /// See [`ChangeEncoder::push`].
    pub fn push(&mut self, row: LogRow) -> Result<Vec<Bytes>, Unfit> {
        self.render(|renderer, out| renderer.push(row, out))
    }

    /// The batch ends: its last messages, if it has any, and how many changes all of its messages have. `is_news`: that it has
    /// ended is worth a message without changes.
    ///
    /// # Errors
    /// See [`ChangeEncoder::finish`].
    pub fn finish(mut self, is_news: bool) -> Result<(Vec<Bytes>, usize), Unfit> {
        let mut frames = self.render(|renderer, out| renderer.finish(out))?;
        let count = self.count + self.open.count();
        if self.has_begun() || is_news {
            frames.push(self.open.finish(true));
        }
        Ok((frames, count))
    }

    fn render(
        &mut self,
        work: impl FnOnce(&mut ChangeEncoder, &mut dyn FnMut(&str)) -> Result<(), Unfit>,
    ) -> Result<Vec<Bytes>, Unfit> {
        let (open, mut frames) = (&mut self.open, Vec::new());
        let (topic, cursor, count) = (self.topic, &self.cursor, &mut self.count);
        let skip = &mut self.skip;
        // Cut change by change: what a statement had held back may come at once.
        work(&mut self.renderer, &mut |change| {
            if *skip > 0 {
                *skip -= 1;
                return;
            }
            open.push(change);
            if open.len() >= CHUNK_BYTES {
                let full = std::mem::replace(open, Changes::new(topic, cursor));
                *count += full.count();
                frames.push(full.finish(false));
            }
        })?;
        self.has_begun |= !frames.is_empty();
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{LogOp, Subject, Table};

    fn texts(frames: &[Bytes]) -> Vec<serde_json::Value> {
        let text = |frame: &Bytes| {
            let at = frame.iter().position(|byte| *byte == b'{').unwrap();
            serde_json::from_slice(&frame[at..]).unwrap()
        };
        frames.iter().map(text).collect()
    }

    /// The numbers of the changes in all frames, and which of the frames say that they are the last.
    fn shown(frames: &[Bytes]) -> (Vec<i64>, Vec<bool>) {
        let (mut seqs, mut lasts) = (Vec::new(), Vec::new());
        for message in texts(frames) {
            let changes = message["changes"].as_array().unwrap();
            seqs.extend(changes.iter().map(|c| c["seq"].as_i64().unwrap()));
            lasts.push(message["last"].as_bool().unwrap());
        }
        (seqs, lasts)
    }

    #[test]
    fn one_who_is_in_the_middle_of_a_batch_gets_the_rest_of_it_and_its_end() {
        let table = Arc::new(Table::of_paper(1, "public", "t"));
        let view = View::new(table, &Subject::new(1, None, None, None, false));
        let row = |seq| LogRow {
            xid: 7,
            statement: 0,
            continues: false,
            began: None,
            row_id: None,
            old_id: None,
            seq,
            rel: 1,
            op: LogOp::Insert,
            at_us: 0,
            row: Some(format!("{{\"id\":{seq}}}").into()),
            old: None,
            trace: None,
        };
        let all: Vec<LogRow> = (1..=9).map(row).collect();
        for sent in 0..=all.len() {
            let mut encoder = Encoder::new(TopicId(1), view.clone(), "C".into());
            encoder.go_on_behind(sent);
            let mut frames = Vec::new();
            for row in &all {
                frames.extend(encoder.push(row.clone()).unwrap());
            }
            frames.extend(encoder.finish(false).unwrap().0);
            let (seqs, lasts) = shown(&frames);
            let left: Vec<i64> = all[sent..].iter().map(|row| row.seq).collect();
            assert_eq!((seqs, lasts), (left, vec![true]), "{sent} had been sent");
        }
    }
}
