//! `POST /rest`: several writes of one or more tables, all or nothing.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::auth::Viewer;
use crate::feed::filter::Expr;
use crate::feed::filter::expr::{Is, Op};
use crate::feed::{Right, Table, json};
use crate::limits::REST_WRITES_MAX;
use crate::store::rest::keys::Kept;
use crate::store::rest::run::RestError;
use crate::store::rest::{Access, Action, Conflict, Form, Write, Written};

use super::super::credentials::Who;
use super::super::openapi as doc;
use super::super::problem::Problem;
use super::super::traced::trace;
use super::super::{State, body};
use super::prefer::Prefer;
use super::rows::{Object, malformed};
use super::task::{self, Task};
use super::write::row;
use super::{access, answer, refusal};

/// An operation as a client writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operation<'a> {
    op: String,
    table: String,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    #[serde(rename = "match", borrow)]
    conditions: Option<&'a RawValue>,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Batch {
    /// The writes, in their order.
    pub writes: Vec<Write>,
    /// Whether they are taken back.
    pub is_dry: bool,
    ops: Vec<String>,
    applied: String,
}

/// `POST /rest`
///
/// # Errors
/// See docs/REST.md.
#[utoipa::path(
    post, path = "/rest", tag = "rest", operation_id = "batch",
    summary = "Write several rows, all or none",
    description = "At most 1,000 operations in one transaction. The answer is a list in the same order; the first refusal is the answer \
        for all, with its `index`. `Prefer: tx=rollback` is a dry run.",
    params(doc::BatchHeaders),
    request_body(content = inline(doc::Operations), content_type = "application/json", example = json!(doc::Operation::examples())),
    responses(
        (
            status = 200, description = "What was done.", body = inline(Vec<doc::Done>), content_type = "application/json",
            example = json!(doc::Done::examples()),
        ),
        doc::RestMalformed, doc::RestUnauthenticated, doc::RestForbidden, doc::RestNoRow, doc::RestBodyLate, doc::RestConflict,
        doc::RestChanged, doc::RestBodyTooLarge, doc::RestNotJson, doc::RestKeyReused, doc::RestAway, doc::RestOutcomeUnknown,
    ),
)]
pub async fn run(
    state: web::Data<State>,
    who: Result<Who, Problem>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let done = async {
        let viewer = who?.0;
        let bytes_max = state.body_bytes_max;
        let body = body::bytes(&request, payload, &["application/json"], bytes_max).await?;
        let asking = async {
            let prefer = Prefer::of(request.headers())?;
            let mut batch = Batch::read(&state, &viewer, &prefer, &body).await?;
            // The setting holds for the transaction.
            if let Some(first) = batch.writes.first_mut() {
                first.trace = trace(request.headers());
            }
            Ok(Task::Batch(batch))
        };
        task::serve(&state, &request, &viewer, &body, asking).await
    };
    Box::pin(done).await.map_err(refusal::dress)
}

impl Batch {
    async fn read(
        state: &State,
        viewer: &Viewer,
        prefer: &Prefer,
        body: &[u8],
    ) -> Result<Self, Problem> {
        let list: Vec<&RawValue> = serde_json::from_slice(body)
            .map_err(|error| malformed(format!("has to be a list of operations: {error}")))?;
        if list.is_empty() || list.len() > REST_WRITES_MAX {
            let detail = format!(
                "has {} operations; it has to have 1 to {REST_WRITES_MAX}",
                list.len()
            );
            return Err(malformed(detail));
        }
        let mut known = HashMap::new();
        let (mut writes, mut ops) = (Vec::with_capacity(list.len()), Vec::new());
        for (i, text) in list.iter().enumerate() {
            let write = async {
                // For its duplicate members.
                Object::parse(text.get())?;
                let operation: Operation<'_> = serde_json::from_str(text.get())
                    .map_err(|error| malformed(format!("is no operation: {error}")))?;
                let access = of(state, viewer, &operation, &mut known).await?;
                ops.push(operation.op.clone());
                operation.write(access)
            };
            let at = |problem: Problem| refusal::dress(problem).at_index(i);
            writes.push(Box::pin(write).await.map_err(at)?);
        }
        Ok(Self {
            writes,
            ops,
            is_dry: prefer.rollback == Some(true),
            applied: prefer.applied(true),
        })
    }

    /// Why what was written is not what was asked for, if it is not.
    pub fn check(&self, written: &[Written]) -> Option<Problem> {
        let lacks = |(_, (write, written)): &(usize, (&Write, &Written))| {
            let is_change = !matches!(write.action, Action::Insert { .. });
            is_change && written.affected == 0
        };
        let mut pairs = self.writes.iter().zip(written).enumerate();
        let (index, (write, _)) = pairs.find(lacks)?;
        let depends = matches!(&write.filter, Some(Expr::All(leaves)) if leaves.len() > write.access.table.key.len());
        let problem = match depends {
            true => refusal::unmatched(),
            false => Problem::not_found("there is no such row"),
        };
        Some(refusal::dress(problem).at_index(index))
    }

    /// What a refusal of the database is answered.
    pub fn refused(&self, index: usize, error: RestError) -> Problem {
        refusal::dress(refusal::of(error, None)).at_index(index)
    }

