-- WATCHING: plank.watch, plank.unwatch, plank.tables; and how servers learn of ALTER TABLE, which tells nobody.

-- The watched tables, as clients know them. described and fingerprint: how the table looked when a server last looked.
create table plank.watched (
  rel         regclass primary key,                               -- a name in a dump, where an oid would be another table's
  key         name[]   not null,                                  -- the primary key, in its order; empty without one
  columns     name[],                                             -- what clients may see; null: every column
  old_rows    boolean  not null,
  asked       text     not null check (asked in ('auto', 'statement', 'row')),
  level       text     not null check (level in ('statement', 'row')),
  why         text     not null,                                  -- why this level
  writable    boolean  not null default false,                    -- whether everybody may write it while servers run with --auth off
  late_key    boolean  not null default false,                    -- whether the key is checked at the end of a transaction
  since       xid8     not null default pg_current_xact_id(),     -- the transaction in which capture began
  described   json,                                               -- how the table looked when a server last looked:
  facts       json,
  fingerprint text                                                -- of all that may have changed since
);

-- The tables that store the rows of a watched table: itself, its partitions, its children. Capture at row level looks here.
create table plank.member (
  rel     regclass not null,
  watched regclass not null references plank.watched on delete cascade,
  columns name[],                  -- of a child table: the columns that its parent has too
  state   text,                    -- what a server last saw of it; see plank.member_state
  problem text,                    -- why it can't be followed
  primary key (rel, watched)
);

-- Tables that rows were captured of before a server listed them.
create table plank.unlisted (rel oid not null, watched oid not null);

-- Transactions that are truncating a partitioned table as a whole.
create table plank.truncating (xid xid8 not null, watched oid not null);

-- Policies that plank.permit made, so that plank drops no policy that it has not made.
create table plank.permitted (rel regclass primary key, policy name not null);

-- What a role may do with the rows of a table: see V6. Policies of one role and op add up.
create table plank.policy (
  rel   regclass not null references plank.watched on delete cascade,   -- by name in a dump, as in plank.watched
  role  text not null check (role <> ''),
  op    text not null check (op in ('select', 'insert', 'update', 'delete')),
  rows  text check (length(rows) between 1 and 4096),        -- null: all rows
  since xid8 not null default pg_current_xact_id(),          -- clients that resume from before it do not have what it shows
  name  text not null default 'default' check (length(name) between 1 and 63),
  primary key (rel, role, op, name)
);

-- DESCRIPTION

-- Whether values of a type are written by PostgreSQL's own functions alone, in the same way whatever the search path, the
-- monetary locale and the quoting of identifiers are. A domain is written as its base type, an array as its elements.
create function plank.is_plain(t oid) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive parts as (
    select t as type
    union
    select case when y.typtype = 'd' then y.typbasetype else y.typelem end from parts p join pg_type y on y.oid = p.type
    where y.typtype = 'd' or y.typcategory = 'A')
  select bool_and(y.typtype = 'd' or y.typcategory = 'A' or y.typnamespace = 'pg_catalog'::regnamespace and y.oid < 16384
    and y.typtype in ('b', 'r', 'm') and y.oid <> 'money'::regtype and y.typname not like 'reg%' and y.typname not like 'pg\_%')
  from parts p join pg_type y on y.oid = p.type
$$;

-- The primary key's columns, in its order: not those that the index only includes.
create function plank.key_of(t oid) returns name[] language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(a.attname order by k.at), '{}')
  from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, at), pg_attribute a
  where i.indrelid = t and i.indisprimary and k.at <= i.indnkeyatts and a.attrelid = t and a.attnum = k.attnum
$$;

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

-- What a column can hold that the log does not tell when it changes: one line for each type that its values are made of. A
-- table whose lines change has rows that are written in another way now. New labels of an enumeration change no row.
create function plank.forms(t oid) returns text[] language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive types as (
    select a.atttypid as type from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union
    select part from types s join pg_type y on y.oid = s.type, lateral (
      select y.typbasetype as part where y.typtype = 'd'
      union all select y.typelem where y.typcategory = 'A'
      union all select r.rngsubtype from pg_range r where r.rngtypid = y.oid or r.rngmultitypid = y.oid
      union all select b.atttypid from pg_attribute b where b.attrelid = y.typrelid and y.typtype = 'c' and b.attnum > 0 and not b.attisdropped) p
    where part <> 0)
  select coalesce(array_agg(line order by line), '{}') from (
    select format('label %s %s', e.oid, e.enumlabel) as line from types s join pg_enum e on e.enumtypid = s.type
    union all
    select format('type %s %s %s', y.oid, y.typname,
      (select string_agg(format('%s %s %s', b.attnum, b.attname, b.atttypid), ',' order by b.attnum)
        from pg_attribute b where b.attrelid = y.typrelid and b.attnum > 0 and not b.attisdropped))
    from types s join pg_type y on y.oid = s.type where y.typtype = 'c') l
