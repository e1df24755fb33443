-- LIVE QUERIES: the result of a query, kept in a table plank_query.<name> that is watched like any other. This file reads the
-- query: what it says, what it reads, and whether it can be followed. V12 makes the result, V13 ends the query, V14 keeps the result up
-- to date.
--
-- The query is kept as PostgreSQL writes it, with all names qualified: what a name means is settled when plank.watch_query is called,
-- in the caller's search path, and no object that is made later can change it. It runs with the rights of plank_reader.

create schema plank_query;

create table plank.live_query (
  name     text        primary key,
  rel      regclass    not null,                 -- the table with the result
  query    text        not null,                 -- with all names qualified
  key      name[]      not null,
  every    interval    not null,                 -- between two refreshes, at least
  bases    regclass[]  not null,                 -- the watched tables whose changes concern it
  scope    jsonb       not null default '[]',    -- [{"base": oid, "column": of its rows, "result": of the result}]
  place    pg_snapshot,                          -- up to which the result has all changes; null: not known
  began    timestamptz not null default clock_timestamp(),   -- when the last refresh began
  took     interval    not null default '0',     -- by the last refresh
  owed     interval    not null default '0',     -- see plank.query_pause
  failures int         not null default 0,       -- since the last refresh that worked
  problem  text,                                 -- why the result is stale
  retry    timestamptz,                          -- not before
  rows     bigint      not null default 0,
  ended    text                                  -- why it is not followed any more
);

-- What a query reads: each table and view (number 0), and each column that the query itself names. was: what it was then.
create table plank.query_part (
  query   text     not null references plank.live_query on delete cascade,
  rel     regclass not null,
  number  int      not null,
  was     text     not null,
  granted boolean  not null default false,       -- whether plank let plank_reader read it
  primary key (query, rel, number)
);

alter table plank.meta add column query_rows_max bigint not null default 100000 check (query_rows_max > 0);

-- READING A QUERY

-- Whether the text has a semicolon outside of quotes and comments.
create function plank.has_semicolon(query text) returns boolean language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  rest text := query;
  found text;
  depth int;
begin
  loop
    -- What has no meaning for this, up to the next character that may have one.
    found := substring(rest from '^[^;''"$/eE-]+');
    rest := substr(rest, coalesce(length(found), 0) + 1);
    if rest = '' then return false; end if;
    if rest like ';%' then return true; end if;
    if rest like '/*%' then
      depth := 0;
      loop
        if rest like '/*%' then depth := depth + 1; rest := substr(rest, 3);
        elsif rest like '*/%' then depth := depth - 1; rest := substr(rest, 3);
        elsif rest = '' then return false;
        else rest := substr(rest, 1 + greatest(1, length(substring(rest from '^[^*/]+')))); end if;
        exit when depth = 0;
      end loop;
      continue;
    end if;
    found := coalesce(
      substring(rest from '^--[^\n\r]*'),
      substring(rest from '^[eE]''(?:[^''\\]|\\.|'''')*'''),
      substring(rest from '^''(?:[^'']|'''')*'''),
      substring(rest from '^"(?:[^"]|"")*"'),
      substring(rest from '^[eE$][[:alnum:]_]+(?!\$)'),
      left(rest, 1));
    if rest ~ '^\$(?:[[:alpha:]_\u0080-\U0010ffff][[:alnum:]_\u0080-\U0010ffff]*)?\$' then
      found := substring(rest from '^\$[^$]*\$');
      depth := strpos(substr(rest, length(found) + 1), found);
      if depth = 0 then return false; end if;
      found := left(rest, depth + 2 * length(found) - 1);
    elsif found ~ '^[eE][[:alnum:]]' then
      -- A word: a dollar within it begins no quote.
      found := substring(rest from '^[[:alnum:]_$]+');
    end if;
    rest := substr(rest, length(found) + 1);
  end loop;
end $$;

