-- Retention: the log is a ring of eight leaves. The oldest is emptied by TRUNCATE, never by DELETE, and never by
-- DROP or DETACH, which lock the parent, behind which all writers queue.

-- How long changes are kept, and how many. A server writes its settings here when it starts.
alter table plank.meta
  add column keep     interval not null default '24 hours' check (keep > interval '0'),
  add column rows_max bigint   not null default 10000000 check (rows_max > 0);

-- The first and the last number in a leaf; null when it is empty. Two steps on the index.
create function plank.leaf_range(slot int, out first_seq bigint, out last_seq bigint) language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  execute format('select (select seq from plank.log_%1$s order by xid, seq limit 1), (select seq from plank.log_%1$s order by xid desc, seq desc limit 1)', slot)
    into first_seq, last_seq;
end $$;

-- Rows, estimated from the numbers (some of which were rolled back), and bytes with indexes and TOAST.
create function plank.log_size(out rows_estimated bigint, out bytes bigint) language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(sum(abs(last_seq - first_seq) / 2 + 1), 0)::bigint, sum(pg_total_relation_size('plank.log_' || i))::bigint
  from generate_series(0, 7) i, plank.leaf_range(i)
$$;

-- Applies the retention now: when the leaf that is being written is a seventh of the retention old, or holds a seventh of
-- the rows, the next one is emptied and becomes it. True if so. Any number of servers may call it, at any time.
--
-- A writer never waits more than 50 ms: whoever uses the next leaf at this moment, a long read or pg_dump, is left alone
-- and it is tried again later. H, the newest transaction that is thrown away, is noted with the transaction that
-- does it: TRUNCATE holds the leaf's exclusive lock, so every transaction with a row there has ended.
create function plank.prune() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  current int;
  next int;
  newest xid8;
  rule record;
begin
  if not pg_try_advisory_xact_lock(7012, 2) then return false; end if;
  select last_value into current from plank.slot;
  next := (current + 1) % 8;
  select l.opened + m.keep / 7 <= clock_timestamp() as is_old,
         r.last_seq is not null and abs(r.last_seq - r.first_seq) / 2 + 1 >= greatest(m.rows_max / 7, 1) as is_full
    into rule
    from plank.meta m, plank.leaf l, plank.leaf_range(current) r where l.slot = current;
  if not (rule.is_old or rule.is_full) then return false; end if;

  perform set_config('lock_timeout', '50ms', true);
  begin
    execute format('lock table only plank.log_%s in access exclusive mode', next);
  exception when lock_not_available then
    return false;
  end;
  execute format('select xid from plank.log_%s order by xid desc limit 1', next) into newest;
  if newest is not null then
    update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = greatest(max_xid, newest);
    execute format('truncate only plank.log_%s', next);
  end if;
  update plank.leaf set opened = clock_timestamp() where slot = next;
  perform setval('plank.slot', next);
  return true;
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