    /// The answer to what was written: a list in the order of the operations.
    ///
    /// # Errors
    /// 503 if a row is not as its table was described.
    pub fn answer(&self, written: &[Written]) -> Result<Kept, Problem> {
        let mut headers = answer::headers(&self.applied);
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        add("content-type", "application/json; charset=utf-8".into());
        let last = written.iter().rev().find(|w| w.xid.is_some());
        if let Some(last) = last.filter(|_| !self.is_dry) {
            if let Some(cursor) = &last.cursor {
                add("plank-cursor", cursor.to_string());
            }
            if let Some(xid) = &last.xid {
                add("plank-xid", xid.clone());
            }
        }
        let mut body = String::from("[");
        for (i, (write, written)) in self.writes.iter().zip(written).enumerate() {
            let table = &write.access.table;
            body.push_str(if i > 0 { ",{\"op\":" } else { "{\"op\":" });
            json::push_string(&mut body, &self.ops[i]);
            body.push_str(",\"table\":");
            json::push_string(&mut body, &table.quoted);
            body.push_str(",\"row\":");
            let row = written.rows.as_ref().and_then(|rows| rows.first());
            match (row, &write.returning) {
                (Some(row), Some(selected)) => {
                    let shown = answer::shown(selected, table);
                    let row = shown.whole(row);
                    let row =
                        row.map_err(|_| Problem::unavailable("the table has just changed"))?;
                    body.push_str(&row);
                }
                _ => body.push_str("null"),
            }
            body.push('}');
        }
        body.push(']');
        Ok(Kept {
            status: StatusCode::OK.as_u16(),
            headers,
            body: Some(body),
        })
    }
}

async fn of(
    state: &State,
    viewer: &Viewer,
    operation: &Operation<'_>,
    known: &mut HashMap<(String, String), Access>,
) -> Result<Access, Problem> {
    let rights: &[Right] = match operation.op.as_str() {
        "insert" => &[Right::Insert],
        "update" => &[Right::Update],
        "upsert" => &[Right::Insert, Right::Update],
        "delete" => &[Right::Delete],
        other => {
            let detail = format!("is {other:?}; it is insert, update, upsert or delete");
            return Err(Problem::malformed("op", detail));
        }
    };
    let place = (operation.op.clone(), operation.table.clone());
    if let Some(access) = known.get(&place) {
        return Ok(access.clone());
    }
    let access = access::of(state, viewer, &operation.table, rights).await?;
    known.insert(place, access.clone());
    Ok(access)
}

impl Operation<'_> {
    fn write(&self, access: Access) -> Result<Write, Problem> {
        let table = access.table.clone();
        let values = || {
            let values = self
                .values
                .ok_or_else(|| Problem::malformed("values", "is missing"))?;
            let object = Object::parse(values.get())?;
            object.check(&table)?;
            match object.names.is_empty() {
                true => Err(Problem::malformed("values", "is an empty object")),
                false => Ok(object),
            }
        };
        let refuse = |name: &str, given: Option<&RawValue>| match given {
            Some(_) => Err(Problem::malformed(
                name,
                format!("has no meaning for {}", self.op),
            )),
            None => Ok(()),
        };
        let insert = |conflict: Conflict| {
            refuse("match", self.conditions)?;
            refuse("key", self.key)?;
            let object = values()?;
            Ok::<_, Problem>(Action::Insert {
                columns: object.names.clone(),
                rows: vec![row(&object)],
                defaults: true,
                conflict,
            })
        };
        let (action, filter) = match self.op.as_str() {
            "insert" => (insert(Conflict::Refuse)?, None),
            "upsert" => {
                if table.key.is_empty() {
                    let detail = "the table has no primary key, by which a row could be found";
                    return Err(Problem::malformed("table", detail));
                }
                (insert(Conflict::Merge(table.key.clone()))?, None)
            }
            "update" => {
                let object = values()?;
                let action = Action::Update {
                    columns: object.names,
                    values: object.text,
                };
                (action, Some(self.filter(&table)?))
            }
            _ => {
                refuse("values", self.values)?;
                (Action::Delete, Some(self.filter(&table)?))
            }
        };
        Ok(Write {
            returning: Some(access.all_columns()),
            action,
            filter,
            tags: None,
            order: Vec::new(),
            form: Form::Json,
            is_one: true,
            is_single: false,
            affected_max: None,
            trace: None,
            access,
        })
    }

    /// The row of the key, as far as it matches.
    fn filter(&self, table: &Table) -> Result<Expr, Problem> {
        let key = self
            .key
            .ok_or_else(|| Problem::malformed("key", "is missing"))?;
        let key = Object::parse(key.get())?;
        let is_whole = key.names.len() == table.key.len()
            && table.key.iter().all(|name| key.names.contains(name))
            && !table.key.is_empty();
        if !is_whole {
            let detail = format!(
                "has to have the columns of the key of {}, and no others: {}",
                table.quoted,
                table.key.join(", ")
            );
            return Err(Problem::malformed("key", detail));
        }
        let mut leaves = equal("key", &key)?;
        if let Some(conditions) = self.conditions {
            let conditions = Object::parse(conditions.get())?;
            conditions.check(table)?;
            leaves.extend(equal("match", &conditions)?);
        }
        Ok(Expr::All(leaves))
    }
}

/// What demands these values.
fn equal(field: &str, object: &Object) -> Result<Vec<Expr>, Problem> {
    let one = |name: &String| {
        let text = object.member(name).unwrap_or_default();
        let column = name.clone();
        let value = match serde_json::from_str(&text) {
            Ok(serde_json::Value::Null) => {
                return Ok(Expr::Is {
                    column,
                    what: Is::Null,
                });
            }
            Ok(serde_json::Value::String(text)) => text,
            Ok(serde_json::Value::Array(_) | serde_json::Value::Object(_)) => {
                let detail =
                    format!("has a list or an object for {name:?}; it has to be a plain value");
                return Err(Problem::malformed(field, detail));
            }
            // Numbers as they are written.
            _ => text,
        };
        Ok(Expr::Compare {
            column,
            op: Op::Eq,
            value,
        })
    };
    object.names.iter().map(one).collect()
}
