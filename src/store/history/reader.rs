//! Statements that run with the rights of plank_reader: planned, run and fetched within functions of that role, which no function
//! of others can leave. Their parameters are members of an array.

use std::pin::Pin;

use futures_util::{StreamExt as _, future::poll_fn};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, RowStream};

use crate::feed::filter::sql::Param;
use crate::limits::{READ_PART_BYTES, READ_PART_ROWS_MAX};

const OPEN: &str = "select plank.read_open($1, $2)";
const NEXT: &str = "select r, place from plank.read_next($1)";
const ALL: &str = "select r, place from plank.read_all($1, $2)";
const NUMBER: &str = "select plank.read_number($1, $2)";

/// Rows that are fetched first; how large they are is not known yet.
const FIRST: i32 = 16;

/// The rows of a statement, as they come.
pub(super) struct Rows {
    part: Option<Pin<Box<RowStream>>>,
    /// Rows that were asked for with this part; none if it is the only one.
    asked: Option<i32>,
    /// Of this part.
    rows: i32,
    bytes: usize,
    /// The first row, until it is taken; none within: there is no row.
    first: Option<Option<Row>>,
}

impl Rows {
    /// Begins to read, up to the first row: what is wrong with the statement shows here. `is_page`: all of it is small.
    pub(super) async fn open(
        client: &Client,
        sql: &str,
        params: &[Param],
        is_page: bool,
    ) -> Result<Self, Error> {
        let (sql, params) = (as_members(sql), as_array(params));
        let sql: &(dyn ToSql + Sync) = &sql;
        let mut rows = Self {
            part: None,
            asked: None,
            rows: 0,
            bytes: 0,
            first: None,
        };
        let typed = |params| [(sql, Type::TEXT), (params, Type::TEXT_ARRAY)];
        if is_page {
            let stream = client.query_typed_raw(ALL, typed(&params)).await?;
            rows.part = Some(Box::pin(stream));
        } else {
            client.query_typed(OPEN, &typed(&params)).await?;
            rows.fetch(client, FIRST).await?;
        }
        rows.first = Some(rows.next(client).await?);
        Ok(rows)
    }

    /// The next row.
    pub(super) async fn next(&mut self, client: &Client) -> Result<Option<Row>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        loop {
            let Some(part) = &mut self.part else {
                return Ok(None);
            };
            if let Some(row) = poll_fn(|cx| part.as_mut().poll_next_unpin(cx)).await {
                let row = row?;
                self.rows += 1;
                self.bytes += row.raw_size_bytes();
                return Ok(Some(row));
            }
            match self.asked {
                Some(asked) if self.rows >= asked => {
                    let size = (self.bytes / self.rows.max(1) as usize).max(1);
                    let fit = i32::try_from(READ_PART_BYTES / size).unwrap_or(READ_PART_ROWS_MAX);
                    let more = fit
                        .clamp(1, READ_PART_ROWS_MAX)
                        .min(asked.saturating_mul(4));
                    self.fetch(client, more).await?;
                }
                _ => self.part = None,
            }
        }
    }

    async fn fetch(&mut self, client: &Client, count: i32) -> Result<(), Error> {
        let params: [(&(dyn ToSql + Sync), Type); 1] = [(&count, Type::INT4)];
        let stream = client.query_typed_raw(NEXT, params).await?;
        (self.asked, self.rows, self.bytes) = (Some(count), 0, 0);
        self.part = Some(Box::pin(stream));
        Ok(())
    }
}

/// The number that a statement gives.
pub(super) async fn number(client: &Client, sql: &str, params: &[Param]) -> Result<i64, Error> {
    let (sql, params) = (as_members(sql), as_array(params));
    let typed: [(&(dyn ToSql + Sync), Type); 2] = [(&sql, Type::TEXT), (&params, Type::TEXT_ARRAY)];
    let rows = client.query_typed(NUMBER, &typed).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// The parameters as texts. A list is written as PostgreSQL writes an array.
fn as_array(params: &[Param]) -> Vec<String> {
    let list = |texts: &Vec<String>| {
        let quoted = texts.iter().map(|text| {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"{text}\"")
        });
        format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
    };
    let texts = params.iter().map(|param| match param {
        Param::Text(text) => text.clone(),
        Param::Texts(texts) => list(texts),
    });
    texts.collect()
}

/// The statement with `$n` as member `n` of `$1`. What is in quotes stays as it is.
fn as_members(sql: &str) -> String {
    let mut members = String::with_capacity(sql.len() + 32);
    let mut quote = None;
    let mut chars = sql.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '$') => {
                members.push_str("($1)[");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    members.push(digit);
                }
                members.push(']');
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        members.push(c);
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_members_but_for_what_is_in_quotes() {
        for (sql, expected) in [
            (
                "x.a = $1::text and b > $12",
                "x.a = ($1)[1]::text and b > ($1)[12]",
            ),
            ("x.\"a$1\" = $2", "x.\"a$1\" = ($1)[2]"),
            ("x.\"a\"\"$1\" = $2", "x.\"a\"\"$1\" = ($1)[2]"),
            ("E' $1' || $1", "E' $1' || ($1)[1]"),
            ("'it''s $1' || $3", "'it''s $1' || ($1)[3]"),
            ("x.\"it's $1\" = $2", "x.\"it's $1\" = ($1)[2]"),
        ] {
            assert_eq!(as_members(sql), expected);
        }
    }

    #[test]
    fn a_list_is_an_array() {
        let list = Param::Texts(vec![
            "a".into(),
            "b\"\\c".into(),
            String::new(),
            "null".into(),
        ]);
        assert_eq!(as_array(&[list]), [r#"{"a","b\"\\c","","null"}"#]);
        assert_eq!(as_array(&[Param::Texts(Vec::new())]), ["{}"]);
    }
}