$$;

-- Which numbers in a value of a type are wide, so that a reader that takes all numbers for floating-point ones may round them:
-- true for bigint and numeric, and for domains and arrays of them; of a composite type an object with its members that have
-- some; null for none.
create function plank.is_wide(t oid) returns json language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  y pg_type := (select p from pg_type p where p.oid = t);
  members json;
begin
  if y.typtype = 'd' then return plank.is_wide(y.typbasetype); end if;
  if y.typcategory = 'A' and y.typelem <> 0 then return plank.is_wide(y.typelem); end if;
  if t in ('bigint'::regtype, 'numeric'::regtype) then return 'true'; end if;
  if y.typtype = 'c' then
    select json_object_agg(a.attname, plank.is_wide(a.atttypid)) into members from pg_attribute a
      where a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped and plank.is_wide(a.atttypid) is not null;
    return members;
  end if;
  return null;
end $$;

-- The foreign keys of t, each with its columns and those that they name, in their order. Of a key that a partition has from its table
-- it is the partition's, and what PostgreSQL adds for each partition that is named is left out.
create function plank.references_of(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(json_agg(json_build_object('rel', f.confrelid::bigint,
      'columns', (select json_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.number),
      'to', (select json_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.number)) order by f.conname), '[]')
  from pg_constraint f where f.conrelid = t and f.contype = 'f'
    and not exists (select from pg_constraint p where p.oid = f.conparentid and p.conrelid = t)
$$;

-- One watched table as the servers need it: the name as PostgreSQL quotes it, the key, and the columns that clients may see, in
-- the table's order. A domain counts as its base type, and an enumeration has its labels. Null when the table is gone.
create function plank.describe(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive base as (
    select a.attnum, a.atttypid as type, a.attcollation as collation
    from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union all
    select b.attnum, y.typbasetype, b.collation from base b join pg_type y on y.oid = b.type where y.typtype = 'd')
  select json_build_object(
    'rel', w.rel::oid::bigint, 'schema', n.nspname, 'name', c.relname,
    'quoted', format('%I.%I', n.nspname, c.relname), 'since', w.since::text::bigint,
    'key', w.key, 'late_key', w.late_key, 'old_rows', w.old_rows, 'narrowed', w.columns is not null, 'writable', w.writable,
    'plain', (select bool_and(plank.is_plain(a.atttypid)) from pg_attribute a where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped),
    'columns', (
      select coalesce(json_agg(json_build_object(
        'name', a.attname, 'number', a.attnum, 'type', format_type(a.atttypid, a.atttypmod), 'base', format_type(y.oid, null),
        'collation', l.collation, 'letters', l.letters, 'wide', plank.is_wide(a.atttypid),
        'fixed', case when a.attgenerated <> '' then 'generated' when a.attidentity = 'a' then 'identity' end,
        'labels', case when y.typtype = 'e' then (select json_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = y.oid) end
        ) order by a.attnum), '[]')
      from pg_attribute a join base b on b.attnum = a.attnum join pg_type y on y.oid = b.type and y.typtype <> 'd'
        left join lateral plank.collation_of(b.collation) l on b.collation <> 0
      where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped and (w.columns is null or a.attname = any (w.columns))),
    'references', plank.references_of(w.rel),
    'policies', (
      select coalesce(json_agg(json_build_object('role', p.role, 'op', p.op, 'rows', p.rows, 'since', p.since::text::bigint) order by p.role, p.op), '[]')
      from plank.policy p where p.rel = w.rel))
  from plank.watched w join pg_class c on c.oid = w.rel join pg_namespace n on n.oid = c.relnamespace
  where w.rel = t
$$;

-- TABLES BELOW AND ABOVE

-- The tables that store rows of t: itself, and its partitions and children at any depth. columns: what a child has of them.
create function plank.members_of(t oid) returns table (rel oid, columns name[]) language sql stable set search_path = pg_catalog, pg_temp as $$
  with recursive below as (
    select t as rel
    union
    select h.inhrelid from pg_inherits h join below b on h.inhparent = b.rel)
  select b.rel, case when b.rel <> t and not c.relispartition then (
    select array_agg(a.attname) from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped) end
  from below b join pg_class c on c.oid = b.rel
$$;

-- The watched tables that a row of t belongs to: itself, and what it is a partition or child of. Capture calls it, which may not
-- read plank.watched.
create function plank.watched_above(t oid) returns table (watched oid, columns name[]) language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  with recursive above as (
    select t as rel
    union
    select h.inhparent from pg_inherits h join above a on h.inhrelid = a.rel)
  select w.rel::oid, m.columns from plank.watched w join above a on a.rel = w.rel, lateral (
    select x.columns from plank.members_of(w.rel) x where x.rel = t) m
$$;

-- What happened to a member since a server last looked: attached anew, or truncated, if this differs.
create function plank.member_state(t oid) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select concat_ws(' ', (select string_agg(concat_ws('-', h.inhparent, h.xmin), ',' order by h.inhparent) from pg_inherits h where h.inhrelid = t))
$$;

-- What ALTER TABLE changes of a watched table, in the catalog's own form. xmin says that a row of the catalog was written again,
-- even where nothing else in it differs.
create function plank.facts(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'columns', (select coalesce(json_object_agg(a.attnum, json_build_object('xmin', a.xmin, 'is', md5(to_json(a.*)::text))), '{}')
      from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped),
    'files', (select json_object_agg(m.rel, c.relfilenode) from plank.members_of(t) m join pg_class c on c.oid = m.rel),
    'forms', plank.forms(t))
$$;

-- All of that in one value, with the name, the keys, and the tables below. A server looks closer where it has changed.
create function plank.fingerprint(t oid) returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select md5(concat_ws('|', c.relname, c.relnamespace::regnamespace, c.relkind, c.relispartition, c.relrowsecurity, plank.facts(t),
    (select concat_ws(' ', i.indkey, i.indnkeyatts, i.indimmediate) from pg_index i where i.indrelid = t and i.indisprimary),
    (select string_agg(concat_ws(' ', m.rel, plank.member_state(m.rel)), ',' order by m.rel) from plank.members_of(t) m),
    plank.references_of(t),
    (select exists (select from pg_subscription_rel s where s.srrelid = t))))
  from pg_class c where c.oid = t
$$;

-- Which level is exact for t, and why. Statement triggers tell every change of a table that stands alone. Of a partition or a
-- child they miss what names another table of the tree, and MERGE moves rows between partitions without firing them; an
-- apply worker of logical replication fires none. A key that is checked late lets two transactions hold it at once, and only
-- row triggers say which version of the row each of them meant.
create function plank.level_of(t oid, out level text, out why text) language sql stable set search_path = pg_catalog, pg_temp as $$
  select case when reason is null then 'statement' else 'row' end, coalesce(reason, 'a table that stands alone')
  from (select case
    when (select c.relkind = 'p' from pg_class c where c.oid = t) then 'it is partitioned'
    when (select c.relispartition from pg_class c where c.oid = t) then 'it is a partition'
    when exists (select from pg_inherits where inhparent = t) then 'other tables inherit from it'
    when exists (select from pg_inherits where inhrelid = t) then 'it inherits from another table'
    when exists (select from pg_index where indrelid = t and indisprimary and not indimmediate) then 'its primary key is deferrable'
    when exists (select from pg_subscription_rel where srrelid = t) then 'logical replication writes it'
    end as reason) r
$$;

-- RIGHTS

-- The sequences that columns of t take their values from.
create function plank.sequences_of(t oid) returns setof regclass language sql stable set search_path = pg_catalog, pg_temp as $$
  select c.oid::regclass from pg_depend d join pg_class c on c.oid = d.objid
    where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = t
      and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  union
  select c.oid::regclass from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
    join pg_class c on c.oid = d.refobjid where d.refclassid = 'pg_class'::regclass and c.relkind = 'S' and a.adrelid = t
$$;

-- The role that reads the tables: plank_reader, or the owner of this schema while there is no such role.
create function plank.reader() returns oid language sql stable set search_path = pg_catalog, pg_temp as $$
  select proowner from pg_proc where oid = 'plank.sees_all(oid)'::regprocedure
$$;

-- The role that writes the log: plank_capture, or that owner.
create function plank.capturer() returns oid language sql stable set search_path = pg_catalog, pg_temp as $$
  select proowner from pg_proc where oid = 'plank.capture_insert()'::regprocedure
$$;

-- Lets the one read a table, for snapshots, and the other the sequences of its columns, for lastval(). Where row-level security
-- hides rows, one more policy shows them all to plank_reader, which nobody can log in as.
create function plank.permit(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  reader name := pg_get_userbyid(plank.reader());
  capturer name := pg_get_userbyid(plank.capturer());
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  seq regclass;
begin
  for seq in select s from plank.sequences_of(t) s
    where not has_sequence_privilege(capturer, s, 'select') and has_sequence_privilege(s, 'select with grant option')
  loop
    execute format('grant select on sequence %s to %I', seq, capturer);
  end loop;
  if not has_schema_privilege(reader, in_schema::oid, 'usage') then execute format('grant usage on schema %s to %I', in_schema, reader); end if;
  if not has_table_privilege(reader, t, 'select') then execute format('grant select on %s to %I', t, reader); end if;
  if (select relrowsecurity from pg_class where oid = t) and not (select rolcanlogin from pg_roles where rolname = reader)
      and not exists (select from plank.permitted p join pg_policy y on y.polrelid = p.rel and y.polname = p.policy where p.rel = t) then
    if exists (select from pg_policy where polrelid = t and polname = 'plank_reads') then
      raise exception 'plank: % has a policy plank_reads that plank has not made', t
        using hint = 'rename it: alter policy plank_reads on ' || t || ' rename to another_name', errcode = 'duplicate_object';
    end if;
    execute format('create policy plank_reads on %s for select to %I using (true)', t, reader);
    insert into plank.permitted values (t, 'plank_reads') on conflict (rel) do nothing;
  end if;
end $$;

-- TRIGGERS. plank knows its own by their functions, which are in this schema, whatever their names are. Their names end with
-- the oid of the watched table: PostgreSQL copies the row triggers of a partitioned table to its partitions, which may be
-- watched by themselves too.
create function plank.triggers_of(t oid) returns table (name name, enabled "char", function text) language sql stable
  set search_path = pg_catalog, pg_temp as $$
  select g.tgname, g.tgenabled, p.proname::text from pg_trigger g join pg_proc p on p.oid = g.tgfoid
  where g.tgrelid = t and not g.tgisinternal and g.tgparentid = 0 and p.pronamespace = 'plank'::regnamespace
$$;

-- Makes the triggers of t, which stores rows of the watched table w, or replaces them.
create function plank.attach(t regclass, w regclass, level text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  kind "char" := (select relkind from pg_class where oid = t);
  form text := case when (select bool_and(plank.is_plain(atttypid)) from pg_attribute where attrelid = t and attnum > 0 and not attisdropped) then '' else '_any' end;
  mine text := '_' || w::oid;
  wanted text[] := '{}';   -- name and what it is, pair by pair
  own record;
begin
  -- A table has one trigger at row level, whatever number of watched tables it belongs to: the function looks them up. One
  -- that PostgreSQL has copied from the table above comes before its own.
  if level = 'row' and exists (
      select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
      where g.tgrelid = t and g.tgparentid <> 0 and p.pronamespace = 'plank'::regnamespace) then
    for own in select g.name from plank.triggers_of(t) g where g.function like 'capture\_row%' loop
      execute format('drop trigger %I on %s', own.name, t);
    end loop;
  elsif level = 'row' and exists (select from plank.triggers_of(t) g where g.function like 'capture\_row%' and g.name <> 'plank_row' || mine) then
    null;
  elsif level = 'row' then
    wanted := wanted || array['plank_row' || mine, format('after insert or update or delete on %s for each row execute function plank.capture_row%s()', t, form)];
  else
    wanted := wanted || array[
      'plank_insert' || mine, format('after insert on %s referencing new table as new_rows for each statement execute function plank.capture_insert%s()', t, form),
      'plank_update' || mine, format('after update on %s referencing old table as old_rows new table as new_rows for each statement execute function plank.capture_update%s()', t, form),
      'plank_begin' || mine, format('before update or delete on %s for each statement execute function plank.capture_begin()', t),
      'plank_delete' || mine, format('after delete on %s referencing old table as old_rows for each statement execute function plank.capture_delete%s()', t, form)];
  end if;
  if t = w and (kind = 'p' or level = 'statement' or not exists (select from pg_inherits where inhrelid = t or inhparent = t)) then
    wanted := wanted || array['plank_truncate' || mine, format('after truncate on %s for each statement execute function plank.capture_truncate()', t)];
    if kind = 'p' then
      wanted := wanted || array['plank_truncate_begin' || mine, format('before truncate on %s for each statement execute function plank.capture_truncate_begin()', t)];
    end if;
  elsif kind = 'r' and not exists (select from plank.triggers_of(t) g where g.function = 'capture_truncate_part' and g.name <> 'plank_truncate_part' || mine) then
    wanted := wanted || array['plank_truncate_part' || mine, format('before truncate on %s for each statement execute function plank.capture_truncate_part()', t)];
  end if;

  for own in select g.name from plank.triggers_of(t) g where g.name like '%' || mine and not g.name = any (wanted) loop
    execute format('drop trigger %I on %s', own.name, t);
  end loop;
  for i in 1..cardinality(wanted) by 2 loop
    -- One that is there needs no lock, and keeps no writer waiting.
    continue when exists (
      select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
      where g.tgrelid = t and g.tgname = wanted[i] and g.tgenabled = 'A' and p.pronamespace = 'plank'::regnamespace
        and wanted[i + 1] like '%execute function plank.' || p.proname || '()');
    execute format('create or replace trigger %I %s', wanted[i], wanted[i + 1]);
    -- ALWAYS: also where session_replication_role is replica.
    execute format('alter table %s enable always trigger %I', t, wanted[i]);
  end loop;
end $$;

-- Drops the triggers of t that are there for the watched table w, and what else was made for it, once nothing else needs it.
create function plank.detach(t regclass, w oid) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  own record;
  reader oid := plank.reader();
  capturer oid := plank.capturer();
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
begin
  for own in select g.name from plank.triggers_of(t) g where g.name like '%\_' || w loop
    execute format('drop trigger %I on %s', own.name, t);
  end loop;
  delete from plank.member m where m.rel = t and m.watched = w;
  if exists (select from plank.member m where m.rel = t) then return; end if;
  if exists (select from plank.permitted p join pg_policy y on y.polrelid = p.rel and y.polname = p.policy where p.rel = t) then
    execute format('drop policy plank_reads on %s', t);
  end if;
  delete from plank.permitted where rel = t;
  -- A role that can log in may have been granted the right for another reason.
  if (select rolcanlogin from pg_roles where oid = reader) then return; end if;
  if (select relowner <> reader from pg_class where oid = t) then
    execute format('revoke select on %s from %s', t, reader::regrole);
  end if;
  for own in select c.oid::regclass as seq from plank.sequences_of(t) s join pg_class c on c.oid = s
    where c.relowner <> capturer and has_sequence_privilege(s, 'select with grant option')
      and not exists (select from plank.member m where s in (select plank.sequences_of(m.rel)))
  loop
    execute format('revoke select on sequence %s from %s', own.seq, capturer::regrole);
  end loop;
  if not exists (select from plank.member m join pg_class c on c.oid = m.rel where c.relnamespace = in_schema and m.rel <> t)
    and not exists (select from plank.query_part p join pg_class c on c.oid = p.rel where c.relnamespace = in_schema and p.rel <> t)
    and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = in_schema and a.grantee = reader) then
    execute format('revoke usage on schema %s from %s', in_schema, reader::regrole);
  end if;
end $$;

-- WATCH

-- Tells the servers, at the right place in the log, what has become of a watched table.
create function plank.announce(t oid, op "char") returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op, row) values (coalesce(pg_sequence_last_value('plank.slot'), 0), t, announce.op, plank.describe(t));
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
end $$;

-- Why t can't be watched, or null. What it says is for people.
create function plank.refusal(t oid, out reason text, out hint text) language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  c pg_class := (select p from pg_class p where p.oid = t);
  bad record;
begin
  if c.oid is null or c.relkind not in ('r', 'p') then
    reason := format('%s is not a table', t::regclass); hint := 'views, foreign tables and sequences can''t be watched';
  elsif c.relpersistence = 't' then
    reason := format('%s is a temporary table', t::regclass); hint := 'only its own session sees its rows';
  elsif c.relnamespace = 'plank'::regnamespace then
    reason := format('%s belongs to plank itself', t::regclass);
    hint := 'a table of your own that is in the schema plank must move: alter table ... set schema public';
  else
    for bad in select p.oid::regclass as rel, p.relkind from plank.members_of(t) m join pg_class p on p.oid = m.rel where p.relkind not in ('r', 'p') loop
      reason := format('%s has the rows of %s, which is a foreign table', t::regclass, bad.rel);
      hint := 'nobody can tell what changes there; watch the tables that are stored here';
    end loop;
  end if;
end $$;

-- Makes table t live. columns: what clients may see (the key is always among them), null for all. old_rows: whether clients
-- may have the row before a change; without it the table takes no filter and no policy. level: 'auto' chooses; 'statement' and
-- 'row' are refused where they can't be exact. writable: whether everybody may write it through servers that run with --auth off.
-- Calling it again changes the settings. It waits for the writers of the table that
-- are under way (SHARE ROW EXCLUSIVE), so every later change is captured.
create function plank.watch(t regclass, columns name[] default null, old_rows boolean default true, level text default 'auto', writable boolean default false)
  returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  refused record;
  exact record;
  missing name;
begin
  select * into refused from plank.refusal(t);
  if refused.reason is not null then
    raise exception 'plank: %', refused.reason using hint = coalesce(refused.hint, ''), errcode = 'wrong_object_type';
  end if;
  if level is null or level not in ('auto', 'statement', 'row') then
    raise exception 'plank: level is %, it has to be auto, statement or row', level using errcode = 'invalid_parameter_value';
  end if;
  if old_rows is null then
    raise exception 'plank: old_rows is null, it has to be true or false' using errcode = 'invalid_parameter_value';
  end if;
  if writable is null then
    raise exception 'plank: writable is null, it has to be true or false' using errcode = 'invalid_parameter_value';
  end if;
  if writable and (select relnamespace = 'plank_query'::regnamespace from pg_class where oid = t) then
    raise exception 'plank: % is the result of a live query, which nobody writes', t using errcode = 'invalid_parameter_value';
  end if;
  if columns = '{}' then
    raise exception 'plank: columns is empty' using hint = 'leave it out for all columns', errcode = 'invalid_parameter_value';
  end if;
  select c into missing from unnest(columns) c
    where not exists (select from pg_attribute where attrelid = t and attname = c and attnum > 0 and not attisdropped) limit 1;
  if missing is not null then
    raise exception 'plank: % has no column %', t, quote_ident(missing) using errcode = 'undefined_column';
  end if;
  select * into exact from plank.level_of(t);
  if level = 'statement' and exact.level = 'row' then
    raise exception 'plank: % can''t be captured by statements: %', t, exact.why using hint = 'leave level out: plank captures it row by row', errcode = 'feature_not_supported';
  end if;

  insert into plank.watched (rel, key, columns, old_rows, writable, asked, level, why)
    values (t, '{}', columns, watch.old_rows, watch.writable, watch.level,
      case watch.level when 'row' then 'row' else exact.level end, case watch.level when 'row' then 'asked for' else exact.why end)
    on conflict (rel) do update set columns = excluded.columns, old_rows = excluded.old_rows, writable = excluded.writable, asked = excluded.asked,
      level = excluded.level, why = excluded.why;
  perform plank.look_at(t);
  if writable then perform plank.permit_writes(t); end if;
  perform plank.announce(t, 'W');
end $$;

-- Brings triggers, members and description of a watched table up to date, with locks: what follows is captured in that way.
-- patient: whether a missing right is only noted, and no error. whole: whether nothing was missed; null if that is not known.
-- parts: which members; null for all that there are now.
create function plank.look_at(t regclass, patient boolean default false, whole boolean default null, parts regclass[] default null) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  w plank.watched := (select x from plank.watched x where x.rel = t);
  part record;
  is_new boolean := not exists (select from plank.member where watched = t);
  is_whole boolean := coalesce(whole, true);
  new_problem text;
begin
  -- Something may have been missed where a trigger is not there, or not enabled.
  if not is_new and whole is null then
    is_whole := not exists (
      select from plank.member m join pg_class c on c.oid = m.rel
      where m.watched = t and m.problem is null and (c.relkind = 'r' or m.rel = t) and not exists (
        select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
        where g.tgrelid = m.rel and g.tgenabled = 'A' and p.pronamespace = 'plank'::regnamespace
          and p.proname like 'capture\_%' and p.proname not like 'capture\_truncate%')
      or m.watched = t and exists (select from plank.triggers_of(m.rel) g where g.enabled <> 'A' and g.name like '%\_' || t::oid));
  end if;
  for part in select m.rel::regclass as rel, m.columns, c.relkind from plank.members_of(t) m join pg_class c on c.oid = m.rel
    where parts is null or m.rel = any (parts)
    order by m.rel <> t, c.relkind = 'r', m.rel
  loop
    new_problem := null;
    begin
      if part.relkind in ('r', 'p') then
        perform plank.permit(part.rel);
        perform plank.attach(part.rel, t, w.level);
      else
        new_problem := 'what changes in a foreign table can''t be known';
      end if;
    exception when insufficient_privilege or duplicate_object then
      if not patient then raise; end if;
      new_problem := sqlerrm;
    end;
    insert into plank.member (rel, watched, columns, state, problem) values (part.rel, t, part.columns, plank.member_state(part.rel), new_problem)
      on conflict (rel, watched) do update set columns = excluded.columns, problem = excluded.problem,
        state = case when parts is null then excluded.state else member.state end;
  end loop;
  -- After the triggers: they wait for the writers, and the description has to be of after that.
  update plank.watched x set key = plank.key_of(t),
    late_key = exists (select from pg_index where indrelid = t and indisprimary and not indimmediate),
    since = case when x.key = plank.key_of(t) and is_whole and not is_new then x.since else pg_current_xact_id() end,
    columns = (select array_agg(distinct c) from unnest(x.columns || plank.key_of(t)) c where x.columns is not null)
    where rel = t;
  update plank.watched x set described = plank.describe(t), facts = plank.facts(t), fingerprint = plank.fingerprint(t) where rel = t;
end $$;

-- Ends that: drops the triggers. What is in the log already stays until it is pruned.
create function plank.unwatch(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  parts regclass[] := array(select m.rel from plank.member m join pg_class c on c.oid = m.rel where m.watched = t order by m.rel <> t);
  part regclass;
  other record;
begin
  if not exists (select from plank.watched where rel = t) then
    raise exception 'plank: % is not watched', t using hint = 'select * from plank.tables shows what is', errcode = 'undefined_object';
  end if;
  foreach part in array parts loop
    perform plank.detach(part, t);
  end loop;
  perform plank.forbid_writes(t);
  delete from plank.watched where rel = t;
  perform plank.announce(t, 'X');
  -- Other watched tables may have shared its triggers. Nobody writes in between.
  for other in select distinct m.watched from plank.member m where m.rel = any (parts) loop
    perform plank.look_at(other.watched, whole => true);
  end loop;
end $$;

-- Ends all watching, and takes away all live queries.
create function plank.unwatch_all() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  one record;
begin
  for one in select q.name from plank.live_query q loop
    perform plank.drop_query(one.name);
  end loop;
  for one in select w.rel from plank.watched w join pg_class c on c.oid = w.rel loop
    perform plank.unwatch(one.rel);
  end loop;
end $$;

-- What is watched, as which level, and why.
create view plank.tables as
  select w.rel as "table", w.key, w.columns, w.old_rows, w.writable, w.level, w.why, w.since,
    (select string_agg(format('%s: %s', m.rel, m.problem), '; ') from plank.member m where m.watched = w.rel and m.problem is not null) as problem
  from plank.watched w join pg_class c on c.oid = w.rel;

-- FOLLOWING. ALTER TABLE tells nobody who does not own the database, so servers look, once a second.

-- Looks at each watched table that has been altered, dropped, or got other partitions or children; true if there were some.
-- Nobody waits longer than 50 ms for it, and a table that can't be followed keeps no other from it.
create function plank.follow_tables() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  altered record;
  said text;
  done boolean := false;
begin
  if not exists (
      select from plank.watched w left join pg_class c on c.oid = w.rel
      where c.oid is null or w.fingerprint is distinct from plank.fingerprint(w.rel) or exists (select from plank.unlisted u where u.watched = w.rel)) then
    return false;
  end if;
  if not plank.try_lock('following') then return false; end if;
  perform set_config('lock_timeout', '50ms', true);
  for altered in
    select w.rel, c.oid is not null as is_there from plank.watched w left join pg_class c on c.oid = w.rel
    where c.oid is null or w.fingerprint is distinct from plank.fingerprint(w.rel) or exists (select from plank.unlisted u where u.watched = w.rel)
  loop
    begin
      if altered.is_there then
        perform plank.follow_table(altered.rel);
      else
        -- A table that was dropped had no trigger that could have said so.
        delete from plank.watched where rel = altered.rel;
        delete from plank.unlisted where watched = altered.rel;
        perform plank.announce(altered.rel, 'X');
      end if;
      done := true;
    exception when lock_not_available or deadlock_detected then
      null;   -- the next time
    when others then
      get stacked diagnostics said = message_text;
      update plank.member set problem = said where watched = altered.rel and rel = altered.rel and problem is distinct from said;
    end;
  end loop;
  return done;
end $$;

-- A new column is no news to clients. Where rows that were sent before are void, clients are reset, and cursors from before
-- are void as well: a column is gone, or has another type or name; the key is another one; a type is written in another way
-- (a label of an enumeration was renamed); a column's values were converted; the table was part of another one for a while, so
-- that writes may have passed by its triggers; a partition or child came or went with its rows. One that was empty is no news.
create function plank.follow_table(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  w plank.watched := (select x from plank.watched x where x.rel = t);
  before json := w.described;
  seen record;
  facts json;
  parts regclass[];
  exact record;
  part record;
  has_rows boolean;
  is_void boolean := false;     -- also for those who resume from before
  is_untold boolean := false;   -- from here on
begin
  -- What is noted at the end is what was seen at the beginning: if the table is altered in between, the next look finds that.
  select plank.fingerprint(t) as fingerprint, plank.facts(t) as facts, plank.describe(t) as described into seen;
  facts := seen.facts;
  -- The description, so far as clients see it.
  is_void := exists (
    select from json_array_elements(before->'columns') o where not exists (
      select from json_array_elements(seen.described->'columns') n
      where n->>'number' = o->>'number' and n->>'name' = o->>'name' and n->>'type' = o->>'type'));
  is_void := is_void or exists (
    select f from json_array_elements_text(w.facts->'forms') f except select f from json_array_elements_text(facts->'forms') f);
  -- Values were converted: the rows were written anew, and a column was altered.
  is_void := is_void or exists (
      select from json_each_text(w.facts->'files') o join json_each_text(facts->'files') n on n.key = o.key where n.value <> o.value)
    and exists (
      select from json_each(w.facts->'columns') o join json_each(facts->'columns') n on n.key = o.key where n.value->>'xmin' <> o.value->>'xmin');
  -- Each column was altered, and is as it was: attached and detached again, or the like.
  is_void := is_void or exists (select from json_each(w.facts->'columns')) and not exists (
    select from json_each(w.facts->'columns') o left join json_each(facts->'columns') n on n.key = o.key
    where n.key is null or n.value->>'xmin' = o.value->>'xmin' or n.value->>'is' <> o.value->>'is');

  for part in
    select m.rel, c.oid is not null as is_there from plank.member m left join pg_class c on c.oid = m.rel
    where m.watched = t and not exists (select from plank.members_of(t) x where x.rel = m.rel)
  loop
    -- Its state is that of a table which stands alone, or is a part of another one.
    delete from plank.member where rel = part.rel and watched = t;
    if part.is_there then perform plank.detach(part.rel, t); end if;
    is_untold := true;
  end loop;
  for part in
    select x.rel::regclass as rel, m.rel is not null as is_known, c.relkind, plank.member_state(x.rel) as state, m.state as known_state
    from plank.members_of(t) x join pg_class c on c.oid = x.rel left join plank.member m on m.rel = x.rel and m.watched = t
  loop
    parts := parts || part.rel;
    continue when part.rel = t or part.is_known and part.state is not distinct from part.known_state;
    update plank.member set state = part.state where rel = part.rel and watched = t;
    -- plank_reader looks, which needs the right first. Another server is not asked for the rows of a foreign table.
    has_rows := false;
    begin
      if part.relkind in ('r', 'p') then
        perform plank.permit(part.rel);
        has_rows := plank.has_rows(part.rel);
      end if;
    exception when insufficient_privilege or duplicate_object then   -- look_at says why, below
      has_rows := true;
    end;
    is_untold := is_untold or part.is_known or has_rows;
  end loop;
  is_untold := is_untold or exists (select from plank.unlisted where watched = t);
  delete from plank.unlisted where watched = t;

  select * into exact from plank.level_of(t);
  if w.asked = 'row' then exact := row('row', 'asked for'); end if;
  if (exact.level, exact.why) is distinct from (w.level, w.why) then
    is_untold := is_untold or exact.level <> w.level;
    update plank.watched set level = exact.level, why = exact.why where rel = t;
  end if;
  perform plank.look_at(t, true, null, parts);
  if is_void then update plank.watched set since = pg_current_xact_id() where rel = t; end if;
  update plank.watched set described = seen.described, facts = seen.facts, fingerprint = seen.fingerprint where rel = t;
  perform plank.announce(t, 'W');
  -- A description with another beginning resets clients by itself.
  if is_untold and not is_void then perform plank.announce(t, 'R'); end if;
end $$;

-- Begins the log anew when it is of another cluster, another database, or from before a restore into this one: true if it
-- did. A table that was restored has another oid, so its triggers are made again under other names.
create function plank.renew() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  cluster bigint := (select system_identifier from pg_control_system());
  here oid := (select oid from pg_database where datname = current_database());
  current int;
  one record;
  own record;
begin
  if exists (select from plank.meta where system_id = cluster and database = here and own_oid = 'plank.meta'::regclass) then return false; end if;
  -- What holds the log holds this up, and not the writers behind it.
  perform set_config('lock_timeout', '1s', true);
  truncate plank.log, plank.mark, plank.unlisted, plank.truncating;
  current := (select last_value from plank.slot);
  update plank.horizon set prune_xid = null, max_xid = null;
  update plank.leaf set opened = null, first_seq = null, first_packed = null;
  perform plank.open_leaf(current), setval('plank.oldest', plank.reached());
  for one in select m.rel, m.watched from plank.member m join pg_class c on c.oid = m.rel join pg_class d on d.oid = m.watched loop
    for own in select g.name from plank.triggers_of(one.rel) g where g.name !~ ('_' || one.watched::oid || '$')
        and not exists (select from plank.member m where m.rel = one.rel and g.name ~ ('_' || m.watched::oid || '$')) loop
      execute format('drop trigger %I on %s', own.name, one.rel);
    end loop;
  end loop;
  for one in select w.rel from plank.watched w join pg_class c on c.oid = w.rel loop
    begin
      perform plank.look_at(one.rel, true);
    exception when insufficient_privilege then null;   -- plank.tables says which
    end;
  end loop;
  update plank.watched set since = '0';   -- capture has begun before any cursor of this log
  update plank.watched set described = plank.describe(rel);
  update plank.meta set log_id = gen_random_uuid(), secret = default, system_id = cluster, database = here, own_oid = 'plank.meta'::regclass;
  return true;
end $$;

revoke all on all functions in schema plank from public;
