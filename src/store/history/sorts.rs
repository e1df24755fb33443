//! What PostgreSQL knows of the columns that a table is sorted by.

use tokio_postgres::Client;

use crate::feed::Table;
use crate::feed::order::Sort;

use super::select::column;

/// Type and operators of columns. The operators are those that ORDER BY goes by, the default class of a B-tree for the
/// type or what it is made of: `>` would be looked up by its name, and for a type of an extension another one be found.
const SORTS: &str = "\
select a.attname::text, format_type(a.atttypid, a.atttypmod), \
  a.attnotnull and not exists (select from pg_constraint k \
    where k.conrelid = a.attrelid and k.contype = 'n' and not k.convalidated and k.conkey = array[a.attnum]), \
  (select array_agg(format('operator(%I.%s)', n.nspname, o.oprname) order by p.amopstrategy) \
   from pg_amop p join pg_operator o on o.oid = p.amopopr join pg_namespace n on n.oid = o.oprnamespace \
   where p.amopfamily = c.opcfamily and p.amoplefttype = c.opcintype and p.amoprighttype = c.opcintype and p.amoppurpose = 's') \
from unnest($2::text[]) with ordinality w (name, place) \
join pg_attribute a on a.attrelid = $1::oid and a.attname = w.name::name and a.attnum > 0 and not a.attisdropped \
cross join lateral ( \
  with recursive made_of (oid, depth) as ( \
    select a.atttypid, 0 \
    union all select d.typbasetype, m.depth + 1 from made_of m join pg_type d on d.oid = m.oid where d.typtype = 'd') \
  select oid from made_of order by depth desc limit 1) b \
join pg_type t on t.oid = b.oid \
left join lateral ( \
  select c.* from pg_opclass c join pg_am m on m.oid = c.opcmethod join pg_type i on i.oid = c.opcintype \
  where m.amname = 'btree' and c.opcdefault and ( \
    c.opcintype = t.oid \
    or c.opcintype = case t.typtype when 'e' then 'anyenum'::regtype when 'r' then 'anyrange'::regtype \
      when 'm' then 'anymultirange'::regtype when 'c' then 'record'::regtype end \
    or t.typcategory = 'A' and c.opcintype = 'anyarray'::regtype \
    or exists (select from pg_cast k where k.castsource = t.oid and k.casttarget = c.opcintype and k.castmethod = 'b' and k.castcontext = 'i')) \
  order by c.opcintype = t.oid desc, i.typispreferred desc limit 1) c on true \
order by w.place";

const TABLE: &str = "select from pg_class where oid = $1::oid";

/// A column to sort by.
#[derive(Clone, Debug)]
pub(super) struct Sorted {
    name: String,
    type_name: String,
    /// No row is without a value.
    pub(super) is_not_null: bool,
    /// `<`, `<=`, `=`, `>=`, `>`
    operators: [String; 5],
}

impl Sorted {
    pub(super) fn new(
        name: &str,
        type_name: &str,
        is_not_null: bool,
        operators: [String; 5],
    ) -> Self {
        Self {
            name: name.into(),
            type_name: type_name.into(),
            is_not_null,
            operators,
        }
    }

    pub(super) fn column(&self) -> String {
        column(&self.name)
    }

    /// A parameter as a value of the column.
    pub(super) fn value(&self, param: &str) -> String {
        format!("{param}::pg_catalog.text::{}", self.type_name)
    }

    /// What compares with a value that comes before it.
    pub(super) fn beyond(&self, descending: bool) -> &str {
        &self.operators[if descending { 0 } else { 4 }]
    }

    /// The same, or equal.
    pub(super) fn bound(&self, descending: bool) -> &str {
        &self.operators[if descending { 1 } else { 3 }]
    }

    pub(super) fn equal(&self) -> &str {
        &self.operators[2]
    }
}

/// Why a table can't be sorted.
pub(super) enum Unsorted {
    /// It is not there any more.
    Gone,
    /// A column of this name is not there any more.
    Unknown(String),
    /// The type of this column, which follows, has no order.
    Orderless(String, String),
}

/// Looks up the columns of an order.
pub(super) async fn look_up(
    client: &Client,
    table: &Table,
    order: &[Sort],
) -> Result<Result<Vec<Sorted>, Unsorted>, tokio_postgres::Error> {
    let names: Vec<&str> = order.iter().map(|sort| sort.column.as_str()).collect();
    let statement = client.prepare(SORTS).await?;
    let rows = client.query(&statement, &[&table.rel, &names]).await?;
    let mut sorted = Vec::with_capacity(order.len());
    for sort in order {
        let row = rows.iter().find(|row| row.get::<_, &str>(0) == sort.column);
        let Some(row) = row else {
            let table = client.query(TABLE, &[&table.rel]).await?;
            return Ok(Err(match table.is_empty() {
                true => Unsorted::Gone,
                false => Unsorted::Unknown(sort.column.clone()),
            }));
        };
        let type_name: &str = row.get(1);
        let operators: Option<Vec<String>> = row.get(3);
        let Some(operators) = operators.and_then(|list| list.try_into().ok()) else {
            let (name, type_name) = (sort.column.clone(), type_name.to_owned());
            return Ok(Err(Unsorted::Orderless(name, type_name)));
        };
        sorted.push(Sorted::new(&sort.column, type_name, row.get(2), operators));
    }
    Ok(Ok(sorted))
}
