-- LIVE QUERIES: plank.watch_query, and how a result is brought up to date. A refresh is one transaction (REPEATABLE READ): it sees one
-- state of the base tables, writes only what differs into the result, and notes the place up to which it has seen all changes.
-- Servers call plank.refresh; the row in plank.live_query is the lock that lets one refresh a query at a time.

-- Rows of a query, with the rights of plank_reader and settings that do not depend on the session. STABLE: within it nothing is written
-- and no row is locked, and it sees what the statement sees that calls it. What functions of others do meanwhile is undone, as in
-- plank.rest_read: the rows stay, for they are kept outside of the subtransaction. Parameters are members of $1.
create function plank.query_rows(statement text, params text[]) returns setof record language plpgsql stable security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres' set extra_float_digits = 1 as $$
declare
  before text[] := plank.prepared();
  is_done boolean := false;
begin
  begin
    perform set_config('transaction_read_only', 'on', true);
    return query execute statement using params;
    is_done := true;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if not is_done then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  if plank.unprepare(before) is not null then
    raise exception 'a function of the query replaces a prepared statement' using errcode = 'PK499';
  end if;
end $$;

-- What a statement of a result is made of: its columns as a definition, and as they are selected from the query.
create function plank.result_shape(rel regclass, out columns text, out selected text) language sql stable set search_path = pg_catalog, pg_temp as $$
  select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum),
    string_agg(format('q.%1$I::%2$s as %1$I', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
  from pg_attribute a where a.attrelid = rel and a.attnum > 0 and not a.attisdropped
$$;

-- Reads the scope of a query: for each table the column whose values say which rows of the result a change concerns. The column of the
-- result has the same name, or is given as {"column": "column of the result"}.
create function plank.read_scope(scope jsonb, rel regclass, bases regclass[], path text) returns jsonb language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  one record;
  t regclass;
  base oid;
  column_name text;
  result_name text;
  made jsonb := '[]';
begin
  if scope is null then return made; end if;
  if jsonb_typeof(scope) <> 'object' then
    raise exception 'plank: scope has to be an object' using hint = 'as {"orders": "id"}', errcode = 'invalid_parameter_value';
  end if;
  for one in select e.key, e.value from jsonb_each(scope) e loop
    perform set_config('search_path', path, true);
    t := pg_catalog.to_regclass(one.key);
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    base := plank.followed_as(t);
    if t is null or base is null or not base = any (bases::oid[]) then
      raise exception 'plank: scope names %, which the query does not read', quote_literal(one.key) using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(one.value) = 'string' then
      column_name := one.value #>> '{}';
      result_name := column_name;
    elsif jsonb_typeof(one.value) = 'object' and (select count(*) = 1 and bool_and(jsonb_typeof(v.value) = 'string') from jsonb_each(one.value) v) then
      select v.key, v.value into column_name, result_name from jsonb_each_text(one.value) v;
    else
      raise exception 'plank: scope of % has to be a column, or {"column": "column of the result"}', t using errcode = 'invalid_parameter_value';
    end if;
    if not exists (select from pg_attribute where attrelid = t and attname = column_name and attnum > 0 and not attisdropped and plank.is_plain(atttypid)) then
      raise exception 'plank: scope names the column % of %, which is not there, or not of a built-in type', quote_literal(column_name), t
        using errcode = 'undefined_column';
    end if;
    if not exists (select from pg_attribute where attrelid = rel and attname = result_name and attnum > 0 and plank.is_plain(atttypid)) then
      raise exception 'plank: scope names the column % of the result, which is not there, or not of a built-in type', quote_literal(result_name)
        using errcode = 'undefined_column';
    end if;
    made := made || jsonb_build_object('base', base::bigint, 'column', column_name, 'result', result_name);
  end loop;
  return made;
end $$;

-- Makes the table of a result for what the view of the query shows.
create function plank.make_result(name text, view regclass, key name[]) returns regclass language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  bad record;
  part name;
  rel text := format('plank_query.%I', name);
begin
  for bad in select a.attname, a.attnum, format_type(a.atttypid, a.atttypmod) as type, plank.result_type(a.atttypid, a.atttypmod) as kept
    from pg_attribute a where a.attrelid = view and a.attnum > 0 loop
    if bad.attname = '?column?' then
      raise exception 'plank: the column % of the result has no name', bad.attnum using hint = 'give it one with AS', errcode = 'invalid_column_definition';
    end if;
    if bad.kept is null then
      raise exception 'plank: the column % of the result has the type %, which can''t be kept', quote_ident(bad.attname), bad.type
        using hint = 'cast it, as to_jsonb(...) or ...::text', errcode = 'feature_not_supported';
    end if;
  end loop;
  if key is null or cardinality(key) = 0 then
    raise exception 'plank: key is empty' using hint = 'it names the columns that tell the rows of the result apart', errcode = 'invalid_parameter_value';
  end if;
  foreach part in array key loop
    if part is null then raise exception 'plank: key has a null' using errcode = 'invalid_parameter_value'; end if;
    if not exists (select from pg_attribute a where a.attrelid = view and a.attname = part and a.attnum > 0) then
      raise exception 'plank: the result has no column %, which key names', quote_ident(part) using errcode = 'undefined_column';
    end if;
    if not exists (select from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = view and a.attname = part
        and (y.typtype = 'd' or y.typtype = 'e' or y.typnamespace = 'pg_catalog'::regnamespace)) then
      raise exception 'plank: the key column % is of a type that is not built in', quote_ident(part) using hint = 'cast it, as ...::text', errcode = 'feature_not_supported';
    end if;
    if (select count(*) from unnest(key) k where k = part) > 1 then
      raise exception 'plank: key names % twice', quote_ident(part) using errcode = 'duplicate_column';
    end if;
  end loop;
  begin
    execute format('create table %s (%s, primary key (%s))', rel,
      (select string_agg(format('%I %s%s', a.attname, plank.result_type(a.atttypid, a.atttypmod),
          case when a.attcollation not in (0, 100) then (select format(' collate %I.%I', n.nspname, l.collname)
            from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation) end), ', ' order by a.attnum)
        from pg_attribute a where a.attrelid = view and a.attnum > 0),
      (select string_agg(quote_ident(k), ', ') from unnest(key) k));
  exception when undefined_object then
    raise exception 'plank: a key column can''t be compared: %', sqlerrm using hint = 'cast it, as ...::text', errcode = 'feature_not_supported';
  end;
  execute format('alter table %s owner to %I', rel, (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'plank_query'));
  return rel::regclass;
end $$;

-- Lets plank_reader read the views of a query.
create function plank.permit_views(for_query text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  reader name := pg_get_userbyid(plank.reader());
  v record;
begin
  for v in select c.oid::regclass as rel, c.relnamespace::regnamespace as in_schema, c.relnamespace from plank.query_part p join pg_class c on c.oid = p.rel
    where p.query = for_query and p.number = 0 and c.relkind = 'v' loop
    if not has_schema_privilege(reader, v.relnamespace, 'usage') then execute format('grant usage on schema %s to %I', v.in_schema, reader); end if;
    if not has_table_privilege(reader, v.rel, 'select') then
      if not has_table_privilege(v.rel, 'select with grant option') then
        raise exception 'plank: the view % belongs to another role', v.rel
          using hint = format('its owner has to let plank read it: grant select on %s to %I', v.rel, reader), errcode = 'insufficient_privilege';
      end if;
      execute format('grant select on %s to %I', v.rel, reader);
      update plank.query_part set granted = true where query = for_query and rel = v.rel and number = 0;
    end if;
  end loop;
end $$;

-- What an error that a result could not take says to people.
create function plank.result_error(state text, said text, detail text) returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case state
    when '23505' then format('the key is not unique in the result: %s', replace(detail, ' already exists.', ' is there more than once'))
    when '23502' then format('the key is null in a row of the result: %s', said)
    else format('the query fails: %s', said) end
$$;

-- Keeps the result of a query in the table plank_query.<name>, as live as any watched table. key: the columns that tell its rows
-- apart. every: the least time between two refreshes. scope: which column of the result equals which column of a changed row; then
-- only those rows are computed anew. See docs/LIVE-QUERIES.md.
create function plank.watch_query(name text, query text, key name[], every interval default '200ms', scope jsonb default null) returns void
  language plpgsql as $$
begin
  perform plank.make_query(name, query, key, every, scope, pg_catalog.current_setting('search_path'));
end $$;

create function plank.make_query(name text, query text, key name[], every interval, scope jsonb, path text) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  view regclass;
  own_rel regclass;
  refused record;
  shape record;
  canonical text;
  own_bases regclass[];
  here pg_snapshot;
  begun_at timestamptz := clock_timestamp();
  rows_max bigint := (select query_rows_max from plank.meta);
  filled bigint;
  said text;
  state text;
  more text;
begin
  if name is null or name !~ '^[a-z_][a-z0-9_]{0,62}$' then
    raise exception 'plank: % is no name for a live query', coalesce(quote_literal(name), 'null')
      using hint = 'it has lower-case letters, digits and underscores, begins with no digit, and has at most 63 characters', errcode = 'invalid_name';
  end if;
  if exists (select from plank.live_query q where q.name = make_query.name) or to_regclass(format('plank_query.%I', name)) is not null then
    raise exception 'plank: there is a live query % already', name using hint = format('select plank.unwatch(%L)', name), errcode = 'duplicate_object';
  end if;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where c.relnamespace = 'public'::regnamespace and c.relname = name) then
    raise exception 'plank: a watched table is called % already', name using hint = 'clients could not tell the two apart', errcode = 'duplicate_object';
  end if;
  if (select count(*) from plank.live_query) >= 100 then
    raise exception 'plank: there are 100 live queries already' using errcode = 'program_limit_exceeded';
  end if;
  if every is null or every < '10 ms' or every > '1 day' then
    raise exception 'plank: every has to be from 10 ms to 1 day' using errcode = 'invalid_parameter_value';
  end if;
  if query is null or query ~ '^\s*$' then
    raise exception 'plank: query is empty' using errcode = 'invalid_parameter_value';
  end if;
  if length(query) > 32768 then
    raise exception 'plank: query has more than 32768 characters' using errcode = 'program_limit_exceeded';
  end if;
  if plank.has_semicolon(query) then
    raise exception 'plank: query has a semicolon: it has to be one statement' using hint = 'leave the semicolon out', errcode = 'syntax_error';
  end if;

  view := plank.probe_query(name, query, path);
  select * into refused from plank.query_refusal(view);
  if scope is not null and plank.tells_time(view) then
    raise exception 'plank: scope needs a query that does not ask for the time'
      using hint = 'rows that no change concerns would keep an old time', errcode = 'invalid_parameter_value';
  end if;
  if refused.reason is not null then
    raise exception 'plank: %', refused.reason using hint = coalesce(refused.hint, ''), errcode = 'feature_not_supported';
  end if;
  canonical := rtrim(pg_get_viewdef(view), E'; \n');
  select array_agg(distinct plank.followed_as(r.rel)::regclass) into own_bases
    from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.relkind in ('r', 'p');
  own_rel := plank.make_result(name, view, key);
  insert into plank.live_query (name, rel, query, key, every, bases) values (name, own_rel, canonical, key, every, own_bases);
  insert into plank.query_part (query, rel, number, was)
    select make_query.name, r.rel, n, plank.part_now(r.rel, n) from plank.rels_of(view) r, lateral (
      select 0 as n union
      select d.refobjsubid from pg_depend d join pg_rewrite w on w.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and w.ev_class = view and d.refclassid = 'pg_class'::regclass and d.refobjid = r.rel) p
    where r.rel <> view and plank.part_now(r.rel, n) is not null;
  execute format('drop view %s', view);
  perform plank.permit_views(name);
  update plank.live_query q set scope = plank.read_scope(make_query.scope, own_rel, own_bases, path) where q.name = make_query.name;

  select * into shape from plank.result_shape(own_rel);
  here := pg_current_snapshot();
  begin
    execute format('insert into %s select * from plank.query_rows(%L, null) as n (%s)', own_rel,
      format('select %s from (%s) q limit %s', shape.selected, canonical, rows_max + 1), shape.columns);
    get diagnostics filled = row_count;
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate, more = pg_exception_detail;
    raise exception 'plank: %', plank.result_error(state, said, more) using errcode = state;
  end;
  if filled > rows_max then
    raise exception 'plank: the query has more than % rows', rows_max using hint = 'plank serve --live-query-rows-max allows more', errcode = 'program_limit_exceeded';
  end if;
  execute format('analyze %s', own_rel);
  perform plank.watch(own_rel);
  update plank.live_query q set place = here, began = begun_at, took = clock_timestamp() - begun_at, rows = filled where q.name = make_query.name;
end $$;

-- ENDING

-- Why a query can't be followed any more, or null.
create function plank.query_trouble(q plank.live_query) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select reason from (
    select 1 as rank, 'its result was dropped' as reason where not exists (select from pg_class c where c.oid = q.rel)
    union all
    select 2, 'its result is not watched any more' where not exists (select from plank.watched w where w.rel = q.rel)
    union all
    select 3, case
        when n.now is null and p.number = 0 then format('%s was dropped', substr(split_part(p.was, ' ', 2), 1))
        when n.now is null then format('the column %s of %s was dropped', split_part(p.was, ' ', 1), p.rel)
        when p.number = 0 then format('%s was changed or renamed', split_part(p.was, ' ', 2))
        else format('the column %s of %s is now %s', p.was, p.rel, n.now) end
      from plank.query_part p, lateral (select plank.part_now(p.rel, p.number) as now) n
      where p.query = q.name and n.now is distinct from p.was
    union all
    select 4, format('%s is not watched any more', c.oid::regclass) from plank.query_part p join pg_class c on c.oid = p.rel
      where p.query = q.name and p.number = 0 and c.relkind in ('r', 'p') and coalesce(plank.followed_as(c.oid) <> all (q.bases::oid[]), true)
    order by rank, reason limit 1) r
$$;

-- Ends a query, and says why. Its clients get what was committed, and then unsubscribed. The last result stays until plank.unwatch(name).
create function plank.end_query(name text, reason text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  own regclass;
begin
  update plank.live_query q set ended = reason where q.name = end_query.name and q.ended is null returning q.rel into own;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where w.rel = own) then perform plank.unwatch(own); end if;
end $$;

-- Ends the queries that can't be followed any more, and says why: their names and reasons. Servers call it once a second.
create function plank.follow_queries() returns table (name text, reason text) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  q plank.live_query;
begin
  perform set_config('lock_timeout', '50ms', true);
  for q in select x.* from plank.live_query x where x.ended is null and plank.query_trouble(x) is not null for update skip locked loop
    name := q.name;
    reason := plank.query_trouble(q);
    begin
      perform plank.end_query(q.name, reason);
      return next;
    exception when lock_not_available or deadlock_detected then null;   -- the next time
    end;
  end loop;
end $$;

-- Takes a live query away, with its result.
create function plank.drop_query(name text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  q plank.live_query;
  reader name := pg_get_userbyid(plank.reader());
  v record;
begin
  select * into q from plank.live_query x where x.name = drop_query.name for update;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where w.rel = q.rel) then perform plank.unwatch(q.rel); end if;
  if exists (select from pg_class c where c.oid = q.rel) then execute format('drop table %s', q.rel); end if;
  for v in select c.oid::regclass as rel, c.relnamespace, c.relnamespace::regnamespace as in_schema
    from plank.query_part p join pg_class c on c.oid = p.rel where p.query = q.name and p.granted loop
    if exists (select from plank.query_part p where p.rel = v.rel and p.query <> q.name and p.number = 0) then
      update plank.query_part p set granted = true where p.rel = v.rel and p.query <> q.name and p.number = 0;
      continue;
    end if;
    execute format('revoke select on %s from %I', v.rel, reader);
  end loop;
  for v in select distinct c.relnamespace, c.relnamespace::regnamespace as in_schema from plank.query_part p join pg_class c on c.oid = p.rel
    where p.query = q.name and c.relkind = 'v' loop
    if not exists (select from plank.member m join pg_class c on c.oid = m.rel where c.relnamespace = v.relnamespace)
      and not exists (select from plank.query_part p join pg_class c on c.oid = p.rel where c.relnamespace = v.relnamespace and p.query <> q.name)
      and not (select rolcanlogin from pg_roles where rolname = reader)
      and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = v.relnamespace and a.grantee = plank.reader()) then
      execute format('revoke usage on schema %s from %I', v.in_schema, reader);
    end if;
  end loop;
  delete from plank.live_query x where x.name = q.name;
end $$;

-- Lets go of a table or of a live query, by name. A name that is both is that of the table.
create function plank.unwatch(name text) returns void language plpgsql as $$
declare
  query text := plank.query_named(name, pg_catalog.to_regclass(name));
begin
  if query is null then
    perform plank.unwatch(name::pg_catalog.regclass);
  else
    perform plank.drop_query(query);
  end if;
end $$;

-- The live query of this name, or with this result. rel: what the name means as a table.
create function plank.query_named(name text, rel regclass) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select q.name from plank.live_query q where q.rel = query_named.rel or query_named.rel is null and q.name = query_named.name
$$;

create function plank.is_query(name text) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from plank.live_query q where q.name = is_query.name)
$$;

