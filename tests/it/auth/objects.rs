//! All that plank makes in a database, against the table in `objects.txt`: whose it is, with whose rights it runs, with which search
//! path, and who else may use it. `PLANK_WRITE_OBJECTS=1` writes the table anew; a difference is for a person to judge.

use std::fmt::Write as _;

use plank::app::prepare;
use plank::config::Database;

use crate::support::Cluster;
use crate::support::cluster::connect;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/auth/objects.txt");

/// Rights of others than the owner. PUBLIC is no role.
const GRANTS: &str = "coalesce((select string_agg(g.who || ':' || g.what, ' ' order by g.who) from ( \
    select coalesce(r.rolname, 'PUBLIC') as who, string_agg(lower(a.privilege_type), ',' order by a.privilege_type) as what \
    from aclexplode(ACL) a left join pg_roles r on r.oid = a.grantee where a.grantee <> OWNER group by 1) g), '-')";

/// A role that is to have no right that it is not given, a line for each.
const ROLES: &str = "select format('role %s: %s', r.rolname, concat_ws(' ', case when r.rolsuper then 'superuser' end, \
    case when r.rolcanlogin then 'login' end, case when r.rolcreaterole then 'createrole' end, case when r.rolcreatedb then 'createdb' end, \
    case when r.rolreplication then 'replication' end, case when r.rolbypassrls then 'bypassrls' end, \
    (select string_agg('in ' || m.roleid::regrole, ' ') from pg_auth_members m where m.member = r.oid))) \
    from pg_roles r where r.rolname in ('plank_owner', 'plank_capture', 'plank_reader', 'plank_writer', 'plank_json') order by 1";

async fn objects() -> String {
    // A cluster of its own: in the shared one other tests give rights.
    let cluster = Cluster::start();
    let database = cluster.empty_database().await;
    let config = cluster.config(&database);
    let both = Database {
        requests: config.clone().into(),
        listen: config.clone().into(),
    };
    prepare(&both).await.unwrap();
    let sql = connect(&config).await;
    let grants = |acl: &str, owner: &str| GRANTS.replace("ACL", acl).replace("OWNER", owner);
    let schema = format!(
        "select format('schema plank: %s | %s', nspowner::regrole, {}) from pg_namespace n where nspname = 'plank'",
        grants("n.nspacl", "n.nspowner")
    );
    let relations = format!(
        "select format('%s %s: %s | %s', case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end, c.relname, \
           c.relowner::regrole, {}) \
         from pg_class c where c.relnamespace = 'plank'::regnamespace and c.relkind in ('r', 'p', 'S', 'v') order by c.relkind = 'S', c.relkind = 'v', c.relname",
        grants("c.relacl", "c.relowner")
    );
    let functions = format!(
        "select format('function %s(%s): %s %s | %s | %s', p.proname, pg_get_function_identity_arguments(p.oid), p.proowner::regrole, \
           case when p.prosecdef then 'definer' else 'invoker' end, \
           coalesce((select split_part(c, '=', 2) from unnest(p.proconfig) c where c like 'search\\_path=%'), '-'), {}) \
         from pg_proc p where p.pronamespace = 'plank'::regnamespace order by p.proname, p.oid::regprocedure::text",
        grants(
            "coalesce(p.proacl, acldefault('f', p.proowner))",
            "p.proowner"
        )
    );
    let mut text = String::new();
    for query in [ROLES.to_owned(), schema, relations, functions] {
        for row in sql.query(&query, &[]).await.unwrap() {
            writeln!(text, "{}", row.get::<_, &str>(0)).unwrap();
        }
    }
    text
}

#[actix_rt::test]
async fn each_object_has_the_owner_the_rights_and_the_search_path_that_it_is_to_have() {
    let found = objects().await;
    if std::env::var_os("PLANK_WRITE_OBJECTS").is_some() {
        return std::fs::write(FILE, found).unwrap();
    }
    let wanted = std::fs::read_to_string(FILE).unwrap();
    let missing = wanted.lines().filter(|line| !found.contains(*line));
    let more = found.lines().filter(|line| !wanted.contains(*line));
    let differs: Vec<String> = missing
        .map(|line| format!("- {line}"))
        .chain(more.map(|line| format!("+ {line}")))
        .collect();
    assert!(differs.is_empty(), "{}", differs.join("\n"));

    // The rules behind the table.
    for line in found.lines() {
        let is_function = line.starts_with("function ");
        if line.starts_with("role ") {
            assert!(
                line.ends_with(": "),
                "a role of plank can do nothing by itself: {line}"
            );
        }
        if is_function {
            assert!(!line.contains("PUBLIC:"), "not for everybody: {line}");
        }
        if is_function && line.contains("): plank_owner ") {
            assert!(
                line.contains("| pg_catalog, pg_temp |")
                    || RELIES_ON_NO_PATH.iter().any(|name| line.contains(name)),
                "{line}"
            );
        }
        let is_foreign = [
            "plank_capture definer",
            "plank_reader definer",
            "plank_json definer",
            "plank_writer definer",
        ];
        if is_function && !line.contains("): plank_owner ") {
            assert!(is_foreign.iter().any(|kind| line.contains(kind)), "{line}");
        }
    }
}

/// Parts of capture: each name in them is qualified, and the search path is that of the writer, for the sake of speed. And what looks
/// at the search path of the session, or reads names in that of the caller.
const RELIES_ON_NO_PATH: &[&str] = &[
    " watch_query(name text",
    " unwatch(name text",
    " pin(",
    " unpin(",
    " count_packed(",
    " as_parent(",
    " is_settled(",
    " settings(",
];
