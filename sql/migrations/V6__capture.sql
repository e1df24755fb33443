-- Capture, cheaper and safer: what a crash does not take away, what plans cost, and an end to the log's growth.

-- STATEMENTS. An UPDATE that hands keys on from row to row (set id = id + 1) is logged in no useful order, and a reader has
-- to know which rows are of one statement. Not by cmin, which says so for nothing: it is not in the WAL, so after a crash
-- and on a promoted standby it is 0 for all rows. It is the number that the log had reached when the statement began: the
-- next statement of its transaction finds a higher one. Null: a statement of one row.
alter table plank.log add column statement bigint;

-- GROWTH. While plank is down nobody prunes. A writer notices when the log has twice the rows that it may have, and
-- closes it: from then on changes go to a leaf that keeps nothing. A disk that is full would fail everybody's writes; a
-- closed log costs a fresh start of clients, most of which would have been too late anyway.
alter sequence plank.slot maxvalue 8;
create table plank.log_8 partition of plank.log for values in (8);
-- It has no rows, but without the index no read of the log in the order of one could do without a sort of all of it.
create index log_8_xid_seq on plank.log_8 (xid, seq);
create function plank.keep_nothing() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return null;
end $$;
create trigger keep_nothing before insert on plank.log_8 for each row execute function plank.keep_nothing();
alter table plank.log_8 enable always trigger keep_nothing;

-- The number of the first row that is kept. A sequence, since a REPEATABLE READ writer has to see the value of now.
create sequence plank.oldest minvalue 0 start 0;
select setval('plank.oldest', coalesce(min(first_seq), 0)) from plank.leaf;
-- Counts closings, before and after each: whoever moves the slot knows by it whether it was closed meanwhile.
create sequence plank.closings minvalue 0 start 0;

-- Set while a closed log is being opened: 0, and then the transaction behind which it is known that nobody writes any
-- more who saw it closed.
alter table plank.meta add column reopened xid8;

-- Called by a writer about once in 4,096 rows, in his transaction.
create function plank.close_if_full() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if (select (s.last_value - o.last_value) / 4 > m.rows_max from plank.seq s, plank.oldest o, plank.meta m) then
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

-- Gives the log another identity, and tells the servers, who tell their clients to begin anew.
create function plank.rename_log() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.meta set log_id = gen_random_uuid();
  insert into plank.log (slot, rel, op) select s.last_value, 0, 'N' from plank.slot s;
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
end $$;

-- Opens a closed log, in several calls, each in its own transaction: true while there is something to do. That it was
-- closed is noted first, since a sequence is set at once and for good, whatever becomes of the transaction. Then changes
-- are logged again, under another identity: cursors from before are void. But a writer who read that it was closed may
-- commit later. All of those have a lower id than the one that is drawn behind it, and when they have ended the identity
-- changes once more.
create function plank.reopen() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  is_closed boolean := (select last_value = 8 from plank.slot);
  fence xid8 := (select reopened from plank.meta);
begin
  if not is_closed and fence is null then return false; end if;
  if not pg_try_advisory_xact_lock(7012, 2) then return true; end if;
  is_closed := (select last_value = 8 from plank.slot);
  fence := (select reopened from plank.meta);
  if is_closed and fence is distinct from '0' then
    update plank.meta set reopened = '0';
  elsif is_closed then
    -- Without what is too much, or the next writer would close it again.
    perform plank.empty_leaf(0);
    update plank.leaf set opened = clock_timestamp(), first_seq = (select last_value from plank.seq) where slot = 0;
    perform setval('plank.oldest', (select last_value from plank.seq));
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

-- Begins the log anew when it is of another cluster, another database, or from before a restore into this one: true if it
-- did. A table that was restored has another oid.
alter table plank.meta add column own_oid oid;
update plank.meta set own_oid = 'plank.meta'::regclass;
create function plank.renew() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  cluster bigint := (select system_identifier from pg_control_system());
  here oid := (select oid from pg_database where datname = current_database());
  current int;
  reached bigint;
begin
  if exists (select from plank.meta where system_id = cluster and database = here and own_oid = 'plank.meta'::regclass) then return false; end if;
  -- Whoever holds the log holds this up, and not the writers behind it.
  perform set_config('lock_timeout', '1s', true);
  truncate plank.log, plank.mark;
  current := (select last_value from plank.slot);
  reached := (select last_value from plank.seq);
  update plank.horizon set prune_xid = null, max_xid = null;
  update plank.leaf set opened = case when slot = current then clock_timestamp() end, first_seq = case when slot = current then reached end;
  perform setval('plank.oldest', reached);
  update plank.watched set since = '0';   -- capture has begun before any cursor of this log
  update plank.meta set log_id = gen_random_uuid(), system_id = cluster, database = here, own_oid = 'plank.meta'::regclass;
  return true;
end $$;

