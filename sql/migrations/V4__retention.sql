-- Retention: the log is a ring of eight leaves. The oldest is emptied by TRUNCATE, never by DELETE, and never by
-- DROP or DETACH, which lock the parent, behind which all writers queue.

-- How long changes are kept, and how many. A server writes its settings here when it starts.
alter table plank.meta
  add column keep     interval not null default '24 hours' check (keep > interval '0'),
  add column rows_max bigint   not null default 10000000 check (rows_max > 0);

-- The number that the log had reached when a leaf became the current one; null, as opened is, when it is empty.
alter table plank.leaf add column first_seq bigint;
update plank.leaf set first_seq = 0 where opened is not null;

-- Rows, estimated from the numbers (some of which were rolled back), and bytes with indexes and TOAST.
create function plank.log_size(out rows_estimated bigint, out bytes bigint) language sql stable set search_path = pg_catalog, pg_temp as $$
  select (s.last_value - (select min(first_seq) from plank.leaf)) / 2 + 1,
    (select sum(pg_total_relation_size('plank.log_' || i)) from generate_series(0, 7) i)::bigint
  from plank.seq s
$$;

-- Empties a leaf that is not being written. False if somebody uses it: a long read or pg_dump is left alone, and whoever
-- comes meanwhile waits 50 ms at most. The newest transaction that is thrown away is noted together with the one that
-- does it: TRUNCATE holds the leaf's exclusive lock, so every transaction with a row there has ended.
create function plank.empty_leaf(which int) returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  newest xid8;
begin
  perform set_config('lock_timeout', '50ms', true);
  begin
    execute format('lock table only plank.log_%s in access exclusive mode', which);
  exception when lock_not_available then
    return false;
  end;
  execute format('select xid from plank.log_%s order by xid desc limit 1', which) into newest;
  if newest is not null then
    update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = greatest(max_xid, newest);
    execute format('truncate only plank.log_%s', which);
  end if;
  update plank.leaf set opened = null, first_seq = null where slot = which;
  return true;
end $$;

-- Applies the retention now; true if that threw anything away or began a new leaf. A leaf goes when it was closed longer
-- ago than the retention, or when the log holds too many rows; a new one is begun when the current one is a seventh of
-- the retention old, or holds a seventh of the rows. Any number of servers may call it, at any time.
create function plank.prune() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  current int := (select last_value from plank.slot);
  next int := (current + 1) % 8;
  reached bigint := (select last_value from plank.seq);
  rule plank.meta := (select m from plank.meta m);
  mine plank.leaf;
  done boolean := false;
  old record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'plank: prune() needs the isolation level read committed'
      using hint = 'an older snapshot does not show what has to be noted before it is thrown away', errcode = 'invalid_transaction_state';
  end if;
  if not pg_try_advisory_xact_lock(7012, 2) then return false; end if;
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
      perform setval('plank.slot', next);
      done := true;
    end if;
  end if;
  return done;
end $$;

-- Whether something that was not visible in snapshot c may have been thrown away. Ask after reading, in a statement of
-- its own: TRUNCATE is not MVCC-safe, so a read may miss what another transaction is just throwing away.
create function plank.pruned(c pg_snapshot) returns boolean language sql volatile set search_path = pg_catalog, pg_temp as $$
  select exists (
    select from plank.horizon
    where max_xid is not null and not pg_visible_in_snapshot(prune_xid, c)
      and (max_xid >= pg_snapshot_xmax(c) or exists (select from pg_snapshot_xip(c) x where x <= max_xid)))
$$;

revoke all on all functions in schema plank from public;
