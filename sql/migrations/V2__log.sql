-- The change log. The transaction that makes a change also logs it, so both commit or both abort. NOTIFY only says "look"
-- and carries no data.
--
-- plank creates the schema plank before the first migration, for the list of migrations itself.

-- Log row numbers. CACHE 1 is required: a cached block of numbers would break the order per key across sessions.
create sequence plank.seq cache 1;

-- Counts the rows in packed log rows, in steps of 16. plank.seq plus this sequence estimates the number of changes.
create sequence plank.packed increment by 16 minvalue 0 start 0 cache 1;

-- The doorbell. 1: a listener may be asleep, so writers ring. 0: all listeners poll. It is a sequence and not a row,
-- because a REPEATABLE READ writer must see the current value.
create sequence plank.bell minvalue 0 maxvalue 1 start 1;

-- The leaf of the log that writers use: 0 to 7, or 8 while the log is closed.
create sequence plank.slot minvalue 0 maxvalue 8 start 0;

-- Holds, for each session by itself (currval), the number that the log had reached when its last UPDATE or DELETE began. A
-- sequence, since a session can't change it, as it can a setting.
create sequence plank.began minvalue 0 start 0 cache 1;

-- Holds, for each session by itself, what lastval() gives a writer: see V3. Everybody may read it.
create sequence plank.last minvalue -9223372036854775808 start 1 cache 1;
grant usage on sequence plank.last to public;

-- Only sessions read these two, each its own value. So they need no WAL, where PostgreSQL (15 and later) has such sequences.
do $$ begin
  if current_setting('server_version_num')::int >= 150000 then
    alter sequence plank.began set unlogged;
    alter sequence plank.last set unlogged;
  end if;
end $$;

-- The number of the oldest log row that is kept.
create sequence plank.oldest minvalue 0 start 0;

-- Counts closings, one before and one after each. A session that moves the slot compares it to find a closing in between.
create sequence plank.closings minvalue 0 start 0;

select setval('plank.bell', 1), setval('plank.slot', 0), setval('plank.oldest', 0), setval('plank.packed', 0);

-- op: I(nsert), U(pdate), D(elete), T(runcate) of one row; i, u, d: the same for up to 512 rows, packed; W(atched): row
-- describes the table; X: the table is not watched any more; R(eset): changes can't be told row by row; N: the log was
-- begun anew.
--
-- A reader orders the changes of one key by what they say: the old row of one change is the new row of another. Rows
-- of a capture at row level name the stored version of the row instead (leaf and place), which is unique even where two
-- versions have the same text. Statements of a client are in order by themselves.
create table plank.log (
  xid       xid8        not null default pg_current_xact_id(),     -- the top-level transaction, 64 bits: never wraps
  seq       bigint      not null default nextval('plank.seq'),
  slot      smallint    not null,
  rel       oid         not null,                                  -- the watched table; of a partition: its root
  op        "char"      not null,
  at        timestamptz not null default now(),
  statement timestamptz not null default statement_timestamp(),    -- which statement of the client, within its transaction
  row       json,                                                  -- I, U: the new row; i, u: a list of new rows; W: the description
  old       json,                                                  -- U, D: the old row; u, d: a list of old rows
  piece     int,                                                   -- i, u, d: which of the pieces of its statement, from 0
  began     bigint,                                                -- U, u, D, d: the number that the log had reached when the statement began
  leaf      oid,                                                   -- row level: the table that stores the row
  row_at    tid,                                                   -- row level: where the new version is
  old_at    tid,                                                   -- row level: where the old version is
  -- The W3C traceparent that the writer's session has in the setting plank.traceparent, cut off behind what tells whether it is one.
  trace     text        default nullif(left(current_setting('plank.traceparent', true), 56), '')
) partition by list (slot);

-- A ring of leaves. TRUNCATE empties the oldest one, at the same cost for ten rows and ten million. Nothing updates or
-- deletes in them, so autovacuum has nothing to do but to freeze.
--
-- Leaf 8 keeps nothing: it takes the rows while the log is closed. It needs the index all the same, or no ordered read of
-- the log could avoid sorting all of it.
create function plank.keep_nothing() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end $$;