-- REFRESHING

-- Which values of the columns of a scope the changes since the place of a query have: an array of arrays as text, in the order of the
-- scope. Null if that can't be told, or if there are too many: then all rows are computed anew.
create function plank.scope_values(q plank.live_query, first_xid xid8, values_max int) returns jsonb language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  made jsonb := '[]';
  one record;
  found_values text[];
  is_told boolean;
begin
  if q.scope = '[]' or q.place is null or q.problem is not null then return null; end if;
  -- A base table without a scope, or a change that has no rows.
  if exists (
    select from plank.log l where l.xid >= first_xid and l.rel = any (q.bases::oid[]) and not pg_visible_in_snapshot(l.xid, q.place)
      and (l.op not in ('I', 'U', 'D', 'i', 'u', 'd') or l.rel not in (select (s->>'base')::bigint::oid from jsonb_array_elements(q.scope) s)))
  then return null; end if;
  for one in select (s->>'base')::bigint::oid as base, s->>'column' as name from jsonb_array_elements(q.scope) with ordinality e(s, n) order by n loop
    -- A null is equal to no key: such a change concerns rows that can't be named.
    select array_agg(v) filter (where v is not null), coalesce(bool_and(has and v is not null), true) into found_values, is_told from (
      select distinct r->>one.name as v, r->one.name is not null as has
      from plank.log l, lateral (values (l.row), (l.old)) x(j), lateral (
        select x.j as r where l.op in ('I', 'U', 'D') and x.j is not null
        union all select a from json_array_elements(case when l.op in ('i', 'u', 'd') then x.j end) a) y
      where l.xid >= first_xid and l.rel = one.base and not pg_visible_in_snapshot(l.xid, q.place)
      limit values_max + 2) d;
    if not is_told or cardinality(found_values) > values_max then return null; end if;
    made := made || jsonb_build_array(to_jsonb(coalesce(found_values, '{}')));
  end loop;
  return made;
