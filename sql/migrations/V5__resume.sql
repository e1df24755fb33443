-- What those need who come back: the identity of the log, marks in it, a cursor for psql. And the protocol of the
-- doorbell, of which the triggers have known from the start.

-- IDENTITY. A dump that is restored, and a database made from a template, bring a log along whose transaction ids mean
-- nothing here. Servers ask at every connect, and such a log is begun anew.
alter table plank.meta add column database oid;
update plank.meta set database = (select oid from pg_database where datname = current_database());

-- A dump writes a regclass as a name, and an oid as a number that is another table's after it has been restored.
drop view plank.tables;
alter table plank.watched alter column rel type regclass using rel::regclass, alter column root type regclass using root::regclass;
create view plank.tables as
  select w.rel as "table", w.key, w.columns, w.old_rows, w.level, w.since
  from plank.watched w join pg_class c on c.oid = w.rel
  where w.root = w.rel;

-- MARKS: where listeners have stood, one every few thousand changes. Whoever has missed much is led along them, in steps
-- of a bearable size: each is a real snapshot, so no transaction is cut and the order per key holds. A lost one costs
-- nothing but a longer step. A higher number was read later.
create table plank.mark (
  seq      bigint      primary key,
  snapshot pg_snapshot not null,
  at       timestamptz not null default now()
);

-- Leaves a mark at row number upto, unless some node has left one less than `apart` numbers before it.
create function plank.leave_mark(upto bigint, place pg_snapshot, apart bigint) returns void language sql set search_path = pg_catalog, pg_temp as $$
  insert into plank.mark (seq, snapshot)
    select upto, place where not exists (select from plank.mark where seq > upto - apart)
    on conflict do nothing
$$;

-- Forgets the marks of what has been pruned.
create function plank.prune_marks() returns void language sql set search_path = pg_catalog, pg_temp as $$
  delete from plank.mark where seq < (select min(first_seq) from plank.leaf)
$$;

-- DOORBELL. The lock (7012, 1) is held shared, by the session, by every listener that sleeps or is about to. Whoever
-- wants to disarm the bell needs it exclusively, so it stays armed as long as one of them sleeps.
create function plank.bell_sleep() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform pg_advisory_lock_shared(7012, 1);
  perform setval('plank.bell', 1);
end $$;

-- False: somebody else sleeps, and the bell stays armed.
create function plank.bell_awake() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if not pg_try_advisory_xact_lock(7012, 1) then return false; end if;
  perform setval('plank.bell', 0);
  return true;
end $$;

-- Here the bell rang whatever it said; a database that uses prepared transactions has it off.
create or replace function plank.announce(t oid, op "char") returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op, row) select s.last_value, t, announce.op, plank.describe(t) from plank.slot s;
  if (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
end $$;

-- CURSOR. A number as LEB128: seven bits a byte, the lowest first.
create function plank.varint(n bigint) returns bytea language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  rest bigint := n;
  text bytea := '';
begin
  while rest >= 128 loop
    text := text || set_byte('\x00', 0, (rest % 128)::int | 128);
    rest := rest / 128;
  end loop;
  return text || set_byte('\x00', 0, rest::int);
end $$;

-- Now, as clients write it: a subscription with it gets whatever commits from here on, and what the calling transaction
-- has done itself. The form is that of src/feed/cursor.rs, and a test compares the two.
create function plank.cursor() returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  now pg_snapshot := pg_current_snapshot();
  newest bigint := (select greatest((select xid from plank.log order by xid desc limit 1), prune_xid, max_xid)::text::bigint from plank.horizon);
  xmax bigint := least(pg_snapshot_xmax(now)::text::bigint, coalesce(newest, 0) + 1);
  previous bigint := xmax;
  running bigint[];
  x bigint;
  body bytea;
begin
  select coalesce(array_agg(distinct id order by id desc), '{}') into running from (
    select pg_snapshot_xip(now)::text::bigint union all select pg_current_xact_id_if_assigned()::text::bigint) r(id) where id < xmax;
  body := '\x01'::bytea || substr(sha256(convert_to(plank.identity(), 'utf8')), 1, 8) || plank.varint(xmax) || plank.varint(cardinality(running));
  foreach x in array running loop
    body := body || plank.varint(previous - x);
    previous := x;
  end loop;
  return translate(encode(body || substr(sha256(body), 1, 4), 'base64'), E'+/=\n', '-_');
end $$;

-- `since`: the transaction in which capture began. A cursor that did not see it can't be served.
create or replace function plank.describe(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'rel', w.rel::bigint, 'root', w.root::bigint, 'schema', n.nspname, 'name', c.relname,
    'quoted', format('%I.%I', n.nspname, c.relname), 'since', w.since::text::bigint,
    'key', w.key, 'old_rows', w.old_rows, 'narrowed', w.columns is not null,
    'columns', (
      select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum), '[]')
      from pg_attribute a
      where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped and (w.columns is null or a.attname = any (w.columns))))
  from plank.watched w join pg_class c on c.oid = w.rel join pg_namespace n on n.oid = c.relnamespace
  where w.rel = t
$$;

-- A second plank.watch replaces the triggers in one transaction, so nothing is missed, and cursors from before it are
-- good, unless the key is another one, or the triggers were not all there (see plank.detach).
create function plank.keep_since() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if new.key = old.key and new.root = old.root then new.since := old.since; end if;
  return new;
end $$;
create trigger keep_since before update of key on plank.watched for each row execute function plank.keep_since();

-- Leaves nothing behind, also not the right to look into the schema, once no other table of it is watched.
create or replace function plank.detach(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  owner oid := (select nspowner from pg_namespace where nspname = 'plank');
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  trigger_name text;
begin
  -- Something may have been missed: what is captured now is captured since now.
  if exists (select from plank.watched where rel = t) and (not exists (select from pg_trigger where tgrelid = t and tgname like 'plank\_%' and not tgisinternal)
      or exists (select from pg_trigger where tgrelid = t and tgname like 'plank\_%' and not tgisinternal and tgenabled <> 'A')) then
    update plank.watched set since = pg_current_xact_id() where rel = t;
  end if;
  for trigger_name in
    select tgname from pg_trigger where tgrelid = t and tgname like 'plank\_%' and not tgisinternal and tgparentid = 0
  loop
    execute format('drop trigger %I on %s', trigger_name, t);
  end loop;
  if exists (select from pg_policy where polrelid = t and polname = 'plank_reads') then
    execute format('drop policy plank_reads on %s', t);
  end if;
  -- A role that can log in may have been given the right by somebody else.
  if (select rolcanlogin from pg_roles where oid = owner) then return; end if;
  if (select relowner <> owner from pg_class where oid = t) then
    execute format('revoke select on %s from %s', t, owner::regrole);
  end if;
  if not exists (select from plank.watched w join pg_class c on c.oid = w.rel where c.relnamespace = in_schema and w.rel <> t)
    and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = in_schema and a.grantee = owner) then
    execute format('revoke usage on schema %s from %s', in_schema, owner::regrole);
  end if;
end $$;

-- Ends all watching. Only the schema itself is left after it, for `drop schema plank cascade`.
create function plank.unwatch_all() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  watched record;
begin
  for watched in select rel from plank.watched where root = rel loop
    perform plank.unwatch(watched.rel);
  end loop;
end $$;

revoke all on all functions in schema plank from public;