-- PRUNING. What is current is looked up behind the lock, or one node could empty the leaf that another has just begun.
create or replace function plank.prune() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
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
  if not pg_try_advisory_xact_lock(7012, 2) then return false; end if;
  -- Only now: another node may just have turned the ring.
  current := (select last_value from plank.slot);
  next := (current + 1) % 8;
  reached := (select last_value from plank.seq);
  select * into rule from plank.meta;
  -- A closed log is opened first.
  if current = 8 then return false; end if;
  for old in
    select slot from (
      select slot, opened, first_seq, lead(opened) over (order by first_seq, opened) as closed from plank.leaf where opened is not null) l
    where slot <> current and (closed + rule.keep <= clock_timestamp() or (reached - first_seq) / 2 > rule.rows_max)
    order by first_seq, opened
  loop
    exit when not plank.empty_leaf(old.slot);
    done := true;
  end loop;

  select * into mine from plank.leaf where slot = current;
  if mine.opened + rule.keep / 7 <= clock_timestamp() or (reached - mine.first_seq) / 2 >= greatest(rule.rows_max / 7, 1) then
    if plank.empty_leaf(next) then
      update plank.leaf set opened = clock_timestamp(), first_seq = reached where slot = next;
      -- Last, since it is seen at once: writers of the new leaf wait for the end of this transaction.
      perform plank.set_slot(next);
      done := true;
    end if;
  end if;
  if done then perform setval('plank.oldest', (select min(first_seq) from plank.leaf)); end if;
  return done;
end $$;

-- All of it under the patience of 50 ms, and undone together: TRUNCATE also needs the leaf's TOAST table, which may be
-- held by somebody who does not hold the leaf.
create or replace function plank.empty_leaf(which int) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
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
  update plank.leaf set opened = null, first_seq = null where slot = which;
  return true;
end $$;
do $$ begin
  for i in 0..7 loop
    execute format('alter table plank.log_%s set (toast.autovacuum_enabled = off)', i);
  end loop;
end $$;

-- PARTITIONS that were made, attached, detached or dropped since plank.watch. Servers call it now and then; true if there
-- was something to do. What came or went with its rows in it can't be told row by row, so clients are reset; one that
-- was empty is no news. Nobody waits longer than 50 ms for it.
create function plank.follow_partitions() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
  has_rows boolean;
  done boolean := false;
begin
  if not pg_try_advisory_xact_lock(7012, 3) then return false; end if;
  perform set_config('lock_timeout', '50ms', true);
  for part in
    select t.relid as rel, w.rel as root, w.key, w.columns, w.old_rows, w.level
    from plank.watched w join pg_class c on c.oid = w.rel and c.relkind = 'p' and w.rel = w.root, pg_partition_tree(w.rel) t
    where t.relid <> w.rel and not exists (select from plank.watched x where x.rel = t.relid)
  loop
    begin
      perform plank.attach(part.rel, part.root, part.old_rows, part.level);
      execute format('select exists (select from only %s)', part.rel) into has_rows;
      insert into plank.watched (rel, root, key, columns, old_rows, level)
        values (part.rel, part.root, part.key, part.columns, part.old_rows, part.level);
      perform plank.announce(part.rel, 'W');
      if has_rows then perform plank.announce(part.root, 'R'); end if;
      done := true;
    exception when lock_not_available or insufficient_privilege then
      null;   -- the next time; its owner may have to call plank.watch
    end;
  end loop;
  for part in
    select w.rel, w.root, c.oid is not null as is_there
    from plank.watched w left join pg_class c on c.oid = w.rel
    where w.rel <> w.root and exists (select from pg_class r where r.oid = w.root)
      and not exists (select from pg_partition_tree(w.root) t where t.relid = w.rel)
  loop
    begin
      if part.is_there then perform plank.detach(part.rel); end if;
      delete from plank.watched where rel = part.rel;
      perform plank.announce(part.rel, 'X'), plank.announce(part.root, 'R');
      done := true;
    exception when lock_not_available or insufficient_privilege then
      null;
    end;
  end loop;
  -- A table that was dropped had no trigger that could have said so.
  for part in select w.rel from plank.watched w where not exists (select from pg_class c where c.oid = w.root) loop
    delete from plank.watched where rel = part.rel;
    perform plank.announce(part.rel, 'X');
    done := true;
  end loop;
  return done;
end $$;

-- CAPTURE. The settings stay pinned: to compare them with the session's own and to pin only what differs saves a few
-- microseconds on PostgreSQL 15, and leaves search_path to the writer, for whatever row_to_json may call.
--
-- The bell is read by pg_sequence_last_value, which the view pg_sequences is made of. That is a call in an expression,
-- where `select last_value from plank.bell` is a query with a plan, locks and a scan of its own, for every statement. It is
-- volatile: it tells the value of the moment of the call, to a REPEATABLE READ writer too. Null, which it gives for a
-- sequence that was never set, counts as armed.
--
-- The slot is a scalar subquery and not a join: it is read once per statement, at the first row, and no row is joined.
--
-- JIT is off: a session's plan keeps the size of its first statement, so after an UPDATE of 400,000 rows every later one
-- of two rows would be compiled first, which takes 65 ms.
--
-- What is rare, a trigger that changes tables again, is a branch of its own. All others pay for one IF.

