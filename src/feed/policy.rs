//! What a role may do with a table (`plank.allow`), and for which rows. Pure: the caller is a [`Claims`].
//!
//! A policy is a filter whose values may have `{sub}`, `{role}` and `{claim.NAME}` in them. What a claim says is put into a
//! value that has been read already, so it can't become a part of the filter. Whatever is missing or can't be read shows no
//! row, never all.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::catalog::{Oid, Table};
use super::filter::expr::Op as Compare;
use super::filter::parse::parse;
use super::filter::{Expr, Filter, Kind};

/// What may be done.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// See rows, and what becomes of them.
    Select,
    /// Add rows.
    Insert,
    /// Change rows.
    Update,
    /// Take rows away.
    Delete,
}

impl Right {
    /// As in `plank.allow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

fn default_name() -> String {
    "default".into()
}

/// A row of `plank.policy`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Policy {
    /// The claim `role` of those for whom it is.
    pub role: String,
    /// What they may do.
    pub op: Right,
    /// With which rows, as a filter; none for all.
    pub rows: Option<String>,
    /// The transaction that changed it, or another one of the same role and op, last: a cursor that did not see it is of a principal
    /// who saw other rows.
    pub since: u64,
    /// Tells it from others of the same role and op.
    #[serde(default = "default_name")]
    pub name: String,
}

/// Who asks.
pub trait Claims {
    /// The claim `role`.
    fn role(&self) -> &str;
    /// A claim by its name; of one within another with dots.
    fn claim(&self, name: &str) -> Option<&Value>;
}

/// What a principal may do with rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The claim `role` of those who have it.
    pub role: Arc<str>,
    /// See [`Policy::since`].
    pub since: u64,
    /// With which rows; none for all.
    pub rows: Option<Arc<Filter>>,
}

/// The policy that a grant comes from. It has to be looked up where the rows are read: a server learns of a new one a moment
/// later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// The table; of a partition its root.
    pub rel: Oid,
    /// Whose.
    pub role: Arc<str>,
    /// For what.
    pub right: Right,
    /// See [`Policy::since`].
    pub since: u64,
}

impl Grant {
    /// What it stands and falls with.
    pub fn held(&self, rel: Oid, right: Right) -> PolicyVersion {
        PolicyVersion {
            rel,
            role: self.role.clone(),
            right,
            since: self.since,
        }
    }
}

/// A claim does not fit the column that a policy compares it with: its owner has to get another token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a claim of the token does not fit the column {column:?} that it is compared with")]
pub struct BrokenClaim {
    /// The column.
    pub column: String,
}

/// What a policy could not be put together for.
enum Unbound {
    /// A claim is missing, or the policy has a mistake, which [`Policy::check`] has told.
    Nothing,
    Broken(BrokenClaim),
}

impl Table {
    /// Whether a principal may do something here, with some rows or with all.
    pub fn may(&self, who: &dyn Claims, right: Right) -> bool {
        self.policies_of(who, right).next().is_some()
    }

    fn policies_of(&self, who: &dyn Claims, right: Right) -> impl Iterator<Item = &Policy> {
        let is_for = move |p: &&Policy| p.op == right && p.role == who.role();
        self.policies.iter().filter(is_for)
    }

    /// What a principal may do here; `None` for nothing at all. Several policies add up: what one of them allows is allowed.
    ///
    /// # Errors
    /// If one of its claims can't be compared.
    pub fn grant(&self, who: &dyn Claims, right: Right) -> Result<Option<Grant>, BrokenClaim> {
        let Some(since) = self.policies_of(who, right).map(|p| p.since).max() else {
            return Ok(None);
        };
        let mut allowed = Vec::new();
        let mut all_rows = false;
        for policy in self.policies_of(who, right) {
            match policy.fill(self, who) {
                Ok(None) => all_rows = true,
                Ok(Some(expr)) => allowed.push(expr),
                Err(Unbound::Nothing) => {}
                Err(Unbound::Broken(claim)) => return Err(claim),
            }
        }
        let rows = match allowed.len() {
            _ if all_rows => None,
            0 => Some(Filter::nothing()),
            1 => allowed.pop().map(|expr| self.bound(expr)).transpose()?,
            _ => Some(self.bound(Expr::Any(allowed))?),
        };
        Ok(Some(Grant {
            role: who.role().into(),
            since,
            rows: rows.map(Arc::new),
        }))
    }

