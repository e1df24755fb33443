//! What a request expects of the row that it writes: `If-Match` and `If-None-Match`. The entity tag is the version.

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH};

use super::super::etag::tags;
use super::super::problem::Problem;

/// See the module's documentation. A tag here has no quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// One of these; none for any.
    pub only: Option<Vec<String>>,
    /// None of these.
    except: Vec<String>,
    /// None at all: there must be no row (`If-None-Match: *`).
    no_row: bool,
    /// Of `If-Match`, those that are weak, and so never match.
    weak: Vec<String>,
}

impl Conditions {
    /// Of a request.
    ///
    /// # Errors
    /// 400 names the header.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let strong = |tag: &str| Some(tag.strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let weak = |tag: &String| tag.strip_prefix("W/").and_then(strong);
        let mut conditions = Self::default();
        let only = tags(headers, IF_MATCH)?.filter(|tags| !tags.iter().any(|t| t == "*"));
        if let Some(tags) = only {
            // A strong comparison (RFC 9110, section 13.1.1): a weak tag never matches.
            conditions.weak = tags.iter().filter_map(weak).collect();
            conditions.only = Some(tags.iter().filter_map(|tag| strong(tag)).collect());
        }
        let except = tags(headers, IF_NONE_MATCH)?.unwrap_or_default();
        conditions.no_row = except.iter().any(|t| t == "*");
        // And here a weak one (section 13.1.2).
        let either = |tag: &String| strong(tag).or_else(|| weak(tag));
        conditions.except = except.iter().filter_map(either).collect();
        Ok(conditions)
    }

    /// Whether the row has to be read before it is written.
    pub fn ask_for_the_row(&self) -> bool {
        self.no_row || !self.except.is_empty()
    }

    /// Whether a row with this tag may be written.
    pub fn accept(&self, tag: &str) -> bool {
        let has = |list: &[String]| list.iter().any(|one| one == tag);
        self.only.as_deref().is_none_or(has) && !self.no_row && !has(&self.except)
    }

    /// 412: which of them the row does not meet.
    pub fn unmet(&self, id: i64, tag: &str) -> Problem {
        let has = |list: &[String]| list.iter().any(|one| one == tag);
        if has(&self.weak) {
            let detail = format!(
                "item {id} is at version {tag} as expected, but W/\"{tag}\" is a weak tag, and no condition for a write: a proxy \
                 that compresses answers has made it weak; send If-Match: \"{tag}\", which is the item's `version` in quotes"
            );
            return precondition("weak-tag", detail, tag);
        }
        if self.no_row || has(&self.except) {
            let detail = format!(
                "item {id} is there already, at version {tag}, and If-None-Match says that it must not be"
            );
            return precondition("exists", detail, tag);
        }
        changed(id, tag)
    }
}

/// 412.
pub fn changed(id: i64, tag: &str) -> Problem {
    let detail = format!(
        "another client has changed item {id}: it is at version {tag} now; read it, and try again"
    );
    precondition("changed", detail, tag)
}

/// 412.
fn precondition(kind: &'static str, detail: String, tag: &str) -> Problem {
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, kind, detail);
    match format!("\"{tag}\"").try_into() {
        Ok(value) => problem.with_header(ETAG, value),
        Err(_) => problem,
    }
}