do $$ begin
  for i in 0..8 loop
    execute format('create table plank.log_%s partition of plank.log for values in (%1$s)', i);
    execute format('create index log_%s_xid_seq on plank.log_%1$s (xid, seq)', i);
    execute format('alter table plank.log_%s set (autovacuum_enabled = off, toast.autovacuum_enabled = off)', i);
    begin
      -- Packed rows become much smaller by it, for less CPU than the default method takes.
      execute format('alter table plank.log_%s alter column row set compression lz4, alter column old set compression lz4', i);
    exception when feature_not_supported then null;   -- this server was built without it
    end;
  end loop;
  create trigger keep_nothing before insert on plank.log_8 for each row execute function plank.keep_nothing();
  alter table plank.log_8 enable always trigger keep_nothing;
end $$;

-- Which log this is, and how long it keeps changes. plank writes its settings here when it starts. system_id, database and
-- own_oid recognise a log that was restored or copied into another database: it gets a new identity.
create table plank.meta (
  one       boolean  primary key default true check (one),
  log_id    uuid     not null default gen_random_uuid(),
  system_id bigint   not null default (pg_control_system()).system_identifier,
  database  oid      not null,
  own_oid   oid      not null,
  keep      interval not null default '24 hours' check (keep > interval '0'),
  rows_max  bigint   not null default 10000000 check (rows_max > 0),
  -- What the key of signed cursors is made of. A client that has it can write cursors of its own.
  secret    bytea    not null default sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
  reopened  xid8     -- while a closed log is being opened: 0, and then the transaction that all blind writers precede
);
insert into plank.meta (database, own_oid) select oid, 'plank.meta'::regclass from pg_database where datname = current_database();

-- What has been pruned: a cursor that may need something at or below max_xid can't be served any more.
create table plank.horizon (
  one       boolean primary key default true check (one),
  prune_xid xid8,   -- the transaction that pruned last
  max_xid   xid8    -- the newest transaction that it threw away
);
insert into plank.horizon default values;

-- When each leaf of the ring became the current one, and the numbers that the log had reached then. Null: it is empty.
create table plank.leaf (slot smallint primary key, opened timestamptz, first_seq bigint, first_packed bigint);
insert into plank.leaf select i, case when i = 0 then now() end, case when i = 0 then 0 end, case when i = 0 then 0 end from generate_series(0, 7) i;

-- Places where listeners have stood, one every few thousand changes. A client that has missed much is led along them, in
-- steps of bounded size: each is a real snapshot, so no transaction is cut and the order per key holds. A lost mark
-- only makes a step longer. A higher number was read later.
create table plank.mark (
  seq      bigint      primary key,
  snapshot pg_snapshot not null,
  reached  bigint      not null,                                   -- the changes that the log had had then: plank.reached()
  at       timestamptz not null default now()
);

-- LOCKS between servers are tables that hold nothing, since advisory locks can be taken by all roles that may connect.
create table plank.pruning ();     -- throwing away a part of the log, or opening it again
create table plank.following ();   -- looking for altered tables
create view plank.reading as select 1 as reading;   -- reading the log for the backplane: held for long, and VACUUM passes by a view

-- Takes one of these for the rest of the transaction; false if another server has it.
create function plank.try_lock(name text) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  execute format('lock table plank.%I in exclusive mode nowait', name);
  return true;
exception when lock_not_available then
  return false;
end $$;

-- The servers that follow the log: their listening connections, and which of them rely on the doorbell.
create table plank.listener (
  pid    int         primary key,
  began  timestamptz not null,        -- of the connection: numbers of processes are used again
  sleeps boolean     not null
);

-- The listeners that are connected. A row of one that has ended without saying so counts as long as its number is used by a
-- connection of a role whose beginning can't be seen.
create function plank.listeners() returns setof plank.listener language sql volatile set search_path = pg_catalog, pg_temp as $$
  select l.* from plank.listener l, pg_stat_get_activity(l.pid) a where coalesce(a.backend_start = l.began, true)
$$;

-- Says that this connection listens. Called once for each, before it reads.
create function plank.listen() returns void language sql volatile set search_path = pg_catalog, pg_temp as $$
  delete from plank.listener l where l.pid = pg_backend_pid() or not exists (select from plank.listeners() x where x.pid = l.pid);
  insert into plank.listener select a.pid, a.backend_start, false from pg_stat_get_activity(pg_backend_pid()) a
$$;

-- CURSORS

