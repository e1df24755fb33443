-- DOORBELL. It stays armed as long as one listener sleeps. plank.listener says which do, and its lock keeps one that falls asleep
-- apart from one that looks whether another sleeps.

-- Before this connection relies on the bell.
create function plank.bell_sleep() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  lock table plank.listener in share row exclusive mode;
  update plank.listener set sleeps = true where pid = pg_backend_pid();
  if not found then
    insert into plank.listener select a.pid, a.backend_start, true from pg_stat_get_activity(pg_backend_pid()) a;
  end if;
  perform setval('plank.bell', 1);
end $$;

-- This connection does not rely on it any more. False: another listener does, or may be about to, and the bell stays armed.
create function plank.bell_awake() returns boolean language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  is_alone boolean := true;
begin
  begin
    lock table plank.listener in share row exclusive mode nowait;
  exception when lock_not_available then
    is_alone := false;
  end;
  update plank.listener set sleeps = false where pid = pg_backend_pid() and sleeps;
  if not is_alone then return false; end if;
  if exists (select from plank.listeners() l where l.sleeps and l.pid <> pg_backend_pid()) then return false; end if;
  perform setval('plank.bell', 0);
  return true;
end $$;

revoke all on all functions in schema plank from public;
