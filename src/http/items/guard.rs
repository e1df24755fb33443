//! What a principal may see of the items, and do with them.

use std::sync::Arc;

use crate::actor::message::{Find, FindTable};
use crate::auth::{Principal, Viewer};
use crate::feed::json::Wide;
use crate::feed::{Grant, Projection, Right, Table};
use crate::store::items::Guard;
use crate::wire::message::Subscribe;

use super::super::State;
use super::super::credentials::{self, Who};
use super::super::problem::Problem;

/// As PostgreSQL quotes it.
const ITEMS: &str = "public.items";

/// What a principal may see of the items, and do with them.
///
/// # Errors
/// 403 if the principal may not do it with any of them, 404 if it may not even see one, 503 if the table is not known yet.
pub(super) async fn guard(state: &State, who: Who, right: Option<Right>) -> Result<Guard, Problem> {
    let Viewer::One(principal) = &who.0 else {
        return Ok(Guard::open(shown_to_all(state).await?));
    };
    let mut grants = grants(state, principal, right).await?;
    let lacks = |g: &Grants| g.see.is_none() || (right.is_some() && g.write.is_none());
    if grants.as_ref().is_none_or(lacks) {
        // It may have been allowed a moment ago: this does not come back before the log has been looked at.
        let wanted = Subscribe {
            table: ITEMS.into(),
            ..Subscribe::default()
        };
        let viewer = who.0.clone();
        let _ = state.ask(Find { wanted, viewer }).await?;
        grants = self::grants(state, principal, right).await?;
    }
    let nothing = || Problem::not_found("there are no items that you may see");
    match (grants, right) {
        (Some(g), Some(right)) if g.write.is_some() => {
            let write = g.write.map(|grant| (right, grant));
            Ok(Guard::new(g.table, g.see, write))
        }
        (_, Some(right)) => Err(credentials::forbidden(format!(
            "your role may not {} items",
            right.as_str()
        ))),
        (Some(g), None) if g.see.is_some() => Ok(Guard::new(g.table, g.see, None)),
        (_, None) => Err(nothing()),
    }
}

/// How the items leave where everybody sees them: like their changes.
async fn shown_to_all(state: &State) -> Result<Projection, Problem> {
    if !state.stringifies {
        return Ok(Projection::default());
    }
    let known = table(state).await?;
    // Those that are not watched have no description.
    Ok(known.map_or_else(
        || Projection::new(None, vec![("id".into(), Wide::All(true))]),
        |table| table.projection(None),
    ))
}

async fn table(state: &State) -> Result<Option<Arc<Table>>, Problem> {
    let table = state.ask(FindTable { name: ITEMS.into() }).await?;
    table.ok_or_else(|| {
        Problem::unavailable("the database has not been reached yet; try again in a moment")
    })
}

/// What a principal may do with the items, as far as it is known.
struct Grants {
    table: Arc<Table>,
    see: Option<Grant>,
    write: Option<Grant>,
}

/// None if the items are not watched.
async fn grants(
    state: &State,
    principal: &Principal,
    right: Option<Right>,
) -> Result<Option<Grants>, Problem> {
    let Some(table) = table(state).await? else {
        return Ok(None);
    };
    let grant = |right| {
        let grant = table.grant(principal, right);
        grant.map_err(|broken| credentials::forbidden(broken.to_string()))
    };
    let (see, write) = (
        grant(Right::Select)?,
        right.map(grant).transpose()?.flatten(),
    );
    Ok(Some(Grants { table, see, write }))
}
