//! The statements of [`super::Inspector`]. They run on any PostgreSQL from 12 on, so that one that is too old is told so.
//! Of the schema `plank` they name what has been there since V6.

/// See [`super::ServerFacts`].
pub(super) const SERVER: &str = "select current_setting('server_version_num')::int, current_setting('server_version'), \
    pg_is_in_recovery(), current_setting('server_encoding'), current_user::text, current_database()::text, \
    pg_has_role('pg_read_all_stats', 'usage'), \
    has_database_privilege(current_database(), 'create'), \
    coalesce((select has_schema_privilege(oid, 'create') from pg_namespace where nspname = 'public'), false), \
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, \
    (select count(*) from pg_stat_activity where backend_type = 'client backend'), \
    current_setting('fsync')::boolean";

/// Seconds since 1970.
pub(super) const CLOCK: &str = "select extract(epoch from pg_catalog.clock_timestamp())::float8";

/// Not that of the log: a copy of a database has its log, until a plank begins it anew.
pub(super) const IDENTITY: &str = "select (select system_identifier from pg_control_system()) || '/' || oid \
    from pg_database where datname = current_database()";

/// See [`super::SchemaFacts`].
pub(super) const SCHEMA: &str = "select r.rolname::text, r.rolcanlogin, pg_has_role(n.nspowner, 'usage') \
    from pg_namespace n join pg_roles r on r.oid = n.nspowner where n.nspname = 'plank'";

/// None before the first migration.
pub(super) const MIGRATIONS: &str = "select version::int from plank.migrations order by 1";

/// See [`super::LogFacts`]. Every listener holds the advisory lock (7012, 4) as long as it is connected.
pub(super) const LOG: &str = "select extract(epoch from m.keep)::float8, m.rows_max, s.rows_estimated, s.bytes, \
    (select last_value = 8 from plank.slot), \
    coalesce(extract(epoch from clock_timestamp() - (select min(opened) from plank.leaf)), 0)::float8, \
    exists (select from plank.horizon where max_xid is not null), \
    m.system_id = (select system_identifier from pg_control_system()) \
      and m.database = (select oid from pg_database where datname = current_database()) and m.own_oid = 'plank.meta'::regclass, \
    (select count(*) from pg_locks l join pg_database d on d.oid = l.database \
      where l.locktype = 'advisory' and l.classid = 7012 and l.objid = 4 and l.granted and d.datname = current_database()) \
    from plank.meta m, plank.log_size() s";

/// See [`super::TableFacts`]. Row security does not refuse, it hides: the role that is not held by it is a superuser, one with
/// BYPASSRLS, the owner unless it is forced, or one with a policy of plank.
pub(super) const TABLES: &str = "select coalesce(format('%I.%I', n.nspname, c.relname), w.rel::oid::text), c.oid is not null, \
    coalesce(c.relkind, 'r')::text, w.rel = w.root, w.level, t.names, t.states, coalesce(c.relpersistence = 'u', false), \
    exists (select from pg_subscription_rel s where s.srrelid = w.rel), \
    coalesce(has_table_privilege(o.oid, c.oid, 'select') and has_schema_privilege(o.oid, c.relnamespace, 'usage'), true), \
    coalesce(c.relrowsecurity and not o.rolsuper and not o.rolbypassrls \
      and not (pg_has_role(o.oid, c.relowner, 'usage') and not c.relforcerowsecurity) \
      and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'plank_reads'), false), \
    array(select format('%I.%I', pn.nspname, pc.relname) from pg_partition_tree(case when w.rel = w.root and c.relkind = 'p' then w.rel end) pt \
      join pg_class pc on pc.oid = pt.relid join pg_namespace pn on pn.oid = pc.relnamespace \
      where pt.relid <> w.rel and not exists (select from plank.watched x where x.rel = pt.relid) order by 1) \
    from plank.watched w left join pg_class c on c.oid = w.rel left join pg_namespace n on n.oid = c.relnamespace \
    join pg_namespace pl on pl.nspname = 'plank' join pg_roles o on o.oid = pl.nspowner \
    left join lateral (select coalesce(array_agg(g.tgname::text order by g.tgname), '{}') as names, \
      coalesce(array_agg(g.tgenabled::text order by g.tgname), '{}') as states \
      from pg_trigger g where g.tgrelid = w.rel and g.tgname like 'plank\\_%' and not g.tgisinternal) t on true \
    order by w.rel <> w.root, 1";

/// Tables that have policies. Of one that is gone there is no description.
pub(super) const POLICIES: &str = "select d.text from (select plank.describe(w.rel::oid)::text as text from plank.watched w \
    where w.rel = w.root and exists (select from plank.policy p where p.rel = w.rel) order by w.rel::text) d where d.text is not null";

/// See [`super::OpenTransaction`]. A prepared transaction has no process that could end.
pub(super) const TRANSACTIONS: &str = "select format('process %s of %s%s in database %s (%s)', a.pid, coalesce(a.usename::text, 'nobody'), \
    case when a.application_name <> '' then format(' (%s)', a.application_name) else '' end, a.datname, a.state), \
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as age, a.backend_xid is not null \
    from pg_stat_activity a where a.backend_type = 'client backend' and a.pid <> pg_backend_pid() \
    and a.xact_start < clock_timestamp() - make_interval(secs => $1) \
    union all \
    select format('prepared transaction %s of %s in database %s', quote_literal(p.gid), p.owner, p.database), \
    extract(epoch from clock_timestamp() - p.prepared)::float8, true \
    from pg_prepared_xacts p where p.prepared < clock_timestamp() - make_interval(secs => $1) \
    order by age desc";
