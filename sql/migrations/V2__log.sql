-- The change log and its capture triggers. A change is logged by the transaction that makes it, so it commits and
-- aborts with it; NOTIFY only says "look", and carries no data.
--
-- The schema plank exists already: plank makes it before the first migration, for the list of migrations itself.

-- One number per log row. CACHE 1 is load-bearing: a cached block of numbers would break the order per key across
-- sessions. The step is 2 because an update that changes the key is sent as two changes, and each has a number.
create sequence plank.seq increment by 2 cache 1;

-- The doorbell. 1: some listener may be asleep, ring it. 0: all are awake and poll. A sequence and not a row, because
-- a REPEATABLE READ writer has to see the value of now.
create sequence plank.bell minvalue 0 maxvalue 1 start 1;

-- The leaf of the log that is being written, 0 to 7.
create sequence plank.slot minvalue 0 maxvalue 7 start 0;

select setval('plank.bell', 1), setval('plank.slot', 0);

-- op: I(nsert), U(pdate), D(elete), T(runcate), W(atched: row describes the table), X (not watched any more), R(eset: what
-- happened can't be told row by row).
create table plank.log (
  xid  xid8        not null default pg_current_xact_id(),   -- the top-level transaction, 64 bits: never wraps
  seq  bigint      not null default nextval('plank.seq'),
  slot smallint    not null,
  rel  oid         not null,
  op   "char"      not null,
  at   timestamptz not null default now(),
  row  json,                                                -- I, U: the new row; W: the description
  old  json                                                 -- U, D: the row before
) partition by list (slot);

-- A ring of leaves: the oldest is emptied by TRUNCATE, which costs the same for ten rows and ten million. Nothing is
-- ever updated or deleted in them, so autovacuum has nothing to do but to freeze.
do $$ begin
  for i in 0..7 loop
    execute format('create table plank.log_%s partition of plank.log for values in (%s)', i, i);
    execute format('create index log_%s_xid_seq on plank.log_%s (xid, seq)', i, i);
    execute format('alter table plank.log_%s set (autovacuum_enabled = off)', i);
  end loop;
end $$;

-- Which log this is. A restore into another cluster is recognised by system_id; then the log gets a new identity.
create table plank.meta (
  one       boolean primary key default true check (one),
  log_id    uuid    not null default gen_random_uuid(),
  system_id bigint  not null default (pg_control_system()).system_identifier
);
insert into plank.meta default values;

-- What has been pruned: a cursor that may need something at or below max_xid can't be served any more.
create table plank.horizon (
  one       boolean primary key default true check (one),
  prune_xid xid8,   -- the transaction that pruned last
  max_xid   xid8    -- the newest transaction that it threw away
);
insert into plank.horizon default values;

-- When each leaf of the ring became the current one.
create table plank.leaf (slot smallint primary key, opened timestamptz);
insert into plank.leaf select i, case when i = 0 then now() end from generate_series(0, 7) i;

create table plank.watched (
  rel      oid     primary key,
  root     oid     not null,                              -- the partitioned table that it belongs to, or itself
  key      name[]  not null,                              -- the primary key, in its order; empty without one
  columns  name[],                                        -- what clients may see; null: every column
  old_rows boolean not null,
  level    text    not null check (level in ('statement', 'row')),
  since    xid8    not null default pg_current_xact_id()
);

-- CAPTURE. The functions are security definer, because a writer needs no right on this schema. They name no column of
-- the table, so ALTER TABLE can't make writers fail. The settings are pinned: a row is written the same way whatever
-- the writer's TimeZone, DateStyle or bytea_output. Nothing is taken from trigger arguments, and the bell is read last:
-- by then the transaction has its id, on which the proof of the doorbell rests.

-- A trigger that changes its own table again is logged before the statement that fired it, whose rows are then stale.
-- This notes such tables, for the rest of the transaction, and says whether tg_relid is one of them.
create function plank.nested(rel oid, depth int) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  noted text := coalesce(nullif(current_setting('plank.nested', true), ''), ',');
begin
  if strpos(noted, ',' || rel || ',') > 0 then return true; end if;
  if depth > 1 then perform set_config('plank.nested', noted || rel || ',', true); end if;
  return depth > 1;
end $$;

-- Whether this schema's owner sees all rows of a table. Row security does not refuse, it hides; a hidden row must not be
-- taken for one that is gone.
create function plank.sees_all(t oid) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select not row_security_active(t)
    or (exists (select from pg_policy where polrelid = t and polname = 'plank_reads') and not exists (select from pg_policy where polrelid = t and not polpermissive))
$$;

-- For those: the state of now of each row that the statement touched, looked up by key, so that what is logged last for
-- a key is never older than what was logged before it. Null for a table without a key, or with hidden rows: there the
-- statement's rows are all there is.
create function plank.log_again_sql(t oid, op "char") returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select format($q$
    insert into plank.log (slot, rel, op, row, old)
    select s.last_value, $1, case when c.r is null then 'D' when o.r is null then 'I' else 'U' end::"char", c.r,
      coalesce(o.r, case when c.r is null then n.r end)
    from plank.slot s, %s n full join %s o using (at)
    left join lateral (select row_to_json(x.*) as r from %s x where %s) c on true$q$,
    format('(select row_to_json(x.*) as r, row_number() over () as at, %s from %s)', k.names, case when op = 'D' then format('%s x where false', t::regclass) else 'new_rows x' end),
    format('(select row_to_json(x.*) as r, row_number() over () as at, %s from %s)', k.names, case when op = 'I' then format('%s x where false', t::regclass) else 'old_rows x' end),
    t::regclass, k.same)
  from (
    select string_agg(format('x.%I as k%s', a.attname, a.attnum), ', ') as names,
      string_agg(format('x.%I = coalesce(n.k%2$s, o.k%2$s)', a.attname, a.attnum), ' and ') as same
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])
    where i.indrelid = t and i.indisprimary) k
  where k.names is not null and plank.sees_all(t)
