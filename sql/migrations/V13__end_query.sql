-- LIVE QUERIES: how one ends. Because what it reads has changed, which servers look for; because plank.unwatch takes it away.

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

revoke all on all functions in schema plank from public;