end $$;

-- How many rows of the result of a query differ from what the query gives now.
create function plank.query_differs(name text) returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  q plank.live_query := (select x from plank.live_query x where x.name = query_differs.name);
  shape record;
  differing bigint;
begin
  select * into shape from plank.result_shape(q.rel);
  execute format('select count(*) from plank.query_rows(%1$L, null) as n (%2$s) full join %3$s t on %4$s where n.%5$I is null or t.%5$I is null or (n.*) operator(pg_catalog.*<>) (t.*)',
      format('select %s from (%s) q', shape.selected, q.query), shape.columns, q.rel,
      (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), q.key[1])
    into differing;
  return differing;
end $$;

-- Brings the result of a query up to date, if a change since its place concerns it. first_xid: no change before this transaction is news;
-- null if that is not known. verify: checks the whole result afterwards.
-- outcome: refreshed; clean (nothing to do); early (in wait_ms); busy (another server is at it); ended; gone.
-- place: up to which the result now has all changes. differs: what verify has found.
create function plank.refresh(name text, first_xid xid8, verify boolean, out outcome text, out place text, out wait_ms bigint,
    out is_whole boolean, out changed bigint, out differs bigint)
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  q plank.live_query;
  now_at timestamptz := clock_timestamp();
  here pg_snapshot := pg_current_snapshot();
  least_xid xid8;
  touched boolean;
  told jsonb;
  params text[];
  wanted text;
  held text;
  shape record;
  made record;
  rows_max bigint := (select query_rows_max from plank.meta);
  said text;
  state text;
  more text;
