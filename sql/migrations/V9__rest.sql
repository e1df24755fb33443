-- WRITING AND READING TABLES OVER HTTP (/rest). Servers put the statements together: names are the catalog's, quoted, and what
-- clients say are parameters. They run here, with the rights of a role that can do nothing else, because casts, operators,
-- triggers and checks of a table's owner run within them.

-- The last transaction that has a row in the log, or had one, or has pruned it. Volatile: as of now, also within a statement.
create function plank.newest() returns xid8 language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return greatest((select xid from plank.log order by xid desc limit 1), (select greatest(prune_xid, max_xid) from plank.horizon));
end $$;

-- Whether the policies of a role for these ops are still of these versions. After a read: a version that is gone never comes
-- back, so it held during the read. Without a role: whether the table is watched.
create function plank.holds(t oid, who text, ops text[], versions text[]) returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from plank.watched w where w.rel = t) then return false; end if;
  return who is null or not exists (
    select from unnest(ops, versions) o(op, version) where not exists (
      select from plank.policy p where p.rel = t and p.role = who and p.op = o.op and p.since::text = o.version));
end $$;

-- The same before a write, and it stays so until the transaction ends: plank.allow and plank.deny wait for it. Without a role:
-- whether everybody may write the table.
create function plank.hold(t oid, who text, ops text[], versions text[]) returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  held text[];
begin
  if not exists (select from plank.watched w where w.rel = t) then
    raise exception 'the table is not watched any more' using errcode = 'PK404';
  end if;
  if who is null then
    if not (select w.writable from plank.watched w where w.rel = t) then
      raise exception 'the table can''t be written any more' using errcode = 'PK403';
    end if;
    return true;
  end if;
  select array_agg(h.op || ' ' || h.version) into held from (
    select p.op, p.since::text as version from plank.policy p where p.rel = t and p.role = who and p.op = any (ops) for share) h;
  if not coalesce(held @> (select array_agg(op || ' ' || version) from unnest(ops, versions) o(op, version)), false) then
    raise exception 'what the client may do has just changed' using errcode = 'PK503';
  end if;
  return true;
end $$;

-- WHAT FUNCTIONS OF OTHERS LEAVE BEHIND. In a function of plank_reader or plank_writer they have no rights that matter. What they
-- leave to the commit, or in the session, would run later with those of plank's own role. A read is undone as a whole; only
-- prepared statements stay then. What a write leaves is looked for, and the write is refused with PK499.

-- The statements that were prepared in SQL. The server's own are not.
create function plank.prepared() returns text[] language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return array(select p.name || p.prepare_time || p.statement from pg_prepared_statements p where p.from_sql);
end $$;

-- Removes those that were prepared since, which could stand in the place of the server's; the name of one, or null. The server
-- prepares what it misses again.
create function plank.unprepare(before text[]) returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  other text;
  one text;
begin
  for other in select p.name from pg_prepared_statements p where p.from_sql and p.name || p.prepare_time || p.statement <> all (before) loop
    execute format('deallocate %I', other);
    one := other;
  end loop;
  return one;
end $$;

