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

    /// Takes the next row; gives the frames that are full.
    ///
    /// # Errors
    /// See [`Renderer::push`].
    pub fn push(&mut self, row: LogRow) -> Result<Vec<Bytes>, Unfit> {
        self.render(|renderer, out| renderer.push(row, out))
    }

    /// The batch ends: its last messages, if it has any. `is_news`: that it has ended is worth a message without changes.
    ///
    /// # Errors
    /// See [`Renderer::finish`].
    pub fn finish(mut self, is_news: bool) -> Result<Vec<Bytes>, Unfit> {
        let mut frames = self.render(|renderer, out| renderer.finish(out))?;
        if !self.open.is_empty() || self.has_begun || is_news {
            frames.push(self.open.finish(true));
        }
        Ok(frames)
    }

    fn render(
        &mut self,
        work: impl FnOnce(&mut Renderer, &mut dyn FnMut(&str)) -> Result<(), Unfit>,
    ) -> Result<Vec<Bytes>, Unfit> {
        let (open, mut frames) = (&mut self.open, Vec::new());
        let (topic, cursor, count) = (self.topic, &self.cursor, &mut self.count);
        // Cut change by change: what a statement had held back may come at once.
        work(&mut self.renderer, &mut |change| {
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
