//! A frame that many clients get: as it is, and compressed for those who have negotiated that. It is compressed once, by
//! the first worker that has such a client, and never if there is none.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::limits::{DEFLATE_BYTES_MAX, DEFLATE_BYTES_MIN};
use crate::metrics::Metrics;
use crate::wire::deflate;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct SharedFrame {
    plain: Bytes,
    /// What all clones of it share. None within: it stays as it is.
    deflated: Arc<OnceLock<Option<Bytes>>>,
}

impl SharedFrame {
    /// Of a frame as it is.
    pub fn new(plain: Bytes) -> Self {
        Self {
            plain,
            deflated: Arc::default(),
        }
    }

    /// As it is.
    pub fn plain(&self) -> &Bytes {
        &self.plain
    }

    /// Compressed, unless it stays as it is. Who comes while another worker makes it waits for that: it would not have it
    /// sooner by making it as well.
    pub fn deflated(&self, metrics: &Metrics) -> Option<&Bytes> {
        let made = self.deflated.get_or_init(|| deflated(&self.plain, metrics));
        made.as_ref()
    }
}

/// A frame compressed, if it is one whole message of a size for which that pays, and gets smaller.
pub fn deflated(plain: &Bytes, metrics: &Metrics) -> Option<Bytes> {
    if !(DEFLATE_BYTES_MIN..=DEFLATE_BYTES_MAX).contains(&plain.len()) {
        return None;
    }
    let deflated = deflate::frame(plain)?;
    metrics.deflated(plain.len(), deflated.len());
    Some(deflated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame;

    #[test]
    fn it_is_compressed_once_for_all_that_share_it() {
        let metrics = Metrics::default();
        let frame = SharedFrame::new(frame::text(&[b'x'; 1_000]));
        let first = frame.clone();
        let deflated = first.deflated(&metrics).unwrap();
        assert_eq!(deflated[0], 0xc1);
        let again = frame.deflated(&metrics).unwrap();
        assert_eq!(again.as_ptr(), deflated.as_ptr(), "the same bytes");
        let counted = format!(
            "plank_deflate_bytes_total{{stage=\"after\"}} {}\n",
            deflated.len()
        );
        assert!(metrics.render().contains(&counted));
    }

    #[test]
    fn only_where_it_pays() {
        let metrics = Metrics::default();
        for len in [DEFLATE_BYTES_MIN - 10, DEFLATE_BYTES_MAX + 1] {
            let frame = SharedFrame::new(frame::text(&vec![b'x'; len]));
            assert_eq!(frame.deflated(&metrics), None, "{len}");
        }
    }
}
