//! The order of a table's rows, in PostgREST's words, and the place in it where a page ends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::feed::Table;
use crate::limits::{ORDER_COLUMNS_MAX, PLACE_BYTES_MAX};
use crate::store::history::Sort;

use super::super::problem::Problem;

/// Bytes of the hash that binds a place to its list.
const HASH_BYTES: usize = 12;

/// Reads `created_at.desc.nullslast,id`.
///
/// # Errors
/// 400 names what is wrong.
pub fn parse(text: &str) -> Result<Vec<Sort>, Problem> {
    let mut order: Vec<Sort> = Vec::new();
    for item in items(text) {
        let sort = sort(item).map_err(|detail| Problem::malformed("order", detail))?;
        if order.iter().any(|other| other.column == sort.column) {
            let detail = format!("names the column {:?} twice", sort.column);
            return Err(Problem::malformed("order", detail));
        }
        if order.len() == ORDER_COLUMNS_MAX {
            let detail = format!("names more than {ORDER_COLUMNS_MAX} columns");
            return Err(Problem::malformed("order", detail));
        }
        order.push(sort);
    }
    Ok(order)
}

/// Splits at commas that are not in quotes.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match c {
            _ if was_escaped => {}
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// `column[.asc|.desc][.nullsfirst|.nullslast]`; a name with a comma, or one that ends like a word, has quotes.
fn sort(item: &str) -> Result<Sort, String> {
    let mut rest = item.trim();
    let mut take = |words: [&str; 2]| {
        for (i, word) in words.into_iter().enumerate() {
            if let Some(name) = rest
                .strip_suffix(word)
                .and_then(|name| name.strip_suffix('.'))
            {
                rest = name;
                return Some(i == 1);
            }
        }
        None
    };
    let nulls_first = take(["nullslast", "nullsfirst"]);
    let descending = take(["asc", "desc"]).unwrap_or(false);
    let column = match rest.strip_prefix('"') {
        None if rest.contains('"') => None,
        None => Some(rest.to_owned()),
        Some(rest) => unquote(rest),
    };
    let column = column.filter(|column| !column.is_empty());
    let column = column.ok_or_else(|| {
        format!(
            "has {item:?}; it is a list of columns with commas, each with .asc or .desc and .nullsfirst or .nullslast behind \
             it, or nothing"
        )
    })?;
    Ok(Sort {
        column,
        descending,
        // As in PostgreSQL: null is larger than everything.
        nulls_first: nulls_first.unwrap_or(descending),
    })
}

/// What is in quotes, up to the end: `\"` and `\\` as in a filter.
fn unquote(text: &str) -> Option<String> {
    let (mut name, mut characters) = (String::new(), text.chars());
    loop {
        match characters.next()? {
            '\\' => name.push(characters.next()?),
            '"' => return characters.as_str().is_empty().then_some(name),
            c => name.push(c),
        }
    }
}

/// The order of a table: what was asked for, and then the key, so that no two rows have the same place.
///
/// # Errors
/// 400 names the column that clients can't see.
pub fn with_key(asked: &[Sort], table: &Table) -> Result<Vec<Sort>, Problem> {
    if let Some(sort) = asked.iter().find(|sort| !table.has_column(&sort.column)) {
        let (table, name) = (&table.quoted, &sort.column);
        let hint = match name.contains('.') {
            true => "behind a column there may be .asc or .desc, and .nullsfirst or .nullslast",
            false => "GET /api/tables lists its columns",
        };
        let detail = format!("the table {table} has no column {name:?}; {hint}");
        return Err(Problem::malformed("order", detail));
    }
    let mut order = asked.to_vec();
    for name in &table.key {
        if !asked.iter().any(|sort| sort.column == *name) {
            order.push(Sort {
                column: name.clone(),
                descending: false,
                nulls_first: false,
            });
        }
    }
    Ok(order)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let word = |sort: &Sort| {
            let direction = if sort.descending { "desc" } else { "asc" };
            let nulls = if sort.nulls_first { "first" } else { "last" };
            format!("{}/{direction}/{nulls}", sort.column)
        };
        match parse(text) {
            Ok(order) => order.iter().map(word).collect::<Vec<_>>().join(" "),
            Err(problem) => format!("! {problem}"),
        }
    }

    #[test]
    fn an_order_is_read() {
        for (text, expected) in [
            ("id", "id/asc/last"),
            ("id.desc", "id/desc/first"),
            (
                "a.desc.nullslast, b.asc.nullsfirst",
                "a/desc/last b/asc/first",
            ),
            ("a.nullsfirst,b.nullslast", "a/asc/first b/asc/last"),
            ("\"a,b\".desc,c", "a,b/desc/first c/asc/last"),
            ("\"a\\\"\\\\\"", "a\"\\/asc/last"),
            ("\"a.desc\"", "a.desc/asc/last"),
            ("a.b", "a.b/asc/last"),
            ("desc", "desc/asc/last"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("", "has \"\""),
            ("a,,b", "has \"\""),
            ("a,.desc", "has \".desc\""),
            ("\"a", "has \"\\\"a\""),
            ("\"a\"b", "it is a list of columns"),
            ("a\"b", "it is a list of columns"),
            ("a,b,a.desc", "names the column \"a\" twice"),
        ] {
            let problem = read(text);
            assert!(
                problem.starts_with("! 400 Bad Request order: ") && problem.contains(part),
                "{text}: {problem}"
            );
        }
        let many: Vec<String> = (0..=ORDER_COLUMNS_MAX).map(|i| format!("c{i}")).collect();
        assert!(read(&many.join(",")).contains("more than"));
    }
}
