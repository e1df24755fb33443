//! The order of a table's rows, in PostgREST's words, and the place in it where a page ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::feed::Table;
use crate::feed::order::{self, Sort};
use crate::limits::PLACE_BYTES_MAX;

use super::super::problem::Problem;

/// Bytes of the hash that binds a place to its list.
const HASH_BYTES: usize = 12;

/// Reads `created_at.desc.nullslast,id`.
///
/// # Errors
/// 400 names what is wrong.
pub fn parse(text: &str) -> Result<Vec<Sort>, Problem> {
    order::parse(text).map_err(|detail| Problem::malformed("order", detail))
}

/// The order of a table: what was asked for, and then the key, so that no two rows have the same place.
///
/// # Errors
/// 400 names the column that clients can't see.
pub fn with_key(asked: &[Sort], table: &Table) -> Result<Vec<Sort>, Problem> {
    order::with_key(asked, table).map_err(|detail| Problem::malformed("order", detail))
}

/// Which list a place is of: its table, its order, its filter.
#[derive(Debug)]
pub struct Binding(String);

impl Binding {
    /// Of a list.
    pub fn new(table: &Table, order: &[Sort], filter: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(table.rel.to_be_bytes());
        for sort in order {
            hash.update((sort.column.len() as u64).to_be_bytes());
            hash.update(&sort.column);
            hash.update([u8::from(sort.descending), u8::from(sort.nulls_first)]);
        }
        hash.update(b"/");
        hash.update(filter);
        Self(URL_SAFE_NO_PAD.encode(&hash.finalize()[..HASH_BYTES]))
    }

    /// What a client passes as `after` to get the next page.
    ///
    /// # Errors
    /// 400 when the values of the last row are too long for that.
    pub fn write(&self, place: &[Option<String>]) -> Result<String, Problem> {
        let bytes: usize = place.iter().flatten().map(String::len).sum();
        if bytes > PLACE_BYTES_MAX {
            let detail = format!(
                "a row has {bytes} bytes in these columns, and more than {PLACE_BYTES_MAX} can't be passed on as `after`; \
                 order by other columns, or ask for all rows with Accept: application/x-ndjson"
            );
            return Err(Problem::malformed("order", detail));
        }
        Ok(URL_SAFE_NO_PAD.encode(serde_json::json!([self.0, place]).to_string()))
    }

    /// Reads it again, for an order of `count` columns.
    ///
    /// # Errors
    /// 400 if it is none, or one of another list.
    pub fn read(&self, text: &str, count: usize) -> Result<Vec<Option<String>>, Problem> {
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let read = serde_json::from_slice::<(String, Vec<Option<String>>)>(&bytes);
        let (hash, place) = read.map_err(|_| {
            let detail = "is no place; pass the next of the page before, unchanged";
            Problem::malformed("after", detail)
        })?;
        let is_text = |value: &String| !value.contains('\0');
        if hash != self.0 || place.len() != count || !place.iter().flatten().all(is_text) {
            let detail =
                "is of another list; table, order and filter have to be those of the page before";
            return Err(Problem::malformed("after", detail));
        }
        Ok(place)
    }
}
