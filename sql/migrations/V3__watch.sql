-- What people call: plank.watch, plank.unwatch, plank.tables.

-- One watched table as the servers need it: the name as PostgreSQL quotes it, the key, and the columns that clients
-- may see, in the table's order. Null when the table is gone.
create function plank.describe(t oid) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
  select json_build_object(
    'rel', w.rel::bigint, 'root', w.root::bigint, 'schema', n.nspname, 'name', c.relname,
    'quoted', format('%I.%I', n.nspname, c.relname),
    'key', w.key, 'old_rows', w.old_rows, 'narrowed', w.columns is not null,
    'columns', (
      select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod)) order by a.attnum), '[]')
      from pg_attribute a
      where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped and (w.columns is null or a.attname = any (w.columns))))
  from plank.watched w join pg_class c on c.oid = w.rel join pg_namespace n on n.oid = c.relnamespace
  where w.rel = t
$$;

-- Lets the owner of this schema read a table: for the state of now of a row (see plank.log_again_sql), and for snapshots.
-- Where rows are hidden by policies, one more of them shows them all to that role, which nobody can log in as.
create function plank.permit(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  owner name := (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'plank');
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
begin
  if not has_schema_privilege(owner, in_schema::oid, 'usage') then execute format('grant usage on schema %s to %I', in_schema, owner); end if;
  if not has_table_privilege(owner, t, 'select') then execute format('grant select on %s to %I', t, owner); end if;
  if (select relrowsecurity from pg_class where oid = t) and not (select rolcanlogin from pg_roles where rolname = owner) and not exists (select from pg_policy where polrelid = t and polname = 'plank_reads') then
    execute format('create policy plank_reads on %s for select to %I using (true)', t, owner);
  end if;
end $$;

-- The capture triggers of one table. ENABLE ALWAYS: also where session_replication_role is replica.
create function plank.attach(t regclass, root regclass, old_rows boolean, level text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  kind "char" := (select relkind from pg_class where oid = t);
  trigger_name text;
begin
  perform plank.detach(t);
  perform plank.permit(t);
  if level = 'row' and t <> root then
    null;   -- row triggers of a partitioned table are inherited by its partitions
  elsif level = 'row' then
    execute format('create trigger plank_row after insert or update or delete on %s for each row execute function plank.capture_row()', t);
  else
    execute format('create trigger plank_insert after insert on %s referencing new table as new_rows for each statement execute function plank.capture_insert()', t);
    if old_rows then
      execute format('create trigger plank_update after update on %s referencing old table as old_rows new table as new_rows for each statement execute function plank.capture_update()', t);
    else
      execute format('create trigger plank_update after update on %s referencing new table as new_rows for each statement execute function plank.capture_update_new()', t);
    end if;
    execute format('create trigger plank_delete after delete on %s referencing old table as old_rows for each statement execute function plank.capture_delete()', t);
  end if;
  if t = root then
    execute format('create trigger plank_truncate after truncate on %s for each statement execute function plank.capture_truncate()', t);
    if kind = 'p' then
      execute format('create trigger plank_truncate_first before truncate on %s for each statement execute function plank.capture_truncate_root()', t);
    end if;
  elsif kind = 'r' then
    execute format('create trigger plank_truncate before truncate on %s for each statement execute function plank.capture_truncate_partition(%s)', t, root::oid);
  end if;
  for trigger_name in select tgname from pg_trigger where tgrelid = t and tgname like 'plank\_%' and not tgisinternal and tgparentid = 0 loop
    execute format('alter table %s enable always trigger %I', t, trigger_name);
  end loop;
end $$;

create function plank.detach(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  trigger_name text;
begin
  for trigger_name in
    select tgname from pg_trigger where tgrelid = t and tgname like 'plank\_%' and not tgisinternal and tgparentid = 0
  loop
    execute format('drop trigger %I on %s', trigger_name, t);
  end loop;
  if exists (select from pg_policy where polrelid = t and polname = 'plank_reads') then
    execute format('drop policy plank_reads on %s', t);
  end if;
  -- A role that can log in may have been given the right by somebody else.
  if (select not rolcanlogin and r.oid <> c.relowner from pg_namespace n join pg_roles r on r.oid = n.nspowner, pg_class c where nspname = 'plank' and c.oid = t) then
    execute format('revoke select on %s from %I', t, (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'plank'));
  end if;
end $$;

-- Tells the servers, at the right place in the log, that the set of watched tables has changed.
create function plank.announce(t oid, op "char") returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op, row) select s.last_value, t, announce.op, plank.describe(t) from plank.slot s;
  perform pg_notify('plank', '');
end $$;

-- Makes table t live. columns: what clients may see (the key is always among them), null for all. old_rows: log the row
-- before an update as well; without it the table takes no filter and no policy. level: 'row' for tables that a
-- logical-replication apply worker writes: row by row, so a statement that hands keys on from row to row (set id = id + 1)
-- can't be told from several statements there. Calling it again changes the settings. It waits for the writers of the table
-- that are under way (SHARE ROW EXCLUSIVE), so every later change is captured.
create function plank.watch(t regclass, columns name[] default null, old_rows boolean default true, level text default 'statement')
  returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  table_kind "char";
  table_persistence "char";
  key name[];
  missing name;
  part record;
begin
  select relkind, relpersistence into table_kind, table_persistence from pg_class where oid = t;
  if table_kind is null or table_kind not in ('r', 'p') then
    raise exception 'plank: % is not a table', t using hint = 'views, foreign tables and sequences can''t be watched', errcode = 'wrong_object_type';
  end if;
  if table_persistence = 't' then
    raise exception 'plank: % is a temporary table', t using hint = 'only its own session sees its rows', errcode = 'wrong_object_type';
  end if;
  if (select relnamespace from pg_class where oid = t) = 'plank'::regnamespace then
    raise exception 'plank: % belongs to plank itself', t using errcode = 'wrong_object_type';
  end if;
  if level is null or level not in ('statement', 'row') then
    raise exception 'plank: level is %, it has to be statement or row', level using errcode = 'invalid_parameter_value';
  end if;
  if level = 'row' and not old_rows then
    raise exception 'plank: level row always logs old rows' using errcode = 'invalid_parameter_value';
  end if;
  if columns = '{}' then
    raise exception 'plank: columns is empty' using hint = 'leave it out for all columns', errcode = 'invalid_parameter_value';
  end if;
  select c into missing from unnest(columns) c
    where not exists (select from pg_attribute where attrelid = t and attname = c and attnum > 0 and not attisdropped) limit 1;
  if missing is not null then
    raise exception 'plank: % has no column %', t, quote_ident(missing) using errcode = 'undefined_column';
  end if;

  -- The triggers first: they wait for the writers, and the description has to be of after that.
  perform plank.attach(t, t, old_rows, level);
  select coalesce(array_agg(a.attname order by array_position(i.indkey::int2[], a.attnum)), '{}') into key
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[])
    where i.indrelid = t and i.indisprimary;
  insert into plank.watched (rel, root, key, columns, old_rows, level)
    values (t, t, key, (select array_agg(distinct c) from unnest(columns || key) c where columns is not null), watch.old_rows, watch.level)
    on conflict (rel) do update set root = excluded.root, key = excluded.key, columns = excluded.columns,
      old_rows = excluded.old_rows, level = excluded.level, since = excluded.since;
  perform plank.announce(t, 'W');

  -- A statement that names a partition fires only the triggers of that partition.
  for part in select relid::regclass as rel from pg_partition_tree(t) where relid <> t loop
    perform plank.attach(part.rel, t, old_rows, level);
    insert into plank.watched (rel, root, key, columns, old_rows, level)
      select part.rel, t, w.key, w.columns, w.old_rows, w.level from plank.watched w where w.rel = t
      on conflict (rel) do update set root = excluded.root, key = excluded.key, columns = excluded.columns,
        old_rows = excluded.old_rows, level = excluded.level, since = excluded.since;
    perform plank.announce(part.rel, 'W');
  end loop;
end $$;

-- The opposite: takes the triggers away. What is in the log already stays until it is pruned.
create function plank.unwatch(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  part record;
begin
  if not exists (select from plank.watched where rel = t) then
    raise exception 'plank: % is not watched', t using hint = 'select * from plank.tables shows what is', errcode = 'undefined_object';
  end if;
  for part in select rel from plank.watched where root = t or rel = t order by rel = t loop
    if exists (select from pg_class where oid = part.rel) then perform plank.detach(part.rel::regclass); end if;
    delete from plank.watched where rel = part.rel;
    perform plank.announce(part.rel, 'X');
  end loop;
end $$;

-- What is watched. Partitions are not listed: they belong to their root.
create view plank.tables as
  select w.rel::regclass as "table", w.key, w.columns, w.old_rows, w.level, w.since
  from plank.watched w join pg_class c on c.oid = w.rel
  where w.root = w.rel;

-- Which log a cursor belongs to: this log, in this cluster, on this timeline. The timeline comes from the WAL's own
-- position: right after a promotion the control file still says the old one.
create function plank.identity() returns text language sql stable set search_path = pg_catalog, pg_temp as $$
  select log_id || '/' || (select system_identifier from pg_control_system()) || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
  from plank.meta
$$;

revoke all on all functions in schema plank from public;

select plank.watch('public.items');
