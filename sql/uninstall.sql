-- Takes plank out of a database: the triggers, rights and policies on watched tables, then the schema with the log. Rows
-- of watched tables stay as they are; so does public.items if it has any.
do $$
declare
  owner oid := (select nspowner from pg_namespace where nspname = 'plank');
begin
  if to_regprocedure('plank.unwatch_all()') is null then
    raise exception 'plank: the schema plank is not there, or not of this version' using hint = 'run plank migrate first', errcode = 'undefined_object';
  end if;
  -- Every listener holds it shared.
  if not pg_try_advisory_xact_lock(7012, 4) then
    raise exception 'plank: a server is running on this database' using hint = 'stop it first; it would install the schema again', errcode = 'object_in_use';
  end if;
  perform plank.unwatch_all();
  drop schema plank cascade;
  if to_regclass('public.items') is not null and exists (select from pg_proc where proname = 'items_touch' and pronamespace = 'public'::regnamespace) then
    begin
      execute 'do $i$ begin if not exists (select from public.items) then drop table public.items; drop function public.items_touch(); end if; end $i$';
    exception when dependent_objects_still_exist then null;   -- a view of somebody's: it stays
    end;
  end if;
  -- Other databases of the cluster may have a plank of their own; then the role stays.
  if (select rolname = 'plank_owner' and not rolcanlogin from pg_roles where oid = owner) then
    begin
      drop owned by plank_owner;
      drop role plank_owner;
    exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then null;
    end;
  end if;
end $$;
