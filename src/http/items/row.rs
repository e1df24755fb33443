//! One item in the database: read and written as every row of `/rest` is.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::feed::filter::Expr;
use crate::feed::filter::expr::Op;
use crate::store::rest::run::{self, RestError};
use crate::store::rest::{Access, Action, Conflict, Form, Read, Write, Written};
use crate::store::sqlstate::Blame;
use crate::store::{Pool, StoreError};
use crate::trace::TraceParent;

use super::super::credentials;
use super::super::problem::{FieldError, Problem};
use super::super::rest::answer::shown;
use super::super::rest::{in_time, refusal};
use super::conditions::Conditions;
use super::fields::Fields;
use super::list::Query;
use super::merge::merge;
use super::{missing, taken};

/// How often a write that depends on what it has read is done anew when another one comes between.
const ATTEMPTS_MAX: usize = 5;

/// A row, as a client may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its version, or what stands for it where that is hidden.
    pub tag: String,
    /// As JSON.
    pub json: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The row as it is now.
    Item(Item),
    /// A row that the client may not see.
    Hidden,
}

/// Items of one database for one client.
pub struct Items<'a> {
    /// Connections.
    pub pool: &'a Pool,
    /// What the client may do.
    pub access: Access,
    /// The trace that the request belongs to.
    pub trace: Option<TraceParent>,
}

impl Items<'_> {
    /// A page.
    ///
    /// # Errors
    /// 400 names the parameter.
    pub async fn list(
        &self,
        query: &Query,
    ) -> Result<(Vec<String>, Option<(String, i64)>), Problem> {
        let mut read = self.read(query.filter.clone(), query.limit + 1);
        read.order = query.order();
        read.behind = query.behind();
        let page = in_time(Box::pin(run::read(self.pool, &read))).await?;
        let mut rows = page
            .map_err(|error| not_listed(error, query.after.is_some()))?
            .rows;
        let mut next = None;
        if rows.len() > query.limit {
            rows.truncate(query.limit);
            next = rows.last().map(|row| place(row, query.sort)).transpose()?;
        }
        let rows = rows
            .iter()
            .map(|row| self.shown(row))
            .collect::<Result<_, _>>()?;
        Ok((rows, next))
    }

    /// One row.
    ///
    /// # Errors
    /// 404.
    pub async fn get(&self, id: i64) -> Result<Item, Problem> {
        let item = self.found(id).await?.ok_or_else(|| missing(id))?;
        Ok(Item {
            json: self.shown(&item.json)?,
            ..item
        })
    }

    /// The row as PostgreSQL writes it, if the client may see it.
    async fn found(&self, id: i64) -> Result<Option<Item>, Problem> {
        let read = self.read(Some(by_id(id)), 1);
        let page = in_time(Box::pin(run::read(self.pool, &read))).await?;
        let page = page.map_err(problem)?;
        let (tag, row) = (page.tag, page.rows.into_iter().next());
        Ok(row.zip(tag).map(|(json, tag)| Item { tag, json }))
    }

    /// Adds a row; its number.
    ///
    /// # Errors
    /// 403, 409, 422.
    pub async fn create(&self, fields: Fields) -> Result<(String, Done), Problem> {
        // All of them, so that it is known before it is written whether it is allowed.
        let mut members = fields.all();
        members.retain(|name, _| self.access.table.has_column(name));
        let action = Action::Insert {
            columns: members.keys().cloned().collect(),
            rows: vec![(
                text(&members),
                members.keys().cloned().collect::<HashSet<_>>(),
            )],
            defaults: true,
            conflict: Conflict::Refuse,
        };
        let written = self.write(action, None, None).await?;
        let id = written
            .key
            .as_ref()
            .and_then(|key| key.first().cloned().flatten());
        let id = id.ok_or_else(|| StoreError::Internal("an item without a number".into()))?;
        Ok((id, self.done(&written)?))
    }

    /// Changes a row: to these members and the defaults of all others, or to these members only.
    ///
    /// # Errors
    /// 403, 404, 409, 412, 422.
    pub async fn update(
        &self,
        id: i64,
        fields: Fields,
        replaces: bool,
        conditions: &Conditions,
    ) -> Result<Done, Problem> {
        let table = &self.access.table;
        let mut given = match replaces {
            true => fields.all(),
            false => fields.given(),
        };
        // What a client can't see is not its to change.
        given.retain(|name, _| table.has_column(name));
        let patch = match replaces {
            true => None,
            false => given.remove("data"),
        };
        let is_nothing = given.is_empty() && patch.is_none();
        let depends = patch.is_some() || is_nothing || conditions.ask_for_the_row();
        for _ in 0..ATTEMPTS_MAX {
            let mut members = given.clone();
            let mut tags = conditions.only.clone();
            if depends {
                let seen = self.accepted(id, conditions).await?;
                if let Some(patch) = &patch {
                    members.insert("data".into(), merged(&seen.json, patch)?);
                } else if is_nothing {
                    members = same(&seen.json)?;
                }
                tags = Some(vec![seen.tag]);
            }
            let action = Action::Update {
                columns: members.keys().cloned().collect(),
                values: text(&members),
            };
            let written = self.write(action, Some(id), tags).await?;
            if written.affected > 0 {
                return self.done(&written);
            }
            // Why not; unless that has changed meanwhile.
            self.accepted(id, conditions).await?;
        }
        Err(contended(id))
    }

    /// Takes a row away.
    ///
    /// # Errors
    /// 403, 404, 409, 412.
    pub async fn delete(&self, id: i64, conditions: &Conditions) -> Result<(), Problem> {
        for _ in 0..ATTEMPTS_MAX {
            let mut tags = conditions.only.clone();
            if conditions.ask_for_the_row() {
                tags = Some(vec![self.accepted(id, conditions).await?.tag]);
            }
            if self.write(Action::Delete, Some(id), tags).await?.affected > 0 {
                return Ok(());
            }
            self.accepted(id, conditions).await?;
        }
        Err(contended(id))
    }

    /// The row, if it is as the request expects.
    async fn accepted(&self, id: i64, conditions: &Conditions) -> Result<Item, Problem> {
        let item = self.found(id).await?.ok_or_else(|| missing(id))?;
        match conditions.accept(&item.tag) {
            true => Ok(item),
            false => Err(conditions.unmet(id, &item.tag)),
        }
    }

    fn read(&self, filter: Option<Expr>, limit: usize) -> Read {
        Read {
            access: self.access.clone(),
            selected: self.access.all_columns(),
            filter,
            order: Vec::new(),
            limit,
            offset: 0,
            behind: None,
            counting: None,
            form: Form::Json,
        }
    }

    async fn write(
        &self,
        action: Action,
        id: Option<i64>,
        tags: Option<Vec<String>>,
    ) -> Result<Written, Problem> {
        let write = Write {
            access: self.access.clone(),
            action,
            filter: id.map(by_id),
            tags,
            returning: Some(self.access.all_columns()),
            order: Vec::new(),
            form: Form::Json,
            is_one: true,
            is_single: false,
            affected_max: None,
            trace: self.trace,
        };
        let written = in_time(Box::pin(run::write(self.pool, &write, false))).await?;
        written.map_err(problem)
    }

    fn done(&self, written: &Written) -> Result<Done, Problem> {
        let row = written.rows.as_ref().and_then(|rows| rows.first());
        Ok(match row.zip(written.tag.as_ref()) {
            Some((row, tag)) => Done::Item(Item {
                tag: tag.clone(),
                json: self.shown(row)?,
            }),
            None => Done::Hidden,
        })
    }

    /// A row with its numbers as this server writes them.
    fn shown(&self, row: &str) -> Result<String, Problem> {
        let shown = shown(&self.access.all_columns(), &self.access.table);
        let row = shown.whole(row);
        Ok(row
            .map_err(|_| Problem::unavailable("the table has just changed"))?
            .into_owned())
    }
}

