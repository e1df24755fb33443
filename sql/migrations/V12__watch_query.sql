-- LIVE QUERIES: plank.watch_query. The query is read (V11), its result gets a table, is computed for the first time, and the table is
-- watched, all in the transaction of the caller.

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

-- The columns of a scope find rows of a result. The first of the key has an index already; a type that has no hash gets none.
-- A hash, since long values do not fit into a tree.
create function plank.index_scope(rel regclass, key name[], scope jsonb) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part name;
begin
  for part in select distinct s->>'result' from jsonb_array_elements(scope) s where s->>'result' <> key[1] loop
    begin
      execute format('create index on %s using hash (%I)', rel, part);
    exception when undefined_object then null;
    end;
  end loop;
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
  perform plank.index_scope(own_rel, key, (select q.scope from plank.live_query q where q.name = make_query.name));
  execute format('analyze %s', own_rel);
  perform plank.watch(own_rel);
  update plank.live_query q set place = here, began = begun_at, took = clock_timestamp() - begun_at, rows = filled where q.name = make_query.name;
end $$;

revoke all on all functions in schema plank from public;
