//! What an answer of `/rest` looks like: its form, its headers, its status.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, RANGE,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use crate::feed::{Projection, Table};
use crate::store::rest::{Form, Selected};

use super::super::accept;
use super::super::problem::{Members, Problem};

/// Where in the log an answer is: a client goes on with the changes since then.
pub const CURSOR: HeaderName = HeaderName::from_static("plank-cursor");

const OBJECT: &str = "application/vnd.pgrst.object+json";
const FORMS: [&str; 4] = [
    "application/json",
    OBJECT,
    "application/vnd.pgrst.array+json",
    "text/csv",
];

/// What a client wants the rows as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    media: &'static str,
    /// How a row is written.
    pub form: Form,
}

impl Wanted {
    /// By the header `Accept`.
    ///
    /// # Errors
    /// 406 lists what there is.
    pub fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let media = accept::choose(request, &FORMS).ok_or_else(|| {
            let detail = format!(
                "Accept allows none of the forms that rows have; these are {}",
                FORMS.join(", ")
            );
            Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
        })?;
        let strips = request
            .headers()
            .get_all(ACCEPT)
            .any(|v| v.to_str().is_ok_and(|v| v.contains("nulls=stripped")));
        let form = match media {
            "text/csv" => Form::Csv,
            _ if strips => Form::Stripped,
            _ => Form::Json,
        };
        Ok(Self { media, form })
    }

    /// Whether the answer is one row, and no list.
    pub fn is_single(self) -> bool {
        self.media == OBJECT
    }

    /// Of the answer.
    pub fn content_type(self) -> &'static str {
        match self.media {
            "text/csv" => "text/csv; charset=utf-8",
            OBJECT => "application/vnd.pgrst.object+json; charset=utf-8",
            _ => "application/json; charset=utf-8",
        }
    }

    /// The rows as a body.
    ///
    /// # Errors
    /// 503 if a row is not as the table was described.
    pub fn body(
        self,
        rows: &[String],
        selected: &[Selected],
        table: &Table,
    ) -> Result<String, Problem> {
        let size: usize = rows.iter().map(|row| row.len() + 1).sum();
        let mut body = String::with_capacity(size + 2);
        if self.form == Form::Csv {
            for (i, one) in selected.iter().enumerate() {
                body.push_str(if i > 0 { "," } else { "" });
                push_csv(&mut body, &one.label);
            }
            for row in rows {
                body.push('\n');
                body.push_str(row);
            }
            return Ok(body);
        }
        let shown = shown(selected, table);
        let is_list = !self.is_single();
        if is_list {
            body.push('[');
        }
        for (i, row) in rows.iter().enumerate() {
            body.push_str(if i > 0 { "," } else { "" });
            let row = shown.whole(row);
            body.push_str(&row.map_err(|_| Problem::unavailable("the table has just changed"))?);
        }
        if is_list {
            body.push(']');
        }
        Ok(body)
    }

    /// Begins an answer with rows.
    pub fn answer(self, status: StatusCode, prefer: &str) -> HttpResponseBuilder {
        let mut answer = empty(status, prefer);
        answer.insert_header((CONTENT_TYPE, self.content_type()));
        answer
    }
}

/// Which numbers leave as strings, by their names in the answer.
pub fn shown(selected: &[Selected], table: &Table) -> Projection {
    let wide = selected.iter().filter(|_| table.stringifies);
    let wide = wide.filter_map(|s| Some((s.label.clone(), table.column(&s.column)?.wide.clone()?)));
    Projection::new(None, wide.collect())
}

fn push_csv(out: &mut String, text: &str) {
    if text.contains([',', '"', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

/// The headers that every answer has.
pub fn headers(applied: &str) -> Vec<(String, String)> {
    let mut headers = vec![
        ("vary".to_owned(), "accept, prefer, range".to_owned()),
        // A proxy that compresses makes the entity tag a weak one, and that is no condition for a write.
        (
            "cache-control".to_owned(),
            "no-store, no-transform".to_owned(),
        ),
    ];
    if !applied.is_empty() {
        headers.push(("preference-applied".to_owned(), applied.to_owned()));
    }
    headers
}

/// Begins an answer without rows.
pub fn empty(status: StatusCode, applied: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    for header in headers(applied) {
        answer.insert_header(header);
    }
    answer
}

/// `"tag"`
pub fn tag(answer: &mut HttpResponseBuilder, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        answer.insert_header((ETAG, value));
    }
}

/// Which rows an answer has, of how many.
pub fn content_range(offset: u64, count: usize, total: Option<u64>) -> String {
    let total = total.map_or("*".to_owned(), |total| total.to_string());
    match count {
        0 => format!("*/{total}"),
        n => format!("{offset}-{}/{total}", offset + n as u64 - 1),
    }
}

/// The header `Range` in rows: the first, and the last if there is one. One in other units means nothing here.
///
/// # Errors
/// 416 if it ends before it begins.
pub fn range(request: &HttpRequest) -> Result<Option<(u64, Option<u64>)>, Problem> {
    let headers = request.headers();
    let unit = headers.get("range-unit").and_then(|v| v.to_str().ok());
    let Some(text) = headers.get(RANGE).and_then(|v| v.to_str().ok()) else {
        return Ok(None);
    };
    let text = text.trim();
    let text = text.strip_prefix("items=").unwrap_or(text);
    if unit.is_some_and(|unit| unit != "items") || text.contains('=') {
        return Ok(None);
    }
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n < 1 << 62);
    let parts = text.split_once('-');
    let parts = parts.and_then(|(first, last)| {
        let last = match last {
            "" => None,
            last => Some(number(last)?),
        };
        Some((number(first)?, last))
    });
    match parts {
        Some((first, Some(last))) if last < first => Err(unsatisfiable(
            "The lower boundary must be lower than or equal to the upper boundary in the Range header.".into(),
            None,
        )),
        Some(range) => Ok(Some(range)),
        None => Err(Problem::malformed(
            "Range",
            format!("is {text:?}; it is FIRST-LAST or FIRST-, counted from 0"),
        )),
    }
}

/// 416.
pub fn unsatisfiable(details: String, total: Option<u64>) -> Problem {
    let total = total.map_or("*".to_owned(), |total| total.to_string());
    let detail = "the rows that were asked for are not there";
    let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail);
    let problem = problem.with_members(Members {
        code: "PGRST103".into(),
        message: "Requested range not satisfiable".into(),
        details: Some(details),
        ..Members::default()
    });
    match HeaderValue::from_str(&format!("*/{total}")) {
        Ok(value) => problem.with_header(CONTENT_RANGE, value),
        Err(_) => problem,
    }
}