fn by_id(id: i64) -> Expr {
    Expr::Compare {
        column: "id".into(),
        op: Op::Eq,
        value: id.to_string(),
    }
}

fn text(members: &Map<String, Value>) -> String {
    Value::Object(members.clone()).to_string()
}

/// The place of a row in the list.
fn place(row: &str, sort: &str) -> Result<(String, i64), Problem> {
    #[derive(Deserialize)]
    struct Place {
        id: i64,
        created_at: Option<String>,
        updated_at: Option<String>,
    }
    let place: Place = serde_json::from_str(row).map_err(no_item)?;
    let value = match sort {
        "created_at" => place.created_at,
        "updated_at" => place.updated_at,
        _ => None,
    };
    Ok((value.unwrap_or_else(|| place.id.to_string()), place.id))
}

/// `data` of a row with a merge patch.
fn merged(row: &str, patch: &Value) -> Result<Value, Problem> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        data: &'a serde_json::value::RawValue,
    }
    let old: Data<'_> = serde_json::from_str(row).map_err(no_item)?;
    let mut data = serde_json::from_str(old.data.get()).map_err(|_| {
        let detail = "is nested too deeply in the table to be merged; replace it with PUT";
        Problem::invalid(vec![FieldError {
            field: "data".into(),
            detail: detail.into(),
        }])
    })?;
    merge(&mut data, patch);
    Ok(data)
}

/// A column that can be written, as it is.
fn same(row: &str) -> Result<Map<String, Value>, Problem> {
    #[derive(Deserialize)]
    struct Row {
        name: Option<String>,
        status: Option<String>,
    }
    let row: Row = serde_json::from_str(row).map_err(no_item)?;
    let mut members = Map::new();
    match (row.name, row.status) {
        (Some(name), _) => members.insert("name".into(), name.into()),
        (None, Some(status)) => members.insert("status".into(), status.into()),
        (None, None) => {
            return Err(credentials::forbidden(
                "your role sees no column that it could change",
            ));
        }
    };
    Ok(members)
}

fn no_item(error: serde_json::Error) -> Problem {
    StoreError::Internal(format!("a row of items is no item: {error}")).into()
}

/// 409.
fn contended(id: i64) -> Problem {
    Problem::conflict(format!("others change item {id} all the time; try again"))
}

/// What a list was refused for: in a query a value that does not fit is the request's mistake.
fn not_listed(error: RestError, has_after: bool) -> Problem {
    match error {
        // The values of a filter have been read before, so it is the place.
        RestError::Store(StoreError::Refused(fault))
            if fault.code.starts_with("22") && has_after =>
        {
            Problem::malformed("after", "is no page cursor of this list")
        }
        other => refusal::of(other, None),
    }
}

/// What a read or a write of an item was refused for.
fn problem(error: RestError) -> Problem {
    let fault = match error {
        RestError::Store(StoreError::Refused(fault)) => fault,
        other => return refusal::of(other, None),
    };
    match (fault.code.as_str(), fault.blame) {
        ("PK403", _) => credentials::forbidden("your role may not do that with this item"),
        ("23505" | "23P01", _) => taken(),
        (_, Blame::Value) if !fault.code.starts_with("PK") => Problem::invalid(vec![FieldError {
            field: fault.column.unwrap_or_else(|| "body".into()),
            detail: fault.message,
        }]),
        // No function of others runs here.
        (_, Blame::Own) => StoreError::Internal(fault.message).into(),
        (_, Blame::Stale) => StoreError::Unavailable(fault.message).into(),
        _ => refusal::of(RestError::Store(StoreError::Refused(fault)), None),
    }
}