-- The settings that a function could leave in the session, and that change what values look like, what works, or how long it takes.
-- Without a search path of its own, which it would see in place of the session's.
create function plank.settings() returns text language plpgsql volatile as $$
begin
  return pg_catalog.concat_ws('|',
    pg_catalog.current_setting('client_encoding', true), pg_catalog.current_setting('client_min_messages', true),
    pg_catalog.current_setting('default_transaction_isolation', true), pg_catalog.current_setting('default_transaction_read_only', true),
    pg_catalog.current_setting('default_transaction_deferrable', true), pg_catalog.current_setting('row_security', true),
    pg_catalog.current_setting('exit_on_error', true), pg_catalog.current_setting('search_path', true),
    pg_catalog.current_setting('timezone', true), pg_catalog.current_setting('datestyle', true),
    pg_catalog.current_setting('intervalstyle', true), pg_catalog.current_setting('extra_float_digits', true),
    pg_catalog.current_setting('bytea_output', true), pg_catalog.current_setting('xmloption', true),
    pg_catalog.current_setting('xmlbinary', true), pg_catalog.current_setting('quote_all_identifiers', true),
    pg_catalog.current_setting('standard_conforming_strings', true), pg_catalog.current_setting('array_nulls', true),
    pg_catalog.current_setting('backslash_quote', true), pg_catalog.current_setting('transform_null_equals', true),
    pg_catalog.current_setting('default_table_access_method', true), pg_catalog.current_setting('default_tablespace', true),
    pg_catalog.current_setting('temp_tablespaces', true), pg_catalog.current_setting('default_text_search_config', true),
    pg_catalog.current_setting('timezone_abbreviations', true), pg_catalog.current_setting('lc_monetary', true),
    pg_catalog.current_setting('lc_numeric', true), pg_catalog.current_setting('lc_time', true),
    pg_catalog.current_setting('gin_fuzzy_search_limit', true), pg_catalog.current_setting('constraint_exclusion', true),
    pg_catalog.current_setting('synchronous_commit', true), pg_catalog.current_setting('statement_timeout', true),
    pg_catalog.current_setting('lock_timeout', true), pg_catalog.current_setting('idle_in_transaction_session_timeout', true),
    pg_catalog.current_setting('idle_session_timeout', true), pg_catalog.current_setting('transaction_timeout', true),
    pg_catalog.current_setting('restrict_nonsystem_relation_kind', true), pg_catalog.current_setting('plan_cache_mode', true),
    pg_catalog.current_setting('jit', true), pg_catalog.current_setting('work_mem', true),
    pg_catalog.current_setting('temp_buffers', true), pg_catalog.current_setting('enable_indexscan', true),
    pg_catalog.current_setting('enable_indexonlyscan', true), pg_catalog.current_setting('enable_bitmapscan', true),
    pg_catalog.current_setting('enable_seqscan', true), pg_catalog.current_setting('enable_hashjoin', true),
    pg_catalog.current_setting('enable_mergejoin', true), pg_catalog.current_setting('enable_nestloop', true),
    pg_catalog.current_setting('enable_sort', true), pg_catalog.current_setting('cursor_tuple_fraction', true),
    pg_catalog.current_setting('max_parallel_workers_per_gather', true));
end $$;

-- Whether the session still has the settings that the server has found in a new one; null if it knows of none (behind a pooler), and
-- then any. must: if not, that is an error, for more of this transaction is to come.
create function plank.is_settled(expected text, must boolean) returns boolean language plpgsql volatile as $$
begin
  if expected is null or (pg_catalog.pg_my_temp_schema() operator(pg_catalog.=) 0::pg_catalog.oid
      and not exists (select from pg_catalog.pg_listening_channels()) and plank.settings() operator(pg_catalog.=) expected) then
    return true;
  end if;
  if must then
    raise exception 'leaves a setting, a temporary table or a LISTEN in the session' using errcode = 'PK499';
  end if;
  return false;
end $$;

-- What the role of this function owns, and in which version. As owner of a function a trigger could let it run with other rights, or
-- make one that keeps the rights of this role.
create function plank.owned() returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  -- Where the roles could not be made there is no boundary.
  if current_user = session_user then return null; end if;
  return (select string_agg(concat_ws(' ', d.classid, d.objid, p.xmin, p.ctid), ',' order by d.classid, d.objid)
    from pg_shdepend d left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
    where d.refclassid = 'pg_authid'::regclass and d.refobjid = current_user::regrole and d.deptype = 'o'
      and d.dbid in (0, (select oid from pg_database where datname = current_database())));
end $$;

-- What is left to the commit; null for nothing. A deferred trigger runs with the rights of
-- the session's role (up to PostgreSQL 17), so of the tables that this transaction has written none may have one of another role:
-- a constraint trigger, or the check of an exclusion whose expressions are that role's. Those of foreign keys run with the rights of
-- the tables' owners; but what these have defined for a cast to the key or for the planner could defer more work in them.
create function plank.left_behind() returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  trusted oid[];
  written oid;
  found text;
