//! Why a request to `/rest` is refused, with PostgREST's members beside those of RFC 9457.

use actix_web::http::StatusCode;

use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rest::run::RestError;
use crate::store::sqlstate::Blame;

use super::super::problem::{FieldError, Members, Problem};
use super::super::query::refused;
use crate::wire::message::Refusal;

/// Gives a problem the members that PostgREST's clients look for.
pub fn dress(problem: Problem) -> Problem {
    let code = match (problem.status().as_u16(), problem.kind()) {
        (401, _) => "PGRST301",
        (403, _) => "42501",
        (404, _) => "PGRST205",
        (405, _) => "PGRST117",
        (406, _) => "PGRST107",
        (408 | 413 | 415, _) => "PGRST102",
        (409, "conflict") => "40001",
        (503, _) => "PGRST001",
        (504, _) => "08007",
        (500.., _) => "XX000",
        _ => "PGRST100",
    };
    problem.with_code(code)
}

/// What a statement was refused for.
pub fn of(error: RestError, filter_field: Option<&str>) -> Problem {
    match error {
        RestError::Store(StoreError::Refused(fault)) => of_fault(*fault, filter_field),
        RestError::Store(other) => other.into(),
        RestError::Filter(error) => refused(Refusal::filter("", error)),
        RestError::TooLarge => Problem::malformed(
            "limit",
            "the rows have too many bytes for one answer; ask for fewer, or read all with GET /api/tables/TABLE/rows",
        ),
        RestError::Hidden(_) => {
            let detail = error.to_string();
            Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
        }
        RestError::Gone => gone(),
    }
}

/// 404.
pub fn gone() -> Problem {
    Problem::not_found("the table has just been let go; GET /api/tables lists those there are")
}

/// 406: not one row.
pub fn not_one(count: &str) -> Problem {
    let detail = "the answer has to be one row, as Accept: application/vnd.pgrst.object+json asks, and it is not";
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not-one-row", detail).with_members(Members {
        code: "PGRST116".into(),
        message: "Cannot coerce the result to a single JSON object".into(),
        details: Some(format!("The result contains {count} rows")),
        ..Members::default()
    })
}

/// 412: the row is not as `If-Match` asks, or is not there.
pub fn unmatched() -> Problem {
    let detail = "the row is not at one of the versions of If-Match, or is not there; read it, and try again";
    Problem::new(StatusCode::PRECONDITION_FAILED, "changed", detail).with_code("PGRST412")
}

fn of_fault(fault: Fault, filter_field: Option<&str>) -> Problem {
    let count = fault
        .message
        .split(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    match fault.code.as_str() {
        "PK403" => {
            let detail = "your role may not do that with a row like this";
            return Problem::new(StatusCode::FORBIDDEN, "forbidden", detail).with_code("42501");
        }
        "PK499" => {
            let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", fault.message);
            return problem.with_code("42501");
        }
        "PK404" => return gone(),
        "PK409" => {
            let detail = "a row is in the way that has the same values in unique columns, and can't be replaced";
            return Problem::conflict(detail).with_code("23505");
        }
        "PK116" => return not_one(&count),
        "PK124" => {
            return Problem::malformed(
                "Prefer",
                format!("max-affected is exceeded: it would be {count} rows; nothing was written"),
            )
            .with_members(Members {
                code: "PGRST124".into(),
                message: "Query result exceeds max-affected preference constraint".into(),
                details: Some(format!("The query affects {count} rows")),
                ..Members::default()
            });
        }
        "PK413" => return of(RestError::TooLarge, filter_field),
        _ => {}
    }
    let Fault {
        code,
        blame,
        message,
        details,
        hint,
        column,
    } = fault;
    let (status, kind, detail) = match blame {
        Blame::Collision => (StatusCode::CONFLICT, "conflict", message.clone()),
        Blame::Forbidden => {
            log::warn!("statement refused by the database sqlstate={code} reason=\"{message}\"");
            let detail = "the database does not let plank do that with this table; its owner has to call plank.watch, or plank.allow, again";
            (StatusCode::FORBIDDEN, "forbidden", detail.to_owned())
        }
        _ => (StatusCode::BAD_REQUEST, "malformed", message.clone()),
    };
    let message = match blame {
        Blame::Forbidden => detail.clone(),
        _ => message,
    };
    let field = column.as_deref().or(filter_field).unwrap_or("body");
    let problem = Problem::new(status, kind, detail);
    let problem = match status {
        StatusCode::BAD_REQUEST => problem.with_error(FieldError {
            field: field.to_owned(),
            detail: message.clone(),
        }),
        _ => problem,
    };
    problem.with_members(Members {
        code,
        message,
        details,
        hint,
        index: None,
    })
}