-- Makes a view of the query, to look at: PostgreSQL then tells what it reads. Names are looked up in the caller's search path.
create function plank.probe_query(self text, query text, path text) returns regclass language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  probe text := 'plank_query."plank probe"';
  said text;
  state text;
begin
  begin
    perform set_config('search_path', path, true);
    execute 'create view ' || probe || ' as ' || query;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate;
    raise exception 'plank: %', case
        when state = '42P01' and said like format('%%"plank_query.%s"%%', self) then 'the query reads its own result'
        when said like 'cannot create temporary relation%' then 'the query reads a temporary table; only its own session sees its rows'
        when said like '%data-modifying%' then 'the query changes data; it may only read'
        when said like 'column "%" specified more than once' then format('two columns of the result have one name: %s; name them with AS', said)
        when said like 'cannot use %subquery%' or state = '42P02' then format('the query can''t be followed: %s', said)
        else format('the query can''t be read: %s', said) end
      using errcode = state;
  end;
  return probe::regclass;
end $$;

-- The tables and views that a view reads, through other views too, and itself. pg_depend does not tell of what belongs to PostgreSQL
-- itself, so the rules are looked at as well.
create function plank.rels_of(view oid) returns table (rel oid) language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive rels as (
    select view as rel
    union
    select r.rel from rels s
      join pg_class v on v.oid = s.rel and v.relkind = 'v'
      join pg_rewrite w on w.ev_class = v.oid and w.rulename = '_RETURN', lateral (
        select m[1]::oid as rel from regexp_matches(w.ev_action::text, ' :relid (\d+)', 'g') m where m[1] <> '0'
        union
        select d.refobjid from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass) r)
  select r.rel from rels r
$$;

-- The functions that a view calls, through other views and operators too.
create function plank.calls_of(view oid) returns table (called oid) language sql stable set search_path = pg_catalog, pg_temp as $$
  with called as (
    select m[1] as kind, m[2]::oid as id from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN',
      regexp_matches(w.ev_action::text, ' :(funcid|opfuncid|aggfnoid|winfnoid|opno) (\d+)', 'g') m),
  functions as (
    select case when kind = 'opno' then (select o.oprcode::oid from pg_operator o where o.oid = id) else id end as id from called)
  select id from functions where id <> 0
  union
  select unnest(array[a.aggtransfn::oid, a.aggfinalfn::oid]) from functions f join pg_aggregate a on a.aggfnoid = f.id
$$;

-- What a part of a query is now; null if it is not there any more. It says nothing that differs in a restored database.
create function plank.part_now(rel oid, number int) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when number = 0
    then concat_ws(' ', c.relkind, format('%I.%I', n.nspname, c.relname), case when c.relkind = 'v' then md5(pg_get_viewdef(c.oid)) end)
    else (select format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a
      where a.attrelid = c.oid and a.attnum = number and not a.attisdropped) end
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = rel
$$;

-- The watched table whose changes are those of t: itself, or one that it is a part of.
create function plank.followed_as(t oid) returns oid language sql stable set search_path = pg_catalog, pg_temp as $$
  select w.watched from plank.watched_above(t) w order by w.watched <> t, w.watched limit 1
$$;