    /// What is fixed in a policy has been looked at: all that can be wrong now is what a claim says.
    fn bound(&self, expr: Expr) -> Result<Filter, BrokenClaim> {
        Filter::bind(&Arc::new(expr), self).map_err(|error| BrokenClaim {
            column: error.place,
        })
    }
}

impl Policy {
    /// What is wrong with it, for people; nobody gets anything from it then.
    pub fn check(&self, table: &Table) -> Result<(), String> {
        let Some(text) = &self.rows else {
            return Ok(());
        };
        if self.op == Right::Select && !table.old_rows {
            return Err("the table logs no old rows; call plank.watch with old_rows".into());
        }
        let expr = read(text)?;
        for leaf in expr.leaves() {
            let (column, values) = leaf.parts();
            let known = Expr::Is {
                column: column.to_owned(),
                what: super::filter::expr::Is::Null,
            };
            Filter::bind(&Arc::new(known), table).map_err(|e| e.message)?;
            let mut fixed = Vec::with_capacity(values.len());
            for value in values {
                if !has_place(value)? {
                    fixed.push(value.clone());
                }
            }
            let bind = |leaf: Expr| Filter::bind(&Arc::new(leaf), table).map_err(|e| e.message);
            match leaf {
                Expr::In { column, .. } => {
                    let column = column.clone();
                    bind(Expr::In {
                        column,
                        values: fixed,
                    })?;
                }
                Expr::Compare { column, op, .. } if fixed.is_empty() => {
                    served(column, *op, table)?;
                }
                leaf => drop(bind(leaf.clone())?),
            }
        }
        Ok(())
    }

    /// Which rows it allows to a principal; `None` for all.
    fn fill(&self, table: &Table, who: &dyn Claims) -> Result<Option<Expr>, Unbound> {
        let Some(text) = &self.rows else {
            return Ok(None);
        };
        if self.check(table).is_err() {
            return Err(Unbound::Nothing);
        }
        let expr = read(text).map_err(|_| Unbound::Nothing)?;
        let expr = fill(&expr, who)?;
        // By itself, so that it is clear whose claim does not fit.
        table.bound(expr.clone()).map_err(Unbound::Broken)?;
        Ok(Some(expr))
    }

    /// Which rows it allows to a principal, `None` for all; or why it allows nothing, for people.
    ///
    /// # Errors
    /// Why it allows nothing.
    pub fn explain(&self, table: &Table, who: &dyn Claims) -> Result<Option<Expr>, String> {
        self.check(table)?;
        if let Some(claim) = self.lacks(who) {
            return Err(format!("the token says nothing as {{{claim}}}"));
        }
        self.fill(table, who).map_err(|unbound| match unbound {
            Unbound::Nothing => "a claim has another form than it needs".into(),
            Unbound::Broken(claim) => claim.to_string(),
        })
    }

    /// The first claim that it needs and the principal does not have: then it allows nothing.
    pub fn lacks(&self, who: &dyn Claims) -> Option<String> {
        let expr = read(self.rows.as_ref()?).ok()?;
        let lacking = |value: &str| {
            let mut rest = value;
            while let Some((_, name, behind)) = place(rest) {
                let said = look_up(who, name);
                let is_list = only_place(value).is_some() && matches!(said, Some(Value::Array(_)));
                if !is_list && said.and_then(text).is_none() {
                    return Some(name.to_owned());
                }
                rest = behind;
            }
            None
        };
        let leaves = expr.leaves();
        let mut values = leaves.iter().flat_map(|leaf| leaf.parts().1);
        values.find_map(|value| lacking(value))
    }
}

/// Whether a condition can be decided for some value of a claim: if not it is the policy that is wrong, and not the claim.
fn served(column: &str, op: Compare, table: &Table) -> Result<(), String> {
    const VALUES: [&str; 6] = [
        "1",
        "a",
        "true",
        "2026-01-01",
        "12:00",
        "00000000-0000-0000-0000-000000000000",
    ];
    let labels = table.columns.iter().filter(|c| c.name == column);
    let labels = labels.filter_map(|c| match &c.kind {
        Kind::Enum(labels) => labels.first().map(|label| &**label),
        _ => None,
    });
    let mut why = None;
    for value in VALUES.into_iter().chain(labels) {
        let leaf = Expr::Compare {
            column: column.to_owned(),
            op,
            value: value.to_owned(),
        };
        match Filter::bind(&Arc::new(leaf), table) {
            Ok(_) => return Ok(()),
            Err(error) => why = Some(error.message),
        }
    }
    Err(why.unwrap_or_default())
}