begin
  if current_setting('transaction_isolation') = 'read committed' then
    raise exception 'plank: refresh() needs the isolation level repeatable read' using errcode = 'invalid_transaction_state';
  end if;
  select * into q from plank.live_query x where x.name = refresh.name for update skip locked;
  if not found then
    outcome := case when plank.is_query(name) then 'busy' else 'gone' end;
    return;
  end if;
  place := q.place::text;
  if q.ended is not null then outcome := 'ended'; return; end if;
  least_xid := greatest(first_xid, pg_snapshot_xmin(q.place));
  touched := q.place is null or q.problem is not null or first_xid is null and q.began < now_at - interval '1 minute'
    or plank.pruned(q.place) or exists (
      select from plank.log l where l.xid >= least_xid and l.rel = any (q.bases::oid[]) and not pg_visible_in_snapshot(l.xid, q.place));
  if not touched then
    outcome := 'clean';
    if verify then differs := plank.query_differs(name); end if;
    return;
  end if;
  wait_ms := ceil(extract(epoch from greatest(q.began + greatest(q.every, 2 * q.took), q.retry) - now_at) * 1000);
  if wait_ms > 0 then outcome := 'early'; return; end if;
  if plank.query_trouble(q) is not null then
    perform plank.end_query(name, plank.query_trouble(q));
    outcome := 'ended';
    return;
  end if;

  if first_xid is not null and not plank.pruned(q.place) then told := plank.scope_values(q, least_xid, 1000); end if;
  is_whole := told is null;
  if told is not null then
    select string_agg(format('q.%I = any (($1[%s])::%s[])', s->>'result', n, plank.result_type(a.atttypid, a.atttypmod)), ' or '),
        string_agg(format('t.%I = any (($1[%s])::%s[])', s->>'result', n, plank.result_type(a.atttypid, a.atttypmod)), ' or '),
        array_agg((select array_agg(v)::text from jsonb_array_elements_text(told->(n::int - 1)) v) order by n)
      into wanted, held, params
      from jsonb_array_elements(q.scope) with ordinality e(s, n) join pg_attribute a on a.attrelid = q.rel and a.attname = s->>'result';
  end if;
  select * into shape from plank.result_shape(q.rel);
  begin
    execute format('with n as materialized (select * from plank.query_rows(%1$L, $1) as n (%2$s)),
        gone as (delete from %3$s t where not exists (select from n where %4$s) and (%5$s) returning 1),
        %6$s
        came as (insert into %3$s select * from n where not exists (select from %3$s t where %4$s) returning 1)
      select (select count(*) from n) as rows, (select count(*) from (select distinct %7$s from n) d) as keys,
        (select count(*) from gone) as gone, %8$s as changed, (select count(*) from came) as came',
        format('select %s from (%s) q where %s limit %s', shape.selected, q.query, coalesce(wanted, 'true'), rows_max + 1), shape.columns,
        q.rel, (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), coalesce(held, 'true'),
        coalesce((select format('changed as (update %s t set %s from n where %s and (n.*) operator(pg_catalog.*<>) (t.*) returning 1),', q.rel,
            string_agg(format('%1$I = n.%1$I', a.attname), ', '), (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k))
          from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key) having count(*) > 0), ''),
        (select string_agg(quote_ident(k), ', ') from unnest(q.key) k),
        case when exists (select from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key))
          then '(select count(*) from changed)' else '0' end)
      into made using params;
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate, more = pg_exception_detail;
    raise exception 'plank: %', plank.result_error(state, said, more) using errcode = state;
  end;
  if made.keys <> made.rows then
    raise exception 'plank: the key is not unique in the result' using errcode = 'unique_violation';
  end if;
  if q.rows - made.gone + made.came > rows_max then
    raise exception 'plank: the query has more than % rows', rows_max using errcode = 'program_limit_exceeded';
  end if;
  place := here::text;
  outcome := 'refreshed';
  changed := made.gone + made.changed + made.came;
  update plank.live_query x set place = here, began = now_at, took = clock_timestamp() - now_at, failures = 0, problem = null, retry = null,
    rows = q.rows - made.gone + made.came where x.name = q.name;
  if verify then differs := plank.query_differs(name); end if;
