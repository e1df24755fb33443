-- What servers have to know of a table to decide filters as PostgreSQL does, and how they learn that somebody has altered it.

-- LETTERS: the lower case of every letter in the collation of the database, as pairs. Servers decide `ilike` by it. Worked
-- out once for each version of the server and of the collation: a moment for 1.1 million characters.
create table plank.lower_case (
  version text primary key,
  pairs   text not null
);

-- Null where lower() does not go letter by letter (ICU), or where characters are not Unicode's.
create function plank.letters() returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  here jsonb := (select to_jsonb(d) from pg_database d where datname = current_database());
  this_version text := concat_ws('/', current_setting('server_version_num'), here->>'datlocprovider', here->>'datctype', here->>'datlocale', pg_collation_actual_version(100));
  found text := (select pairs from plank.lower_case where version = this_version);
begin
  if found is not null then return found; end if;
  if coalesce(here->>'datlocprovider', 'c') not in ('c', 'b') or here->>'datlocale' not in ('C', 'C.UTF-8') or getdatabaseencoding() <> 'UTF8' then return null; end if;
  select coalesce(string_agg(chr(n) || lower(chr(n)), ''), '') into found from generate_series(1, 1114111) n
    where n not between 55296 and 57343 and lower(chr(n)) <> chr(n);
  insert into plank.lower_case values (this_version, found) on conflict do nothing;
  return found;
end $$;

-- How the values of a column with this collation compare. bytes: as they are. deterministic: what is equal has equal bytes.
-- other: what is equal may have other bytes. letters: whose lower case it has, ASCII's or the default collation's.
create function plank.collation_of(c oid, out collation text, out letters text) language sql stable set search_path = pg_catalog, pg_temp as $$
  select
    case
      when not l.is_deterministic then 'other'
      when getdatabaseencoding() = 'UTF8' and (l.provider = 'b' or l.provider = 'c' and l.collates in ('C', 'POSIX')) then 'bytes'
      else 'deterministic' end,
    case
      when getdatabaseencoding() <> 'UTF8' then null
      when l.provider = 'c' and l.types in ('C', 'POSIX') or l.provider = 'b' and l.locale = 'C' then 'ascii'
      when c = 100 then 'default' end
  from pg_database d, lateral (select to_jsonb(d) as d) j, lateral (
    select coalesce(j.d->>'datlocprovider', 'c') as provider, j.d->>'datcollate' as collates, j.d->>'datctype' as types,
      coalesce(j.d->>'datlocale', j.d->>'daticulocale') as locale, true as is_deterministic where c = 100
    union all
    select k.c->>'collprovider', k.c->>'collcollate', k.c->>'collctype', k.c->>'colllocale', (k.c->>'collisdeterministic')::boolean
    from (select to_jsonb(p) as c from pg_collation p where p.oid = collation_of.c and p.oid <> 100) k) l
  where d.datname = current_database()
$$;

-- A domain counts as the type below it, and an enumeration has its labels.
create or replace function plank.describe(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive base as (
    select a.attnum, a.atttypid as type, a.attcollation as collation
    from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union all
    select b.attnum, y.typbasetype, b.collation from base b join pg_type y on y.oid = b.type where y.typtype = 'd')
  select json_build_object(
    'rel', w.rel::bigint, 'root', w.root::bigint, 'schema', n.nspname, 'name', c.relname,
    'quoted', format('%I.%I', n.nspname, c.relname), 'since', w.since::text::bigint,
    'key', w.key, 'old_rows', w.old_rows, 'narrowed', w.columns is not null,
    'columns', (
      select coalesce(json_agg(json_build_object(
        'name', a.attname, 'number', a.attnum, 'type', format_type(a.atttypid, a.atttypmod), 'base', format_type(y.oid, null),
        'collation', l.collation, 'letters', l.letters,
        'labels', case when y.typtype = 'e' then (select json_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = y.oid) end
        ) order by a.attnum), '[]')
      from pg_attribute a join base b on b.attnum = a.attnum join pg_type y on y.oid = b.type and y.typtype <> 'd'
        left join lateral plank.collation_of(b.collation) l on b.collation <> 0
      where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped and (w.columns is null or a.attname = any (w.columns))))
  from plank.watched w join pg_class c on c.oid = w.rel join pg_namespace n on n.oid = c.relnamespace
  where w.rel = t
$$;

-- ALTER TABLE says nothing to anybody who does not own the database, so servers look, once a second. What they look at is
-- short: the numbers, names and types of a table's columns, the labels of enumerations, its own name, its key.
alter table plank.watched add column described json, add column fingerprint text;

create function plank.fingerprint(t oid) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive types as (
    select a.atttypid as type from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union
    select y.typbasetype from types s join pg_type y on y.oid = s.type where y.typtype = 'd')
  select md5(concat_ws('|', c.relname, (select nspname from pg_namespace n where n.oid = c.relnamespace),
    (select string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation), ',' order by a.attnum)
      from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped),
    (select indkey::text from pg_index where indrelid = t and indisprimary),
    (select string_agg(e.enumlabel, ',' order by e.oid) from types s join pg_enum e on e.enumtypid = s.type)))
  from pg_class c where c.oid = t
$$;

create function plank.key_of(t oid) returns name[] language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(a.attname order by array_position(i.indkey::int2[], a.attnum)), '{}')
  from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])
  where i.indrelid = t and i.indisprimary
$$;

-- Describes watched tables anew that have been altered; true if there were some. A new column is no news to those who
-- follow. One that is gone or has another type or name is, also where another one has its name now: rows that were sent
-- before are void, and so are the cursors from before, so clients are reset.
create function plank.follow_tables() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  altered record;
  done boolean := false;
begin
  if not exists (select from plank.watched w join pg_class c on c.oid = w.rel where w.root = w.rel and w.fingerprint is distinct from plank.fingerprint(w.rel)) then
    return false;
  end if;
  if not pg_try_advisory_xact_lock(7012, 3) then return false; end if;
  for altered in
    select w.rel, w.key, w.described, plank.fingerprint(w.rel) as fingerprint, plank.describe(w.rel) as now, plank.key_of(w.rel) as new_key
    from plank.watched w join pg_class c on c.oid = w.rel
    where w.root = w.rel and w.fingerprint is distinct from plank.fingerprint(w.rel)
  loop
    if altered.key <> altered.new_key then
      update plank.watched set key = altered.new_key, since = pg_current_xact_id() where root = altered.rel;
    end if;
    if exists (select from json_array_elements(altered.described->'columns') o where not exists (
        select from json_array_elements(altered.now->'columns') n
        where n->>'number' = o->>'number' and n->>'name' = o->>'name' and n->>'type' = o->>'type')) then
      update plank.watched set since = pg_current_xact_id() where rel = altered.rel;
    end if;
    update plank.watched set described = altered.now, fingerprint = altered.fingerprint where rel = altered.rel;
    perform plank.announce(altered.rel, 'W');
    done := true;
  end loop;
  return done;
end $$;

-- plank.watch has just looked.
create function plank.remember() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.watched set described = plank.describe(rel), fingerprint = plank.fingerprint(rel) where rel = new.rel and root = rel;
  return null;
end $$;
create trigger remember after insert or update of key on plank.watched for each row execute function plank.remember();

revoke all on all functions in schema plank from public;
update plank.watched set described = plank.describe(rel), fingerprint = plank.fingerprint(rel) where root = rel;
