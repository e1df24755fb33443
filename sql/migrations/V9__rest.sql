-- WRITING AND READING TABLES OVER HTTP (/rest). Servers put the statements together: names are the catalog's, quoted, and what
-- clients say are parameters. They run here, with the rights of a role that can do nothing else, because casts, operators,
-- triggers and checks of a table's owner run within them.

-- The last transaction that has a row in the log, or had one, or has pruned it. Volatile: as of now, also within a statement.
create function plank.newest() returns xid8 language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  return greatest((select xid from plank.log order by xid desc limit 1), (select greatest(prune_xid, max_xid) from plank.horizon));
end $$;

-- Whether the policies of a role for these ops are still of these versions. After a read: a version that is gone never comes
-- back, so it held during the read. Without a role: whether the table is watched.
create function plank.holds(t oid, who text, ops text[], versions text[]) returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select from plank.watched w where w.rel = t) then return false; end if;
  return who is null or not exists (
    select from unnest(ops, versions) o(op, version) where not exists (
      select from plank.policy p where p.rel = t and p.role = who and p.op = o.op and p.since::text = o.version));
end $$;

-- The same before a write, and it stays so until the transaction ends: plank.allow and plank.deny wait for it. Without a role:
-- whether everybody may write the table.
create function plank.hold(t oid, who text, ops text[], versions text[]) returns boolean language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  held text[];
begin
  if not exists (select from plank.watched w where w.rel = t) then
    raise exception 'the table is not watched any more' using errcode = 'PK404';
  end if;
  if who is null then
    if not (select w.writable from plank.watched w where w.rel = t) then
      raise exception 'the table can''t be written any more' using errcode = 'PK403';
    end if;
    return true;
  end if;
  select array_agg(h.op || ' ' || h.version) into held from (
    select p.op, p.since::text as version from plank.policy p where p.rel = t and p.role = who and p.op = any (ops) for share) h;
  if not coalesce(held @> (select array_agg(op || ' ' || version) from unnest(ops, versions) o(op, version)), false) then
    raise exception 'what the client may do has just changed' using errcode = 'PK503';
  end if;
  return true;
end $$;

-- Reads a page. query gives snapshot, count, rows and entity tag; counting: null, planned or estimated, by the plan of
-- count_query. Volatile: the statement within has the snapshot of after its locks, so a TRUNCATE or a rewrite of the table shows.
create function plank.rest_read(query text, counting text, count_query text, params text[],
    out snapshot text, out total bigint, out rows text[], out tag text)
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off as $$
declare
  plan json;
begin
  execute query into snapshot, total, rows, tag using params;
  if counting is null then return; end if;
  execute 'explain (format json) ' || count_query into plan using params;
  if counting = 'planned' or total > 10000 then
    total := greatest((plan->0->'Plan'->>'Plan Rows')::numeric::bigint, total, cardinality(rows));
  end if;
end $$;

-- Writes. query gives the number of rows it has written, of those that the client may not write so (then nothing is written), of
-- those that were there before, the rows as the client may see them, their keys and the entity tag. expected: so many rows have
-- to be written; affected_max: more are an error; is_single: one row has to come back. path: for the functions of triggers,
-- which belong to the table's owner and know nothing of plank.
create function plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean,
    out affected bigint, out refused bigint, out existed bigint, out rows text[], out keys text[], out tag text)
  language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set jit = off as $$
begin
  if held is not true then raise exception 'what the client may do has just changed' using errcode = 'PK503'; end if;
  perform set_config('search_path', path, true);
  execute query into affected, refused, existed, rows, keys, tag using params;
  if refused > 0 then
    raise exception 'the policy does not allow this row' using errcode = 'PK403';
  end if;
  if affected < expected then
    raise exception 'a row is in the way' using errcode = 'PK409';
  end if;
  if affected > affected_max then
    raise exception '% rows', affected using errcode = 'PK124';
  end if;
  if is_single and cardinality(rows) <> 1 then
    raise exception '% rows', cardinality(rows) using errcode = 'PK116';
  end if;
  if array_position(rows, null) is not null then
    raise exception 'too many bytes' using errcode = 'PK413';
  end if;
end $$;

-- The role that writes run with.
create function plank.writer() returns oid language sql stable set search_path = pg_catalog, pg_temp as $$
  select proowner from pg_proc where pronamespace = 'plank'::regnamespace and proname = 'rest_write'
$$;

-- Lets it write a table, and draw from the sequences of its columns. Where row-level security hides rows, one more policy shows
-- them to that role, which nobody can log in as: what clients may write is for plank.allow to say.
create function plank.permit_writes(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  writer name := pg_get_userbyid(plank.writer());
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  sequence regclass;
begin
  if not has_schema_privilege(writer, in_schema::oid, 'usage') then execute format('grant usage on schema %s to %I', in_schema, writer); end if;
  if not (has_table_privilege(writer, t, 'select') and has_table_privilege(writer, t, 'insert')
      and has_table_privilege(writer, t, 'update') and has_table_privilege(writer, t, 'delete')) then
    execute format('grant select, insert, update, delete on %s to %I', t, writer);
  end if;
  for sequence in select s from plank.sequences_of(t) s
  loop
    if not has_sequence_privilege(writer, sequence, 'usage') then execute format('grant usage on sequence %s to %I', sequence, writer); end if;
  end loop;
  if (select relrowsecurity from pg_class where oid = t) and not (select rolcanlogin from pg_roles where rolname = writer)
      and not exists (select from pg_policy where polrelid = t and polname = 'plank_writes' and plank.writer() = any (polroles)) then
    execute format('create policy plank_writes on %s to %I using (true) with check (true)', t, writer);
  end if;
end $$;

-- Takes that back, so far as it was given to a role that nobody can log in as.
create function plank.forbid_writes(t regclass) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  writer oid := plank.writer();
  name name := pg_get_userbyid(writer);
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  sequence regclass;
begin
  if (select rolcanlogin from pg_roles where oid = writer) or (select relowner = writer from pg_class where oid = t) then return; end if;
  if not exists (select from pg_class c, aclexplode(c.relacl) a where c.oid = t and a.grantee = writer) then return; end if;
  execute format('revoke all on %s from %I', t, name);
  for sequence in
    select s from plank.sequences_of(t) s join pg_class c on c.oid = s, aclexplode(c.relacl) a
    where a.grantee = writer and not exists (
      select from plank.watched w where w.rel <> t and has_table_privilege(writer, w.rel::oid, 'insert') and s in (select plank.sequences_of(w.rel)))
  loop
    execute format('revoke all on sequence %s from %I', sequence, name);
  end loop;
  if exists (select from pg_policy where polrelid = t and polname = 'plank_writes' and writer = any (polroles)) then
    execute format('drop policy plank_writes on %s', t);
  end if;
  if not exists (select from pg_class c, aclexplode(c.relacl) a where c.relnamespace = in_schema and a.grantee = writer)
    and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = in_schema and a.grantee = writer) then
    execute format('revoke usage on schema %s from %I', in_schema, name);
  end if;
end $$;

-- IDEMPOTENCY. What a request with an Idempotency-Key was answered, kept for a day. Logged, and written in the transaction of
-- the request itself: whatever is killed, either both are there or neither is.
create table plank.idempotency (
  principal text        not null,
  key       text        not null,
  request   bytea       not null,                   -- SHA-256 of method, address and body
  status    int,
  headers   json,
  body      text,
  at        timestamptz not null default now(),
  primary key (principal, key)
);
create index on plank.idempotency (at);

revoke all on all functions in schema plank from public;
