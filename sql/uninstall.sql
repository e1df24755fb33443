-- Takes plank out of a database: the triggers, rights and policies on watched tables, then the log and all else that plank has
-- made. Rows of watched tables stay as they are; so does public.items if it has any, and so does what others have put into the
-- schema plank.
do $$
declare
  owner oid := (select nspowner from pg_namespace where nspname = 'plank');
  thing record;
begin
  if to_regprocedure('plank.is_made(text, name)') is null then
    raise exception 'plank: the schema plank is not there, or of another version' using hint = 'run plank migrate first, or uninstall with the version that made it', errcode = 'undefined_object';
  end if;
  lock table plank.migrating in exclusive mode;
  if exists (select from plank.listeners()) then
    raise exception 'plank: a server is running on this database' using hint = 'stop it first; it would install the schema again', errcode = 'object_in_use';
  end if;
  perform plank.unwatch_all();
  for thing in
    select c.relname as name, case c.relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end as kind from pg_class c
    where c.relnamespace = 'plank'::regnamespace and c.relkind in ('r', 'p', 'v', 'S') and plank.is_made('r', c.relname)
    order by c.relkind = 'S', c.relkind = 'r' and not c.relispartition, c.relkind
  loop
    execute format('drop %s if exists plank.%I cascade', thing.kind, thing.name);
  end loop;
  for thing in
    select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'plank'::regnamespace and plank.is_made('f', p.proname)
    order by p.proname = 'is_made'
  loop
    execute format('drop function %s cascade', thing.name);
  end loop;
  begin
    drop schema plank_query;
  exception when dependent_objects_still_exist then
    raise notice 'plank: the schema plank_query stays, for it has objects that plank has not made';
    execute format('alter schema plank_query owner to %I', current_user);
  end;
  begin
    drop schema plank;
  exception when dependent_objects_still_exist then
    raise notice 'plank: the schema plank stays, for it has objects that plank has not made';
    execute format('alter schema plank owner to %I', current_user);
  end;
  if to_regclass('public.items') is not null and exists (select from pg_proc where proname = 'items_touch' and pronamespace = 'public'::regnamespace) then
    begin
      execute 'do $i$ begin if not exists (select from public.items) then drop table public.items; drop function public.items_touch(); end if; end $i$';
    exception when dependent_objects_still_exist then null;   -- a view that plank has not made: it stays
    end;
  end if;
  -- Other databases of the cluster may have a plank of their own; then the roles stay.
  if (select rolname = 'plank_owner' and not rolcanlogin from pg_roles where oid = owner) then
    begin
      drop owned by plank_owner, plank_capture, plank_reader, plank_json;
      drop role plank_owner, plank_capture, plank_reader, plank_json;
    exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then null;
    end;
  end if;
  if exists (select from pg_roles where rolname = 'plank_writer' and not rolcanlogin) then
    begin
      drop owned by plank_writer;
      drop role plank_writer;
    exception when dependent_objects_still_exist or insufficient_privilege or object_in_use then null;
    end;
  end if;
end $$;
