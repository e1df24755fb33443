-- Run after the migrations. Capture runs with the rights of the owner of the schema, inside of everybody's transactions:
-- so that owner should be a role that can't log in and owns nothing else. If plank's role may not make one, it stays
-- the owner itself.
do $$
declare
  thing record;
begin
  if not (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) then return; end if;
  begin
    create role plank_owner nologin;
  exception when duplicate_object or unique_violation then null;   -- of another database of this cluster
  end;
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant plank_owner to %I', current_user);
    execute format('grant create on database %I to plank_owner', current_database());
  end if;

  if (select nspowner::regrole::text from pg_namespace where nspname = 'plank') <> 'plank_owner' then
    alter schema plank owner to plank_owner;
  end if;
  for thing in
    select case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as name
      from pg_class c where c.relnamespace = 'plank'::regnamespace and c.relkind in ('r', 'p', 'S', 'v') and c.relowner <> 'plank_owner'::regrole
      and plank.is_made('r', c.relname)
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i') and c.relkind = 'S')
    union all
    select 'function', p.oid::regprocedure::text
      from pg_proc p where p.pronamespace = 'plank'::regnamespace and p.proowner <> 'plank_owner'::regrole
      and plank.is_made('f', p.proname)
  loop
    execute format('alter %s %s owner to plank_owner', thing.kind, thing.name);
  end loop;

  for thing in select w.rel::regclass as name from plank.watched w join pg_class c on c.oid = w.rel loop
    begin
      perform plank.permit(thing.name);
    exception when insufficient_privilege then
      raise warning 'plank: % belongs to somebody else, who has to call plank.watch again', thing.name;
    end;
  end loop;

  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('revoke create on database %I from plank_owner', current_database());
  end if;
exception when insufficient_privilege then
  -- The role exists and belongs to somebody else. All of the block is undone; plank's role stays the owner.
  null;
end $$;
