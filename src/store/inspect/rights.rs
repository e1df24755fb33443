//! Who owns what of plank, and who else may do something with it.

use tokio_postgres::Row;

/// Owners, grants, search paths. Names are as PostgreSQL quotes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RightsFacts {
    /// Functions of plank with another owner than they are to have: `(function, owner, wanted)`.
    pub misowned: Vec<(String, String, String)>,
    /// Functions of plank that all roles may execute.
    pub public: Vec<String>,
    /// Functions of plank that name a search path no more, though they rely on it.
    pub pathless: Vec<String>,
    /// Roles besides the owner that may make objects in the schema plank.
    pub makers: Vec<String>,
    /// Roles of plank that can do more than they should: they can log in, or are superusers and the like.
    pub strong: Vec<String>,
    /// Roles that are members of one of them, but for superusers and this one.
    pub members: Vec<String>,
    /// Whether all roles may connect to the database.
    pub all_connect: bool,
    /// Whether all roles may make objects in the schema `public`.
    pub all_create: bool,
}

/// One row with all of it. Lists of a function, its owner and the one that it is to have are three lists of one length.
pub(super) const RIGHTS: &str = "\
with functions as ( \
  select p.*, p.oid::regprocedure::text as name, pg_get_userbyid(p.proowner)::text as owner, \
    case when s.rolcanlogin then s.rolname::text else plank.runs_as(p.proname) end as wanted \
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_roles s on s.oid = n.nspowner \
  where n.nspname = 'plank' and plank.is_made('f', p.proname) order by p.oid::regprocedure::text), \
own as (select r.* from pg_roles r where r.rolname in ('plank_owner', 'plank_capture', 'plank_reader', 'plank_json')) \
select array(select name from functions where owner <> wanted), array(select owner from functions where owner <> wanted), \
  array(select wanted from functions where owner <> wanted), \
  array(select name from functions f where exists ( \
    select from aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a where a.grantee = 0)), \
  array(select name from functions f where f.prosecdef and not f.proname like 'capture%' and not f.proname like 'json%' \
    and not coalesce(f.proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']), \
  array(select distinct coalesce(quote_ident(pg_get_userbyid(nullif(a.grantee, 0))), 'PUBLIC') from pg_namespace n, aclexplode(n.nspacl) a \
    where n.nspname = 'plank' and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner order by 1), \
  array(select rolname::text from own where rolcanlogin or rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls order by 1), \
  array(select distinct quote_ident(m.rolname) from own o join pg_auth_members x on x.roleid = o.oid join pg_roles m on m.oid = x.member \
    where not m.rolsuper and m.rolname <> current_user order by 1), \
  exists (select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
    where d.datname = current_database() and a.privilege_type = 'CONNECT' and a.grantee = 0), \
  exists (select from pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a \
    where n.nspname = 'public' and a.privilege_type = 'CREATE' and a.grantee = 0)";

impl RightsFacts {
    pub(super) fn of(row: &Row) -> Self {
        let (names, owners, wanted): (Vec<String>, Vec<String>, Vec<String>) =
            (row.get(0), row.get(1), row.get(2));
        let misowned = names.into_iter().zip(owners).zip(wanted);
        Self {
            misowned: misowned
                .map(|((name, owner), wanted)| (name, owner, wanted))
                .collect(),
            public: row.get(3),
            pathless: row.get(4),
            makers: row.get(5),
            strong: row.get(6),
            members: row.get(7),
            all_connect: row.get(8),
            all_create: row.get(9),
        }
    }
}
