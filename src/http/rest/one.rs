//! A write of one statement, and what it is answered.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, IF_MATCH};

use crate::feed::Table;
use crate::feed::filter::Expr;
use crate::store::StoreError;
use crate::store::rest::keys::Kept;
use crate::store::rest::run::RestError;
use crate::store::rest::{Access, Action, Selected, Write, Written};

use super::super::etag::tags;
use super::super::problem::Problem;
use super::super::traced::trace;
use super::answer::{self, Wanted};
use super::prefer::{Prefer, Return};
use super::query::Query;
use super::refusal;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct One {
    /// What is written.
    pub write: Write,
    /// Whether it is taken back.
    pub is_dry: bool,
    wanted: Wanted,
    prefer: Prefer,
    selected: Vec<Selected>,
    /// The status without a body.
    done: StatusCode,
    if_match: IfMatch,
}

/// On which version of its row a write depends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum IfMatch {
    /// On none: there is no such header.
    Absent,
    /// The row has to be there.
    Any,
    /// The row has to have one of these entity tags.
    Tags(Vec<String>),
}

impl One {
    /// Of a request.
    ///
    /// # Errors
    /// 400 names what is wrong, 406.
    pub fn new(
        request: &HttpRequest,
        query: &Query,
        prefer: Prefer,
        access: Access,
        action: Action,
    ) -> Result<Self, Problem> {
        let wanted = Wanted::of(request)?;
        let selected = query.selected(&access.table, access.all_columns())?;
        let returns = prefer.back == Some(Return::Representation);
        Ok(Self {
            if_match: IfMatch::of(request.headers())?,
            is_dry: prefer.rollback == Some(true),
            write: Write {
                tags: None,
                filter: None,
                returning: returns.then(|| selected.clone()),
                order: query.order(&access.table)?,
                form: wanted.form,
                is_one: false,
                is_single: returns && wanted.is_single(),
                affected_max: prefer.bound(),
                trace: trace(request.headers()),
                action,
                access,
            },
            wanted,
            prefer,
            selected,
            done: StatusCode::NO_CONTENT,
        })
    }

    /// It is about the rows of a filter. `done` is the status without a body.
    ///
    /// # Errors
    /// 400 if it depends on the version of a row and is not about one.
    pub fn about(
        mut self,
        filter: Option<Expr>,
        is_one: bool,
        done: StatusCode,
    ) -> Result<Self, Problem> {
        if self.is_bound() && (!is_one || filter.is_none()) {
            let detail = "is for one row, so the filter has to be its whole key";
            return Err(Problem::malformed("If-Match", detail));
        }
        if let IfMatch::Tags(tags) = &self.if_match {
            self.write.tags = Some(tags.clone());
        }
        self.write.filter = filter;
        self.write.is_one = is_one;
        self.done = done;
        Ok(self)
    }

    /// Whether it depends on the version of its row.
    fn is_bound(&self) -> bool {
        self.if_match != IfMatch::Absent
    }

    /// Whether there is nothing to write: an empty list.
    pub fn is_nothing(&self) -> bool {
        matches!(&self.write.action, Action::Insert { rows, .. } if rows.is_empty())
    }

    /// What came out of nothing.
    pub fn nothing() -> Written {
        Written {
            affected: 0,
            existed: None,
            rows: Some(Vec::new()),
            key: None,
            tag: None,
            cursor: None,
            xid: None,
        }
    }

    /// What a refusal of the database is answered.
    pub fn refused(&self, error: RestError) -> Problem {
        match error {
            // Of a PUT the row is in the way, which is not at that version.
            RestError::Store(StoreError::Refused(fault))
                if self.is_bound() && fault.code == "PK409" =>
            {
                refusal::unmatched()
            }
            other => refusal::of(other, None),
        }
    }

    /// The answer to what was written. `place`: where the request was sent to, as the client has to ask for it.
    ///
    /// # Errors
    /// 412 if nothing was written for the version is another one.
    pub fn answer(&self, place: &str, written: &Written) -> Result<Kept, Problem> {
        if self.is_bound() && written.affected == 0 {
            return Err(refusal::unmatched());
        }
        let returns = self.write.returning.is_some();
        if self.is_nothing() && self.write.is_single {
            return Err(refusal::not_one("0"));
        }
        let status = match (written.existed, returns, self.done) {
            (Some(0), ..) => StatusCode::CREATED,
            (_, true, StatusCode::NO_CONTENT) => StatusCode::OK,
            (_, _, done) => done,
        };
        let mut headers = answer::headers(&self.prefer.applied(true));
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        if returns {
            add("content-type", self.wanted.content_type().to_owned());
        }
        if let Some(cursor) = &written.cursor {
            add("plank-cursor", cursor.to_string());
        }
        if let Some(xid) = &written.xid {
            add("plank-xid", xid.clone());
        }
        let is_delete = matches!(self.write.action, Action::Delete);
        if let Some(tag) = written.tag.as_ref().filter(|_| !is_delete) {
            add("etag", format!("\"{tag}\""));
        }
        if status == StatusCode::CREATED
            && let Some(query) = location(&self.write.access.table, written)
        {
            add("location", format!("{place}?{query}"));
        }
        let total = self.prefer.count.map(|_| written.affected);
        let count = match self.done {
            StatusCode::CREATED => 0,
            _ => usize::try_from(written.affected).unwrap_or(usize::MAX),
        };
        add("content-range", answer::content_range(0, count, total));
        let table = &self.write.access.table;
        let rows = written.rows.as_ref().filter(|_| returns);
        let body = rows.map(|rows| self.wanted.body(rows, &self.selected, table));
        Ok(Kept {
            status: status.as_u16(),
            headers,
            body: body.transpose()?,
        })
    }
}

/// The query that finds the one row that was written.
fn location(table: &Table, written: &Written) -> Option<String> {
    let key = written.key.as_ref()?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in table.key.iter().zip(key) {
        query.append_pair(name, &format!("eq.{}", value.as_ref()?));
    }
    Some(query.finish())
}

impl IfMatch {
    /// Of a request. A weak tag never matches.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(tags) = tags(headers, IF_MATCH)? else {
            return Ok(Self::Absent);
        };
        if tags.iter().any(|tag| tag == "*") {
            return Ok(Self::Any);
        }
        let strong = tags
            .iter()
            .filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        Ok(Self::Tags(strong.map(str::to_owned).collect()))
    }
}
