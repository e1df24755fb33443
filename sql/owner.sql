-- Run after the migrations. Gives what they have made to five roles that can't log in and own nothing else, and to each the rights
-- that it needs: see V10. It makes the roles if it may. If there are none, plank's own role stays the owner of everything; then
-- what others have defined runs with its rights, and plank says so.
do $$
declare
  is_super boolean := (select rolsuper from pg_roles where rolname = current_user);
  makes_roles boolean := (select rolsuper or rolcreaterole from pg_roles where rolname = current_user);
  role text;
  thing record;
  has_lent boolean := false;   -- the right to own a schema
begin
  foreach role in array array['plank_owner', 'plank_capture', 'plank_reader', 'plank_writer', 'plank_json'] loop
    if makes_roles then
      begin
        execute format('create role %I nologin', role);
        if not is_super then execute format('grant %I to %I', role, current_user); end if;
      exception when duplicate_object or unique_violation then null;   -- of another database of this cluster, or made by an administrator
      end;
    end if;
    if not exists (select from pg_roles r where r.rolname = role and pg_has_role(current_user, r.oid, 'member')) then
      -- In PostgreSQL 15 and before, a role that makes roles may also give those of others.
      if not makes_roles then return; end if;
      execute format('grant %I to %I', role, current_user);
    end if;
  end loop;
  if not is_super and not has_database_privilege('plank_owner', current_database(), 'create') then
    execute format('grant create on database %I to plank_owner', current_database());
    has_lent := true;
  end if;

  if (select nspowner::regrole::text from pg_namespace where nspname = 'plank') <> 'plank_owner' then
    alter schema plank owner to plank_owner;
  end if;
  if (select nspowner::regrole::text from pg_namespace where nspname = 'plank_query') <> 'plank_owner' then
    alter schema plank_query owner to plank_owner;
  end if;
  for thing in select c.oid::regclass as name from plank.live_query q join pg_class c on c.oid = q.rel where c.relowner <> 'plank_owner'::regrole loop
    execute format('alter table %s owner to plank_owner', thing.name);
  end loop;
  -- A function can only be given to a role that may make one.
  grant usage, create on schema plank to plank_capture, plank_reader, plank_writer, plank_json;
  for thing in
    select case c.relkind when 'S' then 'sequence' when 'v' then 'view' else 'table' end as kind, c.oid::regclass::text as name, 'plank_owner' as owner
      from pg_class c where c.relnamespace = 'plank'::regnamespace and c.relkind in ('r', 'p', 'S', 'v') and c.relowner <> 'plank_owner'::regrole
      and plank.is_made('r', c.relname) and c.relname <> 'migrating'   -- it is locked now: src/store/migrate.rs
      and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i') and c.relkind = 'S')
    union all
    select 'function', p.oid::regprocedure::text, plank.runs_as(p.proname)
      from pg_proc p join pg_roles o on o.oid = p.proowner where p.pronamespace = 'plank'::regnamespace
      and o.rolname <> plank.runs_as(p.proname) and plank.is_made('f', p.proname)
  loop
    execute format('alter %s %s owner to %I', thing.kind, thing.name, thing.owner);
  end loop;
  revoke create on schema plank from plank_capture, plank_reader, plank_writer, plank_json;
  revoke usage on schema plank from plank_json;

  -- What the functions of one role call of another.
  for thing in select p.oid::regprocedure::text as name, plank.runs_as(p.proname) as owner, p.proname in
      ('as_parent', 'capture_unlisted', 'close_if_full', 'count_packed', 'pin', 'unpin', 'watched_above') as is_of_capture
    from pg_proc p where p.pronamespace = 'plank'::regnamespace and plank.is_made('f', p.proname)
  loop
    if thing.owner <> 'plank_owner' then execute format('grant execute on function %s to plank_owner', thing.name); end if;
    if thing.owner = 'plank_json' then execute format('grant execute on function %s to plank_capture, plank_reader, plank_writer', thing.name); end if;
    if thing.is_of_capture then execute format('grant execute on function %s to plank_capture', thing.name); end if;
  end loop;
  grant execute on function plank.rows_of(oid) to plank_capture;
  grant execute on function plank.left_behind(), plank.owned() to plank_writer;
  grant execute on function plank.prepared(), plank.unprepare(text[]) to plank_reader, plank_writer;
  for thing in select c.oid::regclass::text as name from pg_class c where c.oid = 'plank.log'::regclass
      or c.oid in (select inhrelid from pg_inherits where inhparent = 'plank.log'::regclass) loop
    execute format('grant insert on %s to plank_capture', thing.name);
  end loop;
  grant usage on sequence plank.seq, plank.packed to plank_capture;
  grant usage, update on sequence plank.began, plank.last to plank_capture;
  grant select on sequence plank.slot, plank.bell to plank_capture;
  grant select on plank.member to plank_capture;
  grant insert on plank.unlisted to plank_capture;
  grant select, insert, delete on plank.truncating to plank_capture;

  for thing in select w.rel::regclass as name from plank.watched w join pg_class c on c.oid = w.rel loop
    begin
      perform plank.permit(thing.name);
    exception when insufficient_privilege then
      raise warning 'plank: % belongs to another role, which has to call plank.watch again', thing.name;
    end;
  end loop;

  if has_lent then
    execute format('revoke create on database %I from plank_owner', current_database());
  end if;
exception when insufficient_privilege then
  -- A role exists and belongs to another one, or a right is missing. All of the block is undone.
  null;
end $$;