fn read(text: &str) -> Result<Expr, String> {
    match parse(text) {
        Ok(Some(expr)) => Ok(expr),
        Ok(None) => Err("it has no condition; leave rows out for all rows".into()),
        Err(error) => Err(format!("{}: {}", error.place, error.message)),
    }
}

/// The same, with what the claims say.
fn fill(expr: &Expr, who: &dyn Claims) -> Result<Expr, Unbound> {
    let all = |members: &[Expr]| -> Result<Vec<Expr>, Unbound> {
        members.iter().map(|member| fill(member, who)).collect()
    };
    Ok(match expr {
        Expr::All(members) => Expr::All(all(members)?),
        Expr::Any(members) => Expr::Any(all(members)?),
        Expr::Not(inner) => Expr::Not(Box::new(fill(inner, who)?)),
        Expr::Is { .. } | Expr::Server { .. } => expr.clone(),
        Expr::Compare { column, op, value } => {
            let is_pattern = matches!(op, Compare::Like | Compare::Ilike);
            let said = |text: String| match is_pattern {
                true => literally(&text, column),
                false => Ok(text),
            };
            Expr::Compare {
                column: column.clone(),
                op: *op,
                value: filled(value, who, &said)?,
            }
        }
        Expr::In { column, values } => {
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                match only_place(value).map(|name| look_up(who, name)) {
                    Some(Some(Value::Array(members))) => {
                        for member in members {
                            list.push(text(member).ok_or(Unbound::Nothing)?);
                        }
                    }
                    _ => list.push(filled(value, who, &|text| Ok(text))?),
                }
            }
            Expr::In {
                column: column.clone(),
                values: list,
            }
        }
    })
}

/// In a pattern a claim stands for itself. `*` can't be made to.
fn literally(said: &str, column: &str) -> Result<String, Unbound> {
    if said.contains('*') {
        return Err(Unbound::Broken(BrokenClaim {
            column: column.to_owned(),
        }));
    }
    let mut out = String::with_capacity(said.len());
    for c in said.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(out)
}

/// A value with what the claims say in it.
fn filled(
    value: &str,
    who: &dyn Claims,
    said: &dyn Fn(String) -> Result<String, Unbound>,
) -> Result<String, Unbound> {
    let (mut out, mut rest) = (String::with_capacity(value.len()), value);
    while let Some((before, name, behind)) = place(rest) {
        out.push_str(before);
        let claim = look_up(who, name).and_then(text);
        out.push_str(&said(claim.ok_or(Unbound::Nothing)?)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// What a claim says, as a text; nothing if it says null, or more than one thing.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_so) => Some(is_so.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn look_up<'a>(who: &'a dyn Claims, name: &str) -> Option<&'a Value> {
    who.claim(name.strip_prefix("claim.").unwrap_or(name))
}

/// The first `{name}` of a text: what stands before it, the name, and what stands behind it.
fn place(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(open) = text[from..].find('{').map(|at| at + from) {
        let close = text[open..].find('}').map(|at| at + open)?;
        let name = &text[open + 1..close];
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ':' | '/');
        if !name.is_empty() && name.chars().all(is_name) {
            return Some((&text[..open], name, &text[close + 1..]));
        }
        from = open + 1;
    }
    None
}

/// The name, if the text is nothing but one place.
fn only_place(text: &str) -> Option<&str> {
    place(text)
        .filter(|(before, _, behind)| before.is_empty() && behind.is_empty())
        .map(|(_, name, _)| name)
}

/// A brace that begins no place is a mistake: what was meant would be compared letter by letter.
fn no_brace(text: &str) -> Result<(), String> {
    match text.contains(['{', '}']) {
        true => Err(format!(
            "{text:?} has a brace that is of no {{sub}}, {{role}} or {{claim.NAME}}"
        )),
        false => Ok(()),
    }
}

/// Whether there are places in a text.
fn has_place(text: &str) -> Result<bool, String> {
    let (mut rest, mut found) = (text, false);
    while let Some((before, name, behind)) = place(rest) {
        no_brace(before)?;
        let is_claim = name.strip_prefix("claim.").is_some_and(|n| !n.is_empty());
        if !matches!(name, "sub" | "role") && !is_claim {
            return Err(format!(
                "there is no {{{name}}}; it can be {{sub}}, {{role}} or {{claim.NAME}}"
            ));
        }
        (rest, found) = (behind, true);
    }
    no_brace(rest)?;
    Ok(found)
}

#[cfg(test)]
mod tests;
