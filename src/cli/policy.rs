//! `plank allow`, `plank deny`, `plank policies`, `plank revoke` and `plank explain`: who may see what, and why.

use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::app::AppError;
use crate::auth::Principal;
use crate::config::DatabaseArgs;
use crate::feed::filter::expr::Op;
use crate::feed::filter::row::Row;
use crate::feed::filter::{Expr, Filter};
use crate::feed::policy::Policy;
use crate::feed::{Right, Table};
use crate::store::watch::{Allowed, Watcher};
use crate::text::one_line;

use super::watch::{text, with_watcher};

/// The arguments of `plank allow`.
#[derive(Args, Debug)]
pub struct AllowArgs {
    /// The table, as PostgreSQL writes it: orders, sales.orders
    table: String,

    /// The claim `role` of the tokens that it is for
    role: String,

    /// Which rows, as a filter of the API, with {sub}, {role} and {claim.NAME} of the token [default: all]
    #[arg(long, value_name = "FILTER")]
    rows: Option<String>,

    /// What may be done with them: select, insert, update, delete; with commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "select",
        value_name = "OPS"
    )]
    ops: Vec<String>,

    /// Tells this policy from others of the same role and op, which add up. The same name replaces
    #[arg(long, default_value = "default", value_name = "NAME")]
    name: String,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The arguments of `plank deny`.
#[derive(Args, Debug)]
pub struct DenyArgs {
    /// The table, as PostgreSQL writes it
    table: String,

    /// The claim `role` of the tokens that it was for
    role: String,

    /// What may not be done any more; with commas
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "select,insert,update,delete",
        value_name = "OPS"
    )]
    ops: Vec<String>,

    /// Only the policy of this name [default: all of them]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The arguments of `plank policies`.
#[derive(Args, Debug)]
pub struct PoliciesArgs {
    /// Only those of this table
    table: Option<String>,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The arguments of `plank revoke`.
#[derive(Args, Debug)]
pub struct RevokeArgs {
    /// The claim `sub` of the tokens
    sub: String,

    /// Tokens that were issued before this time, as PostgreSQL reads one [default: now]
    #[arg(long, value_name = "TIME")]
    before: Option<String>,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// The arguments of `plank explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The table, as PostgreSQL writes it
    table: String,

    /// The claim `role` of a token
    #[arg(long, value_name = "ROLE")]
    role: String,

    /// The claim `sub` of a token
    #[arg(long, default_value = "anyone", value_name = "NAME")]
    sub: String,

    /// Another claim, as NAME=VALUE, as in `plank token`; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,

    /// A row, by its primary key, as COLUMN=VALUE: says why it is seen, or why not; repeated for a key of several columns
    #[arg(long = "key", value_name = "COLUMN=VALUE")]
    keys: Vec<String>,