end $$;

-- Notes that a refresh has failed; in how many milliseconds it is to be tried again.
create function plank.query_failed(name text, why text) returns bigint language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  delay interval;
begin
  update plank.live_query q set failures = q.failures + 1, problem = why,
      retry = clock_timestamp() + least(interval '0.5 s' * 2 ^ least(q.failures, 10), interval '5 minutes')
    where q.name = query_failed.name returning q.retry - clock_timestamp() into delay;
  return ceil(extract(epoch from delay) * 1000);
end $$;

-- A restored log has other places.
create function plank.renew_queries() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.live_query set place = null;
  return null;
end $$;
create trigger renew_queries after update of log_id on plank.meta for each statement execute function plank.renew_queries();

-- What is watched, at which level, and why; and live queries, with what is wrong with them.
create or replace view plank.tables as
  select w.rel as "table", w.key, w.columns, w.old_rows, w.writable, w.level, w.why, w.since,
    nullif(concat_ws('; ', 'stale: ' || q.problem,
      (select string_agg(format('%s: %s', m.rel, m.problem), '; ') from plank.member m where m.watched = w.rel and m.problem is not null)), '') as problem,
    q.query, q.every, q.began as refreshed
  from plank.watched w join pg_class c on c.oid = w.rel left join plank.live_query q on q.rel = w.rel
  union all
  select q.rel, q.key, null, null, null, null, null, null, 'ended: ' || q.ended, q.query, q.every, q.began
  from plank.live_query q where q.ended is not null;

revoke all on all functions in schema plank from public;
