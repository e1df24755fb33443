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

/// See [`super::LogFacts`].
pub(super) const LOG: &str = "select extract(epoch from m.keep)::float8, m.rows_max, s.rows_estimated, s.bytes, \
    (select last_value = 8 from plank.slot), \
    coalesce(extract(epoch from clock_timestamp() - (select min(opened) from plank.leaf)), 0)::float8, \
    exists (select from plank.horizon where max_xid is not null), \
    m.system_id = (select system_identifier from pg_control_system()) \
      and m.database = (select oid from pg_database where datname = current_database()) and m.own_oid = 'plank.meta'::regclass, \
    (select count(*) from plank.listeners()) \
    from plank.meta m, plank.log_size() s";

/// See [`super::TableFacts`]. Row security does not refuse, it hides: the role that is not held by it is a superuser, one with
/// BYPASSRLS, the owner unless it is forced, or one with a policy of plank.
pub(super) const TABLES: &str = "select case when c.oid is null then m.rel::oid::text else format('%I.%I', n.nspname, c.relname) end, c.oid is not null, \
    coalesce(c.relkind, 'r')::text, m.rel = m.watched, w.level, t.names, t.states, coalesce(c.relpersistence = 'u', false), \
    not exists (select from pg_inherits h where h.inhrelid = m.rel or h.inhparent = m.rel), \
    coalesce(has_table_privilege(o.oid, c.oid, 'select') and has_schema_privilege(o.oid, c.relnamespace, 'usage'), true), \
    coalesce(c.relrowsecurity and not o.rolsuper and not o.rolbypassrls \
      and not (pg_has_role(o.oid, c.relowner, 'usage') and not c.relforcerowsecurity) \
      and not exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'plank_reads'), false), \
    array(select format('%I.%I', pn.nspname, pc.relname) from plank.members_of(case when m.rel = m.watched then c.oid end) b \
      join pg_class pc on pc.oid = b.rel join pg_namespace pn on pn.oid = pc.relnamespace \
      where b.rel <> m.rel and not exists (select from plank.member x where x.rel = b.rel and x.watched = m.watched) order by 1), \
    coalesce(m.problem, case when c.oid = m.watched and w.level = 'statement' then \
      (select 'it is captured by statements, and ' || l.why from plank.level_of(c.oid) l where l.level = 'row') end, '') \
    from plank.member m join plank.watched w on w.rel = m.watched \
    left join pg_class c on c.oid = m.rel left join pg_namespace n on n.oid = c.relnamespace \
    join pg_namespace pl on pl.nspname = 'plank' join pg_roles o on o.oid = plank.reader() \
    left join lateral (select coalesce(array_agg(replace(f.proname::text, '_any', '') order by f.proname), '{}') as names, \
      coalesce(array_agg(g.tgenabled::text order by f.proname), '{}') as states \
      from pg_trigger g join pg_proc f on f.oid = g.tgfoid and f.pronamespace = pl.oid where g.tgrelid = m.rel and not g.tgisinternal) t on true \
    order by m.rel <> m.watched, 1";

/// Tables that have policies. Of one that is gone there is no description.
pub(super) const POLICIES: &str = "select d.text from (select plank.describe(w.rel::oid)::text as text from plank.watched w \
    where exists (select from plank.policy p where p.rel = w.rel) order by w.rel::text) d where d.text is not null";

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

/// See [`super::SettingFacts`]. What the session would have without plank's own settings, and where that comes from: a role
/// and a database are looked at before the server.
pub(super) const SETTINGS: &str = "select s.name, s.reset_val, \
    (select d.setdatabase <> 0 from pg_db_role_setting d, unnest(d.setconfig) c \
      where split_part(c, '=', 1) = s.name and d.setrole in (0, to_regrole(quote_ident(session_user))::oid) \
      and d.setdatabase in (0, (select oid from pg_database where datname = current_database())) \
      order by d.setrole = 0, d.setdatabase = 0 limit 1), \
    (select d.setrole <> 0 from pg_db_role_setting d, unnest(d.setconfig) c \
      where split_part(c, '=', 1) = s.name and d.setrole in (0, to_regrole(quote_ident(session_user))::oid) \
      and d.setdatabase in (0, (select oid from pg_database where datname = current_database())) \
      order by d.setrole = 0, d.setdatabase = 0 limit 1) \
    from pg_settings s where s.name in ('default_transaction_isolation', 'default_transaction_read_only', \
      'default_transaction_deferrable', 'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', \
      'idle_session_timeout', 'transaction_timeout', 'session_replication_role', 'synchronous_commit', 'row_security') \
    order by 1";

/// See [`super::LinkFacts`]. A pooler hides it: then it is the pooler's own link.
pub(super) const LINK: &str = "select coalesce(s.ssl, false), coalesce(s.version, ''), a.client_addr is not null \
      and not coalesce(a.client_addr <<= '127.0.0.0/8'::inet or a.client_addr = '::1'::inet, false) \
    from pg_stat_activity a left join pg_stat_ssl s using (pid) where a.pid = pg_backend_pid()";