begin
  if exists (select from pg_cursors where is_holdable) then return 'holds a cursor'; end if;
  for written in
    select l.relation from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode like '%Exclusive%'
  loop
    continue when not exists (select from pg_trigger t where t.tgrelid = written and t.tgdeferrable);
    trusted := array(select oid from pg_roles where rolsuper or rolname = session_user);
    select format('writes %s, whose trigger %I is deferrable and of another role', t.tgrelid::regclass, t.tgname) into found
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid
    where t.tgrelid = written and t.tgdeferrable
      and case
        when p.pronamespace <> 'pg_catalog'::regnamespace then p.proowner <> all (trusted) or c.relowner <> all (trusted)
        when p.proname = 'unique_key_recheck' then c.relowner <> all (trusted)
          and exists (select from pg_index i where i.indexrelid = t.tgconstrindid and (i.indexprs is not null or i.indpred is not null))
        else exists (
          select from pg_constraint k join pg_class o on o.oid in (k.conrelid, k.confrelid)
          where k.oid = t.tgconstraint and o.relowner <> all (trusted) and (
            exists (select from pg_index i where i.indrelid = o.oid and (i.indexprs is not null or i.indpred is not null))
            or exists (select from pg_constraint e where e.conrelid = o.oid and e.contype = 'c')
            or exists (select from pg_statistic_ext e where e.stxrelid = o.oid and e.stxexprs is not null)
            or exists (select from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = o.oid and a.attnum > 0
              and not a.attisdropped and a.atttypid >= 16384 and y.typtype <> 'e' and y.typowner <> all (trusted))))
        end
    limit 1;
    if found is not null then return found; end if;
  end loop;
  return null;
end $$;

-- Reads a page. query gives snapshot, count, rows and entity tag; counting: null, planned or estimated, by the plan of
-- count_query. Volatile: the statement within has the snapshot of after its locks, so a TRUNCATE or a rewrite of the table shows.
create function plank.rest_read(query text, counting text, count_query text, params text[],
    out snapshot text, out total bigint, out rows text[], out tag text)
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  plan json;
  before text[] := plank.prepared();
begin
  begin
    perform set_config('transaction_read_only', 'on', true);
    execute query into snapshot, total, rows, tag using params;
    if counting is not null then
      execute 'explain (format json) ' || count_query into plan using params;
      if counting = 'planned' or total > 10000 then
        total := greatest((plan->0->'Plan'->>'Plan Rows')::numeric::bigint, total, cardinality(rows));
      end if;
    end if;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if snapshot is null then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  perform pg_advisory_unlock_all();
  if plank.unprepare(before) is not null then
    raise exception 'replaces a prepared statement' using errcode = 'PK499';
  end if;
end $$;

-- Writes. query gives the number of rows it has written, of those that the client may not write so (then nothing is written), of
-- those that were there before, the rows as the client may see them, their keys and the entity tag. expected: so many rows have
-- to be written; affected_max: more are an error; is_single: one row has to come back. path: for the functions of triggers,
-- which belong to the table's owner and know nothing of plank. is_last: of the transaction, so what is deferred is done now, with
-- the rights and the path of all other triggers. trace: the traceparent that the log gets, null for none.
create function plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean,
    is_last boolean, trace text, out affected bigint, out refused bigint, out existed bigint, out rows text[], out keys text[], out tag text)
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  before text[] := plank.prepared();
  owned text := plank.owned();
  left_behind text;
begin
  if held is not true then raise exception 'what the client may do has just changed' using errcode = 'PK503'; end if;
  perform set_config('search_path', path, true);
  if trace is not null then perform set_config('plank.traceparent', trace, true); end if;
  execute query into affected, refused, existed, rows, keys, tag using params;
  if refused > 0 then
    raise exception 'the policy does not allow this row' using errcode = 'PK403';
  end if;
  if affected < expected then
    raise exception 'a row is in the way' using errcode = 'PK409';
  end if;
  if affected > affected_max then
    raise exception '% rows', affected using errcode = 'PK124';
  end if;
  if is_single and cardinality(rows) <> 1 then
    raise exception '% rows', cardinality(rows) using errcode = 'PK116';
  end if;
  if array_position(rows, null) is not null then
    raise exception 'too many bytes' using errcode = 'PK413';
  end if;
  if is_last then
    set constraints all immediate;
  end if;
  perform pg_advisory_unlock_all();
  left_behind := coalesce('replaces the prepared statement ' || plank.unprepare(before),
    case when plank.owned() is distinct from owned then 'changes what the role plank_writer owns' end, plank.left_behind());
  if left_behind is not null then
    raise exception '%', left_behind using errcode = 'PK499';
  end if;
