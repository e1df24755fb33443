//! Statements that run with the rights of plank_reader: planned, run and fetched within functions of that role, which no function
//! of others can leave. Their parameters are members of an array.

use std::pin::Pin;

use futures_util::{StreamExt as _, future::poll_fn};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, RowStream};

use crate::limits::{READ_PART_BYTES, READ_PART_ROWS_MAX};

use super::super::params::Params;

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
        params: &Params,
        is_page: bool,
    ) -> Result<Self, Error> {
        let (sql, params): (&(dyn ToSql + Sync), _) = (&sql, params.texts());
        let mut rows = Self {
            part: None,
            asked: None,
            rows: 0,
            bytes: 0,
            first: None,
        };
        let params: &(dyn ToSql + Sync) = &params;
        let typed = [(sql, Type::TEXT), (params, Type::TEXT_ARRAY)];
        if is_page {
            let stream = client.query_typed_raw(ALL, typed).await?;
            rows.part = Some(Box::pin(stream));
        } else {
            client.query_typed(OPEN, &typed).await?;
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
pub(super) async fn number(client: &Client, sql: &str, params: &Params) -> Result<i64, Error> {
    let params = params.texts();
    let typed: [(&(dyn ToSql + Sync), Type); 2] = [(&sql, Type::TEXT), (&params, Type::TEXT_ARRAY)];
    let rows = client.query_typed(NUMBER, &typed).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}