    #[command(flatten)]
    database: DatabaseArgs,
}

/// Allows.
pub fn allow(args: &AllowArgs) -> Result<(), AppError> {
    with_watcher(
        &args.database,
        &args.table,
        "plank allow",
        async |watcher, table| {
            let allowed = Allowed {
                role: &args.role,
                rows: args.rows.as_deref(),
                ops: &args.ops,
                name: &args.name,
            };
            let name = watcher.allow(table, &allowed).await.map_err(text)?;
            let rows = args.rows.as_deref().unwrap_or("all rows");
            Ok(format!(
                "{}: role {} may {} {}",
                one_line(&name),
                one_line(&args.role),
                args.ops.join(", "),
                one_line(rows)
            ))
        },
    )
}

/// Takes it back.
pub fn deny(args: &DenyArgs) -> Result<(), AppError> {
    with_watcher(
        &args.database,
        &args.table,
        "plank deny",
        async |watcher, table| {
            let name = args.name.as_deref();
            let denied = watcher.deny(table, &args.role, &args.ops, name).await;
            let (table, role) = (denied.map_err(text)?, one_line(&args.role));
            let ops = args.ops.join(", ");
            Ok(match name {
                Some(name) => format!(
                    "{}: policy {} does not let role {role} {ops} any more",
                    one_line(&table),
                    one_line(name)
                ),
                None => format!("{}: role {role} may not {ops}", one_line(&table)),
            })
        },
    )
}

/// Lists.
pub fn policies(args: &PoliciesArgs) -> Result<(), AppError> {
    let table = args.table.as_deref();
    with_watcher(
        &args.database,
        table.unwrap_or_default(),
        "plank policies",
        async |watcher, _| {
            let mut lines: Vec<(String, Vec<&'static str>)> = Vec::new();
            for listed in watcher.policies(table).await.map_err(text)? {
                let Policy {
                    role,
                    rows,
                    name,
                    op,
                    ..
                } = &listed.policy;
                let rows = rows.as_deref().unwrap_or("all rows");
                let what = format!("{}  role {role}  policy {name}  {rows}", listed.table);
                match lines.last_mut() {
                    Some((last, ops)) if *last == what => ops.push(op.as_str()),
                    _ => lines.push((what, vec![op.as_str()])),
                }
            }
            let lines = lines
                .iter()
                .map(|(what, ops)| format!("{}  ({})", one_line(what), ops.join(", ")));
            let lines: Vec<_> = lines.collect();
            Ok(match lines.is_empty() {
                true => "there is no policy: with --auth on nobody sees anything".into(),
                false => lines.join("\n"),
            })
        },
    )
}

/// Revokes.
pub fn revoke(args: &RevokeArgs) -> Result<(), AppError> {
    with_watcher(&args.database, "", "plank revoke", async |watcher, _| {
        let before = args.before.as_deref();
        watcher.revoke(&args.sub, before).await.map_err(text)?;
        let when = before.unwrap_or("now");
        let (sub, when) = (one_line(&args.sub), one_line(when));
        Ok(format!(
            "tokens of {sub} from before {when} are not taken any more"
        ))
    })
}

/// Explains.
pub fn explain(args: &ExplainArgs) -> Result<(), AppError> {
    let principal = principal(args)?;
    with_watcher(
        &args.database,
        &args.table,
        "plank explain",
        async |watcher, table| {
            let described = watcher.table(table).await.map_err(text)?;
            let listed = watcher.policies(Some(table)).await.map_err(text)?;
            let policies = listed.into_iter().map(|listed| listed.policy);
            let policies: Vec<_> = policies
                .filter(|p| p.op == Right::Select && p.role == args.role)
                .collect();
            let mut lines = Vec::new();
            let opened: Vec<_> = policies
                .iter()
                .map(|policy| (policy, policy.explain(&described, &principal)))
                .collect();
            for (policy, shows) in &opened {
                let rows = policy.rows.as_deref().unwrap_or("all rows");
                let means = match shows {
                    Ok(None) => "shows all rows".into(),
                    Ok(Some(expr)) => format!("shows rows with {expr}"),
                    Err(why) => format!("shows nothing: {why}"),
                };
                lines.push(format!("policy {}: {rows}\n    {means}", policy.name));
            }
            if opened.is_empty() {
                lines.push(format!("role {} may not see this table", args.role));
            }
            let described = Table {
                policies: policies.clone(),
                ..described
            };
            let grant = described.grant(&principal, Right::Select);
            let grant = grant.map_err(text)?;
            if let Some(grant) = &grant {
                let (all, seen) = watcher
                    .count(&described, grant.rows.as_deref())
                    .await
                    .map_err(text)?;
                lines.push(format!("{seen} of {all} rows are seen"));
            }
            if !args.keys.is_empty() {
                lines.push(row(watcher, &described, &args.keys, &opened).await?);
            }
            let lines = lines.iter().flat_map(|text| text.lines());
            Ok(lines.map(one_line).collect::<Vec<_>>().join("\n"))
        },
    )
}

fn principal(args: &ExplainArgs) -> Result<Principal, AppError> {
    let mut claims: Map<String, Value> = super::token::claims(&args.claims)?;
    for (name, value) in [
        ("sub", json!(args.sub)),
        ("role", json!(args.role)),
        ("exp", json!(u64::MAX)),
    ] {
        claims.insert(name.into(), value);
    }
    let empty = || AppError("--role and --sub may not be empty".into());
    Principal::of(claims).ok_or_else(empty)
}

/// Why one row is seen, or why not.
async fn row(
    watcher: &Watcher,
    table: &Table,
    keys: &[String],
    opened: &[(&Policy, Result<Option<Expr>, String>)],
) -> Result<String, AppError> {
    let mut members = Vec::new();
    for key in keys {
        let (column, value) = key.split_once('=').ok_or_else(|| {
            AppError(format!(
                "--key is {key:?}; write it as COLUMN=VALUE, as in --key id=7"
            ))
        })?;
        members.push(Expr::Compare {
            column: column.to_owned(),
            op: Op::Eq,
            value: value.to_owned(),
        });
    }
    let filter = Filter::bind(&Arc::new(Expr::All(members)), table).map_err(text)?;
    let rows = watcher.rows(table, &filter).await.map_err(text)?;
    let json = match rows.as_slice() {
        [] => return Ok(format!("there is no row with {}", keys.join(", "))),
        [json] => json,
        _ => {
            return Err(AppError(format!(
                "several rows have {}; --key has to name the whole key",
                keys.join(", ")
            )));
        }
    };
    let row = Row::read(table, json).map_err(text)?;
    let passes = |expr: &Expr| {
        let filter = Filter::bind(&Arc::new(expr.clone()), table).ok()?;
        filter.passes(&row).ok()
    };
    let (mut lines, mut is_seen) = (Vec::new(), false);
    for (policy, shows) in opened {
        let name = &policy.name;
        match shows {
            Ok(None) => {
                is_seen = true;
                lines.push(format!("    policy {name} shows it, as all rows"));
            }
            Ok(Some(expr)) => {
                let shows = passes(expr) == Some(true);
                is_seen |= shows;
                let verb = if shows { "shows" } else { "does not show" };
                lines.push(format!("    policy {name} {verb} it:"));
                for leaf in expr.leaves() {
                    let holds = match passes(leaf) {
                        Some(true) => "holds",
                        Some(false) => "does not hold",
                        None => "can't be decided",
                    };
                    lines.push(format!("        {leaf} {holds}"));
                }
            }
            Err(_) => lines.push(format!("    policy {name} shows nothing")),
        }
    }
    let seen = if is_seen { "is seen" } else { "is not seen" };
    lines.insert(0, format!("the row with {} {seen}", keys.join(", ")));
    Ok(lines.join("\n"))
}