create or replace function plank.capture_insert() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 set jit = off as $$
declare again text; touched bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'I'); end if;
    if again is not null then
      begin
        execute again using tg_relid;
        get diagnostics touched = row_count;
      exception when insufficient_privilege then
        touched := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
      end;
      if touched is not null then
        if touched > 0 and pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
        return null;
      end if;
    end if;
  end if;
  insert into plank.log (slot, rel, op, row)
    select (select last_value from plank.slot), tg_relid, 'I', row_to_json(n.*) from new_rows n;
  get diagnostics touched = row_count;
  if touched > 0 then
    if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
    if currval('plank.seq') % 8192 < touched * 2 then perform plank.close_if_full(); end if;
  end if;
  return null;
end $$;

-- Old and new rows of one UPDATE arrive in the same order, so their position pairs them and no key has to be named.
-- FULL JOIN: transition tables have no statistics, and an inner join would be planned as a nested loop. For one row, which
-- is what most statements change, numbering and joining cost more than the row itself: one new row and at most one old row
-- are a pair, as the full join would say too. Everything else finds nothing to insert there and takes the join.
create or replace function plank.capture_update() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 set jit = off as $$
declare again text; touched bigint; statement bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'U'); end if;
    if again is not null then
      begin
        execute again using tg_relid;
        get diagnostics touched = row_count;
      exception when insufficient_privilege then
        touched := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
      end;
      if touched is not null then
        if touched > 0 and pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
        return null;
      end if;
    end if;
  end if;
  insert into plank.log (slot, rel, op, row, old)
    select (select last_value from plank.slot), tg_relid, 'U', row_to_json(n.*), (select row_to_json(o.*) from old_rows o)
    from new_rows n
    where not exists (select from new_rows offset 1) and not exists (select from old_rows offset 1);
  if not found then
    statement := pg_sequence_last_value('plank.seq');
    insert into plank.log (slot, rel, op, row, old, statement)
      select (select last_value from plank.slot), tg_relid, 'U', n.r, o.r, statement
      from (select row_to_json(x.*) as r, row_number() over () as at from old_rows x) o
        full join (select row_to_json(x.*) as r, row_number() over () as at from new_rows x) n using (at);
  end if;
  get diagnostics touched = row_count;
  if touched > 0 then
    if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
    if currval('plank.seq') % 8192 < touched * 2 then perform plank.close_if_full(); end if;
  end if;
  return null;
end $$;

-- For tables that opted out of old rows: cheaper, but no filter and no policy can tell that a row has left.
create or replace function plank.capture_update_new() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 set jit = off as $$
declare touched bigint;
begin
  insert into plank.log (slot, rel, op, row)
    select (select last_value from plank.slot), tg_relid, 'U', row_to_json(n.*) from new_rows n;
  get diagnostics touched = row_count;
  if touched > 0 then
    if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
    if currval('plank.seq') % 8192 < touched * 2 then perform plank.close_if_full(); end if;
  end if;
  return null;
end $$;

create or replace function plank.capture_delete() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 set jit = off as $$
declare again text; touched bigint;
begin
  if pg_trigger_depth() > 1 or current_setting('plank.nested', true) <> '' then
    if plank.nested(tg_relid, pg_trigger_depth()) then again := plank.log_again_sql(tg_relid, 'D'); end if;
    if again is not null then
      begin
        execute again using tg_relid;
        get diagnostics touched = row_count;
      exception when insufficient_privilege then
        touched := null;   -- somebody has taken plank's right to read the table away: no reason for a writer to fail
      end;
      if touched is not null then
        if touched > 0 and pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
        return null;
      end if;
    end if;
  end if;
  insert into plank.log (slot, rel, op, old)
    select (select last_value from plank.slot), tg_relid, 'D', row_to_json(o.*) from old_rows o;
  get diagnostics touched = row_count;
  if touched > 0 then
    if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
    if currval('plank.seq') % 8192 < touched * 2 then perform plank.close_if_full(); end if;
  end if;
  return null;
end $$;

-- The row level, for tables that a logical-replication apply worker writes: it never fires statement triggers.
create or replace function plank.capture_row() returns trigger language plpgsql security definer
  set search_path = pg_catalog, pg_temp set timezone = 'UTC' set datestyle = 'ISO' set intervalstyle = 'postgres'
  set bytea_output = 'hex' set extra_float_digits = 1 set jit = off as $$
begin
  insert into plank.log (slot, rel, op, row, old)
    values ((select last_value from plank.slot), tg_relid, left(tg_op, 1)::"char",
      case when tg_op <> 'DELETE' then row_to_json(new) end, case when tg_op <> 'INSERT' then row_to_json(old) end);
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
  if currval('plank.seq') % 8192 < 2 then perform plank.close_if_full(); end if;
  return null;
end $$;

revoke all on all functions in schema plank from public;