$$;

create function plank.capture_insert() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
declare again text; touched bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'I'); end if;
  end if;
  if again is not null then
    begin
      execute again using tg_relid;
      get diagnostics touched = row_count;
    exception when insufficient_privilege then
      again := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
    end;
  end if;
  if again is null then
    insert into plank.log (slot, rel, op, row)
      select s.last_value, tg_relid, 'I', row_to_json(n.*) from plank.slot s, new_rows n;
    get diagnostics touched = row_count;
  end if;
  if touched > 0 and (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

-- Old and new rows of one UPDATE arrive in the same order, so their position pairs them and no key has to be named.
-- FULL JOIN: transition tables have no statistics, and an inner join would be planned as a nested loop.
create function plank.capture_update() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
declare again text; touched bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'U'); end if;
  end if;
  if again is not null then
    begin
      execute again using tg_relid;
      get diagnostics touched = row_count;
    exception when insufficient_privilege then
      again := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
    end;
  end if;
  if again is null then
    insert into plank.log (slot, rel, op, row, old)
      select s.last_value, tg_relid, 'U', n.r, o.r
      from plank.slot s,
        (select row_to_json(x.*) as r, row_number() over () as at from old_rows x) o
        full join (select row_to_json(x.*) as r, row_number() over () as at from new_rows x) n using (at);
    get diagnostics touched = row_count;
  end if;
  if touched > 0 and (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

-- For tables that opted out of old rows: cheaper, but no filter and no policy can tell that a row has left.
create function plank.capture_update_new() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
begin
  insert into plank.log (slot, rel, op, row)
    select s.last_value, tg_relid, 'U', row_to_json(n.*) from plank.slot s, new_rows n;
  if found and (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

create function plank.capture_delete() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
declare again text; touched bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'D'); end if;
  end if;
  if again is not null then
    begin
      execute again using tg_relid;
      get diagnostics touched = row_count;
    exception when insufficient_privilege then
      again := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
    end;
  end if;
  if again is null then
    insert into plank.log (slot, rel, op, old)
      select s.last_value, tg_relid, 'D', row_to_json(o.*) from plank.slot s, old_rows o;
    get diagnostics touched = row_count;
  end if;
  if touched > 0 and (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

create function plank.capture_truncate() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op) select s.last_value, tg_relid, 'T' from plank.slot s;
  perform set_config('plank.truncating', '', true);
  if (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

-- TRUNCATE of a partitioned table truncates its partitions as well, and fires the BEFORE triggers of all of them first,
-- its own before theirs. This one notes it, so that the partitions know that they have nothing to log.
create function plank.capture_truncate_root() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform set_config('plank.truncating', tg_relid::text, true);
  return null;
end $$;

-- TRUNCATE of a partition by itself is no truncate of the table that clients see: each of its rows is logged as deleted.
-- The only argument is the root; a wrong one would only make the owner's own rows be logged or not.
create function plank.capture_truncate_partition() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
declare touched bigint;
begin
  if current_setting('plank.truncating', true) = tg_argv[0] then return null; end if;
  begin
    if not plank.sees_all(tg_relid) then raise insufficient_privilege; end if;
    execute format('insert into plank.log (slot, rel, op, old)
      select s.last_value, $1, ''D'', row_to_json(x.*) from plank.slot s, only %s x', tg_relid::regclass) using tg_relid;
    get diagnostics touched = row_count;
  exception when insufficient_privilege then
    -- Without the right to read the rows, the servers are told that the table can't be followed through this.
    insert into plank.log (slot, rel, op) select s.last_value, tg_relid, 'R' from plank.slot s;
    touched := 1;
  end;
  if touched > 0 and (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

-- The row level, for tables that a logical-replication apply worker writes: it never fires statement triggers.
create function plank.capture_row() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 as $$
begin
  insert into plank.log (slot, rel, op, row, old)
    select s.last_value, tg_relid, left(tg_op, 1)::"char",
      case when tg_op <> 'DELETE' then row_to_json(new) end, case when tg_op <> 'INSERT' then row_to_json(old) end
    from plank.slot s;
  if (select last_value from plank.bell) <> 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;
