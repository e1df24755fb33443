//! The bytes of the dashboard's files as they leave: compressed, once each; style sheets are shortened before.
//!
//! There is no build step: the binary has the sources, and makes of each what is sent when it is first asked for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use actix_web::error::BlockingError;
use actix_web::web;
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use brotli::enc::backward_references::BrotliEncoderMode;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

mod sheet;

/// A file in its two forms.
#[derive(Debug)]
pub struct Packed {
    /// Of the file that it was made from: a debug build reads it from the disk each time.
    source: [u8; 32],
    /// Without a content coding.
    pub plain: Bytes,
    /// With `br` and with `gzip`, best first, where that is smaller.
    pub coded: Vec<(&'static str, Bytes)>,
    /// Of `plain`, for an entity tag.
    pub tag: String,
}

/// All files that were asked for; there are no more than the binary has.
static ALL: LazyLock<RwLock<HashMap<String, Arc<Packed>>>> = LazyLock::new(RwLock::default);

/// The file at this path. The first time it is made ready, beside the workers: that takes up to a tenth of a second.
///
/// # Errors
/// If the server is ending.
pub async fn packed(
    path: &str,
    source: [u8; 32],
    data: Cow<'static, [u8]>,
) -> Result<Arc<Packed>, BlockingError> {
    if let Some(packed) = known(path, source) {
        return Ok(packed);
    }
    let path = path.to_owned();
    web::block(move || {
        let packed = Arc::new(pack(&path, source, data));
        let mut all = ALL.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(path, packed.clone());
        packed
    })
    .await
}

fn known(path: &str, source: [u8; 32]) -> Option<Arc<Packed>> {
    let all = ALL.read().unwrap_or_else(PoisonError::into_inner);
    let packed = all.get(path)?;
    (packed.source == source).then(|| packed.clone())
}

fn pack(path: &str, source: [u8; 32], data: Cow<'static, [u8]>) -> Packed {
    let sheet = std::str::from_utf8(&data).ok();
    let sheet = sheet.filter(|_| path.ends_with(".css"));
    let sheet = sheet.map(sheet::shortened);
    let plain = match (sheet, data) {
        (Some(short), _) => short.into(),
        // What is in the binary is not copied.
        (None, Cow::Borrowed(bytes)) => Bytes::from_static(bytes),
        (None, Cow::Owned(bytes)) => Bytes::from(bytes),
    };
    let tag = Sha256::digest(&plain)[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let coded = [("br", brotli(&plain)), ("gzip", gzip(&plain))]
        .into_iter()
        .filter_map(|(coding, body)| Some((coding, body?)))
        .filter(|(_, body)| body.len() < plain.len())
        .collect();
    Packed {
        source,
        plain,
        coded,
        tag,
    }
}

/// With all the effort there is: it is done once.
fn brotli(plain: &[u8]) -> Option<Bytes> {
    let mut coded = Vec::new();
    let params = BrotliEncoderParams {
        mode: BrotliEncoderMode::BROTLI_MODE_TEXT,
        size_hint: plain.len(),
        ..BrotliEncoderParams::default()
    };
    let mut encoder = CompressorWriter::with_params(&mut coded, 4096, &params);
    encoder.write_all(plain).ok()?;
    drop(encoder);
    Some(Bytes::from(coded))
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_file_is_made_ready_once_and_again_when_it_is_another_one() {
        let text = "a();\n".repeat(100);
        let of = async |source: u8, text: &str| {
            let data = Cow::Owned(text.as_bytes().to_vec());
            packed("packed-test.js", [source; 32], data).await.unwrap()
        };
        let first = of(1, &text).await;
        assert!(Arc::ptr_eq(&first, &of(1, &text).await));
        let codings: Vec<_> = first.coded.iter().map(|(coding, _)| *coding).collect();
        assert_eq!(codings, ["br", "gzip"]);
        let other = of(2, "b();").await;
        assert_eq!((&other.plain[..], other.coded.len()), (&b"b();"[..], 0));
        assert_ne!(first.tag, other.tag);
    }
}
