-- LIVE QUERIES: how a result is brought up to date. A refresh is one transaction (REPEATABLE READ): it sees one
-- state of the base tables, writes only what differs into the result, and notes the place up to which it has seen all changes.
-- Servers call plank.refresh; the row in plank.live_query is the lock that lets one refresh a query at a time.

-- From the beginning of a refresh until the next one may begin. Refreshes of a query take a thirtieth of the time at most, so that a dear
-- query is late itself and leaves the processors to writers. A fifth of a second is free: a query that rarely has something to do is never late.
-- owed: what its refreshes took, less a thirtieth of the time that has passed.
create function plank.query_pause(every interval, owed interval) returns interval language sql immutable set search_path = pg_catalog, pg_temp as $$
  select greatest(every, least(30 * (owed - interval '0.2 s'), interval '30 s'));
$$;

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
-- outcome: refreshed (the next one in wait_ms); clean (nothing to do); early (in wait_ms); busy (another server is at it); ended; gone.
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
  asked text;
  held text;
  is_few text := '';
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
  wait_ms := ceil(extract(epoch from greatest(q.began + plank.query_pause(q.every, q.owed), q.retry) - now_at) * 1000);
  if wait_ms > 0 then outcome := 'early'; return; end if;
  if plank.query_trouble(q) is not null then
    perform plank.end_query(name, plank.query_trouble(q));
    outcome := 'ended';
    return;
  end if;

  -- Beyond a tenth of the rows the whole is not dearer.
  if first_xid is not null and not plank.pruned(q.place) then
    told := plank.scope_values(q, least_xid, least(greatest(1000, q.rows / 10), 50000)::int);
  end if;
  is_whole := told is null;
  if told is not null then
    -- Each part of the scope that has values asks by itself, which lets it use an index: one condition with "or" of columns of several
    -- tables would compute the whole. A row that several parts ask for comes from the first of them.
    with part as (
      select n, format('%I = any (($1[%s])::%s[])', s->>'result', n, plank.result_type(a.atttypid, a.atttypmod)) as is_meant,
        (select array_agg(v)::text from jsonb_array_elements_text(told->(n::int - 1)) v) as list
      from jsonb_array_elements(q.scope) with ordinality e(s, n) join pg_attribute a on a.attrelid = q.rel and a.attname = s->>'result')
    select string_agg(format('select * from (%s) q where q.%s', q.query, is_meant) || coalesce(
          (select string_agg(format(' and (q.%s) is not true', p.is_meant), '' order by p.n) from part p where p.n < part.n and p.list is not null), ''),
          ' union all ' order by n) filter (where list is not null),
        string_agg('t.' || is_meant, ' or ') filter (where list is not null),
        array_agg(list order by n)
      into asked, held, params from part;
    -- It follows from the comparison of keys. It tells the planner that these are few rows: by itself it takes a
    -- function to give a thousand, and reads all of a large result.
    -- An array of arrays would be one of their elements.
    is_few := (select case when y.typcategory <> 'A' then format(' and t.%1$I = any (array(select %1$I from n))', q.key[1]) else '' end
      from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = q.rel and a.attname = q.key[1]);
    if asked is null then
      asked := format('select * from (%s) q where false', q.query);
      held := 'false';
    end if;
  end if;
  select * into shape from plank.result_shape(q.rel);
  begin
    execute format('with n as materialized (select * from plank.query_rows(%1$L, $1) as n (%2$s)),
        gone as (delete from %3$s t where not exists (select from n where %4$s) and (%5$s) returning 1),
        %6$s
        came as (insert into %3$s select * from n where not exists (select from %3$s t where %4$s%9$s) returning 1)
      select (select count(*) from n) as rows, (select count(*) from (select distinct %7$s from n) d) as keys,
        (select count(*) from gone) as gone, %8$s as changed, (select count(*) from came) as came',
        format('select %s from (%s) q limit %s', shape.selected, coalesce(asked, q.query), rows_max + 1), shape.columns,
        q.rel, (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), coalesce(held, 'true'),
        coalesce((select format('changed as (update %s t set %s from n where %s and (n.*) operator(pg_catalog.*<>) (t.*)%s returning 1),', q.rel,
            string_agg(format('%1$I = n.%1$I', a.attname), ', '), (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), is_few)
          from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key) having count(*) > 0), ''),
        (select string_agg(quote_ident(k), ', ') from unnest(q.key) k),
        case when exists (select from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key))
          then '(select count(*) from changed)' else '0' end, is_few)
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
  update plank.live_query x set place = here, began = now_at, took = clock_timestamp() - now_at,
    owed = greatest(q.owed - (now_at - q.began) / 30, '0') + (clock_timestamp() - now_at), failures = 0, problem = null, retry = null,
    rows = q.rows - made.gone + made.came where x.name = q.name
    returning ceil(extract(epoch from now_at + plank.query_pause(x.every, x.owed) - clock_timestamp()) * 1000) into wait_ms;
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
