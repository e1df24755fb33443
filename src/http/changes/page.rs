//! An answer of `GET /api/changes` as it is written, step by step: never in memory as a whole.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::web;
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::actor::message::Found;
use crate::feed::change_encoder::Unfit;
use crate::feed::page_boundary::cut;
use crate::feed::{ChangeEncoder, Cursor, LogRow, Rest};
use crate::limits::{CHANGES_BYTES_MAX, PIECE_BYTES, REPLAY_HOLD_MAX, REPLAY_PAUSE_MAX};
use crate::metrics::Metrics;
use crate::store::history::History;

use super::super::State;
use super::super::problem::Problem;
use super::super::streaming_body::{Gone, Pieces};
use super::step::{Source, Step};

/// Why nothing more is written.
enum Stop {
    Problem(Problem),
    Gone(Gone),
}

impl<T: Into<Problem>> From<T> for Stop {
    fn from(why: T) -> Self {
        Self::Problem(why.into())
    }
}

/// An answer that is being written.
pub struct Page {
    source: Source,
    since: Arc<Cursor>,
    /// Where what has been written ends.
    from: Arc<Cursor>,
    limit: usize,
    /// Rows of the log that have been written.
    count: usize,
    renderer: ChangeEncoder,
    /// What has not been handed on.
    text: String,
}

impl Page {
    /// Of what was `found`, from `since` on.
    pub fn new(
        state: web::Data<State>,
        history: History,
        found: Found,
        since: Cursor,
        limit: usize,
        client: Option<SocketAddr>,
    ) -> Self {
        let since = Arc::new(since);
        Self {
            renderer: ChangeEncoder::new(found.view.clone()),
            source: Source::new(state, history, found, client, limit),
            from: since.clone(),
            since,
            limit,
            count: 0,
            text: String::from("{\"changes\":["),
        }
    }

    /// Writes all of it. Whatever keeps it from that, the body has no end then.
    pub async fn write(mut self, pieces: Pieces, metrics: Arc<Metrics>) {
        let written = tokio::select! {
            written = self.all(&pieces) => written,
            // Nobody waits for what the database is still looking for.
            () = pieces.gone() => Err(Stop::Gone(Gone::Left)),
        };
        match written {
            Ok(()) | Err(Stop::Gone(Gone::Left)) => {}
            Err(Stop::Gone(Gone::Stalled)) => {
                metrics.limit("stall");
                pieces.fail(Problem::unavailable("nothing was read for too long"));
            }
            Err(Stop::Problem(problem)) => pieces.fail(problem),
        }
    }

    async fn all(&mut self, pieces: &Pieces) -> Result<(), Stop> {
        let more = self.steps(pieces).await?;
        let tail = format!("],\"cursor\":\"{}\",\"more\":{more}}}", self.from);
        self.text.push_str(&tail);
        let room = pieces.room().await.map_err(Stop::Gone)?;
        room.finish(std::mem::take(&mut self.text));
        Ok(())
    }

    /// Writes step by step until there are enough; whether there are more.
    async fn steps(&mut self, pieces: &Pieces) -> Result<bool, Stop> {
        loop {
            let mut step = self.source.step(&self.from, None).await?;
            if self.count >= self.limit {
                // Only to see whether there is one more.
                let is_more = step.next(&mut self.source).await?.is_some();
                if is_more || step.is_to_now() {
                    return Ok(is_more);
                }
                let end = step.end().clone();
                step.finish().await?;
                // Nothing of this table up to there.
                self.from = end;
                continue;
            }
            let end = step.end().clone();
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while bytes < CHANGES_BYTES_MAX
                && let Some(row) = step.next(&mut self.source).await?
            {
                bytes += row.bytes();
                rows.push(row);
            }
            // Of a step in pieces only the last one tells.
            let is_to_now = step.is_to_now();
            if bytes >= CHANGES_BYTES_MAX {
                self.stream(pieces, step, rows, &end).await?;
            } else {
                step.finish().await?;
                // Where keys are checked late, a transaction need not wait for another on its key, so the log's order
                // is not that of the commits: a step ends only where a reader has stood.
                let limit = match self.source.found().view.table.late_key {
                    true => usize::MAX,
                    false => self.limit - self.count,
                };
                let (count, place) = cut(&rows, &self.from.snapshot, &end.snapshot, limit);
                let is_cut = count < rows.len();
                rows.truncate(count);
                let begun = self.text.len();
                if let Err(unfit) = self.render(rows) {
                    if self.from == self.since {
                        return Err(unfit.into());
                    }
                    // What came before is whole. From there the next request gets a status; a body that breaks off would
                    // be asked for again and again.
                    self.text.truncate(begun);
                    return Ok(true);
                }
                let epoch = end.epoch;
                let snapshot = place;
                self.reach(pieces, Arc::new(Cursor { epoch, snapshot }))
                    .await?;
                if is_cut {
                    return Ok(true);
                }
            }
            if is_to_now {
                return Ok(false);
            }
        }
    }

