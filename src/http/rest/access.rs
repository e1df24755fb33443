//! Which table a request to `/rest` is about, and what the client may do with it.

use std::sync::Arc;

use actix_web::HttpRequest;

use crate::actor::message::{Find, FindTable};
use crate::auth::{Principal, Viewer};
use crate::feed::catalog::parse_name;
use crate::feed::filter::Filter;
use crate::feed::filter::sql::quote;
use crate::feed::{Grant, Right, Table};
use crate::store::rest::Access;
use crate::wire::message::Subscribe;

use super::super::State;
use super::super::credentials;
use super::super::problem::Problem;
use super::super::query::unknown_table;

/// The table that the path and the profile name, as PostgreSQL reads it.
///
/// # Errors
/// 404 if they name different schemas.
pub fn name(request: &HttpRequest, path: &str, profile: &str) -> Result<String, Problem> {
    let Some(value) = request.headers().get(profile) else {
        return Ok(path.to_owned());
    };
    let schema = value
        .to_str()
        .map_err(|_| Problem::malformed(profile, "is no text"))?;
    match parse_name(path) {
        Some((None, name)) => Ok(format!("{}.{}", quote(schema), quote(&name))),
        Some((Some(own), _)) if own == schema => Ok(path.to_owned()),
        _ => Err(unknown(path)),
    }
}

/// 404. The same words whether there is no such table, or the client may not see it.
pub fn unknown(name: &str) -> Problem {
    unknown_table(&format!("there is no table {name:?} that is watched")).with_code("PGRST205")
}

/// What the client may do with a table, by these rights; none of them for a read.
///
/// # Errors
/// 404 if it may not know of it, 403 if it may not do that, 503 if the tables are not known yet.
pub async fn of(
    state: &State,
    viewer: &Viewer,
    name: &str,
    rights: &[Right],
) -> Result<Access, Problem> {
    match decide(state, viewer, name, rights).await? {
        Ok(access) => Ok(access),
        Err(_) => {
            // It may have been watched, or allowed, a moment ago: this does not come back before the log has been looked at.
            let wanted = Subscribe {
                table: name.to_owned(),
                ..Subscribe::default()
            };
            let viewer_again = viewer.clone();
            let _ = state
                .ask(Find {
                    wanted,
                    viewer: viewer_again,
                })
                .await?;
            decide(state, viewer, name, rights).await?
        }
    }
}

async fn decide(
    state: &State,
    viewer: &Viewer,
    name: &str,
    rights: &[Right],
) -> Result<Result<Access, Problem>, Problem> {
    let found = state
        .ask(FindTable {
            name: name.to_owned(),
        })
        .await?;
    let found = found.ok_or_else(|| {
        Problem::unavailable("the database has not been reached yet; try again in a moment")
    })?;
    let Some(table) = found else {
        return Ok(Err(unknown(name)));
    };
    match viewer {
        Viewer::Everybody => Ok(open(table, rights)),
        Viewer::One(principal) => granted(table, principal, name, rights),
    }
}

/// Where nobody has to log in.
fn open(table: Arc<Table>, rights: &[Right]) -> Result<Access, Problem> {
    if !rights.is_empty() && !table.writable {
        return Err(credentials::forbidden(format!(
            "the table {0} is read-only; its owner can say: select plank.watch('{0}', writable => true)",
            table.quoted
        )));
    }
    Ok(Access {
        table,
        role: None,
        see: None,
        insert: None,
        update: None,
        delete: None,
        held: Vec::new(),
    })
}

fn granted(
    table: Arc<Table>,
    principal: &Principal,
    name: &str,
    rights: &[Right],
) -> Result<Result<Access, Problem>, Problem> {
    let grant = |right| {
        let grant = table.grant(principal, right);
        grant.map_err(|broken| credentials::forbidden(broken.to_string()))
    };
    let see = grant(Right::Select)?;
    let all = [Right::Insert, Right::Update, Right::Delete];
    let is_known = see.is_some() || all.into_iter().any(|right| table.may(principal, right));
    if !is_known || (see.is_none() && rights.is_empty()) {
        return Ok(Err(unknown(name)));
    }
    let rows = |grant: &Option<Grant>| match grant {
        Some(grant) => grant.rows.clone(),
        None => Some(Arc::new(Filter::nothing())),
    };
    let mut access = Access {
        role: Some(principal.role.clone()),
        see: rows(&see),
        insert: None,
        update: None,
        delete: None,
        held: Vec::new(),
        table: table.clone(),
    };
    access
        .held
        .extend(see.iter().map(|grant| grant.held(table.rel, Right::Select)));
    for right in rights {
        let Some(grant) = grant(*right)? else {
            return Ok(Err(credentials::forbidden(format!(
                "your role may not {} rows of {}",
                right.as_str(),
                table.quoted
            ))));
        };
        access.held.push(grant.held(table.rel, *right));
        match right {
            Right::Insert => access.insert = grant.rows,
            Right::Update => access.update = grant.rows,
            Right::Delete => access.delete = grant.rows,
            Right::Select => {}
        }
    }
    Ok(Ok(access))
}