-- The log that a cursor belongs to: this log, in this cluster, on this timeline. The timeline comes from the position in
-- the WAL: right after a promotion the control file still has the old one. The text is secret: the key of the cursors of this
-- log is made of it.
-- In PL/pgSQL, which keeps the plan: it stands beside every read and write of /rest.
create function plank.identity() returns text language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (select log_id || '/' || (select system_identifier from pg_control_system()) || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
      || '/' || encode(secret, 'hex')
    from plank.meta);
end $$;

-- HMAC-SHA256 (RFC 2104) with a key of 32 bytes.
create function plank.hmac(key bytea, message bytea) returns bytea language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  inner_key bytea := decode(repeat('36', 64), 'hex');
  outer_key bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0..length(key) - 1 loop
    inner_key := set_byte(inner_key, i, get_byte(key, i) # 54);
    outer_key := set_byte(outer_key, i, get_byte(key, i) # 92);
  end loop;
  return sha256(outer_key || sha256(inner_key || message));
end $$;

-- A number as LEB128: seven bits a byte, the lowest first.
create function plank.varint(n bigint) returns bytea language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  rest bigint := n;
  bytes bytea := '';
begin
  while rest >= 128 loop
    bytes := bytes || set_byte('\x00', 0, (rest % 128)::int | 128);
    rest := rest / 128;
  end loop;
  return bytes || set_byte('\x00', 0, rest::int);
end $$;

-- The transaction id after n. PostgreSQL never gives out an id whose low 32 bits are 0, 1 or 2, and refuses a pg_snapshot
-- that has one.
create function plank.next_xid(n bigint) returns bigint language sql immutable set search_path = pg_catalog, pg_temp as $$
  select n + 1 + case when (n + 1) % 4294967296 < 3 then 3 - (n + 1) % 4294967296 else 0 end
$$;

-- The current place in the log, in the form that clients use: a subscription with it gets every change that commits from
-- here on, and those that the calling transaction has made itself. src/feed/cursor.rs writes the same form, and a test
-- compares the two. It runs with the rights of its owner, so `grant execute` on it is all that a program needs.
create function plank.cursor() returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  identity bytea := convert_to(plank.identity(), 'utf8');
  now pg_snapshot := pg_current_snapshot();
  newest bigint := (select greatest((select xid from plank.log order by xid desc limit 1), prune_xid, max_xid)::text::bigint from plank.horizon);
  xmax bigint := least(pg_snapshot_xmax(now)::text::bigint, plank.next_xid(coalesce(newest, 0)));
  previous bigint := xmax;
  running bigint[];
  x bigint;
  body bytea;
begin
  select coalesce(array_agg(distinct id order by id desc), '{}') into running from (
    select pg_snapshot_xip(now)::text::bigint union all select pg_current_xact_id_if_assigned()::text::bigint) r(id) where id < xmax;
  body := '\x02'::bytea || substr(sha256(identity), 1, 8) || plank.varint(xmax) || plank.varint(cardinality(running));
  foreach x in array running loop
    body := body || plank.varint(previous - x);
    previous := x;
  end loop;
  body := body || substr(plank.hmac(sha256('plank cursor key '::bytea || identity), body), 1, 8);
  return translate(encode(body, 'base64'), E'+/=\n', '-_');
end $$;

-- The place in the log from which on it has what was written within the last span, as a snapshot; what is under way is behind it.
-- Not before the transaction at_least, which let the table be read; where some of that span has been pruned, behind at_least. The times
-- of transactions do not rise with their ids, for a transaction has the time of its begin; those of the marks do. So what is behind the
-- last mark before is looked through.
create function plank.place_back(span interval, at_least bigint) returns text language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  target timestamptz := clock_timestamp() - span;
  now pg_snapshot := pg_current_snapshot();
  ended plank.horizon := (select h from plank.horizon h);
  marked xid8 := (select pg_snapshot_xmin(m.snapshot) from plank.mark m where m.at < target order by m.seq desc limit 1);
  newest xid8 := greatest((select xid from plank.log order by xid desc limit 1), ended.prune_xid, ended.max_xid);
  low bigint;
  running text;
begin
  -- All that was pruned is older than the oldest leaf.
  if ended.max_xid is not null and target < (select min(opened) from plank.leaf) then
    low := 0;
  else
    low := (select l.xid from plank.log l where l.xid >= coalesce(marked, '0') and l.at >= target order by l.xid limit 1)::text::bigint;
    low := coalesce(low, plank.next_xid(coalesce(newest::text::bigint, 0)));
  end if;
  low := least(greatest(low, plank.next_xid(at_least)), pg_snapshot_xmax(now)::text::bigint);
  select string_agg(x::text, ',' order by x) into running from pg_snapshot_xip(now) x where x::text::bigint < low;
  return coalesce(split_part(running, ',', 1), low::text) || ':' || low || ':' || coalesce(running, '');
end $$;

-- Forgets the marks of what has been pruned.
create function plank.prune_marks() returns void language sql set search_path = pg_catalog, pg_temp as $$
  delete from plank.mark where seq < (select min(first_seq) from plank.leaf)
$$;

-- SIZE

-- The changes that the log has had so far: one for each log row, and the rest of the packed ones. An estimate, as numbers
-- of transactions that roll back count too.
create function plank.reached() returns bigint language sql volatile set search_path = pg_catalog, pg_temp as $$
  select s.last_value + p.last_value from plank.seq s, plank.packed p
$$;

-- Leaves a mark at log row number upto, unless another node has left one less than `apart` changes before it.
create function plank.leave_mark(upto bigint, place pg_snapshot, apart bigint) returns void language sql set search_path = pg_catalog, pg_temp as $$
  insert into plank.mark (seq, snapshot, reached)
    select upto, place, plank.reached() where not exists (select from plank.mark where reached > plank.reached() - apart)
    on conflict do nothing
$$;

-- Changes, estimated, and bytes with indexes and TOAST.
create function plank.log_size(out rows_estimated bigint, out bytes bigint) language sql stable set search_path = pg_catalog, pg_temp as $$
  select plank.reached() - (select min(first_seq + first_packed) from plank.leaf) + 1,
    (select sum(pg_total_relation_size('plank.log_' || i)) from generate_series(0, 7) i)::bigint
$$;

-- GROWTH. Nobody prunes while plank is down. A writer that finds twice the rows that the log may have closes it: changes
-- then go to the leaf that keeps nothing. A full disk would fail every write of the database; a closed log only costs
-- clients a new start, which most of them would need anyway. Writers call this about once in 4,096 log rows.
create function plank.close_if_full() returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if (select plank.reached() - o.last_value > 2 * m.rows_max from plank.oldest o, plank.meta m) then
    -- Until it stays: a pruner that looked before may be setting it.
    for i in 1..100 loop
      perform nextval('plank.closings'), setval('plank.slot', 8), nextval('plank.closings');
      exit when (select last_value from plank.slot) = 8;
    end loop;
  end if;
end $$;

-- Moves the slot, but never over a closing.
create function plank.set_slot(which int) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  before bigint := (select last_value from plank.closings);
begin
  if (select last_value from plank.slot) = 8 then return; end if;
  perform setval('plank.slot', which);
  if (select last_value from plank.closings) <> before then perform setval('plank.slot', 8); end if;
end $$;

-- Gives the log another identity, and tells the servers, whose clients then begin anew.
create function plank.rename_log() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.meta set log_id = gen_random_uuid();
  insert into plank.log (slot, rel, op) select s.last_value, 0, 'N' from plank.slot s;
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
end $$;

-- Opens a closed log, in several calls with a transaction each: true while there is something to do. The first call notes
-- that the log was closed, since a sequence is set at once and for good, whatever becomes of the transaction. Then changes
-- are logged again, under another identity: older cursors are void. A writer that saw the closed log may commit later.
-- All such writers have a lower id than the one that is drawn after the opening; when they have ended, the identity
-- changes once more.
create function plank.reopen() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  is_closed boolean := (select last_value = 8 from plank.slot);
  fence xid8 := (select reopened from plank.meta);
begin
  if not is_closed and fence is null then return false; end if;
  if not plank.try_lock('pruning') then return true; end if;
  is_closed := (select last_value = 8 from plank.slot);
  fence := (select reopened from plank.meta);
  if is_closed and fence is distinct from '0' then
    update plank.meta set reopened = '0';
  elsif is_closed then
    -- Without what is too much, or the next writer would close it again.
    perform plank.empty_leaf(0);
    perform plank.open_leaf(0);
    perform setval('plank.oldest', plank.reached());
    perform setval('plank.slot', 0);
    perform plank.rename_log();
  elsif fence = '0' then
    update plank.meta set reopened = pg_current_xact_id();
  elsif pg_snapshot_xmin(pg_current_snapshot()) > fence then
    update plank.meta set reopened = null;
    perform plank.rename_log();
  end if;
  return true;
end $$;

-- PRUNING

-- Notes that a leaf becomes the current one now.
create function plank.open_leaf(which int) returns void language sql set search_path = pg_catalog, pg_temp as $$
  update plank.leaf set opened = clock_timestamp(), first_seq = (select last_value from plank.seq),
    first_packed = (select last_value from plank.packed)
  where slot = which
$$;

-- Empties a leaf that is not being written. False if it is in use: a long read or pg_dump is left alone, and anybody who
-- comes meanwhile waits 50 ms at most. The newest transaction that is thrown away is noted together with the one that
-- does it: TRUNCATE holds the leaf's exclusive lock, so every transaction with a row there has ended. All of it is undone
-- together: TRUNCATE also needs the leaf's TOAST table, which may be locked without the leaf.
create function plank.empty_leaf(which int) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  newest xid8;
begin
  perform set_config('lock_timeout', '50ms', true);
  begin
    execute format('lock table only plank.log_%s in access exclusive mode', which);
    execute format('select xid from plank.log_%s order by xid desc limit 1', which) into newest;
    if newest is not null then
      update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = greatest(max_xid, newest);
      execute format('truncate only plank.log_%s', which);
    end if;
  exception when lock_not_available then
    return false;
  end;
  update plank.leaf set opened = null, first_seq = null, first_packed = null where slot = which;
  return true;
end $$;

-- Applies the retention now; true if that threw anything away or began a new leaf. A leaf goes when it was closed longer
-- ago than the retention, or when the log holds too many rows. A new leaf is begun when the current one is a seventh of
-- the retention old, or holds a seventh of the rows. Any number of servers may call it, at any time.
create function plank.prune() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  current int;
  next int;
  reached bigint;
  rule plank.meta;
  mine plank.leaf;
  done boolean := false;
  old record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'plank: prune() needs the isolation level read committed'
      using hint = 'an older snapshot does not show what has to be noted before it is thrown away', errcode = 'invalid_transaction_state';
  end if;
  if not plank.try_lock('pruning') then return false; end if;
  -- Only behind the lock: another node may just have turned the ring.
  current := (select last_value from plank.slot);
  next := (current + 1) % 8;
  reached := plank.reached();
  select * into rule from plank.meta;
  -- A closed log is opened first.
  if current = 8 then return false; end if;
  for old in
    select slot from (
      select slot, opened, first_seq, first_seq + first_packed as first, lead(opened) over (order by first_seq, opened) as closed
      from plank.leaf where opened is not null) l
    where slot <> current and (closed + rule.keep <= clock_timestamp() or reached - first > rule.rows_max)
    order by first_seq, opened
  loop
    exit when not plank.empty_leaf(old.slot);
    done := true;
  end loop;

  select * into mine from plank.leaf where slot = current;
  if mine.opened + rule.keep / 7 <= clock_timestamp() or reached - mine.first_seq - mine.first_packed >= greatest(rule.rows_max / 7, 1) then
    if plank.empty_leaf(next) then
      perform plank.open_leaf(next);
      -- Last, since it is seen at once: writers of the new leaf wait for the end of this transaction.
      perform plank.set_slot(next);
      done := true;
    end if;
  end if;
  if done then perform setval('plank.oldest', (select min(first_seq + first_packed) from plank.leaf)); end if;
  return done;
end $$;

-- Whether something that was not visible in snapshot c may have been thrown away. Call it after reading, in a statement of
-- its own: TRUNCATE is not MVCC-safe, so a read may miss what another transaction is just throwing away.
create function plank.pruned(c pg_snapshot) returns boolean language sql volatile set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from plank.horizon
    where max_xid is not null and not pg_visible_in_snapshot(prune_xid, c)
      and (max_xid >= pg_snapshot_xmax(c) or exists (select from pg_snapshot_xip(c) x where x <= max_xid)))
$$;

revoke all on all functions in schema plank from public;