    /// A step that is too large to look for a place in it where it could end: all of it. A client that takes its time
    /// gives its place to others, and goes on behind them.
    async fn stream(
        &mut self,
        pieces: &Pieces,
        mut step: Step,
        rows: Vec<LogRow>,
        end: &Arc<Cursor>,
    ) -> Result<(), Stop> {
        let mut seq = rows.last().map_or(i64::MIN, |row| row.seq);
        let mut waiting = rows.into_iter();
        let mut held_until = Instant::now() + REPLAY_HOLD_MAX;
        loop {
            let row = match waiting.next() {
                Some(row) => Some(row),
                None => step.next(&mut self.source).await?,
            };
            let Some(row) = row else {
                step.finish().await?;
                let text = &mut self.text;
                self.renderer.finish(|change| push(text, change))?;
                return self.reach(pieces, end.clone()).await;
            };
            seq = seq.max(row.seq);
            self.put(row)?;
            if self.text.len() < PIECE_BYTES {
                continue;
            }
            // The changes of a statement come many at a time.
            let mut text = Bytes::from(std::mem::take(&mut self.text));
            while !text.is_empty() && Instant::now() < held_until {
                match timeout(REPLAY_PAUSE_MAX, pieces.room()).await {
                    Ok(room) => {
                        let room = room.map_err(Stop::Gone)?;
                        room.send(text.split_to(text.len().min(PIECE_BYTES)));
                    }
                    Err(_) => break,
                }
            }
            if text.is_empty() {
                continue;
            }
            drop(step);
            send(pieces, text).await?;
            for row in waiting.by_ref() {
                self.put(row)?;
            }
            self.hand_on(pieces).await?;
            let end = end.clone();
            step = self
                .source
                .step(&self.from, Some(&Rest { end, seq }))
                .await?;
            held_until = Instant::now() + REPLAY_HOLD_MAX;
        }
    }

    /// Appends the changes of a row.
    fn put(&mut self, row: LogRow) -> Result<(), Stop> {
        self.count += 1;
        let text = &mut self.text;
        Ok(self.renderer.push(row, |change| push(text, change))?)
    }

    /// Appends the changes of a step. Nothing is handed on before it is known that all of them can be told.
    fn render(&mut self, rows: Vec<LogRow>) -> Result<(), Unfit> {
        let text = &mut self.text;
        for row in rows {
            self.count += 1;
            self.renderer.push(row, |change| push(text, change))?;
        }
        self.renderer.finish(|change| push(text, change))
    }

    /// The step has ended, and all of it is written.
    async fn reach(&mut self, pieces: &Pieces, place: Arc<Cursor>) -> Result<(), Stop> {
        self.from = place;
        if self.text.len() >= PIECE_BYTES {
            self.hand_on(pieces).await?;
        }
        Ok(())
    }

    async fn hand_on(&mut self, pieces: &Pieces) -> Result<(), Stop> {
        send(pieces, Bytes::from(std::mem::take(&mut self.text))).await
    }
}

/// Hands all of it on, piece by piece, as the client takes it.
async fn send(pieces: &Pieces, mut text: Bytes) -> Result<(), Stop> {
    while !text.is_empty() {
        let room = pieces.room().await.map_err(Stop::Gone)?;
        room.send(text.split_to(text.len().min(PIECE_BYTES)));
    }
    Ok(())
}

/// Appends a change to the list.
fn push(text: &mut String, change: &str) {
    // The first piece begins with the bracket, and every later one with a comma.
    if !text.ends_with('[') {
        text.push(',');
    }
    text.push_str(change);
}