end $$;

-- Whether nothing in this database can be defined by a role that is neither a superuser nor the role of this session, nor plank's own: no other role owns
-- anything here, or may create something, or make a trigger or a foreign key on a table. What others could do besides, such as
-- temporary tables, stays in their own sessions.
create function plank.is_alone() returns boolean language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  trusted oid[] := array(
    select r.oid from pg_roles r where r.rolsuper or r.rolname = session_user
    union select n.nspowner from pg_namespace n where n.nspname = 'plank'
    union select p.proowner from pg_proc p where p.pronamespace = 'plank'::regnamespace and p.proname in ('capture_row', 'json_of', 'rest_read', 'rest_write'));
  this oid := (select d.oid from pg_database d where d.datname = current_database());
begin
  return not exists (
      select from pg_shdepend d where d.dbid = this and d.deptype = 'o' and d.refclassid = 'pg_authid'::regclass
        and d.classid <> 'pg_largeobject'::regclass and d.refobjid <> all (trusted))
    and not exists (select from pg_database d where d.oid = this and d.datdba <> all (trusted))
    and not exists (
      select from pg_database d, aclexplode(d.datacl) a where d.oid = this and a.privilege_type = 'CREATE' and a.grantee <> all (trusted))
    and not exists (
      select from pg_namespace n, aclexplode(n.nspacl) a
      where a.privilege_type = 'CREATE' and a.grantee <> all (trusted) and a.grantee <> (select r.oid from pg_roles r where r.rolname = 'pg_database_owner'))
    and not exists (
      select from pg_class c, aclexplode(c.relacl) a where c.oid >= 16384 and a.privilege_type in ('TRIGGER', 'REFERENCES') and a.grantee <> all (trusted))
    and not exists (
      select from pg_attribute c, aclexplode(c.attacl) a where c.attacl is not null and a.privilege_type = 'REFERENCES' and a.grantee <> all (trusted));
end $$;

-- The watched tables that the role of this session may read without a boundary, and which of these it may write so. Such a write runs no
-- trigger but those of plank and of foreign keys, so it leaves nothing in the session, and each row that it writes is in the log.
create function plank.own_tables() returns table (rel oid, is_written boolean) language plpgsql stable set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  if not plank.is_alone() then return; end if;
  return query
  with recursive
    own as (
      select w.rel::oid as rel from plank.watched w join pg_class c on c.oid = w.rel
      where not row_security_active(w.rel) and (select o.rolsuper or o.oid = c.relowner from pg_roles o where o.rolname = session_user)),
    -- What a write reaches by foreign keys.
    reached as (
      select o.rel as root, o.rel from own o
      union
      select r.root, k.conrelid from reached r join pg_constraint k on k.contype = 'f' and k.confrelid = r.rel and concat(k.confdeltype, k.confupdtype) ~ '[cnd]')
  select o.rel, coalesce(pg_sequence_last_value('plank.slot'), 0) < 8
    and not exists (select from pg_inherits h where o.rel in (h.inhrelid, h.inhparent))
    and not exists (select from pg_rewrite r where r.ev_class = o.rel)
    and exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = o.rel and p.pronamespace = 'plank'::regnamespace)
    and not exists (
      select from reached r join pg_trigger t on t.tgrelid = r.rel join pg_proc p on p.oid = t.tgfoid
      where r.root = o.rel and not t.tgisinternal and (p.pronamespace <> 'plank'::regnamespace or t.tgenabled not in ('O', 'A')))
  from own o;
end $$;