-- Why the view of a query can't be followed, or null.
create function plank.query_refusal(view regclass, out reason text, out hint text) language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  bad record;
begin
  for bad in
    select c.oid, c.oid::regclass as rel, c.relkind, c.relpersistence, c.relnamespace, plank.followed_as(c.oid) as followed
    from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.oid <> view order by c.oid::regclass::text
  loop
    reason := case
      when bad.relpersistence = 't' then format('the query reads %s, which is temporary', bad.rel)
      when bad.relnamespace = 'plank'::regnamespace then format('the query reads %s, which belongs to plank itself', bad.rel)
      when bad.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) then format('the query reads %s, which belongs to PostgreSQL itself', bad.rel)
      when not has_table_privilege(bad.oid, 'select') and exists (
          select from pg_depend d join pg_rewrite w on w.oid = d.objid
          where d.classid = 'pg_rewrite'::regclass and w.ev_class = view and d.refclassid = 'pg_class'::regclass and d.refobjid = bad.oid
            and (d.refobjsubid = 0 or not has_column_privilege(bad.oid, d.refobjsubid::int2, 'select')))
        then format('you may not read %s', bad.rel)
      when bad.relkind = 'v' then null
      when bad.relkind = 'm' then format('the query reads %s, a materialised view: nobody can tell when it changes', bad.rel)
      when bad.relkind not in ('r', 'p') then format('the query reads %s, which is not a table', bad.rel)
      when bad.followed is null then format('the query reads %s, which is not watched', bad.rel)
      when row_security_active(bad.oid) then format('row security hides rows of %s from you', bad.rel) end;
    hint := case
      when bad.relkind = 'm' then 'read the tables beneath it'
      when reason like '%is not watched' then format('select plank.watch(%L)', bad.rel) end;
    if reason is not null then return; end if;
  end loop;
  if not exists (select from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.relkind in ('r', 'p')) then
    reason := 'the query reads no table, so nothing would change it';
    return;
  end if;
  if exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text like '%:hasForUpdate true%') then
    reason := 'the query locks rows (FOR UPDATE or FOR SHARE)'; hint := 'a refresh never makes a writer wait';
    return;
  end if;
  if exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text like '%{TABLESAMPLECLAUSE%') then
    reason := 'the query takes a sample (TABLESAMPLE), another one each time';
    return;
  end if;
  for bad in
    select p.oid::regprocedure as called, p.proname, p.provolatile, p.pronamespace, l.lanname,
      p.oid >= 16384 and l.lanname not in ('internal', 'c') and not exists (
        select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e') as is_foreign
    from plank.calls_of(view) f join pg_proc p on p.oid = f.called join pg_language l on l.oid = p.prolang order by 1
  loop
    reason := case
      when bad.provolatile = 'v' then format('the query calls %s, which is volatile: it may give another result each time', bad.called)
      when bad.pronamespace = 'plank'::regnamespace then format('the query calls %s, which belongs to plank itself', bad.called)
      when bad.is_foreign and bad.provolatile = 's' or bad.proname ~ '_to_xml' then format('the query calls %s, which may read tables that plank can''t know of', bad.called) end;
    hint := case when bad.provolatile = 's' then 'use a view, or mark the function immutable if it reads no table' end;
    if reason is not null then return; end if;
  end loop;
end $$;

-- Whether a view asks for the time: now(), current_date and their like.
create function plank.tells_time(view oid) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select exists (select from plank.calls_of(view) f where f.called in ('now()'::regprocedure, 'transaction_timestamp()'::regprocedure, 'statement_timestamp()'::regprocedure))
    or exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text ~ '{SQLVALUEFUNCTION :op [0-8] ')
$$;

-- The type of a column of a result, for a column of this type: the base type of a domain. Null for what can't be kept: PostgreSQL
-- compares and writes the values of these types by itself, and runs nothing that another role has defined.
create function plank.result_type(t oid, modifier int) returns text language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  y pg_type := (select p from pg_type p where p.oid = t);
begin
  if y.typtype = 'd' then return plank.result_type(y.typbasetype, case when y.typtypmod >= 0 then y.typtypmod else modifier end); end if;
  if y.typcategory = 'A' and y.typelem <> 0 then
    if (select e.typtype in ('d', 'c') or plank.result_type(e.oid, -1) is null from pg_type e where e.oid = y.typelem) then return null; end if;
  elsif not (y.typtype in ('b', 'e') or y.typtype in ('r', 'm') and y.typnamespace = 'pg_catalog'::regnamespace) then
    return null;
  end if;
  return format_type(t, modifier);
end $$;

revoke all on all functions in schema plank from public;
