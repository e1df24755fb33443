//! Frames for one subscription that catches up: the same messages as everybody gets who is live.

use std::sync::Arc;

use bytes::Bytes;

use crate::feed::render::Unfit;
use crate::feed::{LogRow, Renderer, TopicId, View};
use crate::limits::CHUNK_BYTES;
use crate::wire::message::Changes;

/// One batch of one topic.
#[derive(Debug)]
pub struct Encoder {
    topic: TopicId,
    cursor: Arc<str>,
    renderer: Renderer,
    open: Changes,
    /// Whether a message of this batch has been handed out.
    has_begun: bool,
    /// Changes in all messages.
    count: usize,
}

impl Encoder {
    /// Of a batch that ends at `cursor`.
    pub fn new(topic: TopicId, view: View, cursor: Arc<str>) -> Self {
        Self {
            topic,
            renderer: Renderer::new(view),
            open: Changes::new(topic, &cursor),
            cursor,
            has_begun: false,
            count: 0,
        }
    }

    /// Changes so far.
    pub fn count(&self) -> usize {
        self.count + self.open.count()
    }

    /// Takes the next row; gives a frame when one is full.
    ///
    /// # Errors
    /// See [`Renderer::push`].
    pub fn push(&mut self, row: LogRow) -> Result<Option<Bytes>, Unfit> {
        let open = &mut self.open;
        self.renderer.push(row, |change| open.push(change))?;
        if self.open.len() < CHUNK_BYTES {
            return Ok(None);
        }
        let next = Changes::new(self.topic, &self.cursor);
        let full = std::mem::replace(&mut self.open, next);
        self.count += full.count();
        self.has_begun = true;
        Ok(Some(full.finish(false)))
    }

    /// The batch ends: its last message, if it has any.
    ///
    /// # Errors
    /// See [`Renderer::finish`].
    pub fn finish(mut self) -> Result<Option<Bytes>, Unfit> {
        let open = &mut self.open;
        self.renderer.finish(|change| open.push(change))?;
        let is_empty = self.open.is_empty() && !self.has_begun;
        Ok((!is_empty).then(|| self.open.finish(true)))
    }
}