-- What a write of a table of the session's own role (see plank.own_tables) is held against, behind it and before it is committed: it is
-- what the client may write, and what it asks for. The same errors as those of plank.rest_write.
create function plank.judge(held boolean, affected bigint, refused bigint, expected bigint, affected_max bigint,
    is_single boolean, returned int, is_too_much boolean) returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if held is not true then raise exception 'what the client may do has just changed' using errcode = 'PK503'; end if;
  if refused > 0 then
    raise exception 'the policy does not allow this row' using errcode = 'PK403';
  end if;
  if affected < expected then
    raise exception 'a row is in the way' using errcode = 'PK409';
  end if;
  if affected > affected_max then
    raise exception '% rows', affected using errcode = 'PK124';
  end if;
  if is_single and returned <> 1 then
    raise exception '% rows', returned using errcode = 'PK116';
  end if;
  if is_too_much then
    raise exception 'too many bytes' using errcode = 'PK413';
  end if;
  return true;
end $$;

-- The role that writes run with.
create function plank.writer() returns oid language sql stable set search_path = pg_catalog, pg_temp as $$
  select proowner from pg_proc where pronamespace = 'plank'::regnamespace and proname = 'rest_write'
$$;

-- Lets it write a table, and draw from the sequences of its columns. Where row-level security hides rows, one more policy shows
-- them to that role, which nobody can log in as: what clients may write is for plank.allow to say.
create function plank.permit_writes(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  writer name := pg_get_userbyid(plank.writer());
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  sequence regclass;
begin
  if not has_schema_privilege(writer, in_schema::oid, 'usage') then execute format('grant usage on schema %s to %I', in_schema, writer); end if;
  if not (has_table_privilege(writer, t, 'select') and has_table_privilege(writer, t, 'insert')
      and has_table_privilege(writer, t, 'update') and has_table_privilege(writer, t, 'delete')) then
    execute format('grant select, insert, update, delete on %s to %I', t, writer);
  end if;
  for sequence in select s from plank.sequences_of(t) s
  loop
    if not has_sequence_privilege(writer, sequence, 'usage') then execute format('grant usage on sequence %s to %I', sequence, writer); end if;
  end loop;
  if (select relrowsecurity from pg_class where oid = t) and not (select rolcanlogin from pg_roles where rolname = writer)
      and not exists (select from pg_policy where polrelid = t and polname = 'plank_writes' and plank.writer() = any (polroles)) then
    execute format('create policy plank_writes on %s to %I using (true) with check (true)', t, writer);
  end if;
end $$;

-- Takes that back, so far as it was given to a role that nobody can log in as.
create function plank.forbid_writes(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  writer oid := plank.writer();
  name name := pg_get_userbyid(writer);
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  sequence regclass;
begin
  if (select rolcanlogin from pg_roles where oid = writer) or (select relowner = writer from pg_class where oid = t) then return; end if;
  if not exists (select from pg_class c, aclexplode(c.relacl) a where c.oid = t and a.grantee = writer) then return; end if;
  execute format('revoke all on %s from %I', t, name);
  for sequence in
    select s from plank.sequences_of(t) s join pg_class c on c.oid = s, aclexplode(c.relacl) a
    where a.grantee = writer and not exists (
      select from plank.watched w where w.rel <> t and has_table_privilege(writer, w.rel::oid, 'insert') and s in (select plank.sequences_of(w.rel)))
  loop
    execute format('revoke all on sequence %s from %I', sequence, name);
  end loop;
  if exists (select from pg_policy where polrelid = t and polname = 'plank_writes' and writer = any (polroles)) then
    execute format('drop policy plank_writes on %s', t);
  end if;
  if not exists (select from pg_class c, aclexplode(c.relacl) a where c.relnamespace = in_schema and a.grantee = writer)
    and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = in_schema and a.grantee = writer) then
    execute format('revoke usage on schema %s from %I', in_schema, name);
  end if;
end $$;

-- IDEMPOTENCY. What a request with an Idempotency-Key was answered, kept for a day. Logged, and written in the transaction of
-- the request itself: whatever is killed, either both are there or neither is.
create table plank.idempotency (
  principal text        not null,
  key       text        not null,
  request   bytea       not null,                   -- SHA-256 of method, address and body
  status    int,
  headers   json,
  body      text,
  at        timestamptz not null default now(),
  primary key (principal, key)
);
create index on plank.idempotency (at);

revoke all on all functions in schema plank from public;
