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

revoke all on all functions in schema plank from public;
