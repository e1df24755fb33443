--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: plank; Type: SCHEMA; Schema: -; Owner: plank_owner
--

CREATE SCHEMA plank;


ALTER SCHEMA plank OWNER TO plank_owner;

--
-- Name: allow(regclass, text, text, text[], text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.allow(t regclass, role text, rows text DEFAULT NULL::text, ops text[] DEFAULT '{select}'::text[], name text DEFAULT 'default'::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  changed text[];
begin
  perform plank.begin_policy(t, role, ops);
  if name is null or name = '' or length(name) > 63 then
    raise exception 'plank: name has to have 1 to 63 characters' using errcode = 'invalid_parameter_value';
  end if;
  if ops && '{insert,update,delete}' and (select relnamespace = 'plank_query'::regnamespace from pg_class where oid = t) then
    raise exception 'plank: % is the result of a live query, which nobody writes', t using hint = 'allow select only', errcode = 'invalid_parameter_value';
  end if;
  if rows = '' then
    raise exception 'plank: rows is empty' using hint = 'leave it out for all rows', errcode = 'invalid_parameter_value';
  end if;
  if length(rows) > 4096 then
    raise exception 'plank: rows has more than 4096 characters' using errcode = 'invalid_parameter_value';
  end if;
  if rows is not null and 'select' = any (ops) and not (select w.old_rows from plank.watched w where w.rel = t) then
    raise exception 'plank: % logs no old rows, and without them nobody knows when a row has left what a client may see', t
      using hint = 'call plank.watch with old_rows, or allow all rows', errcode = 'object_not_in_prerequisite_state';
  end if;
  if rows is not null then perform plank.check_rows(t, rows); end if;
  with given as (
    insert into plank.policy as p (rel, role, op, rows, name) select distinct t, allow.role, o, allow.rows, allow.name from unnest(ops) o
      on conflict on constraint policy_pkey do update set rows = excluded.rows where p.rows is distinct from excluded.rows
      returning p.op)
  select array_agg(given.op) into changed from given;
  if changed is null then return; end if;
  if exists (select from plank.policy p where p.rel = t and p.role = allow.role group by p.op having count(*) > 32) then
    raise exception 'plank: % has more than 32 policies for one op of %', quote_literal(role), t
      using hint = 'join some with or=(...)', errcode = 'program_limit_exceeded';
  end if;
  perform plank.renew_policy(t, role, changed);
  if changed && '{insert,update,delete}' then perform plank.permit_writes(t); end if;
  perform plank.announce(t, 'W');
end $$;


ALTER FUNCTION plank.allow(t regclass, role text, rows text, ops text[], name text) OWNER TO plank_owner;

--
-- Name: announce(oid, "char"); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.announce(t oid, op "char") RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into plank.log (slot, rel, op, row) values (coalesce(pg_sequence_last_value('plank.slot'), 0), t, announce.op, plank.describe(t));
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
end $$;


ALTER FUNCTION plank.announce(t oid, op "char") OWNER TO plank_owner;

--
-- Name: as_parent(json, name[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.as_parent(r json, columns name[]) RETURNS json
    LANGUAGE sql STABLE
    AS $$
  select case when columns is null or r is null then r else (
    select pg_catalog.json_object_agg(e.key, e.value) from pg_catalog.json_each(r) e where e.key operator(pg_catalog.=) any (columns::pg_catalog.text[])) end
$$;


ALTER FUNCTION plank.as_parent(r json, columns name[]) OWNER TO plank_owner;

--
-- Name: attach(regclass, regclass, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.attach(t regclass, w regclass, level text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  kind "char" := (select relkind from pg_class where oid = t);
  form text := case when (select bool_and(plank.is_plain(atttypid)) from pg_attribute where attrelid = t and attnum > 0 and not attisdropped) then '' else '_any' end;
  mine text := '_' || w::oid;
  wanted text[] := '{}';   -- name and what it is, pair by pair
  own record;
begin
  -- A table has one trigger at row level, whatever number of watched tables it belongs to: the function looks them up. One
  -- that PostgreSQL has copied from the table above comes before its own.
  if level = 'row' and exists (
      select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
      where g.tgrelid = t and g.tgparentid <> 0 and p.pronamespace = 'plank'::regnamespace) then
    for own in select g.name from plank.triggers_of(t) g where g.function like 'capture\_row%' loop
      execute format('drop trigger %I on %s', own.name, t);
    end loop;
  elsif level = 'row' and exists (select from plank.triggers_of(t) g where g.function like 'capture\_row%' and g.name <> 'plank_row' || mine) then
    null;
  elsif level = 'row' then
    wanted := wanted || array['plank_row' || mine, format('after insert or update or delete on %s for each row execute function plank.capture_row%s()', t, form)];
  else
    wanted := wanted || array[
      'plank_insert' || mine, format('after insert on %s referencing new table as new_rows for each statement execute function plank.capture_insert%s()', t, form),
      'plank_update' || mine, format('after update on %s referencing old table as old_rows new table as new_rows for each statement execute function plank.capture_update%s()', t, form),
      'plank_begin' || mine, format('before update or delete on %s for each statement execute function plank.capture_begin()', t),
      'plank_delete' || mine, format('after delete on %s referencing old table as old_rows for each statement execute function plank.capture_delete%s()', t, form)];
  end if;
  if t = w and (kind = 'p' or level = 'statement' or not exists (select from pg_inherits where inhrelid = t or inhparent = t)) then
    wanted := wanted || array['plank_truncate' || mine, format('after truncate on %s for each statement execute function plank.capture_truncate()', t)];
    if kind = 'p' then
      wanted := wanted || array['plank_truncate_begin' || mine, format('before truncate on %s for each statement execute function plank.capture_truncate_begin()', t)];
    end if;
  elsif kind = 'r' and not exists (select from plank.triggers_of(t) g where g.function = 'capture_truncate_part' and g.name <> 'plank_truncate_part' || mine) then
    wanted := wanted || array['plank_truncate_part' || mine, format('before truncate on %s for each statement execute function plank.capture_truncate_part()', t)];
  end if;

  for own in select g.name from plank.triggers_of(t) g where g.name like '%' || mine and not g.name = any (wanted) loop
    execute format('drop trigger %I on %s', own.name, t);
  end loop;
  for i in 1..cardinality(wanted) by 2 loop
    -- One that is there needs no lock, and keeps no writer waiting.
    continue when exists (
      select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
      where g.tgrelid = t and g.tgname = wanted[i] and g.tgenabled = 'A' and p.pronamespace = 'plank'::regnamespace
        and wanted[i + 1] like '%execute function plank.' || p.proname || '()');
    execute format('create or replace trigger %I %s', wanted[i], wanted[i + 1]);
    -- ALWAYS: also where session_replication_role is replica.
    execute format('alter table %s enable always trigger %I', t, wanted[i]);
  end loop;
end $$;


ALTER FUNCTION plank.attach(t regclass, w regclass, level text) OWNER TO plank_owner;

--
-- Name: beat(uuid, bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.beat(node uuid, beat bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from plank.canary c where c.at < now() - interval '1 day';
  insert into plank.canary as c (node, beat) values (beat.node, beat.beat)
    on conflict on constraint canary_pkey do update set beat = excluded.beat, at = excluded.at;
end $$;


ALTER FUNCTION plank.beat(node uuid, beat bigint) OWNER TO plank_owner;

--
-- Name: begin_policy(regclass, text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.begin_policy(t regclass, role text, ops text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  unknown text;
begin
  if role is null or role = '' then
    raise exception 'plank: role is empty' using hint = 'it is the claim "role" of those who are to be allowed', errcode = 'invalid_parameter_value';
  end if;
  if ops is null or ops = '{}' then
    raise exception 'plank: ops is empty' using hint = 'they are select, insert, update and delete', errcode = 'invalid_parameter_value';
  end if;
  select o into unknown from unnest(ops) o where o is null or o not in ('select', 'insert', 'update', 'delete') limit 1;
  if found then
    raise exception 'plank: there is no op %', coalesce(unknown, 'null') using hint = 'they are select, insert, update and delete', errcode = 'invalid_parameter_value';
  end if;
  if not (select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = t) then
    raise exception 'plank: % belongs to another role', t using hint = 'who may see a table is for its owner to say', errcode = 'insufficient_privilege';
  end if;
  update plank.watched set since = since where rel = t;
  if not found then
    raise exception 'plank: % is not watched', t using hint = 'call plank.watch first', errcode = 'undefined_object';
  end if;
end $$;


ALTER FUNCTION plank.begin_policy(t regclass, role text, ops text[]) OWNER TO plank_owner;

--
-- Name: bell_awake(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.bell_awake() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


ALTER FUNCTION plank.bell_awake() OWNER TO plank_owner;

--
-- Name: bell_sleep(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.bell_sleep() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  lock table plank.listener in share row exclusive mode;
  update plank.listener set sleeps = true where pid = pg_backend_pid();
  if not found then
    insert into plank.listener select a.pid, a.backend_start, true from pg_stat_get_activity(pg_backend_pid()) a;
  end if;
  perform setval('plank.bell', 1);
end $$;


ALTER FUNCTION plank.bell_sleep() OWNER TO plank_owner;

--
-- Name: calls_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.calls_of(view oid) RETURNS TABLE(called oid)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with called as (
    select m[1] as kind, m[2]::oid as id from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN',
      regexp_matches(w.ev_action::text, ' :(funcid|opfuncid|aggfnoid|winfnoid|opno) (\d+)', 'g') m),
  functions as (
    select case when kind = 'opno' then (select o.oprcode::oid from pg_operator o where o.oid = id) else id end as id from called)
  select id from functions where id <> 0
  union
  select unnest(array[a.aggtransfn::oid, a.aggfinalfn::oid]) from functions f join pg_aggregate a on a.aggfnoid = f.id
$$;


ALTER FUNCTION plank.calls_of(view oid) OWNER TO plank_owner;

--
-- Name: capture_begin(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_begin() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
declare
  noted pg_catalog.int8;
begin
  noted := pg_catalog.setval('plank.began', coalesce(pg_catalog.pg_sequence_last_value('plank.seq'), 0) operator(pg_catalog.*) 1048576
    operator(pg_catalog.+) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576));
  return null;
end $$;


ALTER FUNCTION plank.capture_begin() OWNER TO plank_capture;

--
-- Name: capture_delete(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_delete() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  begin
    began := pg_catalog.currval('plank.began');
    number := pg_catalog.setval('plank.began', 0);
    began := case when began operator(pg_catalog.%) 1048576 operator(pg_catalog.=) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576)
      then began operator(pg_catalog./) 1048576 end;
  exception when object_not_in_prerequisite_state then
    null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;
  if 
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1' then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, old, began)
        select 0, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, old, began)
        select 1, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, old, began)
        select 2, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, old, began)
        select 3, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, old, began)
        select 4, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, old, began)
        select 5, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, old, began)
        select 6, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, old, began)
        select 7, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, old, began)
        select 8, tg_relid, 'D', plank.json_of(o.*), began from old_rows o limit 8;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 8 and slot operator(pg_catalog.<) 8 then
    if exists (select from old_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) operator(pg_catalog.-) logged into size, rows from old_rows r;
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', o.r, o.piece, began from (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o order by o.piece; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_delete() OWNER TO plank_capture;

--
-- Name: capture_delete_any(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_delete_any() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET lc_monetary TO 'C'
    SET quote_all_identifiers TO 'off'
    SET jit TO 'off'
    SET exit_on_error TO 'off'
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  begin
    began := pg_catalog.currval('plank.began');
    number := pg_catalog.setval('plank.began', 0);
    began := case when began operator(pg_catalog.%) 1048576 operator(pg_catalog.=) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576)
      then began operator(pg_catalog./) 1048576 end;
  exception when object_not_in_prerequisite_state then
    null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;
  if false then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, old, began)
        select 0, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, old, began)
        select 1, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, old, began)
        select 2, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, old, began)
        select 3, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, old, began)
        select 4, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, old, began)
        select 5, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, old, began)
        select 6, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, old, began)
        select 7, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, old, began)
        select 8, tg_relid, 'D', plank.json_of_any(o.*), began from old_rows o limit 8;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 8 and slot operator(pg_catalog.<) 8 then
    if exists (select from old_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) operator(pg_catalog.-) logged into size, rows from old_rows r;
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', o.r, o.piece, began from (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o order by o.piece; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_delete_any() OWNER TO plank_capture;

--
-- Name: capture_insert(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_insert() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  
  if 
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1' then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row)
        select 0, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row)
        select 1, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row)
        select 2, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row)
        select 3, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row)
        select 4, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row)
        select 5, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row)
        select 6, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row)
        select 7, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row)
        select 8, tg_relid, 'I', plank.json_of(n.*) from new_rows n limit 8;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 8 and slot operator(pg_catalog.<) 8 then
    if exists (select from new_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) operator(pg_catalog.-) logged into size, rows from new_rows r;
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', n.r, n.piece from (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n order by n.piece; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_insert() OWNER TO plank_capture;

--
-- Name: capture_insert_any(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_insert_any() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET lc_monetary TO 'C'
    SET quote_all_identifiers TO 'off'
    SET jit TO 'off'
    SET exit_on_error TO 'off'
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  
  if false then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row)
        select 0, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row)
        select 1, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row)
        select 2, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row)
        select 3, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row)
        select 4, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row)
        select 5, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row)
        select 6, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row)
        select 7, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row)
        select 8, tg_relid, 'I', plank.json_of_any(n.*) from new_rows n limit 8;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 8 and slot operator(pg_catalog.<) 8 then
    if exists (select from new_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) operator(pg_catalog.-) logged into size, rows from new_rows r;
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', n.r, n.piece from (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n order by n.piece; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_insert_any() OWNER TO plank_capture;

--
-- Name: capture_row(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  number pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  if 
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1' then theirs := plank.pin(); end if;
  if tg_op operator(pg_catalog.=) 'UPDATE' and pg_catalog.pg_column_size(new) operator(pg_catalog.+) pg_catalog.pg_column_size(old)
      operator(pg_catalog.>=) 262144 and pg_catalog.octet_length(plank.json_of(new)::pg_catalog.text)
      operator(pg_catalog.+) pg_catalog.octet_length(plank.json_of(old)::pg_catalog.text) operator(pg_catalog.>) 500000000 then
    -- Two rows that don't fit into one log row.
    if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, old, leaf, old_at)
        select 0, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_0 (slot, rel, op, row, leaf, row_at)
        select 0, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, old, leaf, old_at)
        select 1, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_1 (slot, rel, op, row, leaf, row_at)
        select 1, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, old, leaf, old_at)
        select 2, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_2 (slot, rel, op, row, leaf, row_at)
        select 2, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, old, leaf, old_at)
        select 3, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_3 (slot, rel, op, row, leaf, row_at)
        select 3, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, old, leaf, old_at)
        select 4, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_4 (slot, rel, op, row, leaf, row_at)
        select 4, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, old, leaf, old_at)
        select 5, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_5 (slot, rel, op, row, leaf, row_at)
        select 5, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, old, leaf, old_at)
        select 6, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_6 (slot, rel, op, row, leaf, row_at)
        select 6, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, old, leaf, old_at)
        select 7, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_7 (slot, rel, op, row, leaf, row_at)
        select 7, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, old, leaf, old_at)
        select 8, m.watched, 'D', case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_8 (slot, rel, op, row, leaf, row_at)
        select 8, m.watched, 'I', case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  end if;

  else
    if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 0, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 1, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 2, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 3, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 4, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 5, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 6, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 7, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 8, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of(new) else plank.as_parent(plank.json_of(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of(old) else plank.as_parent(plank.json_of(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  end if;

  end if;
  if not found and slot operator(pg_catalog.<) 8 then
    perform plank.capture_unlisted(tg_relid, tg_op, case when tg_op operator(pg_catalog.<>) 'DELETE' then plank.json_of(new) end,
      case when tg_op operator(pg_catalog.<>) 'INSERT' then plank.json_of(old) end,
      case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end, case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end);
  elsif slot operator(pg_catalog.<) 8 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.=) 0 then
    perform plank.close_if_full();
  end if;
  if coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_row() OWNER TO plank_capture;

--
-- Name: capture_row_any(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_row_any() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET lc_monetary TO 'C'
    SET quote_all_identifiers TO 'off'
    SET jit TO 'off'
    SET exit_on_error TO 'off'
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  number pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  if false then theirs := plank.pin(); end if;
  if tg_op operator(pg_catalog.=) 'UPDATE' and pg_catalog.pg_column_size(new) operator(pg_catalog.+) pg_catalog.pg_column_size(old)
      operator(pg_catalog.>=) 262144 and pg_catalog.octet_length(plank.json_of_any(new)::pg_catalog.text)
      operator(pg_catalog.+) pg_catalog.octet_length(plank.json_of_any(old)::pg_catalog.text) operator(pg_catalog.>) 500000000 then
    -- Two rows that don't fit into one log row.
    if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, old, leaf, old_at)
        select 0, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_0 (slot, rel, op, row, leaf, row_at)
        select 0, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, old, leaf, old_at)
        select 1, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_1 (slot, rel, op, row, leaf, row_at)
        select 1, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, old, leaf, old_at)
        select 2, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_2 (slot, rel, op, row, leaf, row_at)
        select 2, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, old, leaf, old_at)
        select 3, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_3 (slot, rel, op, row, leaf, row_at)
        select 3, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, old, leaf, old_at)
        select 4, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_4 (slot, rel, op, row, leaf, row_at)
        select 4, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, old, leaf, old_at)
        select 5, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_5 (slot, rel, op, row, leaf, row_at)
        select 5, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, old, leaf, old_at)
        select 6, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_6 (slot, rel, op, row, leaf, row_at)
        select 6, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, old, leaf, old_at)
        select 7, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_7 (slot, rel, op, row, leaf, row_at)
        select 7, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, old, leaf, old_at)
        select 8, m.watched, 'D', case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into plank.log_8 (slot, rel, op, row, leaf, row_at)
        select 8, m.watched, 'I', case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  end if;

  else
    if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 0, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 1, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 2, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 3, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 4, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 5, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 6, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 7, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row, old, leaf, row_at, old_at)
        select 8, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then plank.json_of_any(new) else plank.as_parent(plank.json_of_any(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then plank.json_of_any(old) else plank.as_parent(plank.json_of_any(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
  end if;

  end if;
  if not found and slot operator(pg_catalog.<) 8 then
    perform plank.capture_unlisted(tg_relid, tg_op, case when tg_op operator(pg_catalog.<>) 'DELETE' then plank.json_of_any(new) end,
      case when tg_op operator(pg_catalog.<>) 'INSERT' then plank.json_of_any(old) end,
      case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end, case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end);
  elsif slot operator(pg_catalog.<) 8 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.=) 0 then
    perform plank.close_if_full();
  end if;
  if coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_row_any() OWNER TO plank_capture;

--
-- Name: capture_truncate(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  lastval bigint;
  number bigint;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  insert into plank.log (slot, rel, op) values (coalesce(pg_sequence_last_value('plank.slot'), 0), tg_relid, 'T');
  delete from plank.truncating where xid = pg_current_xact_id() and watched = tg_relid;
  if coalesce(pg_sequence_last_value('plank.bell'), 1) <> 0 then perform pg_notify('plank', ''); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_truncate() OWNER TO plank_capture;

--
-- Name: capture_truncate_begin(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_truncate_begin() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into plank.truncating (xid, watched) values (pg_current_xact_id(), tg_relid);
  return null;
end $$;


ALTER FUNCTION plank.capture_truncate_begin() OWNER TO plank_capture;

--
-- Name: capture_truncate_part(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_truncate_part() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET exit_on_error TO 'off'
    AS $$
declare
  above record;
  theirs text[] := plank.pin();
  lastval bigint;
  number bigint;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  for above in
    select m.watched, m.columns from plank.member m
    where m.rel = tg_relid and not exists (select from plank.truncating t where t.xid = pg_current_xact_id() and t.watched = m.watched)
  loop
    begin
      -- began: all else that was logged of the table comes before or after all of this. Places in it are given out again.
      insert into plank.log (slot, rel, op, old, leaf, old_at, began)
        select coalesce(pg_sequence_last_value('plank.slot'), 0), above.watched, 'D', plank.as_parent(x.r, above.columns), tg_relid, x.at,
          coalesce(pg_sequence_last_value('plank.seq'), 0)
        from plank.rows_of(tg_relid) x;
    exception when insufficient_privilege then
      -- Without the right to read the rows: the servers learn that the table can't be followed through this.
      insert into plank.log (slot, rel, op) values (coalesce(pg_sequence_last_value('plank.slot'), 0), above.watched, 'R');
    end;
    if coalesce(pg_sequence_last_value('plank.bell'), 1) <> 0 then perform pg_notify('plank', ''); end if;
  end loop;
  perform plank.unpin(theirs);
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_truncate_part() OWNER TO plank_capture;

--
-- Name: capture_unlisted(oid, text, json, json, tid, tid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into plank.log (slot, rel, op, row, old, leaf, row_at, old_at)
    select coalesce(pg_sequence_last_value('plank.slot'), 0), a.watched, left(capture_unlisted.op, 1)::"char",
      plank.as_parent(r, a.columns), plank.as_parent(o, a.columns), t, r_at, o_at
    from plank.watched_above(t) a;
  insert into plank.unlisted (rel, watched) select t, a.watched from plank.watched_above(t) a;
end $$;


ALTER FUNCTION plank.capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid) OWNER TO plank_owner;

--
-- Name: capture_update(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_update() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  begin
    began := pg_catalog.currval('plank.began');
    number := pg_catalog.setval('plank.began', 0);
    began := case when began operator(pg_catalog.%) 1048576 operator(pg_catalog.=) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576)
      then began operator(pg_catalog./) 1048576 end;
  exception when object_not_in_prerequisite_state then
    null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;
  if 
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1' then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row, old, began)
        select 0, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row, old, began)
        select 1, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row, old, began)
        select 2, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row, old, began)
        select 3, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row, old, began)
        select 4, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row, old, began)
        select 5, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row, old, began)
        select 6, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row, old, began)
        select 7, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row, old, began)
        select 8, tg_relid, 'U', plank.json_of(n.*), (select plank.json_of(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 0 and slot operator(pg_catalog.<) 8 then
    if exists (select from new_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) into size, rows from new_rows r;
      size := size operator(pg_catalog.+) (select pg_catalog.max(pg_catalog.pg_column_size(r.*)) from old_rows r);
      if size operator(pg_catalog.<) 262144 then
        size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      else
        size := case when coalesce((select pg_catalog.max(pg_catalog.octet_length(plank.json_of(r.*)::pg_catalog.text)) from new_rows r), 0) operator(pg_catalog.+) coalesce((select pg_catalog.max(pg_catalog.octet_length(plank.json_of(r.*)::pg_catalog.text)) from old_rows r), 0) operator(pg_catalog.>) 500000000
          then -1 else 0 end;
      end if;
      if size operator(pg_catalog.>) 0 and rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'u', (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); elsif size operator(pg_catalog.>) 0 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'u', n.r, o.r, coalesce(n.piece, o.piece), began from (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n full join (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o on n.piece operator(pg_catalog.=) o.piece order by coalesce(n.piece, o.piece); elsif size operator(pg_catalog.=) 0 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'U', n.r, o.r, coalesce(n.piece, o.piece), began from (select plank.json_of(r.*) as r, pg_catalog.row_number() over () as piece from new_rows r) n full join (select plank.json_of(r.*) as r, pg_catalog.row_number() over () as piece from old_rows r) o on n.piece operator(pg_catalog.=) o.piece order by coalesce(n.piece, o.piece); else size := 1; if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', o.r, o.piece, began from (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o order by o.piece; end if;if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', (
          select plank.json_list(pg_catalog.array_agg(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', n.r, n.piece from (
          select p.piece, plank.json_list(pg_catalog.array_agg(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n order by n.piece; end if; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_update() OWNER TO plank_capture;

--
-- Name: capture_update_any(); Type: FUNCTION; Schema: plank; Owner: plank_capture
--

CREATE FUNCTION plank.capture_update_any() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET bytea_output TO 'hex'
    SET extra_float_digits TO '1'
    SET lc_monetary TO 'C'
    SET quote_all_identifiers TO 'off'
    SET jit TO 'off'
    SET exit_on_error TO 'off'
    AS $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  logged pg_catalog.int8;
  rows pg_catalog.int8;
  size pg_catalog.int8;
  number pg_catalog.int8;
  began pg_catalog.int8;
begin
  if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;
  begin
    began := pg_catalog.currval('plank.began');
    number := pg_catalog.setval('plank.began', 0);
    began := case when began operator(pg_catalog.%) 1048576 operator(pg_catalog.=) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576)
      then began operator(pg_catalog./) 1048576 end;
  exception when object_not_in_prerequisite_state then
    null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;
  if false then theirs := plank.pin(); end if;
  if slot operator(pg_catalog.=) 0 then 
      insert into plank.log_0 (slot, rel, op, row, old, began)
        select 0, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 1 then 
      insert into plank.log_1 (slot, rel, op, row, old, began)
        select 1, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 2 then 
      insert into plank.log_2 (slot, rel, op, row, old, began)
        select 2, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 3 then 
      insert into plank.log_3 (slot, rel, op, row, old, began)
        select 3, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 4 then 
      insert into plank.log_4 (slot, rel, op, row, old, began)
        select 4, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 5 then 
      insert into plank.log_5 (slot, rel, op, row, old, began)
        select 5, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 6 then 
      insert into plank.log_6 (slot, rel, op, row, old, began)
        select 6, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 7 then 
      insert into plank.log_7 (slot, rel, op, row, old, began)
        select 7, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  elsif slot operator(pg_catalog.=) 8 then 
      insert into plank.log_8 (slot, rel, op, row, old, began)
        select 8, tg_relid, 'U', plank.json_of_any(n.*), (select plank.json_of_any(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;
  end if;

  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) 0 and slot operator(pg_catalog.<) 8 then
    if exists (select from new_rows offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) into size, rows from new_rows r;
      size := size operator(pg_catalog.+) (select pg_catalog.max(pg_catalog.pg_column_size(r.*)) from old_rows r);
      if size operator(pg_catalog.<) 262144 then
        size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      else
        size := case when coalesce((select pg_catalog.max(pg_catalog.octet_length(plank.json_of_any(r.*)::pg_catalog.text)) from new_rows r), 0) operator(pg_catalog.+) coalesce((select pg_catalog.max(pg_catalog.octet_length(plank.json_of_any(r.*)::pg_catalog.text)) from old_rows r), 0) operator(pg_catalog.>) 500000000
          then -1 else 0 end;
      end if;
      if size operator(pg_catalog.>) 0 and rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'u', (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); elsif size operator(pg_catalog.>) 0 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'u', n.r, o.r, coalesce(n.piece, o.piece), began from (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n full join (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o on n.piece operator(pg_catalog.=) o.piece order by coalesce(n.piece, o.piece); elsif size operator(pg_catalog.=) 0 then insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, 'U', n.r, o.r, coalesce(n.piece, o.piece), began from (select plank.json_of_any(r.*) as r, pg_catalog.row_number() over () as piece from new_rows r) n full join (select plank.json_of_any(r.*) as r, pg_catalog.row_number() over () as piece from old_rows r) o on n.piece operator(pg_catalog.=) o.piece order by coalesce(n.piece, o.piece); else size := 1; if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from old_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece, began from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, 'd', o.r, o.piece, began from (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from old_rows offset logged) r) p
          group by p.piece) o order by o.piece; end if;if rows operator(pg_catalog.<=) 16384 then insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', (
          select pg_catalog.json_agg(plank.json_of_any(r.*))
          from (select * from new_rows offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r), q.piece from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece); else insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, 'i', n.r, n.piece from (
          select p.piece, pg_catalog.json_agg(plank.json_of_any(p.whole)) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from new_rows offset logged) r) p
          group by p.piece) n order by n.piece; end if; end if;
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;
  return null;
end $$;


ALTER FUNCTION plank.capture_update_any() OWNER TO plank_capture;

--
-- Name: capturer(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.capturer() RETURNS oid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select proowner from pg_proc where oid = 'plank.capture_insert()'::regprocedure
$$;


ALTER FUNCTION plank.capturer() OWNER TO plank_owner;

--
-- Name: check_rows(regclass, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.check_rows(t regclass, rows text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  leaf record;
  attribute record;
  value text;
begin
  for leaf in select * from plank.read_filter(rows) loop
    select a.attname, y.oid as type, y.typname, y.typtype, y.typnamespace = 'pg_catalog'::regnamespace as is_builtin,
      w.columns is null or a.attname = any (w.columns) as is_shown
      into attribute
      from pg_attribute a join pg_type y on y.oid = a.atttypid join plank.watched w on w.rel = t
      where a.attrelid = t and a.attname = leaf.col and a.attnum > 0 and not a.attisdropped;
    if not found then
      raise exception 'plank: % has no column %', t, quote_ident(leaf.col) using errcode = 'undefined_column';
    end if;
    if not attribute.is_shown then
      raise exception 'plank: the column % of % is hidden', quote_ident(leaf.col), t
        using hint = 'a policy compares what is watched: call plank.watch with this column, or leave it out here', errcode = 'invalid_parameter_value';
    end if;
    if leaf.op = 'is' then
      if leaf.list[1] <> 'null' and attribute.typname <> 'bool' then
        raise exception 'plank: is.% is for boolean columns, and % is none', leaf.list[1], quote_ident(leaf.col) using errcode = 'invalid_parameter_value';
      end if;
      continue;
    end if;
    foreach value in array leaf.list loop
      continue when plank.has_claim(value);
      if attribute.typtype = 'e' then
        if not exists (select from pg_enum e where e.enumtypid = attribute.type and e.enumlabel = value) then
          raise exception 'plank: % does not fit the column %', quote_literal(value), quote_ident(leaf.col) using errcode = 'invalid_parameter_value';
        end if;
      -- Only what PostgreSQL itself reads: a type of another role may run a function of that role.
      elsif attribute.is_builtin and attribute.typname in ('int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'bool', 'date', 'time', 'timestamp',
        'timestamptz', 'uuid') and leaf.op not in ('like', 'ilike') then
        begin
          execute format('select %L::pg_catalog.%I', value, attribute.typname);
        exception when data_exception then
          raise exception 'plank: % does not fit the column %', quote_literal(value), quote_ident(leaf.col) using errcode = 'invalid_parameter_value';
        end;
      end if;
    end loop;
  end loop;
end $$;


ALTER FUNCTION plank.check_rows(t regclass, rows text) OWNER TO plank_owner;

--
-- Name: close_if_full(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.close_if_full() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if (select plank.reached() - o.last_value > 2 * m.rows_max from plank.oldest o, plank.meta m) then
    -- Until it stays: a pruner that looked before may be setting it.
    for i in 1..100 loop
      perform nextval('plank.closings'), setval('plank.slot', 8), nextval('plank.closings');
      exit when (select last_value from plank.slot) = 8;
    end loop;
  end if;
end $$;


ALTER FUNCTION plank.close_if_full() OWNER TO plank_owner;

--
-- Name: collation_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.collation_of(c oid, OUT "collation" text, OUT letters text) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select
    case
      when not l.is_deterministic then 'other'
      when getdatabaseencoding() = 'UTF8' and (l.provider = 'b' or l.provider = 'c' and l.collates in ('C', 'POSIX')) then 'bytes'
      else 'deterministic' end,
    case
      when getdatabaseencoding() <> 'UTF8' then null
      when l.provider = 'c' and l.types in ('C', 'POSIX') or l.provider = 'b' and l.locale = 'C' then 'ascii'
      when c = 100 then 'default' end
  from pg_database d, lateral (select to_jsonb(d) as d) j, lateral (
    select coalesce(j.d->>'datlocprovider', 'c') as provider, j.d->>'datcollate' as collates, j.d->>'datctype' as types,
      coalesce(j.d->>'datlocale', j.d->>'daticulocale') as locale, true as is_deterministic where c = 100
    union all
    select k.c->>'collprovider', k.c->>'collcollate', k.c->>'collctype', k.c->>'colllocale', (k.c->>'collisdeterministic')::boolean
    from (select to_jsonb(p) as c from pg_collation p where p.oid = collation_of.c and p.oid <> 100) k) l
  where d.datname = current_database()
$$;


ALTER FUNCTION plank.collation_of(c oid, OUT "collation" text, OUT letters text) OWNER TO plank_owner;

--
-- Name: count_packed(bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.count_packed(rows bigint) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
declare
  counted pg_catalog.int8;
begin
  for i in 1..(rows operator(pg_catalog.+) 15) operator(pg_catalog./) 16 loop
    counted := pg_catalog.nextval('plank.packed');
  end loop;
  return counted;
end $$;


ALTER FUNCTION plank.count_packed(rows bigint) OWNER TO plank_owner;

--
-- Name: cursor(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.cursor() RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  identity bytea := convert_to(plank.identity(), 'utf8');
  now pg_snapshot := pg_current_snapshot();
  newest bigint := (select greatest((select xid from plank.log order by xid desc limit 1), prune_xid, max_xid)::text::bigint from plank.horizon);
  xmax bigint := least(pg_snapshot_xmax(now)::text::bigint, plank.next_xid(coalesce(newest, 0)));
  previous bigint := xmax;
  running bigint[];
  x bigint;
  body bytea;
begin
  select coalesce(array_agg(distinct id order by id desc), '{}') into running from (
    select pg_snapshot_xip(now)::text::bigint union all select pg_current_xact_id_if_assigned()::text::bigint) r(id) where id < xmax;
  body := '\x02'::bytea || substr(sha256(identity), 1, 8) || plank.varint(xmax) || plank.varint(cardinality(running));
  foreach x in array running loop
    body := body || plank.varint(previous - x);
    previous := x;
  end loop;
  body := body || substr(plank.hmac(sha256('plank cursor key '::bytea || identity), body), 1, 8);
  return translate(encode(body, 'base64'), E'+/=\n', '-_');
end $$;


ALTER FUNCTION plank.cursor() OWNER TO plank_owner;

--
-- Name: decode_word(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.decode_word(word text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  bytes bytea;
begin
  word := replace(word, '+', ' ');
  if position('%' in word) = 0 then return word; end if;
  select decode(string_agg(case when m[1] ~ '^%[0-9a-fA-F]{2}$' then substr(m[1], 2) else encode(convert_to(m[1], 'UTF8'), 'hex') end, ''), 'hex')
    into bytes from regexp_matches(word, '%[0-9a-fA-F]{2}|.', 'gs') m;
  return convert_from(bytes, 'UTF8');
exception when others then
  raise exception 'plank: % is not percent-decoded to a text', quote_literal(word) using errcode = 'invalid_parameter_value';
end $_$;


ALTER FUNCTION plank.decode_word(word text) OWNER TO plank_owner;

--
-- Name: deny(regclass, text, text[], text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.deny(t regclass, role text, ops text[] DEFAULT '{select,insert,update,delete}'::text[], name text DEFAULT NULL::text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  changed text[];
begin
  perform plank.begin_policy(t, role, ops);
  with gone as (
    delete from plank.policy p where p.rel = t and p.role = deny.role and p.op = any (ops) and p.name = coalesce(deny.name, p.name)
      returning p.op)
  select array_agg(gone.op) into changed from gone;
  if changed is null then return; end if;
  perform plank.renew_policy(t, role, changed);
  perform plank.announce(t, 'W');
end $$;


ALTER FUNCTION plank.deny(t regclass, role text, ops text[], name text) OWNER TO plank_owner;

--
-- Name: describe(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.describe(t oid) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive base as (
    select a.attnum, a.atttypid as type, a.attcollation as collation
    from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union all
    select b.attnum, y.typbasetype, b.collation from base b join pg_type y on y.oid = b.type where y.typtype = 'd')
  select json_build_object(
    'rel', w.rel::oid::bigint, 'schema', n.nspname, 'name', c.relname,
    'quoted', format('%I.%I', n.nspname, c.relname), 'since', w.since::text::bigint,
    'key', w.key, 'late_key', w.late_key, 'old_rows', w.old_rows, 'narrowed', w.columns is not null, 'writable', w.writable,
    'plain', (select bool_and(plank.is_plain(a.atttypid)) from pg_attribute a where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped),
    'columns', (
      select coalesce(json_agg(json_build_object(
        'name', a.attname, 'number', a.attnum, 'type', format_type(a.atttypid, a.atttypmod), 'base', format_type(y.oid, null),
        'collation', l.collation, 'letters', l.letters, 'wide', plank.is_wide(a.atttypid),
        'fixed', case when a.attgenerated <> '' then 'generated' when a.attidentity = 'a' then 'identity' end,
        'labels', case when y.typtype = 'e' then (select json_agg(enumlabel order by enumsortorder) from pg_enum where enumtypid = y.oid) end
        ) order by a.attnum), '[]')
      from pg_attribute a join base b on b.attnum = a.attnum join pg_type y on y.oid = b.type and y.typtype <> 'd'
        left join lateral plank.collation_of(b.collation) l on b.collation <> 0
      where a.attrelid = w.rel and a.attnum > 0 and not a.attisdropped and (w.columns is null or a.attname = any (w.columns))),
    'references', plank.references_of(w.rel),
    'policies', (
      select coalesce(json_agg(json_build_object('role', p.role, 'op', p.op, 'rows', p.rows, 'since', p.since::text::bigint) order by p.role, p.op), '[]')
      from plank.policy p where p.rel = w.rel))
  from plank.watched w join pg_class c on c.oid = w.rel join pg_namespace n on n.oid = c.relnamespace
  where w.rel = t
$$;


ALTER FUNCTION plank.describe(t oid) OWNER TO plank_owner;

--
-- Name: detach(regclass, oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.detach(t regclass, w oid) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  own record;
  reader oid := plank.reader();
  capturer oid := plank.capturer();
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
begin
  for own in select g.name from plank.triggers_of(t) g where g.name like '%\_' || w loop
    execute format('drop trigger %I on %s', own.name, t);
  end loop;
  delete from plank.member m where m.rel = t and m.watched = w;
  if exists (select from plank.member m where m.rel = t) then return; end if;
  if exists (select from plank.permitted p join pg_policy y on y.polrelid = p.rel and y.polname = p.policy where p.rel = t) then
    execute format('drop policy plank_reads on %s', t);
  end if;
  delete from plank.permitted where rel = t;
  -- A role that can log in may have been granted the right for another reason.
  if (select rolcanlogin from pg_roles where oid = reader) then return; end if;
  if (select relowner <> reader from pg_class where oid = t) then
    execute format('revoke select on %s from %s', t, reader::regrole);
  end if;
  for own in select c.oid::regclass as seq from plank.sequences_of(t) s join pg_class c on c.oid = s
    where c.relowner <> capturer and has_sequence_privilege(s, 'select with grant option')
      and not exists (select from plank.member m where s in (select plank.sequences_of(m.rel)))
  loop
    execute format('revoke select on sequence %s from %s', own.seq, capturer::regrole);
  end loop;
  if not exists (select from plank.member m join pg_class c on c.oid = m.rel where c.relnamespace = in_schema and m.rel <> t)
    and not exists (select from plank.query_part p join pg_class c on c.oid = p.rel where c.relnamespace = in_schema and p.rel <> t)
    and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = in_schema and a.grantee = reader) then
    execute format('revoke usage on schema %s from %s', in_schema, reader::regrole);
  end if;
end $$;


ALTER FUNCTION plank.detach(t regclass, w oid) OWNER TO plank_owner;

--
-- Name: drop_query(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.drop_query(name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  q plank.live_query;
  reader name := pg_get_userbyid(plank.reader());
  v record;
begin
  select * into q from plank.live_query x where x.name = drop_query.name for update;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where w.rel = q.rel) then perform plank.unwatch(q.rel); end if;
  if exists (select from pg_class c where c.oid = q.rel) then execute format('drop table %s', q.rel); end if;
  for v in select c.oid::regclass as rel, c.relnamespace, c.relnamespace::regnamespace as in_schema
    from plank.query_part p join pg_class c on c.oid = p.rel where p.query = q.name and p.granted loop
    if exists (select from plank.query_part p where p.rel = v.rel and p.query <> q.name and p.number = 0) then
      update plank.query_part p set granted = true where p.rel = v.rel and p.query <> q.name and p.number = 0;
      continue;
    end if;
    execute format('revoke select on %s from %I', v.rel, reader);
  end loop;
  for v in select distinct c.relnamespace, c.relnamespace::regnamespace as in_schema from plank.query_part p join pg_class c on c.oid = p.rel
    where p.query = q.name and c.relkind = 'v' loop
    if not exists (select from plank.member m join pg_class c on c.oid = m.rel where c.relnamespace = v.relnamespace)
      and not exists (select from plank.query_part p join pg_class c on c.oid = p.rel where c.relnamespace = v.relnamespace and p.query <> q.name)
      and not (select rolcanlogin from pg_roles where rolname = reader)
      and exists (select from pg_namespace n, aclexplode(n.nspacl) a where n.oid = v.relnamespace and a.grantee = plank.reader()) then
      execute format('revoke usage on schema %s from %I', v.in_schema, reader);
    end if;
  end loop;
  delete from plank.live_query x where x.name = q.name;
end $$;


ALTER FUNCTION plank.drop_query(name text) OWNER TO plank_owner;

--
-- Name: empty_leaf(integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.empty_leaf(which integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  newest xid8;
begin
  perform set_config('lock_timeout', '50ms', true);
  begin
    execute format('lock table only plank.log_%s in access exclusive mode', which);
    execute format('select xid from plank.log_%s order by xid desc limit 1', which) into newest;
    if newest is not null then
      update plank.horizon set prune_xid = pg_current_xact_id(), max_xid = greatest(max_xid, newest);
      execute format('truncate only plank.log_%s', which);
    end if;
  exception when lock_not_available then
    return false;
  end;
  update plank.leaf set opened = null, first_seq = null, first_packed = null where slot = which;
  return true;
end $$;


ALTER FUNCTION plank.empty_leaf(which integer) OWNER TO plank_owner;

--
-- Name: end_query(text, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.end_query(name text, reason text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  own regclass;
begin
  update plank.live_query q set ended = reason where q.name = end_query.name and q.ended is null returning q.rel into own;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where w.rel = own) then perform plank.unwatch(own); end if;
end $$;


ALTER FUNCTION plank.end_query(name text, reason text) OWNER TO plank_owner;

--
-- Name: facts(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.facts(t oid) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select json_build_object(
    'columns', (select coalesce(json_object_agg(a.attnum, json_build_object('xmin', a.xmin, 'is', md5(to_json(a.*)::text))), '{}')
      from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped),
    'files', (select json_object_agg(m.rel, c.relfilenode) from plank.members_of(t) m join pg_class c on c.oid = m.rel),
    'forms', plank.forms(t))
$$;


ALTER FUNCTION plank.facts(t oid) OWNER TO plank_owner;

--
-- Name: fingerprint(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.fingerprint(t oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select md5(concat_ws('|', c.relname, c.relnamespace::regnamespace, c.relkind, c.relispartition, c.relrowsecurity, plank.facts(t),
    (select concat_ws(' ', i.indkey, i.indnkeyatts, i.indimmediate) from pg_index i where i.indrelid = t and i.indisprimary),
    (select string_agg(concat_ws(' ', m.rel, plank.member_state(m.rel)), ',' order by m.rel) from plank.members_of(t) m),
    plank.references_of(t),
    (select exists (select from pg_subscription_rel s where s.srrelid = t))))
  from pg_class c where c.oid = t
$$;


ALTER FUNCTION plank.fingerprint(t oid) OWNER TO plank_owner;

--
-- Name: follow_queries(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.follow_queries() RETURNS TABLE(name text, reason text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  q plank.live_query;
begin
  perform set_config('lock_timeout', '50ms', true);
  for q in select x.* from plank.live_query x where x.ended is null and plank.query_trouble(x) is not null for update skip locked loop
    name := q.name;
    reason := plank.query_trouble(q);
    begin
      perform plank.end_query(q.name, reason);
      return next;
    exception when lock_not_available or deadlock_detected then null;   -- the next time
    end;
  end loop;
end $$;


ALTER FUNCTION plank.follow_queries() OWNER TO plank_owner;

--
-- Name: follow_table(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.follow_table(t regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  w plank.watched := (select x from plank.watched x where x.rel = t);
  before json := w.described;
  seen record;
  facts json;
  parts regclass[];
  exact record;
  part record;
  has_rows boolean;
  is_void boolean := false;     -- also for those who resume from before
  is_untold boolean := false;   -- from here on
begin
  -- What is noted at the end is what was seen at the beginning: if the table is altered in between, the next look finds that.
  select plank.fingerprint(t) as fingerprint, plank.facts(t) as facts, plank.describe(t) as described into seen;
  facts := seen.facts;
  -- The description, so far as clients see it.
  is_void := exists (
    select from json_array_elements(before->'columns') o where not exists (
      select from json_array_elements(seen.described->'columns') n
      where n->>'number' = o->>'number' and n->>'name' = o->>'name' and n->>'type' = o->>'type'));
  is_void := is_void or exists (
    select f from json_array_elements_text(w.facts->'forms') f except select f from json_array_elements_text(facts->'forms') f);
  -- Values were converted: the rows were written anew, and a column was altered.
  is_void := is_void or exists (
      select from json_each_text(w.facts->'files') o join json_each_text(facts->'files') n on n.key = o.key where n.value <> o.value)
    and exists (
      select from json_each(w.facts->'columns') o join json_each(facts->'columns') n on n.key = o.key where n.value->>'xmin' <> o.value->>'xmin');
  -- Each column was altered, and is as it was: attached and detached again, or the like.
  is_void := is_void or exists (select from json_each(w.facts->'columns')) and not exists (
    select from json_each(w.facts->'columns') o left join json_each(facts->'columns') n on n.key = o.key
    where n.key is null or n.value->>'xmin' = o.value->>'xmin' or n.value->>'is' <> o.value->>'is');

  for part in
    select m.rel, c.oid is not null as is_there from plank.member m left join pg_class c on c.oid = m.rel
    where m.watched = t and not exists (select from plank.members_of(t) x where x.rel = m.rel)
  loop
    -- Its state is that of a table which stands alone, or is a part of another one.
    delete from plank.member where rel = part.rel and watched = t;
    if part.is_there then perform plank.detach(part.rel, t); end if;
    is_untold := true;
  end loop;
  for part in
    select x.rel::regclass as rel, m.rel is not null as is_known, c.relkind, plank.member_state(x.rel) as state, m.state as known_state
    from plank.members_of(t) x join pg_class c on c.oid = x.rel left join plank.member m on m.rel = x.rel and m.watched = t
  loop
    parts := parts || part.rel;
    continue when part.rel = t or part.is_known and part.state is not distinct from part.known_state;
    update plank.member set state = part.state where rel = part.rel and watched = t;
    -- plank_reader looks, which needs the right first. Another server is not asked for the rows of a foreign table.
    has_rows := false;
    begin
      if part.relkind in ('r', 'p') then
        perform plank.permit(part.rel);
        has_rows := plank.has_rows(part.rel);
      end if;
    exception when insufficient_privilege or duplicate_object then   -- look_at says why, below
      has_rows := true;
    end;
    is_untold := is_untold or part.is_known or has_rows;
  end loop;
  is_untold := is_untold or exists (select from plank.unlisted where watched = t);
  delete from plank.unlisted where watched = t;

  select * into exact from plank.level_of(t);
  if w.asked = 'row' then exact := row('row', 'asked for'); end if;
  if (exact.level, exact.why) is distinct from (w.level, w.why) then
    is_untold := is_untold or exact.level <> w.level;
    update plank.watched set level = exact.level, why = exact.why where rel = t;
  end if;
  perform plank.look_at(t, true, null, parts);
  if is_void then update plank.watched set since = pg_current_xact_id() where rel = t; end if;
  update plank.watched set described = seen.described, facts = seen.facts, fingerprint = seen.fingerprint where rel = t;
  perform plank.announce(t, 'W');
  -- A description with another beginning resets clients by itself.
  if is_untold and not is_void then perform plank.announce(t, 'R'); end if;
end $$;


ALTER FUNCTION plank.follow_table(t regclass) OWNER TO plank_owner;

--
-- Name: follow_tables(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.follow_tables() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  altered record;
  said text;
  done boolean := false;
begin
  if not exists (
      select from plank.watched w left join pg_class c on c.oid = w.rel
      where c.oid is null or w.fingerprint is distinct from plank.fingerprint(w.rel) or exists (select from plank.unlisted u where u.watched = w.rel)) then
    return false;
  end if;
  if not plank.try_lock('following') then return false; end if;
  perform set_config('lock_timeout', '50ms', true);
  for altered in
    select w.rel, c.oid is not null as is_there from plank.watched w left join pg_class c on c.oid = w.rel
    where c.oid is null or w.fingerprint is distinct from plank.fingerprint(w.rel) or exists (select from plank.unlisted u where u.watched = w.rel)
  loop
    begin
      if altered.is_there then
        perform plank.follow_table(altered.rel);
      else
        -- A table that was dropped had no trigger that could have said so.
        delete from plank.watched where rel = altered.rel;
        delete from plank.unlisted where watched = altered.rel;
        perform plank.announce(altered.rel, 'X');
      end if;
      done := true;
    exception when lock_not_available or deadlock_detected then
      null;   -- the next time
    when others then
      get stacked diagnostics said = message_text;
      update plank.member set problem = said where watched = altered.rel and rel = altered.rel and problem is distinct from said;
    end;
  end loop;
  return done;
end $$;


ALTER FUNCTION plank.follow_tables() OWNER TO plank_owner;

--
-- Name: followed_as(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.followed_as(t oid) RETURNS oid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select w.watched from plank.watched_above(t) w order by w.watched <> t, w.watched limit 1
$$;


ALTER FUNCTION plank.followed_as(t oid) OWNER TO plank_owner;

--
-- Name: forbid_writes(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.forbid_writes(t regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


ALTER FUNCTION plank.forbid_writes(t regclass) OWNER TO plank_owner;

--
-- Name: forms(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.forms(t oid) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive types as (
    select a.atttypid as type from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped
    union
    select part from types s join pg_type y on y.oid = s.type, lateral (
      select y.typbasetype as part where y.typtype = 'd'
      union all select y.typelem where y.typcategory = 'A'
      union all select r.rngsubtype from pg_range r where r.rngtypid = y.oid or r.rngmultitypid = y.oid
      union all select b.atttypid from pg_attribute b where b.attrelid = y.typrelid and y.typtype = 'c' and b.attnum > 0 and not b.attisdropped) p
    where part <> 0)
  select coalesce(array_agg(line order by line), '{}') from (
    select format('label %s %s', e.oid, e.enumlabel) as line from types s join pg_enum e on e.enumtypid = s.type
    union all
    select format('type %s %s %s', y.oid, y.typname,
      (select string_agg(format('%s %s %s', b.attnum, b.attname, b.atttypid), ',' order by b.attnum)
        from pg_attribute b where b.attrelid = y.typrelid and b.attnum > 0 and not b.attisdropped))
    from types s join pg_type y on y.oid = s.type where y.typtype = 'c') l
$$;


ALTER FUNCTION plank.forms(t oid) OWNER TO plank_owner;

--
-- Name: has_claim(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.has_claim(value text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  place text;
  found_one boolean := false;
begin
  for place in select m[1] from regexp_matches(value, '\{([[:alnum:]_.:/-]+)\}', 'g') m loop
    if place not in ('sub', 'role') and place !~ '^claim\..' then
      raise exception 'plank: there is no {%}', place
        using hint = 'a policy may have {sub}, {role} and {claim.NAME}', errcode = 'invalid_parameter_value';
    end if;
    found_one := true;
  end loop;
  if regexp_replace(value, '\{[[:alnum:]_.:/-]+\}', '', 'g') ~ '[{}]' then
    raise exception 'plank: % has a brace that is of no {sub}, {role} or {claim.NAME}', quote_literal(left(value, 40))
      using hint = 'a policy may have {sub}, {role} and {claim.NAME}', errcode = 'invalid_parameter_value';
  end if;
  return found_one;
end $$;


ALTER FUNCTION plank.has_claim(value text) OWNER TO plank_owner;

--
-- Name: has_rows(regclass); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.has_rows(t regclass) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_one boolean;
  before text[] := plank.prepared();
begin
  begin
    execute format('select exists (select from only %s)', t) into found_one;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if found_one is null then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  if plank.unprepare(before) is not null then
    raise exception 'a function of an index of % replaces a prepared statement', t using errcode = 'PK499';
  end if;
  return found_one;
end $$;


ALTER FUNCTION plank.has_rows(t regclass) OWNER TO plank_reader;

--
-- Name: has_semicolon(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.has_semicolon(query text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  rest text := query;
  found text;
  depth int;
begin
  loop
    -- What has no meaning for this, up to the next character that may have one.
    found := substring(rest from '^[^;''"$/eE-]+');
    rest := substr(rest, coalesce(length(found), 0) + 1);
    if rest = '' then return false; end if;
    if rest like ';%' then return true; end if;
    if rest like '/*%' then
      depth := 0;
      loop
        if rest like '/*%' then depth := depth + 1; rest := substr(rest, 3);
        elsif rest like '*/%' then depth := depth - 1; rest := substr(rest, 3);
        elsif rest = '' then return false;
        else rest := substr(rest, 1 + greatest(1, length(substring(rest from '^[^*/]+')))); end if;
        exit when depth = 0;
      end loop;
      continue;
    end if;
    found := coalesce(
      substring(rest from '^--[^\n\r]*'),
      substring(rest from '^[eE]''(?:[^''\\]|\\.|'''')*'''),
      substring(rest from '^''(?:[^'']|'''')*'''),
      substring(rest from '^"(?:[^"]|"")*"'),
      substring(rest from '^[eE$][[:alnum:]_]+(?!\$)'),
      left(rest, 1));
    if rest ~ '^\$(?:[[:alpha:]_\u0080-\U0010ffff][[:alnum:]_\u0080-\U0010ffff]*)?\$' then
      found := substring(rest from '^\$[^$]*\$');
      depth := strpos(substr(rest, length(found) + 1), found);
      if depth = 0 then return false; end if;
      found := left(rest, depth + 2 * length(found) - 1);
    elsif found ~ '^[eE][[:alnum:]]' then
      -- A word: a dollar within it begins no quote.
      found := substring(rest from '^[[:alnum:]_$]+');
    end if;
    rest := substr(rest, length(found) + 1);
  end loop;
end $_$;


ALTER FUNCTION plank.has_semicolon(query text) OWNER TO plank_owner;

--
-- Name: hmac(bytea, bytea); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.hmac(key bytea, message bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  inner_key bytea := decode(repeat('36', 64), 'hex');
  outer_key bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0..length(key) - 1 loop
    inner_key := set_byte(inner_key, i, get_byte(key, i) # 54);
    outer_key := set_byte(outer_key, i, get_byte(key, i) # 92);
  end loop;
  return sha256(outer_key || sha256(inner_key || message));
end $$;


ALTER FUNCTION plank.hmac(key bytea, message bytea) OWNER TO plank_owner;

--
-- Name: hold(oid, text, text[], text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.hold(t oid, who text, ops text[], versions text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


ALTER FUNCTION plank.hold(t oid, who text, ops text[], versions text[]) OWNER TO plank_owner;

--
-- Name: holds(oid, text, text[], text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.holds(t oid, who text, ops text[], versions text[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if not exists (select from plank.watched w where w.rel = t) then return false; end if;
  return who is null or not exists (
    select from unnest(ops, versions) o(op, version) where not exists (
      select from plank.policy p where p.rel = t and p.role = who and p.op = o.op and p.since::text = o.version));
end $$;


ALTER FUNCTION plank.holds(t oid, who text, ops text[], versions text[]) OWNER TO plank_owner;

--
-- Name: identity(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.identity() RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return (select log_id || '/' || (select system_identifier from pg_control_system()) || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
      || '/' || encode(secret, 'hex')
    from plank.meta);
end $$;


ALTER FUNCTION plank.identity() OWNER TO plank_owner;

--
-- Name: index_scope(regclass, name[], jsonb); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.index_scope(rel regclass, key name[], scope jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  part name;
begin
  for part in select distinct s->>'result' from jsonb_array_elements(scope) s where s->>'result' <> key[1] loop
    begin
      execute format('create index on %s using hash (%I)', rel, part);
    exception when undefined_object then null;
    end;
  end loop;
end $$;


ALTER FUNCTION plank.index_scope(rel regclass, key name[], scope jsonb) OWNER TO plank_owner;

--
-- Name: is_alone(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_alone() RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  trusted oid[] := array(
    select r.oid from pg_roles r where r.rolsuper or r.rolname = session_user
    union select n.nspowner from pg_namespace n where n.nspname = 'plank'
    union select p.proowner from pg_proc p where p.pronamespace = 'plank'::regnamespace and p.proname in ('capture_row', 'json_of', 'rest_read', 'rest_write'));
  this oid := (select d.oid from pg_database d where d.datname = current_database());
begin
  return not exists (
      select from pg_shdepend d where d.dbid = this and d.deptype = 'o' and d.refclassid = 'pg_authid'::regclass
        and d.classid <> 'pg_largeobject'::regclass and d.refobjid <> all (trusted))
    and not exists (select from pg_database d where d.oid = this and d.datdba <> all (trusted))
    and not exists (
      select from pg_database d, aclexplode(d.datacl) a where d.oid = this and a.privilege_type = 'CREATE' and a.grantee <> all (trusted))
    and not exists (
      select from pg_namespace n, aclexplode(n.nspacl) a
      where a.privilege_type = 'CREATE' and a.grantee <> all (trusted) and a.grantee <> (select r.oid from pg_roles r where r.rolname = 'pg_database_owner'))
    and not exists (
      select from pg_class c, aclexplode(c.relacl) a where c.oid >= 16384 and a.privilege_type in ('TRIGGER', 'REFERENCES') and a.grantee <> all (trusted))
    and not exists (
      select from pg_attribute c, aclexplode(c.attacl) a where c.attacl is not null and a.privilege_type = 'REFERENCES' and a.grantee <> all (trusted));
end $$;


ALTER FUNCTION plank.is_alone() OWNER TO plank_owner;

--
-- Name: is_made(text, name); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_made(kind text, name name) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select name::text = any (string_to_array(translate(case kind when 'r' then '
    began bell canary closings following horizon idempotency last leaf listener live_query log log_0 log_1 log_2 log_3 log_4 log_5 log_6 log_7 log_8 lower_case mark
    member meta migrations migrating oldest packed permitted policies policy pruning query_part reading revoked seq slot tables ticket truncating unlisted
    watched' else '
    allow announce as_parent attach beat begin_policy bell_awake bell_sleep calls_of capture_begin capture_delete
    capture_delete_any capture_insert capture_insert_any capture_row capture_row_any capture_truncate
    capturer capture_truncate_begin capture_truncate_part capture_unlisted capture_update capture_update_any check_rows
    close_if_full collation_of count_packed cursor decode_word deny describe detach drop_query empty_leaf end_query facts fingerprint
    follow_queries follow_table follow_tables followed_as forbid_writes forms has_claim has_rows has_semicolon hmac hold holds identity index_scope is_alone is_made is_plain is_query is_settled is_wide json_list judge json_of
    json_of_any keep_nothing key_of leave_mark left_behind listen listeners
    letters level_of log_size look_at make_query make_result member_state members_of newest next_xid open_leaf own_tables owned part_now permit permit_views permit_writes pin place_back prepared probe_query prune prune_marks pruned
    query_differs query_failed query_named query_pause query_refusal query_rows query_trouble
    reached read_all read_filter read_next read_number read_open read_operation read_quoted read_scope reader references_of refresh refusal rels_of rename_log renew renew_policies renew_policy
    renew_queries reopen rest_read rest_write result_error result_shape result_type revoke rows_of runs_as scope_values sees_all sequences_of set_slot settings tells_time triggers_of try_lock unpin unprepare unwatch unwatch_all varint watch watch_query watched_above writer' end, E'\n', ' '), ' '))
$$;


ALTER FUNCTION plank.is_made(kind text, name name) OWNER TO plank_owner;

--
-- Name: is_plain(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_plain(t oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive parts as (
    select t as type
    union
    select case when y.typtype = 'd' then y.typbasetype else y.typelem end from parts p join pg_type y on y.oid = p.type
    where y.typtype = 'd' or y.typcategory = 'A')
  select bool_and(y.typtype = 'd' or y.typcategory = 'A' or y.typnamespace = 'pg_catalog'::regnamespace and y.oid < 16384
    and y.typtype in ('b', 'r', 'm') and y.oid <> 'money'::regtype and y.typname not like 'reg%' and y.typname not like 'pg\_%')
  from parts p join pg_type y on y.oid = p.type
$$;


ALTER FUNCTION plank.is_plain(t oid) OWNER TO plank_owner;

--
-- Name: is_query(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_query(name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select exists (select from plank.live_query q where q.name = is_query.name)
$$;


ALTER FUNCTION plank.is_query(name text) OWNER TO plank_owner;

--
-- Name: is_settled(text, boolean); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_settled(expected text, must boolean) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
begin
  if expected is null or (pg_catalog.pg_my_temp_schema() operator(pg_catalog.=) 0::pg_catalog.oid
      and not exists (select from pg_catalog.pg_listening_channels()) and plank.settings() operator(pg_catalog.=) expected) then
    return true;
  end if;
  if must then
    raise exception 'leaves a setting, a temporary table or a LISTEN in the session' using errcode = 'PK499';
  end if;
  return false;
end $$;


ALTER FUNCTION plank.is_settled(expected text, must boolean) OWNER TO plank_owner;

--
-- Name: is_wide(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.is_wide(t oid) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  y pg_type := (select p from pg_type p where p.oid = t);
  members json;
begin
  if y.typtype = 'd' then return plank.is_wide(y.typbasetype); end if;
  if y.typcategory = 'A' and y.typelem <> 0 then return plank.is_wide(y.typelem); end if;
  if t in ('bigint'::regtype, 'numeric'::regtype) then return 'true'; end if;
  if y.typtype = 'c' then
    select json_object_agg(a.attname, plank.is_wide(a.atttypid)) into members from pg_attribute a
      where a.attrelid = y.typrelid and a.attnum > 0 and not a.attisdropped and plank.is_wide(a.atttypid) is not null;
    return members;
  end if;
  return null;
end $$;


ALTER FUNCTION plank.is_wide(t oid) OWNER TO plank_owner;

--
-- Name: json_list(anyarray); Type: FUNCTION; Schema: plank; Owner: plank_json
--

CREATE FUNCTION plank.json_list(r anyarray) RETURNS json
    LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
    AS $$
  select pg_catalog.array_to_json(r)
$$;


ALTER FUNCTION plank.json_list(r anyarray) OWNER TO plank_json;

--
-- Name: json_of(record); Type: FUNCTION; Schema: plank; Owner: plank_json
--

CREATE FUNCTION plank.json_of(r record) RETURNS json
    LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL SAFE
    AS $$
begin
  return pg_catalog.row_to_json(r);
end $$;


ALTER FUNCTION plank.json_of(r record) OWNER TO plank_json;

--
-- Name: json_of_any(record); Type: FUNCTION; Schema: plank; Owner: plank_json
--

CREATE FUNCTION plank.json_of_any(r record) RETURNS json
    LANGUAGE plpgsql SECURITY DEFINER
    AS $$
declare
  made pg_catalog.json;
  prepared pg_catalog.text[] := array(select p.name operator(pg_catalog.||) p.prepare_time::pg_catalog.text operator(pg_catalog.||) p.statement
    from pg_catalog.pg_prepared_statements p where p.from_sql);
  other pg_catalog.text;
  said pg_catalog.text;
  state pg_catalog.text;
begin
  begin
    made := pg_catalog.row_to_json(r);
    raise exception using errcode = 'PLANK';
  exception when others or query_canceled or assert_failure then
    get stacked diagnostics said = message_text, state = returned_sqlstate;
  end;
  for other in select p.name from pg_catalog.pg_prepared_statements p
    where p.from_sql and p.name operator(pg_catalog.||) p.prepare_time::pg_catalog.text operator(pg_catalog.||) p.statement
      operator(pg_catalog.<>) all (prepared)
  loop
    execute pg_catalog.format('deallocate %I', other);
    said := pg_catalog.format('a cast to json replaces the prepared statement %s', other);
    state := 'PK499';
  end loop;
  if made is null or state operator(pg_catalog.<>) 'PLANK' then
    raise exception '%', said using errcode = state;
  end if;
  return made;
end $$;


ALTER FUNCTION plank.json_of_any(r record) OWNER TO plank_json;

--
-- Name: judge(boolean, bigint, bigint, bigint, bigint, boolean, integer, boolean); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.judge(held boolean, affected bigint, refused bigint, expected bigint, affected_max bigint, is_single boolean, returned integer, is_too_much boolean) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if held is not true then raise exception 'what the client may do has just changed' using errcode = 'PK503'; end if;
  if refused > 0 then
    raise exception 'the policy does not allow this row' using errcode = 'PK403';
  end if;
  if affected < expected then
    raise exception 'a row is in the way' using errcode = 'PK409';
  end if;
  if affected > affected_max then
    raise exception '% rows', affected using errcode = 'PK124';
  end if;
  if is_single and returned <> 1 then
    raise exception '% rows', returned using errcode = 'PK116';
  end if;
  if is_too_much then
    raise exception 'too many bytes' using errcode = 'PK413';
  end if;
  return true;
end $$;


ALTER FUNCTION plank.judge(held boolean, affected bigint, refused bigint, expected bigint, affected_max bigint, is_single boolean, returned integer, is_too_much boolean) OWNER TO plank_owner;

--
-- Name: keep_nothing(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.keep_nothing() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return null;
end $$;


ALTER FUNCTION plank.keep_nothing() OWNER TO plank_owner;

--
-- Name: key_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.key_of(t oid) RETURNS name[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(array_agg(a.attname order by k.at), '{}')
  from pg_index i, unnest(i.indkey::int2[]) with ordinality k(attnum, at), pg_attribute a
  where i.indrelid = t and i.indisprimary and k.at <= i.indnkeyatts and a.attrelid = t and a.attnum = k.attnum
$$;


ALTER FUNCTION plank.key_of(t oid) OWNER TO plank_owner;

--
-- Name: leave_mark(bigint, pg_snapshot, bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.leave_mark(upto bigint, place pg_snapshot, apart bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  insert into plank.mark (seq, snapshot, reached)
    select upto, place, plank.reached() where not exists (select from plank.mark where reached > plank.reached() - apart)
    on conflict do nothing
$$;


ALTER FUNCTION plank.leave_mark(upto bigint, place pg_snapshot, apart bigint) OWNER TO plank_owner;

--
-- Name: left_behind(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.left_behind() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  trusted oid[];
  written oid;
  found text;
begin
  if exists (select from pg_cursors where is_holdable) then return 'holds a cursor'; end if;
  for written in
    select l.relation from pg_locks l where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.mode like '%Exclusive%'
  loop
    continue when not exists (select from pg_trigger t where t.tgrelid = written and t.tgdeferrable);
    trusted := array(select oid from pg_roles where rolsuper or rolname = session_user);
    select format('writes %s, whose trigger %I is deferrable and of another role', t.tgrelid::regclass, t.tgname) into found
    from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_class c on c.oid = t.tgrelid
    where t.tgrelid = written and t.tgdeferrable
      and case
        when p.pronamespace <> 'pg_catalog'::regnamespace then p.proowner <> all (trusted) or c.relowner <> all (trusted)
        when p.proname = 'unique_key_recheck' then c.relowner <> all (trusted)
          and exists (select from pg_index i where i.indexrelid = t.tgconstrindid and (i.indexprs is not null or i.indpred is not null))
        else exists (
          select from pg_constraint k join pg_class o on o.oid in (k.conrelid, k.confrelid)
          where k.oid = t.tgconstraint and o.relowner <> all (trusted) and (
            exists (select from pg_index i where i.indrelid = o.oid and (i.indexprs is not null or i.indpred is not null))
            or exists (select from pg_constraint e where e.conrelid = o.oid and e.contype = 'c')
            or exists (select from pg_statistic_ext e where e.stxrelid = o.oid and e.stxexprs is not null)
            or exists (select from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = o.oid and a.attnum > 0
              and not a.attisdropped and a.atttypid >= 16384 and y.typtype <> 'e' and y.typowner <> all (trusted))))
        end
    limit 1;
    if found is not null then return found; end if;
  end loop;
  return null;
end $$;


ALTER FUNCTION plank.left_behind() OWNER TO plank_owner;

--
-- Name: letters(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.letters() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  here jsonb := (select to_jsonb(d) from pg_database d where datname = current_database());
  this_version text := concat_ws('/', current_setting('server_version_num'), here->>'datlocprovider', here->>'datctype', here->>'datlocale', pg_collation_actual_version(100));
  found text := (select pairs from plank.lower_case where version = this_version);
begin
  if found is not null then return found; end if;
  if coalesce(here->>'datlocprovider', 'c') not in ('c', 'b') or here->>'datlocale' not in ('C', 'C.UTF-8') or getdatabaseencoding() <> 'UTF8' then return null; end if;
  select coalesce(string_agg(chr(n) || lower(chr(n)), ''), '') into found from generate_series(1, 1114111) n
    where n not between 55296 and 57343 and lower(chr(n)) <> chr(n);
  insert into plank.lower_case values (this_version, found) on conflict do nothing;
  return found;
end $$;


ALTER FUNCTION plank.letters() OWNER TO plank_owner;

--
-- Name: level_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.level_of(t oid, OUT level text, OUT why text) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select case when reason is null then 'statement' else 'row' end, coalesce(reason, 'a table that stands alone')
  from (select case
    when (select c.relkind = 'p' from pg_class c where c.oid = t) then 'it is partitioned'
    when (select c.relispartition from pg_class c where c.oid = t) then 'it is a partition'
    when exists (select from pg_inherits where inhparent = t) then 'other tables inherit from it'
    when exists (select from pg_inherits where inhrelid = t) then 'it inherits from another table'
    when exists (select from pg_index where indrelid = t and indisprimary and not indimmediate) then 'its primary key is deferrable'
    when exists (select from pg_subscription_rel where srrelid = t) then 'logical replication writes it'
    end as reason) r
$$;


ALTER FUNCTION plank.level_of(t oid, OUT level text, OUT why text) OWNER TO plank_owner;

--
-- Name: listen(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.listen() RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from plank.listener l where l.pid = pg_backend_pid() or not exists (select from plank.listeners() x where x.pid = l.pid);
  insert into plank.listener select a.pid, a.backend_start, false from pg_stat_get_activity(pg_backend_pid()) a
$$;


ALTER FUNCTION plank.listen() OWNER TO plank_owner;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: listener; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.listener (
    pid integer NOT NULL,
    began timestamp with time zone NOT NULL,
    sleeps boolean NOT NULL
);


ALTER TABLE plank.listener OWNER TO plank_owner;

--
-- Name: listeners(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.listeners() RETURNS SETOF plank.listener
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select l.* from plank.listener l, pg_stat_get_activity(l.pid) a where coalesce(a.backend_start = l.began, true)
$$;


ALTER FUNCTION plank.listeners() OWNER TO plank_owner;

--
-- Name: log_size(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.log_size(OUT rows_estimated bigint, OUT bytes bigint) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select plank.reached() - (select min(first_seq + first_packed) from plank.leaf) + 1,
    (select sum(pg_total_relation_size('plank.log_' || i)) from generate_series(0, 7) i)::bigint
$$;


ALTER FUNCTION plank.log_size(OUT rows_estimated bigint, OUT bytes bigint) OWNER TO plank_owner;

--
-- Name: look_at(regclass, boolean, boolean, regclass[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.look_at(t regclass, patient boolean DEFAULT false, whole boolean DEFAULT NULL::boolean, parts regclass[] DEFAULT NULL::regclass[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  w plank.watched := (select x from plank.watched x where x.rel = t);
  part record;
  is_new boolean := not exists (select from plank.member where watched = t);
  is_whole boolean := coalesce(whole, true);
  new_problem text;
begin
  -- Something may have been missed where a trigger is not there, or not enabled.
  if not is_new and whole is null then
    is_whole := not exists (
      select from plank.member m join pg_class c on c.oid = m.rel
      where m.watched = t and m.problem is null and (c.relkind = 'r' or m.rel = t) and not exists (
        select from pg_trigger g join pg_proc p on p.oid = g.tgfoid
        where g.tgrelid = m.rel and g.tgenabled = 'A' and p.pronamespace = 'plank'::regnamespace
          and p.proname like 'capture\_%' and p.proname not like 'capture\_truncate%')
      or m.watched = t and exists (select from plank.triggers_of(m.rel) g where g.enabled <> 'A' and g.name like '%\_' || t::oid));
  end if;
  for part in select m.rel::regclass as rel, m.columns, c.relkind from plank.members_of(t) m join pg_class c on c.oid = m.rel
    where parts is null or m.rel = any (parts)
    order by m.rel <> t, c.relkind = 'r', m.rel
  loop
    new_problem := null;
    begin
      if part.relkind in ('r', 'p') then
        perform plank.permit(part.rel);
        perform plank.attach(part.rel, t, w.level);
      else
        new_problem := 'what changes in a foreign table can''t be known';
      end if;
    exception when insufficient_privilege or duplicate_object then
      if not patient then raise; end if;
      new_problem := sqlerrm;
    end;
    insert into plank.member (rel, watched, columns, state, problem) values (part.rel, t, part.columns, plank.member_state(part.rel), new_problem)
      on conflict (rel, watched) do update set columns = excluded.columns, problem = excluded.problem,
        state = case when parts is null then excluded.state else member.state end;
  end loop;
  -- After the triggers: they wait for the writers, and the description has to be of after that.
  update plank.watched x set key = plank.key_of(t),
    late_key = exists (select from pg_index where indrelid = t and indisprimary and not indimmediate),
    since = case when x.key = plank.key_of(t) and is_whole and not is_new then x.since else pg_current_xact_id() end,
    columns = (select array_agg(distinct c) from unnest(x.columns || plank.key_of(t)) c where x.columns is not null)
    where rel = t;
  update plank.watched x set described = plank.describe(t), facts = plank.facts(t), fingerprint = plank.fingerprint(t) where rel = t;
end $$;


ALTER FUNCTION plank.look_at(t regclass, patient boolean, whole boolean, parts regclass[]) OWNER TO plank_owner;

--
-- Name: make_query(text, text, name[], interval, jsonb, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.make_query(name text, query text, key name[], every interval, scope jsonb, path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  view regclass;
  own_rel regclass;
  refused record;
  shape record;
  canonical text;
  own_bases regclass[];
  here pg_snapshot;
  begun_at timestamptz := clock_timestamp();
  rows_max bigint := (select query_rows_max from plank.meta);
  filled bigint;
  said text;
  state text;
  more text;
begin
  if name is null or name !~ '^[a-z_][a-z0-9_]{0,62}$' then
    raise exception 'plank: % is no name for a live query', coalesce(quote_literal(name), 'null')
      using hint = 'it has lower-case letters, digits and underscores, begins with no digit, and has at most 63 characters', errcode = 'invalid_name';
  end if;
  if exists (select from plank.live_query q where q.name = make_query.name) or to_regclass(format('plank_query.%I', name)) is not null then
    raise exception 'plank: there is a live query % already', name using hint = format('select plank.unwatch(%L)', name), errcode = 'duplicate_object';
  end if;
  if exists (select from plank.watched w join pg_class c on c.oid = w.rel where c.relnamespace = 'public'::regnamespace and c.relname = name) then
    raise exception 'plank: a watched table is called % already', name using hint = 'clients could not tell the two apart', errcode = 'duplicate_object';
  end if;
  if (select count(*) from plank.live_query) >= 100 then
    raise exception 'plank: there are 100 live queries already' using errcode = 'program_limit_exceeded';
  end if;
  if every is null or every < '10 ms' or every > '1 day' then
    raise exception 'plank: every has to be from 10 ms to 1 day' using errcode = 'invalid_parameter_value';
  end if;
  if query is null or query ~ '^\s*$' then
    raise exception 'plank: query is empty' using errcode = 'invalid_parameter_value';
  end if;
  if length(query) > 32768 then
    raise exception 'plank: query has more than 32768 characters' using errcode = 'program_limit_exceeded';
  end if;
  if plank.has_semicolon(query) then
    raise exception 'plank: query has a semicolon: it has to be one statement' using hint = 'leave the semicolon out', errcode = 'syntax_error';
  end if;

  view := plank.probe_query(name, query, path);
  select * into refused from plank.query_refusal(view);
  if scope is not null and plank.tells_time(view) then
    raise exception 'plank: scope needs a query that does not ask for the time'
      using hint = 'rows that no change concerns would keep an old time', errcode = 'invalid_parameter_value';
  end if;
  if refused.reason is not null then
    raise exception 'plank: %', refused.reason using hint = coalesce(refused.hint, ''), errcode = 'feature_not_supported';
  end if;
  canonical := rtrim(pg_get_viewdef(view), E'; \n');
  select array_agg(distinct plank.followed_as(r.rel)::regclass) into own_bases
    from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.relkind in ('r', 'p');
  own_rel := plank.make_result(name, view, key);
  insert into plank.live_query (name, rel, query, key, every, bases) values (name, own_rel, canonical, key, every, own_bases);
  insert into plank.query_part (query, rel, number, was)
    select make_query.name, r.rel, n, plank.part_now(r.rel, n) from plank.rels_of(view) r, lateral (
      select 0 as n union
      select d.refobjsubid from pg_depend d join pg_rewrite w on w.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and w.ev_class = view and d.refclassid = 'pg_class'::regclass and d.refobjid = r.rel) p
    where r.rel <> view and plank.part_now(r.rel, n) is not null;
  execute format('drop view %s', view);
  perform plank.permit_views(name);
  update plank.live_query q set scope = plank.read_scope(make_query.scope, own_rel, own_bases, path) where q.name = make_query.name;

  select * into shape from plank.result_shape(own_rel);
  here := pg_current_snapshot();
  begin
    execute format('insert into %s select * from plank.query_rows(%L, null) as n (%s)', own_rel,
      format('select %s from (%s) q limit %s', shape.selected, canonical, rows_max + 1), shape.columns);
    get diagnostics filled = row_count;
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate, more = pg_exception_detail;
    raise exception 'plank: %', plank.result_error(state, said, more) using errcode = state;
  end;
  if filled > rows_max then
    raise exception 'plank: the query has more than % rows', rows_max using hint = 'plank serve --live-query-rows-max allows more', errcode = 'program_limit_exceeded';
  end if;
  perform plank.index_scope(own_rel, key, (select q.scope from plank.live_query q where q.name = make_query.name));
  execute format('analyze %s', own_rel);
  perform plank.watch(own_rel);
  update plank.live_query q set place = here, began = begun_at, took = clock_timestamp() - begun_at, rows = filled where q.name = make_query.name;
end $_$;


ALTER FUNCTION plank.make_query(name text, query text, key name[], every interval, scope jsonb, path text) OWNER TO plank_owner;

--
-- Name: make_result(text, regclass, name[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.make_result(name text, view regclass, key name[]) RETURNS regclass
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  bad record;
  part name;
  rel text := format('plank_query.%I', name);
begin
  for bad in select a.attname, a.attnum, format_type(a.atttypid, a.atttypmod) as type, plank.result_type(a.atttypid, a.atttypmod) as kept
    from pg_attribute a where a.attrelid = view and a.attnum > 0 loop
    if bad.attname = '?column?' then
      raise exception 'plank: the column % of the result has no name', bad.attnum using hint = 'give it one with AS', errcode = 'invalid_column_definition';
    end if;
    if bad.kept is null then
      raise exception 'plank: the column % of the result has the type %, which can''t be kept', quote_ident(bad.attname), bad.type
        using hint = 'cast it, as to_jsonb(...) or ...::text', errcode = 'feature_not_supported';
    end if;
  end loop;
  if key is null or cardinality(key) = 0 then
    raise exception 'plank: key is empty' using hint = 'it names the columns that tell the rows of the result apart', errcode = 'invalid_parameter_value';
  end if;
  foreach part in array key loop
    if part is null then raise exception 'plank: key has a null' using errcode = 'invalid_parameter_value'; end if;
    if not exists (select from pg_attribute a where a.attrelid = view and a.attname = part and a.attnum > 0) then
      raise exception 'plank: the result has no column %, which key names', quote_ident(part) using errcode = 'undefined_column';
    end if;
    if not exists (select from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = view and a.attname = part
        and (y.typtype = 'd' or y.typtype = 'e' or y.typnamespace = 'pg_catalog'::regnamespace)) then
      raise exception 'plank: the key column % is of a type that is not built in', quote_ident(part) using hint = 'cast it, as ...::text', errcode = 'feature_not_supported';
    end if;
    if (select count(*) from unnest(key) k where k = part) > 1 then
      raise exception 'plank: key names % twice', quote_ident(part) using errcode = 'duplicate_column';
    end if;
  end loop;
  begin
    execute format('create table %s (%s, primary key (%s))', rel,
      (select string_agg(format('%I %s%s', a.attname, plank.result_type(a.atttypid, a.atttypmod),
          case when a.attcollation not in (0, 100) then (select format(' collate %I.%I', n.nspname, l.collname)
            from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation) end), ', ' order by a.attnum)
        from pg_attribute a where a.attrelid = view and a.attnum > 0),
      (select string_agg(quote_ident(k), ', ') from unnest(key) k));
  exception when undefined_object then
    raise exception 'plank: a key column can''t be compared: %', sqlerrm using hint = 'cast it, as ...::text', errcode = 'feature_not_supported';
  end;
  execute format('alter table %s owner to %I', rel, (select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'plank_query'));
  return rel::regclass;
end $$;


ALTER FUNCTION plank.make_result(name text, view regclass, key name[]) OWNER TO plank_owner;

--
-- Name: member_state(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.member_state(t oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select concat_ws(' ', (select string_agg(concat_ws('-', h.inhparent, h.xmin), ',' order by h.inhparent) from pg_inherits h where h.inhrelid = t))
$$;


ALTER FUNCTION plank.member_state(t oid) OWNER TO plank_owner;

--
-- Name: members_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.members_of(t oid) RETURNS TABLE(rel oid, columns name[])
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive below as (
    select t as rel
    union
    select h.inhrelid from pg_inherits h join below b on h.inhparent = b.rel)
  select b.rel, case when b.rel <> t and not c.relispartition then (
    select array_agg(a.attname) from pg_attribute a where a.attrelid = t and a.attnum > 0 and not a.attisdropped) end
  from below b join pg_class c on c.oid = b.rel
$$;


ALTER FUNCTION plank.members_of(t oid) OWNER TO plank_owner;

--
-- Name: newest(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.newest() RETURNS xid8
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return greatest((select xid from plank.log order by xid desc limit 1), (select greatest(prune_xid, max_xid) from plank.horizon));
end $$;


ALTER FUNCTION plank.newest() OWNER TO plank_owner;

--
-- Name: next_xid(bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.next_xid(n bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select n + 1 + case when (n + 1) % 4294967296 < 3 then 3 - (n + 1) % 4294967296 else 0 end
$$;


ALTER FUNCTION plank.next_xid(n bigint) OWNER TO plank_owner;

--
-- Name: open_leaf(integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.open_leaf(which integer) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  update plank.leaf set opened = clock_timestamp(), first_seq = (select last_value from plank.seq),
    first_packed = (select last_value from plank.packed)
  where slot = which
$$;


ALTER FUNCTION plank.open_leaf(which integer) OWNER TO plank_owner;

--
-- Name: own_tables(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.own_tables() RETURNS TABLE(rel oid, is_written boolean)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
begin
  if not plank.is_alone() then return; end if;
  return query
  with recursive
    own as (
      select w.rel::oid as rel from plank.watched w join pg_class c on c.oid = w.rel
      where not row_security_active(w.rel) and (select o.rolsuper or o.oid = c.relowner from pg_roles o where o.rolname = session_user)),
    -- What a write reaches by foreign keys.
    reached as (
      select o.rel as root, o.rel from own o
      union
      select r.root, k.conrelid from reached r join pg_constraint k on k.contype = 'f' and k.confrelid = r.rel and concat(k.confdeltype, k.confupdtype) ~ '[cnd]')
  select o.rel, coalesce(pg_sequence_last_value('plank.slot'), 0) < 8
    and not exists (select from pg_inherits h where o.rel in (h.inhrelid, h.inhparent))
    and not exists (select from pg_rewrite r where r.ev_class = o.rel)
    and exists (select from pg_trigger t join pg_proc p on p.oid = t.tgfoid where t.tgrelid = o.rel and p.pronamespace = 'plank'::regnamespace)
    and not exists (
      select from reached r join pg_trigger t on t.tgrelid = r.rel join pg_proc p on p.oid = t.tgfoid
      where r.root = o.rel and not t.tgisinternal and (p.pronamespace <> 'plank'::regnamespace or t.tgenabled not in ('O', 'A')))
  from own o;
end $$;


ALTER FUNCTION plank.own_tables() OWNER TO plank_owner;

--
-- Name: owned(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.owned() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- Where the roles could not be made there is no boundary.
  if current_user = session_user then return null; end if;
  return (select string_agg(concat_ws(' ', d.classid, d.objid, p.xmin, p.ctid), ',' order by d.classid, d.objid)
    from pg_shdepend d left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
    where d.refclassid = 'pg_authid'::regclass and d.refobjid = current_user::regrole and d.deptype = 'o'
      and d.dbid in (0, (select oid from pg_database where datname = current_database())));
end $$;


ALTER FUNCTION plank.owned() OWNER TO plank_owner;

--
-- Name: part_now(oid, integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.part_now(rel oid, number integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select case when number = 0
    then concat_ws(' ', c.relkind, format('%I.%I', n.nspname, c.relname), case when c.relkind = 'v' then md5(pg_get_viewdef(c.oid)) end)
    else (select format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a
      where a.attrelid = c.oid and a.attnum = number and not a.attisdropped) end
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = rel
$$;


ALTER FUNCTION plank.part_now(rel oid, number integer) OWNER TO plank_owner;

--
-- Name: permit(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.permit(t regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  reader name := pg_get_userbyid(plank.reader());
  capturer name := pg_get_userbyid(plank.capturer());
  in_schema regnamespace := (select relnamespace from pg_class where oid = t);
  seq regclass;
begin
  for seq in select s from plank.sequences_of(t) s
    where not has_sequence_privilege(capturer, s, 'select') and has_sequence_privilege(s, 'select with grant option')
  loop
    execute format('grant select on sequence %s to %I', seq, capturer);
  end loop;
  if not has_schema_privilege(reader, in_schema::oid, 'usage') then execute format('grant usage on schema %s to %I', in_schema, reader); end if;
  if not has_table_privilege(reader, t, 'select') then execute format('grant select on %s to %I', t, reader); end if;
  if (select relrowsecurity from pg_class where oid = t) and not (select rolcanlogin from pg_roles where rolname = reader)
      and not exists (select from plank.permitted p join pg_policy y on y.polrelid = p.rel and y.polname = p.policy where p.rel = t) then
    if exists (select from pg_policy where polrelid = t and polname = 'plank_reads') then
      raise exception 'plank: % has a policy plank_reads that plank has not made', t
        using hint = 'rename it: alter policy plank_reads on ' || t || ' rename to another_name', errcode = 'duplicate_object';
    end if;
    execute format('create policy plank_reads on %s for select to %I using (true)', t, reader);
    insert into plank.permitted values (t, 'plank_reads') on conflict (rel) do nothing;
  end if;
end $$;


ALTER FUNCTION plank.permit(t regclass) OWNER TO plank_owner;

--
-- Name: permit_views(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.permit_views(for_query text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  reader name := pg_get_userbyid(plank.reader());
  v record;
begin
  for v in select c.oid::regclass as rel, c.relnamespace::regnamespace as in_schema, c.relnamespace from plank.query_part p join pg_class c on c.oid = p.rel
    where p.query = for_query and p.number = 0 and c.relkind = 'v' loop
    if not has_schema_privilege(reader, v.relnamespace, 'usage') then execute format('grant usage on schema %s to %I', v.in_schema, reader); end if;
    if not has_table_privilege(reader, v.rel, 'select') then
      if not has_table_privilege(v.rel, 'select with grant option') then
        raise exception 'plank: the view % belongs to another role', v.rel
          using hint = format('its owner has to let plank read it: grant select on %s to %I', v.rel, reader), errcode = 'insufficient_privilege';
      end if;
      execute format('grant select on %s to %I', v.rel, reader);
      update plank.query_part set granted = true where query = for_query and rel = v.rel and number = 0;
    end if;
  end loop;
end $$;


ALTER FUNCTION plank.permit_views(for_query text) OWNER TO plank_owner;

--
-- Name: permit_writes(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.permit_writes(t regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


ALTER FUNCTION plank.permit_writes(t regclass) OWNER TO plank_owner;

--
-- Name: pin(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.pin() RETURNS text[]
    LANGUAGE plpgsql
    AS $$
declare
  theirs pg_catalog.text[] := array[
    pg_catalog.current_setting('timezone'), pg_catalog.current_setting('datestyle'), pg_catalog.current_setting('intervalstyle'),
    pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('jit')];
begin
  perform pg_catalog.set_config('timezone', 'UTC', true), pg_catalog.set_config('datestyle', 'ISO', true),
    pg_catalog.set_config('intervalstyle', 'postgres', true), pg_catalog.set_config('bytea_output', 'hex', true),
    pg_catalog.set_config('extra_float_digits', '1', true), pg_catalog.set_config('jit', 'off', true);
  return theirs;
end $$;


ALTER FUNCTION plank.pin() OWNER TO plank_owner;

--
-- Name: place_back(interval, bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.place_back(span interval, at_least bigint) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  target timestamptz := clock_timestamp() - span;
  now pg_snapshot := pg_current_snapshot();
  ended plank.horizon := (select h from plank.horizon h);
  marked xid8 := (select pg_snapshot_xmin(m.snapshot) from plank.mark m where m.at < target order by m.seq desc limit 1);
  newest xid8 := greatest((select xid from plank.log order by xid desc limit 1), ended.prune_xid, ended.max_xid);
  low bigint;
  running text;
begin
  -- All that was pruned is older than the oldest leaf.
  if ended.max_xid is not null and target < (select min(opened) from plank.leaf) then
    low := 0;
  else
    low := (select l.xid from plank.log l where l.xid >= coalesce(marked, '0') and l.at >= target order by l.xid limit 1)::text::bigint;
    low := coalesce(low, plank.next_xid(coalesce(newest::text::bigint, 0)));
  end if;
  low := least(greatest(low, plank.next_xid(at_least)), pg_snapshot_xmax(now)::text::bigint);
  select string_agg(x::text, ',' order by x) into running from pg_snapshot_xip(now) x where x::text::bigint < low;
  return coalesce(split_part(running, ',', 1), low::text) || ':' || low || ':' || coalesce(running, '');
end $$;


ALTER FUNCTION plank.place_back(span interval, at_least bigint) OWNER TO plank_owner;

--
-- Name: prepared(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.prepared() RETURNS text[]
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return array(select p.name || p.prepare_time || p.statement from pg_prepared_statements p where p.from_sql);
end $$;


ALTER FUNCTION plank.prepared() OWNER TO plank_owner;

--
-- Name: probe_query(text, text, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.probe_query(self text, query text, path text) RETURNS regclass
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  probe text := 'plank_query."plank probe"';
  said text;
  state text;
begin
  begin
    perform set_config('search_path', path, true);
    execute 'create view ' || probe || ' as ' || query;
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate;
    raise exception 'plank: %', case
        when state = '42P01' and said like format('%%"plank_query.%s"%%', self) then 'the query reads its own result'
        when said like 'cannot create temporary relation%' then 'the query reads a temporary table; only its own session sees its rows'
        when said like '%data-modifying%' then 'the query changes data; it may only read'
        when said like 'column "%" specified more than once' then format('two columns of the result have one name: %s; name them with AS', said)
        when said like 'cannot use %subquery%' or state = '42P02' then format('the query can''t be followed: %s', said)
        else format('the query can''t be read: %s', said) end
      using errcode = state;
  end;
  return probe::regclass;
end $$;


ALTER FUNCTION plank.probe_query(self text, query text, path text) OWNER TO plank_owner;

--
-- Name: prune(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.prune() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  current int;
  next int;
  reached bigint;
  rule plank.meta;
  mine plank.leaf;
  done boolean := false;
  old record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'plank: prune() needs the isolation level read committed'
      using hint = 'an older snapshot does not show what has to be noted before it is thrown away', errcode = 'invalid_transaction_state';
  end if;
  if not plank.try_lock('pruning') then return false; end if;
  -- Only behind the lock: another node may just have turned the ring.
  current := (select last_value from plank.slot);
  next := (current + 1) % 8;
  reached := plank.reached();
  select * into rule from plank.meta;
  -- A closed log is opened first.
  if current = 8 then return false; end if;
  for old in
    select slot from (
      select slot, opened, first_seq, first_seq + first_packed as first, lead(opened) over (order by first_seq, opened) as closed
      from plank.leaf where opened is not null) l
    where slot <> current and (closed + rule.keep <= clock_timestamp() or reached - first > rule.rows_max)
    order by first_seq, opened
  loop
    exit when not plank.empty_leaf(old.slot);
    done := true;
  end loop;

  select * into mine from plank.leaf where slot = current;
  if mine.opened + rule.keep / 7 <= clock_timestamp() or reached - mine.first_seq - mine.first_packed >= greatest(rule.rows_max / 7, 1) then
    if plank.empty_leaf(next) then
      perform plank.open_leaf(next);
      -- Last, since it is seen at once: writers of the new leaf wait for the end of this transaction.
      perform plank.set_slot(next);
      done := true;
    end if;
  end if;
  if done then perform setval('plank.oldest', (select min(first_seq + first_packed) from plank.leaf)); end if;
  return done;
end $$;


ALTER FUNCTION plank.prune() OWNER TO plank_owner;

--
-- Name: prune_marks(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.prune_marks() RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  delete from plank.mark where seq < (select min(first_seq) from plank.leaf)
$$;


ALTER FUNCTION plank.prune_marks() OWNER TO plank_owner;

--
-- Name: pruned(pg_snapshot); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.pruned(c pg_snapshot) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select exists (
    select from plank.horizon
    where max_xid is not null and not pg_visible_in_snapshot(prune_xid, c)
      and (max_xid >= pg_snapshot_xmax(c) or exists (select from pg_snapshot_xip(c) x where x <= max_xid)))
$$;


ALTER FUNCTION plank.pruned(c pg_snapshot) OWNER TO plank_owner;

--
-- Name: query_differs(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_differs(name text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  q plank.live_query := (select x from plank.live_query x where x.name = query_differs.name);
  shape record;
  differing bigint;
begin
  select * into shape from plank.result_shape(q.rel);
  execute format('select count(*) from plank.query_rows(%1$L, null) as n (%2$s) full join %3$s t on %4$s where n.%5$I is null or t.%5$I is null or (n.*) operator(pg_catalog.*<>) (t.*)',
      format('select %s from (%s) q', shape.selected, q.query), shape.columns, q.rel,
      (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), q.key[1])
    into differing;
  return differing;
end $_$;


ALTER FUNCTION plank.query_differs(name text) OWNER TO plank_owner;

--
-- Name: query_failed(text, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_failed(name text, why text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  delay interval;
begin
  update plank.live_query q set failures = q.failures + 1, problem = why,
      retry = clock_timestamp() + least(interval '0.5 s' * 2 ^ least(q.failures, 10), interval '5 minutes')
    where q.name = query_failed.name returning q.retry - clock_timestamp() into delay;
  return ceil(extract(epoch from delay) * 1000);
end $$;


ALTER FUNCTION plank.query_failed(name text, why text) OWNER TO plank_owner;

--
-- Name: query_named(text, regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_named(name text, rel regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select q.name from plank.live_query q where q.rel = query_named.rel or query_named.rel is null and q.name = query_named.name
$$;


ALTER FUNCTION plank.query_named(name text, rel regclass) OWNER TO plank_owner;

--
-- Name: query_pause(interval, interval); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_pause(every interval, owed interval) RETURNS interval
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select greatest(every, least(30 * (owed - interval '0.2 s'), interval '30 s'));
$$;


ALTER FUNCTION plank.query_pause(every interval, owed interval) OWNER TO plank_owner;

--
-- Name: query_refusal(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_refusal(view regclass, OUT reason text, OUT hint text) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  bad record;
begin
  for bad in
    select c.oid, c.oid::regclass as rel, c.relkind, c.relpersistence, c.relnamespace, plank.followed_as(c.oid) as followed
    from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.oid <> view order by c.oid::regclass::text
  loop
    reason := case
      when bad.relpersistence = 't' then format('the query reads %s, which is temporary', bad.rel)
      when bad.relnamespace = 'plank'::regnamespace then format('the query reads %s, which belongs to plank itself', bad.rel)
      when bad.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) then format('the query reads %s, which belongs to PostgreSQL itself', bad.rel)
      when not has_table_privilege(bad.oid, 'select') and exists (
          select from pg_depend d join pg_rewrite w on w.oid = d.objid
          where d.classid = 'pg_rewrite'::regclass and w.ev_class = view and d.refclassid = 'pg_class'::regclass and d.refobjid = bad.oid
            and (d.refobjsubid = 0 or not has_column_privilege(bad.oid, d.refobjsubid::int2, 'select')))
        then format('you may not read %s', bad.rel)
      when bad.relkind = 'v' then null
      when bad.relkind = 'm' then format('the query reads %s, a materialised view: nobody can tell when it changes', bad.rel)
      when bad.relkind not in ('r', 'p') then format('the query reads %s, which is not a table', bad.rel)
      when bad.followed is null then format('the query reads %s, which is not watched', bad.rel)
      when row_security_active(bad.oid) then format('row security hides rows of %s from you', bad.rel) end;
    hint := case
      when bad.relkind = 'm' then 'read the tables beneath it'
      when reason like '%is not watched' then format('select plank.watch(%L)', bad.rel) end;
    if reason is not null then return; end if;
  end loop;
  if not exists (select from plank.rels_of(view) r join pg_class c on c.oid = r.rel where c.relkind in ('r', 'p')) then
    reason := 'the query reads no table, so nothing would change it';
    return;
  end if;
  if exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text like '%:hasForUpdate true%') then
    reason := 'the query locks rows (FOR UPDATE or FOR SHARE)'; hint := 'a refresh never makes a writer wait';
    return;
  end if;
  if exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text like '%{TABLESAMPLECLAUSE%') then
    reason := 'the query takes a sample (TABLESAMPLE), another one each time';
    return;
  end if;
  for bad in
    select p.oid::regprocedure as called, p.proname, p.provolatile, p.pronamespace, l.lanname,
      p.oid >= 16384 and l.lanname not in ('internal', 'c') and not exists (
        select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e') as is_foreign
    from plank.calls_of(view) f join pg_proc p on p.oid = f.called join pg_language l on l.oid = p.prolang order by 1
  loop
    reason := case
      when bad.provolatile = 'v' then format('the query calls %s, which is volatile: it may give another result each time', bad.called)
      when bad.pronamespace = 'plank'::regnamespace then format('the query calls %s, which belongs to plank itself', bad.called)
      when bad.is_foreign and bad.provolatile = 's' or bad.proname ~ '_to_xml' then format('the query calls %s, which may read tables that plank can''t know of', bad.called) end;
    hint := case when bad.provolatile = 's' then 'use a view, or mark the function immutable if it reads no table' end;
    if reason is not null then return; end if;
  end loop;
end $$;


ALTER FUNCTION plank.query_refusal(view regclass, OUT reason text, OUT hint text) OWNER TO plank_owner;

--
-- Name: query_rows(text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.query_rows(statement text, params text[]) RETURNS SETOF record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET "DateStyle" TO 'ISO'
    SET "IntervalStyle" TO 'postgres'
    SET extra_float_digits TO '1'
    AS $$
declare
  before text[] := plank.prepared();
  is_done boolean := false;
begin
  begin
    perform set_config('transaction_read_only', 'on', true);
    return query execute statement using params;
    is_done := true;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if not is_done then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  if plank.unprepare(before) is not null then
    raise exception 'a function of the query replaces a prepared statement' using errcode = 'PK499';
  end if;
end $$;


ALTER FUNCTION plank.query_rows(statement text, params text[]) OWNER TO plank_reader;

--
-- Name: live_query; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.live_query (
    name text NOT NULL,
    rel regclass NOT NULL,
    query text NOT NULL,
    key name[] NOT NULL,
    every interval NOT NULL,
    bases regclass[] NOT NULL,
    scope jsonb DEFAULT '[]'::jsonb NOT NULL,
    place pg_snapshot,
    began timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    took interval DEFAULT '00:00:00'::interval NOT NULL,
    owed interval DEFAULT '00:00:00'::interval NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    problem text,
    retry timestamp with time zone,
    rows bigint DEFAULT 0 NOT NULL,
    ended text
);


ALTER TABLE plank.live_query OWNER TO plank_owner;

--
-- Name: query_trouble(plank.live_query); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.query_trouble(q plank.live_query) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select reason from (
    select 1 as rank, 'its result was dropped' as reason where not exists (select from pg_class c where c.oid = q.rel)
    union all
    select 2, 'its result is not watched any more' where not exists (select from plank.watched w where w.rel = q.rel)
    union all
    select 3, case
        when n.now is null and p.number = 0 then format('%s was dropped', substr(split_part(p.was, ' ', 2), 1))
        when n.now is null then format('the column %s of %s was dropped', split_part(p.was, ' ', 1), p.rel)
        when p.number = 0 then format('%s was changed or renamed', split_part(p.was, ' ', 2))
        else format('the column %s of %s is now %s', p.was, p.rel, n.now) end
      from plank.query_part p, lateral (select plank.part_now(p.rel, p.number) as now) n
      where p.query = q.name and n.now is distinct from p.was
    union all
    select 4, format('%s is not watched any more', c.oid::regclass) from plank.query_part p join pg_class c on c.oid = p.rel
      where p.query = q.name and p.number = 0 and c.relkind in ('r', 'p') and coalesce(plank.followed_as(c.oid) <> all (q.bases::oid[]), true)
    order by rank, reason limit 1) r
$$;


ALTER FUNCTION plank.query_trouble(q plank.live_query) OWNER TO plank_owner;

--
-- Name: reached(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.reached() RETURNS bigint
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select s.last_value + p.last_value from plank.seq s, plank.packed p
$$;


ALTER FUNCTION plank.reached() OWNER TO plank_owner;

--
-- Name: read_all(text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.read_all(statement text, params text[]) RETURNS TABLE(r json, place text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query execute statement using params;
end $$;


ALTER FUNCTION plank.read_all(statement text, params text[]) OWNER TO plank_reader;

--
-- Name: read_filter(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.read_filter(rows text) RETURNS TABLE(col text, op text, list text[])
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  member text;
  rest text;
  word text;
  depth int;
  size int;
  conditions int := 0;
begin
  foreach member in array string_to_array(rows, '&') loop
    continue when member = '';
    word := plank.decode_word(split_part(member, '=', 1));
    rest := plank.decode_word(case when position('=' in member) > 0 then substr(member, position('=' in member) + 1) else '' end);
    if word not in ('and', 'or', 'not.and', 'not.or') then
      col := word;
      select o.op, o.list, o.taken into op, list, size from plank.read_operation(rest, false) o;
      if size < length(rest) then
        raise exception 'plank: there is more behind the end of the condition on %', quote_ident(col) using errcode = 'invalid_parameter_value';
      end if;
      conditions := conditions + 1;
      return next;
      continue;
    end if;
    if left(rest, 1) <> '(' then
      raise exception 'plank: ( is missing behind %=', word
        using hint = 'write or=(column.operator.value,...)', errcode = 'invalid_parameter_value';
    end if;
    depth := 1;
    rest := substr(rest, 2);
    loop
      word := substring(rest from '^(?:not\.)?(?:and|or)\(');
      if word is not null then
        depth := depth + 1;
        if depth > 10 then
          raise exception 'plank: groups are nested more than 10 deep' using errcode = 'invalid_parameter_value';
        end if;
        rest := substr(rest, length(word) + 1);
        continue;
      end if;
      if left(rest, 1) = '"' then
        select q.value, q.taken into col, size from plank.read_quoted(rest) q;
      else
        col := substring(rest from '^[^.,()]*');
        size := length(col);
      end if;
      if col = '' or substr(rest, size + 1, 1) <> '.' then
        raise exception 'plank: a condition is missing at %', quote_literal(left(rest, 40))
          using hint = 'write column.operator.value, with and(...) and or(...) around several', errcode = 'invalid_parameter_value';
      end if;
      rest := substr(rest, size + 2);
      select o.op, o.list, o.taken into op, list, size from plank.read_operation(rest, true) o;
      rest := substr(rest, size + 1);
      conditions := conditions + 1;
      return next;
      while depth > 0 and left(rest, 1) = ')' loop
        depth := depth - 1;
        rest := substr(rest, 2);
      end loop;
      exit when depth = 0;
      if left(rest, 1) <> ',' then
        raise exception 'plank: , or ) is missing at %', quote_literal(left(rest, 40)) using errcode = 'invalid_parameter_value';
      end if;
      rest := substr(rest, 2);
    end loop;
    if rest <> '' then
      raise exception 'plank: there is more behind the end of a group: %', quote_literal(left(rest, 40)) using errcode = 'invalid_parameter_value';
    end if;
  end loop;
  if conditions = 0 then
    raise exception 'plank: rows has no condition' using hint = 'leave it out for all rows', errcode = 'invalid_parameter_value';
  end if;
  if conditions > 100 then
    raise exception 'plank: rows has more than 100 conditions' using errcode = 'invalid_parameter_value';
  end if;
end $$;


ALTER FUNCTION plank.read_filter(rows text) OWNER TO plank_owner;

--
-- Name: read_next(integer); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.read_next(count integer) RETURNS TABLE(r json, place text[])
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query execute format('fetch forward %s from plank_read', count);
end $$;


ALTER FUNCTION plank.read_next(count integer) OWNER TO plank_reader;

--
-- Name: read_number(text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.read_number(statement text, params text[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_number bigint;
begin
  execute statement into found_number using params;
  return found_number;
end $$;


ALTER FUNCTION plank.read_number(statement text, params text[]) OWNER TO plank_reader;

--
-- Name: read_open(text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.read_open(statement text, params text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  rows refcursor := 'plank_read';
begin
  open rows no scroll for execute statement using params;
end $$;


ALTER FUNCTION plank.read_open(statement text, params text[]) OWNER TO plank_reader;

--
-- Name: read_operation(text, boolean); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.read_operation(rest text, is_nested boolean, OUT op text, OUT list text[], OUT taken integer) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  head text := substring(rest from '^(?:not\.)?[^.,()]*');
  part text;
  size int;
begin
  op := regexp_replace(head, '^not\.', '');
  if op not in ('eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'like', 'ilike', 'in', 'is') then
    raise exception 'plank: there is no operator %', quote_literal(left(op, 40))
      using hint = 'write column=operator.value with one of eq, neq, gt, gte, lt, lte, like, ilike, in, is', errcode = 'invalid_parameter_value';
  end if;
  taken := length(head);
  if substr(rest, taken + 1, 1) <> '.' then
    raise exception 'plank: a dot and a value are missing behind %', op using errcode = 'invalid_parameter_value';
  end if;
  taken := taken + 1;
  list := '{}';
  if op = 'in' then
    if substr(rest, taken + 1, 1) <> '(' then
      raise exception 'plank: ( is missing behind in' using hint = 'write column=in.(a,b)', errcode = 'invalid_parameter_value';
    end if;
    taken := taken + 1;
    if substr(rest, taken + 1, 1) = ')' then
      taken := taken + 1;
      return;
    end if;
    loop
      if substr(rest, taken + 1, 1) = '"' then
        select q.value, q.taken into part, size from plank.read_quoted(substr(rest, taken + 1)) q;
      else
        part := substring(substr(rest, taken + 1) from '^[^,)]*');
        size := length(part);
      end if;
      list := list || part;
      taken := taken + size + 1;
      case substr(rest, taken, 1)
        when ')' then return;
        when ',' then
          if cardinality(list) >= 1000 then
            raise exception 'plank: in has more than 1000 values' using errcode = 'invalid_parameter_value';
          end if;
        else raise exception 'plank: , or ) is missing in a list of values' using errcode = 'invalid_parameter_value';
      end case;
    end loop;
  end if;
  if not is_nested then
    part := substr(rest, taken + 1);
    size := length(part);
  elsif substr(rest, taken + 1, 1) = '"' then
    select q.value, q.taken into part, size from plank.read_quoted(substr(rest, taken + 1)) q;
  else
    part := substring(substr(rest, taken + 1) from '^[^,)]*');
    size := length(part);
  end if;
  if op = 'is' and part not in ('null', 'true', 'false') then
    raise exception 'plank: is takes null, true or false, and not %', quote_literal(left(part, 40)) using errcode = 'invalid_parameter_value';
  end if;
  list := array[part];
  taken := taken + size;
end $$;


ALTER FUNCTION plank.read_operation(rest text, is_nested boolean, OUT op text, OUT list text[], OUT taken integer) OWNER TO plank_owner;

--
-- Name: read_quoted(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.read_quoted(rest text, OUT value text, OUT taken integer) RETURNS record
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found_text text := substring(rest from '^"(?:[^"\\]|\\.)*"');
begin
  if found_text is null then
    raise exception 'plank: the quote is never closed in %', quote_literal(left(rest, 40)) using errcode = 'invalid_parameter_value';
  end if;
  taken := length(found_text);
  value := regexp_replace(substr(found_text, 2, taken - 2), '\\(.)', '\1', 'g');
end $$;


ALTER FUNCTION plank.read_quoted(rest text, OUT value text, OUT taken integer) OWNER TO plank_owner;

--
-- Name: read_scope(jsonb, regclass, regclass[], text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.read_scope(scope jsonb, rel regclass, bases regclass[], path text) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  one record;
  t regclass;
  base oid;
  column_name text;
  result_name text;
  made jsonb := '[]';
begin
  if scope is null then return made; end if;
  if jsonb_typeof(scope) <> 'object' then
    raise exception 'plank: scope has to be an object' using hint = 'as {"orders": "id"}', errcode = 'invalid_parameter_value';
  end if;
  for one in select e.key, e.value from jsonb_each(scope) e loop
    perform set_config('search_path', path, true);
    t := pg_catalog.to_regclass(one.key);
    perform pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    base := plank.followed_as(t);
    if t is null or base is null or not base = any (bases::oid[]) then
      raise exception 'plank: scope names %, which the query does not read', quote_literal(one.key) using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(one.value) = 'string' then
      column_name := one.value #>> '{}';
      result_name := column_name;
    elsif jsonb_typeof(one.value) = 'object' and (select count(*) = 1 and bool_and(jsonb_typeof(v.value) = 'string') from jsonb_each(one.value) v) then
      select v.key, v.value into column_name, result_name from jsonb_each_text(one.value) v;
    else
      raise exception 'plank: scope of % has to be a column, or {"column": "column of the result"}', t using errcode = 'invalid_parameter_value';
    end if;
    if not exists (select from pg_attribute where attrelid = t and attname = column_name and attnum > 0 and not attisdropped and plank.is_plain(atttypid)) then
      raise exception 'plank: scope names the column % of %, which is not there, or not of a built-in type', quote_literal(column_name), t
        using errcode = 'undefined_column';
    end if;
    if not exists (select from pg_attribute where attrelid = rel and attname = result_name and attnum > 0 and plank.is_plain(atttypid)) then
      raise exception 'plank: scope names the column % of the result, which is not there, or not of a built-in type', quote_literal(result_name)
        using errcode = 'undefined_column';
    end if;
    made := made || jsonb_build_object('base', base::bigint, 'column', column_name, 'result', result_name);
  end loop;
  return made;
end $$;


ALTER FUNCTION plank.read_scope(scope jsonb, rel regclass, bases regclass[], path text) OWNER TO plank_owner;

--
-- Name: reader(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.reader() RETURNS oid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select proowner from pg_proc where oid = 'plank.sees_all(oid)'::regprocedure
$$;


ALTER FUNCTION plank.reader() OWNER TO plank_owner;

--
-- Name: references_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.references_of(t oid) RETURNS json
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(json_agg(json_build_object('rel', f.confrelid::bigint,
      'columns', (select json_agg(a.attname order by k.place) from unnest(f.conkey) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.number),
      'to', (select json_agg(a.attname order by k.place) from unnest(f.confkey) with ordinality k (number, place)
        join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.number)) order by f.conname), '[]')
  from pg_constraint f where f.conrelid = t and f.contype = 'f'
    and not exists (select from pg_constraint p where p.oid = f.conparentid and p.conrelid = t)
$$;


ALTER FUNCTION plank.references_of(t oid) OWNER TO plank_owner;

--
-- Name: refresh(text, xid8, boolean); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.refresh(name text, first_xid xid8, verify boolean, OUT outcome text, OUT place text, OUT wait_ms bigint, OUT is_whole boolean, OUT changed bigint, OUT differs bigint) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  q plank.live_query;
  now_at timestamptz := clock_timestamp();
  here pg_snapshot := pg_current_snapshot();
  least_xid xid8;
  touched boolean;
  told jsonb;
  params text[];
  asked text;
  held text;
  is_few text := '';
  shape record;
  made record;
  rows_max bigint := (select query_rows_max from plank.meta);
  said text;
  state text;
  more text;
begin
  if current_setting('transaction_isolation') = 'read committed' then
    raise exception 'plank: refresh() needs the isolation level repeatable read' using errcode = 'invalid_transaction_state';
  end if;
  select * into q from plank.live_query x where x.name = refresh.name for update skip locked;
  if not found then
    outcome := case when plank.is_query(name) then 'busy' else 'gone' end;
    return;
  end if;
  place := q.place::text;
  if q.ended is not null then outcome := 'ended'; return; end if;
  least_xid := greatest(first_xid, pg_snapshot_xmin(q.place));
  touched := q.place is null or q.problem is not null or first_xid is null and q.began < now_at - interval '1 minute'
    or plank.pruned(q.place) or exists (
      select from plank.log l where l.xid >= least_xid and l.rel = any (q.bases::oid[]) and not pg_visible_in_snapshot(l.xid, q.place));
  if not touched then
    outcome := 'clean';
    if verify then differs := plank.query_differs(name); end if;
    return;
  end if;
  wait_ms := ceil(extract(epoch from greatest(q.began + plank.query_pause(q.every, q.owed), q.retry) - now_at) * 1000);
  if wait_ms > 0 then outcome := 'early'; return; end if;
  if plank.query_trouble(q) is not null then
    perform plank.end_query(name, plank.query_trouble(q));
    outcome := 'ended';
    return;
  end if;

  -- Beyond a tenth of the rows the whole is not dearer.
  if first_xid is not null and not plank.pruned(q.place) then
    told := plank.scope_values(q, least_xid, least(greatest(1000, q.rows / 10), 50000)::int);
  end if;
  is_whole := told is null;
  if told is not null then
    -- Each part of the scope that has values asks by itself, which lets it use an index: one condition with "or" of columns of several
    -- tables would compute the whole. A row that several parts ask for comes from the first of them.
    with part as (
      select n, format('%I = any (($1[%s])::%s[])', s->>'result', n, plank.result_type(a.atttypid, a.atttypmod)) as is_meant,
        (select array_agg(v)::text from jsonb_array_elements_text(told->(n::int - 1)) v) as list
      from jsonb_array_elements(q.scope) with ordinality e(s, n) join pg_attribute a on a.attrelid = q.rel and a.attname = s->>'result')
    select string_agg(format('select * from (%s) q where q.%s', q.query, is_meant) || coalesce(
          (select string_agg(format(' and (q.%s) is not true', p.is_meant), '' order by p.n) from part p where p.n < part.n and p.list is not null), ''),
          ' union all ' order by n) filter (where list is not null),
        string_agg('t.' || is_meant, ' or ') filter (where list is not null),
        array_agg(list order by n)
      into asked, held, params from part;
    -- It follows from the comparison of keys. It tells the planner that these are few rows: by itself it takes a
    -- function to give a thousand, and reads all of a large result.
    -- An array of arrays would be one of their elements.
    is_few := (select case when y.typcategory <> 'A' then format(' and t.%1$I = any (array(select %1$I from n))', q.key[1]) else '' end
      from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = q.rel and a.attname = q.key[1]);
    if asked is null then
      asked := format('select * from (%s) q where false', q.query);
      held := 'false';
    end if;
  end if;
  select * into shape from plank.result_shape(q.rel);
  begin
    execute format('with n as materialized (select * from plank.query_rows(%1$L, $1) as n (%2$s)),
        gone as (delete from %3$s t where not exists (select from n where %4$s) and (%5$s) returning 1),
        %6$s
        came as (insert into %3$s select * from n where not exists (select from %3$s t where %4$s%9$s) returning 1)
      select (select count(*) from n) as rows, (select count(*) from (select distinct %7$s from n) d) as keys,
        (select count(*) from gone) as gone, %8$s as changed, (select count(*) from came) as came',
        format('select %s from (%s) q limit %s', shape.selected, coalesce(asked, q.query), rows_max + 1), shape.columns,
        q.rel, (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), coalesce(held, 'true'),
        coalesce((select format('changed as (update %s t set %s from n where %s and (n.*) operator(pg_catalog.*<>) (t.*)%s returning 1),', q.rel,
            string_agg(format('%1$I = n.%1$I', a.attname), ', '), (select string_agg(format('n.%1$I = t.%1$I', k), ' and ') from unnest(q.key) k), is_few)
          from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key) having count(*) > 0), ''),
        (select string_agg(quote_ident(k), ', ') from unnest(q.key) k),
        case when exists (select from pg_attribute a where a.attrelid = q.rel and a.attnum > 0 and not a.attisdropped and a.attname <> all (q.key))
          then '(select count(*) from changed)' else '0' end, is_few)
      into made using params;
  exception when others then
    get stacked diagnostics said = message_text, state = returned_sqlstate, more = pg_exception_detail;
    raise exception 'plank: %', plank.result_error(state, said, more) using errcode = state;
  end;
  if made.keys <> made.rows then
    raise exception 'plank: the key is not unique in the result' using errcode = 'unique_violation';
  end if;
  if q.rows - made.gone + made.came > rows_max then
    raise exception 'plank: the query has more than % rows', rows_max using errcode = 'program_limit_exceeded';
  end if;
  place := here::text;
  outcome := 'refreshed';
  changed := made.gone + made.changed + made.came;
  update plank.live_query x set place = here, began = now_at, took = clock_timestamp() - now_at,
    owed = greatest(q.owed - (now_at - q.began) / 30, '0') + (clock_timestamp() - now_at), failures = 0, problem = null, retry = null,
    rows = q.rows - made.gone + made.came where x.name = q.name
    returning ceil(extract(epoch from now_at + plank.query_pause(x.every, x.owed) - clock_timestamp()) * 1000) into wait_ms;
  if verify then differs := plank.query_differs(name); end if;
end $_$;


ALTER FUNCTION plank.refresh(name text, first_xid xid8, verify boolean, OUT outcome text, OUT place text, OUT wait_ms bigint, OUT is_whole boolean, OUT changed bigint, OUT differs bigint) OWNER TO plank_owner;

--
-- Name: refusal(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.refusal(t oid, OUT reason text, OUT hint text) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  c pg_class := (select p from pg_class p where p.oid = t);
  bad record;
begin
  if c.oid is null or c.relkind not in ('r', 'p') then
    reason := format('%s is not a table', t::regclass); hint := 'views, foreign tables and sequences can''t be watched';
  elsif c.relpersistence = 't' then
    reason := format('%s is a temporary table', t::regclass); hint := 'only its own session sees its rows';
  elsif c.relnamespace = 'plank'::regnamespace then
    reason := format('%s belongs to plank itself', t::regclass);
    hint := 'a table of your own that is in the schema plank must move: alter table ... set schema public';
  else
    for bad in select p.oid::regclass as rel, p.relkind from plank.members_of(t) m join pg_class p on p.oid = m.rel where p.relkind not in ('r', 'p') loop
      reason := format('%s has the rows of %s, which is a foreign table', t::regclass, bad.rel);
      hint := 'nobody can tell what changes there; watch the tables that are stored here';
    end loop;
  end if;
end $$;


ALTER FUNCTION plank.refusal(t oid, OUT reason text, OUT hint text) OWNER TO plank_owner;

--
-- Name: rels_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.rels_of(view oid) RETURNS TABLE(rel oid)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive rels as (
    select view as rel
    union
    select r.rel from rels s
      join pg_class v on v.oid = s.rel and v.relkind = 'v'
      join pg_rewrite w on w.ev_class = v.oid and w.rulename = '_RETURN', lateral (
        select m[1]::oid as rel from regexp_matches(w.ev_action::text, ' :relid (\d+)', 'g') m where m[1] <> '0'
        union
        select d.refobjid from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass) r)
  select r.rel from rels r
$$;


ALTER FUNCTION plank.rels_of(view oid) OWNER TO plank_owner;

--
-- Name: rename_log(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.rename_log() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update plank.meta set log_id = gen_random_uuid();
  insert into plank.log (slot, rel, op) select s.last_value, 0, 'N' from plank.slot s;
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
end $$;


ALTER FUNCTION plank.rename_log() OWNER TO plank_owner;

--
-- Name: renew(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.renew() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  cluster bigint := (select system_identifier from pg_control_system());
  here oid := (select oid from pg_database where datname = current_database());
  current int;
  one record;
  own record;
begin
  if exists (select from plank.meta where system_id = cluster and database = here and own_oid = 'plank.meta'::regclass) then return false; end if;
  -- What holds the log holds this up, and not the writers behind it.
  perform set_config('lock_timeout', '1s', true);
  truncate plank.log, plank.mark, plank.unlisted, plank.truncating;
  current := (select last_value from plank.slot);
  update plank.horizon set prune_xid = null, max_xid = null;
  update plank.leaf set opened = null, first_seq = null, first_packed = null;
  perform plank.open_leaf(current), setval('plank.oldest', plank.reached());
  for one in select m.rel, m.watched from plank.member m join pg_class c on c.oid = m.rel join pg_class d on d.oid = m.watched loop
    for own in select g.name from plank.triggers_of(one.rel) g where g.name !~ ('_' || one.watched::oid || '$')
        and not exists (select from plank.member m where m.rel = one.rel and g.name ~ ('_' || m.watched::oid || '$')) loop
      execute format('drop trigger %I on %s', own.name, one.rel);
    end loop;
  end loop;
  for one in select w.rel from plank.watched w join pg_class c on c.oid = w.rel loop
    begin
      perform plank.look_at(one.rel, true);
    exception when insufficient_privilege then null;   -- plank.tables says which
    end;
  end loop;
  update plank.watched set since = '0';   -- capture has begun before any cursor of this log
  update plank.watched set described = plank.describe(rel);
  update plank.meta set log_id = gen_random_uuid(), secret = default, system_id = cluster, database = here, own_oid = 'plank.meta'::regclass;
  return true;
end $_$;


ALTER FUNCTION plank.renew() OWNER TO plank_owner;

--
-- Name: renew_policies(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.renew_policies() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update plank.policy set since = '0';
  update plank.revoked set version = '0';
  return null;
end $$;


ALTER FUNCTION plank.renew_policies() OWNER TO plank_owner;

--
-- Name: renew_policy(regclass, text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.renew_policy(t regclass, for_role text, for_ops text[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  update plank.policy set since = pg_current_xact_id() where rel = t and role = for_role and op = any (for_ops)
$$;


ALTER FUNCTION plank.renew_policy(t regclass, for_role text, for_ops text[]) OWNER TO plank_owner;

--
-- Name: renew_queries(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.renew_queries() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  update plank.live_query set place = null;
  return null;
end $$;


ALTER FUNCTION plank.renew_queries() OWNER TO plank_owner;

--
-- Name: reopen(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.reopen() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  is_closed boolean := (select last_value = 8 from plank.slot);
  fence xid8 := (select reopened from plank.meta);
begin
  if not is_closed and fence is null then return false; end if;
  if not plank.try_lock('pruning') then return true; end if;
  is_closed := (select last_value = 8 from plank.slot);
  fence := (select reopened from plank.meta);
  if is_closed and fence is distinct from '0' then
    update plank.meta set reopened = '0';
  elsif is_closed then
    -- Without what is too much, or the next writer would close it again.
    perform plank.empty_leaf(0);
    perform plank.open_leaf(0);
    perform setval('plank.oldest', plank.reached());
    perform setval('plank.slot', 0);
    perform plank.rename_log();
  elsif fence = '0' then
    update plank.meta set reopened = pg_current_xact_id();
  elsif pg_snapshot_xmin(pg_current_snapshot()) > fence then
    update plank.meta set reopened = null;
    perform plank.rename_log();
  end if;
  return true;
end $$;


ALTER FUNCTION plank.reopen() OWNER TO plank_owner;

--
-- Name: rest_read(text, text, text, text[]); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.rest_read(query text, counting text, count_query text, params text[], OUT snapshot text, OUT total bigint, OUT rows text[], OUT tag text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  plan json;
  before text[] := plank.prepared();
begin
  begin
    perform set_config('transaction_read_only', 'on', true);
    execute query into snapshot, total, rows, tag using params;
    if counting is not null then
      execute 'explain (format json) ' || count_query into plan using params;
      if counting = 'planned' or total > 10000 then
        total := greatest((plan->0->'Plan'->>'Plan Rows')::numeric::bigint, total, cardinality(rows));
      end if;
    end if;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if snapshot is null then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  perform pg_advisory_unlock_all();
  if plank.unprepare(before) is not null then
    raise exception 'replaces a prepared statement' using errcode = 'PK499';
  end if;
end $$;


ALTER FUNCTION plank.rest_read(query text, counting text, count_query text, params text[], OUT snapshot text, OUT total bigint, OUT rows text[], OUT tag text) OWNER TO plank_reader;

--
-- Name: rest_write(boolean, text, text, text[], bigint, bigint, boolean, boolean, text); Type: FUNCTION; Schema: plank; Owner: plank_writer
--

CREATE FUNCTION plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean, is_last boolean, trace text, OUT affected bigint, OUT refused bigint, OUT existed bigint, OUT rows text[], OUT keys text[], OUT tag text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  before text[] := plank.prepared();
  owned text := plank.owned();
  left_behind text;
begin
  if held is not true then raise exception 'what the client may do has just changed' using errcode = 'PK503'; end if;
  perform set_config('search_path', path, true);
  if trace is not null then perform set_config('plank.traceparent', trace, true); end if;
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
  if is_last then
    set constraints all immediate;
  end if;
  perform pg_advisory_unlock_all();
  left_behind := coalesce('replaces the prepared statement ' || plank.unprepare(before),
    case when plank.owned() is distinct from owned then 'changes what the role plank_writer owns' end, plank.left_behind());
  if left_behind is not null then
    raise exception '%', left_behind using errcode = 'PK499';
  end if;
end $$;


ALTER FUNCTION plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean, is_last boolean, trace text, OUT affected bigint, OUT refused bigint, OUT existed bigint, OUT rows text[], OUT keys text[], OUT tag text) OWNER TO plank_writer;

--
-- Name: result_error(text, text, text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.result_error(state text, said text, detail text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select case state
    when '23505' then format('the key is not unique in the result: %s', replace(detail, ' already exists.', ' is there more than once'))
    when '23502' then format('the key is null in a row of the result: %s', said)
    else format('the query fails: %s', said) end
$$;


ALTER FUNCTION plank.result_error(state text, said text, detail text) OWNER TO plank_owner;

--
-- Name: result_shape(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.result_shape(rel regclass, OUT columns text, OUT selected text) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
  select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum),
    string_agg(format('q.%1$I::%2$s as %1$I', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
  from pg_attribute a where a.attrelid = rel and a.attnum > 0 and not a.attisdropped
$_$;


ALTER FUNCTION plank.result_shape(rel regclass, OUT columns text, OUT selected text) OWNER TO plank_owner;

--
-- Name: result_type(oid, integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.result_type(t oid, modifier integer) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  y pg_type := (select p from pg_type p where p.oid = t);
begin
  if y.typtype = 'd' then return plank.result_type(y.typbasetype, case when y.typtypmod >= 0 then y.typtypmod else modifier end); end if;
  if y.typcategory = 'A' and y.typelem <> 0 then
    if (select e.typtype in ('d', 'c') or plank.result_type(e.oid, -1) is null from pg_type e where e.oid = y.typelem) then return null; end if;
  elsif not (y.typtype in ('b', 'e') or y.typtype in ('r', 'm') and y.typnamespace = 'pg_catalog'::regnamespace) then
    return null;
  end if;
  return format_type(t, modifier);
end $$;


ALTER FUNCTION plank.result_type(t oid, modifier integer) OWNER TO plank_owner;

--
-- Name: revoke(text, timestamp with time zone); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.revoke(sub text, issued_before timestamp with time zone DEFAULT now()) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if sub is null or sub = '' then
    raise exception 'plank: sub is empty' using hint = 'it is the claim "sub" of the tokens', errcode = 'invalid_parameter_value';
  end if;
  if issued_before is null or not isfinite(issued_before) then
    raise exception 'plank: issued_before has to be a time' using errcode = 'invalid_parameter_value';
  end if;
  insert into plank.revoked as r (sub, before) values (revoke.sub, issued_before)
    on conflict on constraint revoked_pkey do update set before = greatest(r.before, excluded.before), version = pg_current_xact_id();
end $$;


ALTER FUNCTION plank.revoke(sub text, issued_before timestamp with time zone) OWNER TO plank_owner;

--
-- Name: rows_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.rows_of(t oid) RETURNS TABLE(r json, at tid)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  before text[] := plank.prepared();
  is_done boolean := false;
begin
  if not plank.sees_all(t) then raise insufficient_privilege; end if;
  begin
    return query execute format('select plank.json_of_any(x), x.ctid from only %s x', t::regclass);
    is_done := true;
    raise exception using errcode = 'PLANK';
  exception
    when sqlstate 'PLANK' then
      if not is_done then
        perform plank.unprepare(before);
        raise;
      end if;
    when others or query_canceled or assert_failure then
      perform plank.unprepare(before);
      raise;
  end;
  if plank.unprepare(before) is not null then
    raise exception 'a function of an index of % replaces a prepared statement', t::regclass using errcode = 'PK499';
  end if;
end $$;


ALTER FUNCTION plank.rows_of(t oid) OWNER TO plank_reader;

--
-- Name: runs_as(name); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.runs_as(name name) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when name in ('capture_begin', 'capture_delete', 'capture_delete_any', 'capture_insert', 'capture_insert_any', 'capture_row',
      'capture_row_any', 'capture_truncate', 'capture_truncate_begin', 'capture_truncate_part', 'capture_update', 'capture_update_any')
      then 'plank_capture'
    when name in ('json_list', 'json_of', 'json_of_any') then 'plank_json'
    when name in ('has_rows', 'query_rows', 'read_all', 'read_next', 'read_number', 'read_open', 'rest_read', 'rows_of', 'sees_all') then 'plank_reader'
    when name = 'rest_write' then 'plank_writer'
    else 'plank_owner' end
$$;


ALTER FUNCTION plank.runs_as(name name) OWNER TO plank_owner;

--
-- Name: scope_values(plank.live_query, xid8, integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.scope_values(q plank.live_query, first_xid xid8, values_max integer) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  made jsonb := '[]';
  one record;
  found_values text[];
  is_told boolean;
begin
  if q.scope = '[]' or q.place is null or q.problem is not null then return null; end if;
  -- A base table without a scope, or a change that has no rows.
  if exists (
    select from plank.log l where l.xid >= first_xid and l.rel = any (q.bases::oid[]) and not pg_visible_in_snapshot(l.xid, q.place)
      and (l.op not in ('I', 'U', 'D', 'i', 'u', 'd') or l.rel not in (select (s->>'base')::bigint::oid from jsonb_array_elements(q.scope) s)))
  then return null; end if;
  for one in select (s->>'base')::bigint::oid as base, s->>'column' as name from jsonb_array_elements(q.scope) with ordinality e(s, n) order by n loop
    -- A null is equal to no key: such a change concerns rows that can't be named.
    select array_agg(v) filter (where v is not null), coalesce(bool_and(has and v is not null), true) into found_values, is_told from (
      select distinct r->>one.name as v, r->one.name is not null as has
      from plank.log l, lateral (values (l.row), (l.old)) x(j), lateral (
        select x.j as r where l.op in ('I', 'U', 'D') and x.j is not null
        union all select a from json_array_elements(case when l.op in ('i', 'u', 'd') then x.j end) a) y
      where l.xid >= first_xid and l.rel = one.base and not pg_visible_in_snapshot(l.xid, q.place)
      limit values_max + 2) d;
    if not is_told or cardinality(found_values) > values_max then return null; end if;
    made := made || jsonb_build_array(to_jsonb(coalesce(found_values, '{}')));
  end loop;
  return made;
end $$;


ALTER FUNCTION plank.scope_values(q plank.live_query, first_xid xid8, values_max integer) OWNER TO plank_owner;

--
-- Name: sees_all(oid); Type: FUNCTION; Schema: plank; Owner: plank_reader
--

CREATE FUNCTION plank.sees_all(t oid) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return not row_security_active(t)
    or (exists (select from pg_policy where polrelid = t and polname = 'plank_reads') and not exists (select from pg_policy where polrelid = t and not polpermissive));
end $$;


ALTER FUNCTION plank.sees_all(t oid) OWNER TO plank_reader;

--
-- Name: sequences_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.sequences_of(t oid) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select c.oid::regclass from pg_depend d join pg_class c on c.oid = d.objid
    where c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = t
      and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  union
  select c.oid::regclass from pg_attrdef a join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
    join pg_class c on c.oid = d.refobjid where d.refclassid = 'pg_class'::regclass and c.relkind = 'S' and a.adrelid = t
$$;


ALTER FUNCTION plank.sequences_of(t oid) OWNER TO plank_owner;

--
-- Name: set_slot(integer); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.set_slot(which integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  before bigint := (select last_value from plank.closings);
begin
  if (select last_value from plank.slot) = 8 then return; end if;
  perform setval('plank.slot', which);
  if (select last_value from plank.closings) <> before then perform setval('plank.slot', 8); end if;
end $$;


ALTER FUNCTION plank.set_slot(which integer) OWNER TO plank_owner;

--
-- Name: settings(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.settings() RETURNS text
    LANGUAGE plpgsql
    AS $$
begin
  return pg_catalog.concat_ws('|',
    pg_catalog.current_setting('client_encoding', true), pg_catalog.current_setting('client_min_messages', true),
    pg_catalog.current_setting('default_transaction_isolation', true), pg_catalog.current_setting('default_transaction_read_only', true),
    pg_catalog.current_setting('default_transaction_deferrable', true), pg_catalog.current_setting('row_security', true),
    pg_catalog.current_setting('exit_on_error', true), pg_catalog.current_setting('search_path', true),
    pg_catalog.current_setting('timezone', true), pg_catalog.current_setting('datestyle', true),
    pg_catalog.current_setting('intervalstyle', true), pg_catalog.current_setting('extra_float_digits', true),
    pg_catalog.current_setting('bytea_output', true), pg_catalog.current_setting('xmloption', true),
    pg_catalog.current_setting('xmlbinary', true), pg_catalog.current_setting('quote_all_identifiers', true),
    pg_catalog.current_setting('standard_conforming_strings', true), pg_catalog.current_setting('array_nulls', true),
    pg_catalog.current_setting('backslash_quote', true), pg_catalog.current_setting('transform_null_equals', true),
    pg_catalog.current_setting('default_table_access_method', true), pg_catalog.current_setting('default_tablespace', true),
    pg_catalog.current_setting('temp_tablespaces', true), pg_catalog.current_setting('default_text_search_config', true),
    pg_catalog.current_setting('timezone_abbreviations', true), pg_catalog.current_setting('lc_monetary', true),
    pg_catalog.current_setting('lc_numeric', true), pg_catalog.current_setting('lc_time', true),
    pg_catalog.current_setting('gin_fuzzy_search_limit', true), pg_catalog.current_setting('constraint_exclusion', true),
    pg_catalog.current_setting('synchronous_commit', true), pg_catalog.current_setting('statement_timeout', true),
    pg_catalog.current_setting('lock_timeout', true), pg_catalog.current_setting('idle_in_transaction_session_timeout', true),
    pg_catalog.current_setting('idle_session_timeout', true), pg_catalog.current_setting('transaction_timeout', true),
    pg_catalog.current_setting('restrict_nonsystem_relation_kind', true), pg_catalog.current_setting('plan_cache_mode', true),
    pg_catalog.current_setting('jit', true), pg_catalog.current_setting('work_mem', true),
    pg_catalog.current_setting('temp_buffers', true), pg_catalog.current_setting('enable_indexscan', true),
    pg_catalog.current_setting('enable_indexonlyscan', true), pg_catalog.current_setting('enable_bitmapscan', true),
    pg_catalog.current_setting('enable_seqscan', true), pg_catalog.current_setting('enable_hashjoin', true),
    pg_catalog.current_setting('enable_mergejoin', true), pg_catalog.current_setting('enable_nestloop', true),
    pg_catalog.current_setting('enable_sort', true), pg_catalog.current_setting('cursor_tuple_fraction', true),
    pg_catalog.current_setting('max_parallel_workers_per_gather', true));
end $$;


ALTER FUNCTION plank.settings() OWNER TO plank_owner;

--
-- Name: tells_time(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.tells_time(view oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select exists (select from plank.calls_of(view) f where f.called in ('now()'::regprocedure, 'transaction_timestamp()'::regprocedure, 'statement_timestamp()'::regprocedure))
    or exists (select from plank.rels_of(view) r join pg_rewrite w on w.ev_class = r.rel and w.rulename = '_RETURN' where w.ev_action::text ~ '{SQLVALUEFUNCTION :op [0-8] ')
$$;


ALTER FUNCTION plank.tells_time(view oid) OWNER TO plank_owner;

--
-- Name: triggers_of(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.triggers_of(t oid) RETURNS TABLE(name name, enabled "char", function text)
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select g.tgname, g.tgenabled, p.proname::text from pg_trigger g join pg_proc p on p.oid = g.tgfoid
  where g.tgrelid = t and not g.tgisinternal and g.tgparentid = 0 and p.pronamespace = 'plank'::regnamespace
$$;


ALTER FUNCTION plank.triggers_of(t oid) OWNER TO plank_owner;

--
-- Name: try_lock(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.try_lock(name text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  execute format('lock table plank.%I in exclusive mode nowait', name);
  return true;
exception when lock_not_available then
  return false;
end $$;


ALTER FUNCTION plank.try_lock(name text) OWNER TO plank_owner;

--
-- Name: unpin(text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.unpin(theirs text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform pg_catalog.set_config('timezone', theirs[1], true), pg_catalog.set_config('datestyle', theirs[2], true),
    pg_catalog.set_config('intervalstyle', theirs[3], true), pg_catalog.set_config('bytea_output', theirs[4], true),
    pg_catalog.set_config('extra_float_digits', theirs[5], true), pg_catalog.set_config('jit', theirs[6], true);
end $$;


ALTER FUNCTION plank.unpin(theirs text[]) OWNER TO plank_owner;

--
-- Name: unprepare(text[]); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.unprepare(before text[]) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  other text;
  one text;
begin
  for other in select p.name from pg_prepared_statements p where p.from_sql and p.name || p.prepare_time || p.statement <> all (before) loop
    execute format('deallocate %I', other);
    one := other;
  end loop;
  return one;
end $$;


ALTER FUNCTION plank.unprepare(before text[]) OWNER TO plank_owner;

--
-- Name: unwatch(regclass); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.unwatch(t regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  parts regclass[] := array(select m.rel from plank.member m join pg_class c on c.oid = m.rel where m.watched = t order by m.rel <> t);
  part regclass;
  other record;
begin
  if not exists (select from plank.watched where rel = t) then
    raise exception 'plank: % is not watched', t using hint = 'select * from plank.tables shows what is', errcode = 'undefined_object';
  end if;
  foreach part in array parts loop
    perform plank.detach(part, t);
  end loop;
  perform plank.forbid_writes(t);
  delete from plank.watched where rel = t;
  perform plank.announce(t, 'X');
  -- Other watched tables may have shared its triggers. Nobody writes in between.
  for other in select distinct m.watched from plank.member m where m.rel = any (parts) loop
    perform plank.look_at(other.watched, whole => true);
  end loop;
end $$;


ALTER FUNCTION plank.unwatch(t regclass) OWNER TO plank_owner;

--
-- Name: unwatch(text); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.unwatch(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
declare
  query text := plank.query_named(name, pg_catalog.to_regclass(name));
begin
  if query is null then
    perform plank.unwatch(name::pg_catalog.regclass);
  else
    perform plank.drop_query(query);
  end if;
end $$;


ALTER FUNCTION plank.unwatch(name text) OWNER TO plank_owner;

--
-- Name: unwatch_all(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.unwatch_all() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  one record;
begin
  for one in select q.name from plank.live_query q loop
    perform plank.drop_query(one.name);
  end loop;
  for one in select w.rel from plank.watched w join pg_class c on c.oid = w.rel loop
    perform plank.unwatch(one.rel);
  end loop;
end $$;


ALTER FUNCTION plank.unwatch_all() OWNER TO plank_owner;

--
-- Name: varint(bigint); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.varint(n bigint) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  rest bigint := n;
  bytes bytea := '';
begin
  while rest >= 128 loop
    bytes := bytes || set_byte('\x00', 0, (rest % 128)::int | 128);
    rest := rest / 128;
  end loop;
  return bytes || set_byte('\x00', 0, rest::int);
end $$;


ALTER FUNCTION plank.varint(n bigint) OWNER TO plank_owner;

--
-- Name: watch(regclass, name[], boolean, text, boolean); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.watch(t regclass, columns name[] DEFAULT NULL::name[], old_rows boolean DEFAULT true, level text DEFAULT 'auto'::text, writable boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  refused record;
  exact record;
  missing name;
begin
  select * into refused from plank.refusal(t);
  if refused.reason is not null then
    raise exception 'plank: %', refused.reason using hint = coalesce(refused.hint, ''), errcode = 'wrong_object_type';
  end if;
  if level is null or level not in ('auto', 'statement', 'row') then
    raise exception 'plank: level is %, it has to be auto, statement or row', level using errcode = 'invalid_parameter_value';
  end if;
  if old_rows is null then
    raise exception 'plank: old_rows is null, it has to be true or false' using errcode = 'invalid_parameter_value';
  end if;
  if writable is null then
    raise exception 'plank: writable is null, it has to be true or false' using errcode = 'invalid_parameter_value';
  end if;
  if writable and (select relnamespace = 'plank_query'::regnamespace from pg_class where oid = t) then
    raise exception 'plank: % is the result of a live query, which nobody writes', t using errcode = 'invalid_parameter_value';
  end if;
  if columns = '{}' then
    raise exception 'plank: columns is empty' using hint = 'leave it out for all columns', errcode = 'invalid_parameter_value';
  end if;
  select c into missing from unnest(columns) c
    where not exists (select from pg_attribute where attrelid = t and attname = c and attnum > 0 and not attisdropped) limit 1;
  if missing is not null then
    raise exception 'plank: % has no column %', t, quote_ident(missing) using errcode = 'undefined_column';
  end if;
  select * into exact from plank.level_of(t);
  if level = 'statement' and exact.level = 'row' then
    raise exception 'plank: % can''t be captured by statements: %', t, exact.why using hint = 'leave level out: plank captures it row by row', errcode = 'feature_not_supported';
  end if;

  insert into plank.watched (rel, key, columns, old_rows, writable, asked, level, why)
    values (t, '{}', columns, watch.old_rows, watch.writable, watch.level,
      case watch.level when 'row' then 'row' else exact.level end, case watch.level when 'row' then 'asked for' else exact.why end)
    on conflict (rel) do update set columns = excluded.columns, old_rows = excluded.old_rows, writable = excluded.writable, asked = excluded.asked,
      level = excluded.level, why = excluded.why;
  perform plank.look_at(t);
  if writable then perform plank.permit_writes(t); end if;
  perform plank.announce(t, 'W');
end $$;


ALTER FUNCTION plank.watch(t regclass, columns name[], old_rows boolean, level text, writable boolean) OWNER TO plank_owner;

--
-- Name: watch_query(text, text, name[], interval, jsonb); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.watch_query(name text, query text, key name[], every interval DEFAULT '00:00:00.2'::interval, scope jsonb DEFAULT NULL::jsonb) RETURNS void
    LANGUAGE plpgsql
    AS $$
begin
  perform plank.make_query(name, query, key, every, scope, pg_catalog.current_setting('search_path'));
end $$;


ALTER FUNCTION plank.watch_query(name text, query text, key name[], every interval, scope jsonb) OWNER TO plank_owner;

--
-- Name: watched_above(oid); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.watched_above(t oid) RETURNS TABLE(watched oid, columns name[])
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  with recursive above as (
    select t as rel
    union
    select h.inhparent from pg_inherits h join above a on h.inhrelid = a.rel)
  select w.rel::oid, m.columns from plank.watched w join above a on a.rel = w.rel, lateral (
    select x.columns from plank.members_of(w.rel) x where x.rel = t) m
$$;


ALTER FUNCTION plank.watched_above(t oid) OWNER TO plank_owner;

--
-- Name: writer(); Type: FUNCTION; Schema: plank; Owner: plank_owner
--

CREATE FUNCTION plank.writer() RETURNS oid
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  select proowner from pg_proc where pronamespace = 'plank'::regnamespace and proname = 'rest_write'
$$;


ALTER FUNCTION plank.writer() OWNER TO plank_owner;

--
-- Name: began; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE UNLOGGED SEQUENCE plank.began
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.began OWNER TO plank_owner;

--
-- Name: bell; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.bell
    START WITH 1
    INCREMENT BY 1
    MINVALUE 0
    MAXVALUE 1
    CACHE 1;


ALTER TABLE plank.bell OWNER TO plank_owner;

--
-- Name: canary; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.canary (
    node uuid NOT NULL,
    beat bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE plank.canary OWNER TO plank_owner;

--
-- Name: closings; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.closings
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.closings OWNER TO plank_owner;

--
-- Name: following; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.following (
);


ALTER TABLE plank.following OWNER TO plank_owner;

--
-- Name: horizon; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.horizon (
    one boolean DEFAULT true NOT NULL,
    prune_xid xid8,
    max_xid xid8,
    CONSTRAINT horizon_one_check CHECK (one)
);


ALTER TABLE plank.horizon OWNER TO plank_owner;

--
-- Name: idempotency; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    request bytea NOT NULL,
    status integer,
    headers json,
    body text,
    at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE plank.idempotency OWNER TO plank_owner;

--
-- Name: last; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE UNLOGGED SEQUENCE plank.last
    START WITH 1
    INCREMENT BY 1
    MINVALUE -9223372036854775808
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.last OWNER TO plank_owner;

--
-- Name: leaf; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.leaf (
    slot smallint NOT NULL,
    opened timestamp with time zone,
    first_seq bigint,
    first_packed bigint
);


ALTER TABLE plank.leaf OWNER TO plank_owner;

--
-- Name: seq; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.seq OWNER TO plank_owner;

--
-- Name: log; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
PARTITION BY LIST (slot);


ALTER TABLE plank.log OWNER TO plank_owner;

--
-- Name: log_0; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_0 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_0 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_0 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_0 OWNER TO plank_owner;

--
-- Name: log_1; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_1 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_1 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_1 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_1 OWNER TO plank_owner;

--
-- Name: log_2; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_2 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_2 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_2 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_2 OWNER TO plank_owner;

--
-- Name: log_3; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_3 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_3 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_3 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_3 OWNER TO plank_owner;

--
-- Name: log_4; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_4 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_4 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_4 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_4 OWNER TO plank_owner;

--
-- Name: log_5; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_5 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_5 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_5 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_5 OWNER TO plank_owner;

--
-- Name: log_6; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_6 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_6 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_6 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_6 OWNER TO plank_owner;

--
-- Name: log_7; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_7 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_7 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_7 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_7 OWNER TO plank_owner;

--
-- Name: log_8; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.log_8 (
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    seq bigint DEFAULT nextval('plank.seq'::regclass) NOT NULL,
    slot smallint NOT NULL,
    rel oid NOT NULL,
    op "char" NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    statement timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    "row" json,
    old json,
    piece integer,
    began bigint,
    leaf oid,
    row_at tid,
    old_at tid,
    trace text DEFAULT NULLIF("left"(current_setting('plank.traceparent'::text, true), 56), ''::text)
)
WITH (autovacuum_enabled=off, toast.autovacuum_enabled=off);
ALTER TABLE ONLY plank.log_8 ALTER COLUMN "row" SET COMPRESSION lz4;
ALTER TABLE ONLY plank.log_8 ALTER COLUMN old SET COMPRESSION lz4;


ALTER TABLE plank.log_8 OWNER TO plank_owner;

--
-- Name: lower_case; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.lower_case (
    version text NOT NULL,
    pairs text NOT NULL
);


ALTER TABLE plank.lower_case OWNER TO plank_owner;

--
-- Name: mark; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.mark (
    seq bigint NOT NULL,
    snapshot pg_snapshot NOT NULL,
    reached bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL
);


ALTER TABLE plank.mark OWNER TO plank_owner;

--
-- Name: member; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.member (
    rel regclass NOT NULL,
    watched regclass NOT NULL,
    columns name[],
    state text,
    problem text
);


ALTER TABLE plank.member OWNER TO plank_owner;

--
-- Name: meta; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.meta (
    one boolean DEFAULT true NOT NULL,
    log_id uuid DEFAULT gen_random_uuid() NOT NULL,
    system_id bigint DEFAULT (pg_control_system()).system_identifier NOT NULL,
    database oid NOT NULL,
    own_oid oid NOT NULL,
    keep interval DEFAULT '24:00:00'::interval NOT NULL,
    rows_max bigint DEFAULT 10000000 NOT NULL,
    secret bytea DEFAULT sha256(((uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) || uuid_send(gen_random_uuid()))) NOT NULL,
    reopened xid8,
    query_rows_max bigint DEFAULT 100000 NOT NULL,
    CONSTRAINT meta_keep_check CHECK ((keep > '00:00:00'::interval)),
    CONSTRAINT meta_one_check CHECK (one),
    CONSTRAINT meta_query_rows_max_check CHECK ((query_rows_max > 0)),
    CONSTRAINT meta_rows_max_check CHECK ((rows_max > 0))
);


ALTER TABLE plank.meta OWNER TO plank_owner;

--
-- Name: migrating; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.migrating (
);


ALTER TABLE plank.migrating OWNER TO plank_owner;

--
-- Name: migrations; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.migrations (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);


ALTER TABLE plank.migrations OWNER TO plank_owner;

--
-- Name: oldest; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.oldest
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.oldest OWNER TO plank_owner;

--
-- Name: packed; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.packed
    START WITH 0
    INCREMENT BY 16
    MINVALUE 0
    NO MAXVALUE
    CACHE 1;


ALTER TABLE plank.packed OWNER TO plank_owner;

--
-- Name: permitted; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.permitted (
    rel regclass NOT NULL,
    policy name NOT NULL
);


ALTER TABLE plank.permitted OWNER TO plank_owner;

--
-- Name: policy; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.policy (
    rel regclass NOT NULL,
    role text NOT NULL,
    op text NOT NULL,
    rows text,
    since xid8 DEFAULT pg_current_xact_id() NOT NULL,
    name text DEFAULT 'default'::text NOT NULL,
    CONSTRAINT policy_name_check CHECK (((length(name) >= 1) AND (length(name) <= 63))),
    CONSTRAINT policy_op_check CHECK ((op = ANY (ARRAY['select'::text, 'insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT policy_role_check CHECK ((role <> ''::text)),
    CONSTRAINT policy_rows_check CHECK (((length(rows) >= 1) AND (length(rows) <= 4096)))
);


ALTER TABLE plank.policy OWNER TO plank_owner;

--
-- Name: policies; Type: VIEW; Schema: plank; Owner: plank_owner
--

CREATE VIEW plank.policies AS
 SELECT p.rel AS "table",
    p.role,
    p.rows,
    array_agg(p.op ORDER BY (array_position('{select,insert,update,delete}'::text[], p.op))) AS ops,
    p.name
   FROM (plank.policy p
     JOIN pg_class c ON ((c.oid = (p.rel)::oid)))
  GROUP BY p.rel, p.role, p.name, p.rows;


ALTER TABLE plank.policies OWNER TO plank_owner;

--
-- Name: pruning; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.pruning (
);


ALTER TABLE plank.pruning OWNER TO plank_owner;

--
-- Name: query_part; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.query_part (
    query text NOT NULL,
    rel regclass NOT NULL,
    number integer NOT NULL,
    was text NOT NULL,
    granted boolean DEFAULT false NOT NULL
);


ALTER TABLE plank.query_part OWNER TO plank_owner;

--
-- Name: reading; Type: VIEW; Schema: plank; Owner: plank_owner
--

CREATE VIEW plank.reading AS
 SELECT 1 AS reading;


ALTER TABLE plank.reading OWNER TO plank_owner;

--
-- Name: revoked; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.revoked (
    sub text NOT NULL,
    before timestamp with time zone NOT NULL,
    version xid8 DEFAULT pg_current_xact_id() NOT NULL,
    CONSTRAINT revoked_sub_check CHECK ((sub <> ''::text))
);


ALTER TABLE plank.revoked OWNER TO plank_owner;

--
-- Name: slot; Type: SEQUENCE; Schema: plank; Owner: plank_owner
--

CREATE SEQUENCE plank.slot
    START WITH 0
    INCREMENT BY 1
    MINVALUE 0
    MAXVALUE 8
    CACHE 1;


ALTER TABLE plank.slot OWNER TO plank_owner;

--
-- Name: watched; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.watched (
    rel regclass NOT NULL,
    key name[] NOT NULL,
    columns name[],
    old_rows boolean NOT NULL,
    asked text NOT NULL,
    level text NOT NULL,
    why text NOT NULL,
    writable boolean DEFAULT false NOT NULL,
    late_key boolean DEFAULT false NOT NULL,
    since xid8 DEFAULT pg_current_xact_id() NOT NULL,
    described json,
    facts json,
    fingerprint text,
    CONSTRAINT watched_asked_check CHECK ((asked = ANY (ARRAY['auto'::text, 'statement'::text, 'row'::text]))),
    CONSTRAINT watched_level_check CHECK ((level = ANY (ARRAY['statement'::text, 'row'::text])))
);


ALTER TABLE plank.watched OWNER TO plank_owner;

--
-- Name: tables; Type: VIEW; Schema: plank; Owner: plank_owner
--

CREATE VIEW plank.tables AS
 SELECT w.rel AS "table",
    w.key,
    w.columns,
    w.old_rows,
    w.writable,
    w.level,
    w.why,
    w.since,
    NULLIF(concat_ws('; '::text, ('stale: '::text || q.problem), ( SELECT string_agg(format('%s: %s'::text, m.rel, m.problem), '; '::text) AS string_agg
           FROM plank.member m
          WHERE (((m.watched)::oid = (w.rel)::oid) AND (m.problem IS NOT NULL)))), ''::text) AS problem,
    q.query,
    q.every,
    q.began AS refreshed
   FROM ((plank.watched w
     JOIN pg_class c ON ((c.oid = (w.rel)::oid)))
     LEFT JOIN plank.live_query q ON (((q.rel)::oid = (w.rel)::oid)))
UNION ALL
 SELECT q.rel AS "table",
    q.key,
    NULL::name[] AS columns,
    NULL::boolean AS old_rows,
    NULL::boolean AS writable,
    NULL::text AS level,
    NULL::text AS why,
    NULL::xid8 AS since,
    ('ended: '::text || q.ended) AS problem,
    q.query,
    q.every,
    q.began AS refreshed
   FROM plank.live_query q
  WHERE (q.ended IS NOT NULL);


ALTER TABLE plank.tables OWNER TO plank_owner;

--
-- Name: ticket; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE UNLOGGED TABLE plank.ticket (
    hash bytea NOT NULL,
    principal json NOT NULL,
    expires timestamp with time zone NOT NULL
);


ALTER TABLE plank.ticket OWNER TO plank_owner;

--
-- Name: truncating; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.truncating (
    xid xid8 NOT NULL,
    watched oid NOT NULL
);


ALTER TABLE plank.truncating OWNER TO plank_owner;

--
-- Name: unlisted; Type: TABLE; Schema: plank; Owner: plank_owner
--

CREATE TABLE plank.unlisted (
    rel oid NOT NULL,
    watched oid NOT NULL
);


ALTER TABLE plank.unlisted OWNER TO plank_owner;

--
-- Name: log_0; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_0 FOR VALUES IN ('0');


--
-- Name: log_1; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_1 FOR VALUES IN ('1');


--
-- Name: log_2; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_2 FOR VALUES IN ('2');


--
-- Name: log_3; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_3 FOR VALUES IN ('3');


--
-- Name: log_4; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_4 FOR VALUES IN ('4');


--
-- Name: log_5; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_5 FOR VALUES IN ('5');


--
-- Name: log_6; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_6 FOR VALUES IN ('6');


--
-- Name: log_7; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_7 FOR VALUES IN ('7');


--
-- Name: log_8; Type: TABLE ATTACH; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.log ATTACH PARTITION plank.log_8 FOR VALUES IN ('8');


--
-- Name: canary canary_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.canary
    ADD CONSTRAINT canary_pkey PRIMARY KEY (node);


--
-- Name: horizon horizon_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.horizon
    ADD CONSTRAINT horizon_pkey PRIMARY KEY (one);


--
-- Name: idempotency idempotency_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (principal, key);


--
-- Name: leaf leaf_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.leaf
    ADD CONSTRAINT leaf_pkey PRIMARY KEY (slot);


--
-- Name: listener listener_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.listener
    ADD CONSTRAINT listener_pkey PRIMARY KEY (pid);


--
-- Name: live_query live_query_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.live_query
    ADD CONSTRAINT live_query_pkey PRIMARY KEY (name);


--
-- Name: lower_case lower_case_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.lower_case
    ADD CONSTRAINT lower_case_pkey PRIMARY KEY (version);


--
-- Name: mark mark_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.mark
    ADD CONSTRAINT mark_pkey PRIMARY KEY (seq);


--
-- Name: member member_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.member
    ADD CONSTRAINT member_pkey PRIMARY KEY (rel, watched);


--
-- Name: meta meta_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (one);


--
-- Name: migrations migrations_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);


--
-- Name: permitted permitted_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.permitted
    ADD CONSTRAINT permitted_pkey PRIMARY KEY (rel);


--
-- Name: policy policy_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.policy
    ADD CONSTRAINT policy_pkey PRIMARY KEY (rel, role, op, name);


--
-- Name: query_part query_part_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.query_part
    ADD CONSTRAINT query_part_pkey PRIMARY KEY (query, rel, number);


--
-- Name: revoked revoked_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.revoked
    ADD CONSTRAINT revoked_pkey PRIMARY KEY (sub);


--
-- Name: ticket ticket_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.ticket
    ADD CONSTRAINT ticket_pkey PRIMARY KEY (hash);


--
-- Name: watched watched_pkey; Type: CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.watched
    ADD CONSTRAINT watched_pkey PRIMARY KEY (rel);


--
-- Name: idempotency_at_idx; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX idempotency_at_idx ON plank.idempotency USING btree (at);


--
-- Name: log_0_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_0_xid_seq ON plank.log_0 USING btree (xid, seq);


--
-- Name: log_1_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_1_xid_seq ON plank.log_1 USING btree (xid, seq);


--
-- Name: log_2_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_2_xid_seq ON plank.log_2 USING btree (xid, seq);


--
-- Name: log_3_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_3_xid_seq ON plank.log_3 USING btree (xid, seq);


--
-- Name: log_4_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_4_xid_seq ON plank.log_4 USING btree (xid, seq);


--
-- Name: log_5_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_5_xid_seq ON plank.log_5 USING btree (xid, seq);


--
-- Name: log_6_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_6_xid_seq ON plank.log_6 USING btree (xid, seq);


--
-- Name: log_7_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_7_xid_seq ON plank.log_7 USING btree (xid, seq);


--
-- Name: log_8_xid_seq; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX log_8_xid_seq ON plank.log_8 USING btree (xid, seq);


--
-- Name: revoked_version_idx; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX revoked_version_idx ON plank.revoked USING btree (version);


--
-- Name: ticket_expires_idx; Type: INDEX; Schema: plank; Owner: plank_owner
--

CREATE INDEX ticket_expires_idx ON plank.ticket USING btree (expires);


--
-- Name: log_8 keep_nothing; Type: TRIGGER; Schema: plank; Owner: plank_owner
--

CREATE TRIGGER keep_nothing BEFORE INSERT ON plank.log_8 FOR EACH ROW EXECUTE FUNCTION plank.keep_nothing();

ALTER TABLE plank.log_8 ENABLE ALWAYS TRIGGER keep_nothing;


--
-- Name: canary plank_insert; Type: TRIGGER; Schema: plank; Owner: plank_owner
--

CREATE TRIGGER plank_insert AFTER INSERT ON plank.canary REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION plank.capture_insert();

ALTER TABLE plank.canary ENABLE ALWAYS TRIGGER plank_insert;


--
-- Name: canary plank_update; Type: TRIGGER; Schema: plank; Owner: plank_owner
--

CREATE TRIGGER plank_update AFTER UPDATE ON plank.canary REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION plank.capture_update();

ALTER TABLE plank.canary ENABLE ALWAYS TRIGGER plank_update;


--
-- Name: meta renew_policies; Type: TRIGGER; Schema: plank; Owner: plank_owner
--

CREATE TRIGGER renew_policies AFTER UPDATE OF log_id ON plank.meta FOR EACH STATEMENT EXECUTE FUNCTION plank.renew_policies();


--
-- Name: meta renew_queries; Type: TRIGGER; Schema: plank; Owner: plank_owner
--

CREATE TRIGGER renew_queries AFTER UPDATE OF log_id ON plank.meta FOR EACH STATEMENT EXECUTE FUNCTION plank.renew_queries();


--
-- Name: member member_watched_fkey; Type: FK CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.member
    ADD CONSTRAINT member_watched_fkey FOREIGN KEY (watched) REFERENCES plank.watched(rel) ON DELETE CASCADE;


--
-- Name: policy policy_rel_fkey; Type: FK CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.policy
    ADD CONSTRAINT policy_rel_fkey FOREIGN KEY (rel) REFERENCES plank.watched(rel) ON DELETE CASCADE;


--
-- Name: query_part query_part_query_fkey; Type: FK CONSTRAINT; Schema: plank; Owner: plank_owner
--

ALTER TABLE ONLY plank.query_part
    ADD CONSTRAINT query_part_query_fkey FOREIGN KEY (query) REFERENCES plank.live_query(name) ON DELETE CASCADE;


--
-- Name: SCHEMA plank; Type: ACL; Schema: -; Owner: plank_owner
--

GRANT USAGE ON SCHEMA plank TO plank_capture;
GRANT USAGE ON SCHEMA plank TO plank_reader;
GRANT USAGE ON SCHEMA plank TO plank_writer;


--
-- Name: FUNCTION allow(t regclass, role text, rows text, ops text[], name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.allow(t regclass, role text, rows text, ops text[], name text) FROM PUBLIC;


--
-- Name: FUNCTION announce(t oid, op "char"); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.announce(t oid, op "char") FROM PUBLIC;


--
-- Name: FUNCTION as_parent(r json, columns name[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.as_parent(r json, columns name[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.as_parent(r json, columns name[]) TO plank_capture;


--
-- Name: FUNCTION attach(t regclass, w regclass, level text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.attach(t regclass, w regclass, level text) FROM PUBLIC;


--
-- Name: FUNCTION beat(node uuid, beat bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.beat(node uuid, beat bigint) FROM PUBLIC;


--
-- Name: FUNCTION begin_policy(t regclass, role text, ops text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.begin_policy(t regclass, role text, ops text[]) FROM PUBLIC;


--
-- Name: FUNCTION bell_awake(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.bell_awake() FROM PUBLIC;


--
-- Name: FUNCTION bell_sleep(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.bell_sleep() FROM PUBLIC;


--
-- Name: FUNCTION calls_of(view oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.calls_of(view oid) FROM PUBLIC;


--
-- Name: FUNCTION capture_begin(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_begin() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_begin() TO plank_owner;


--
-- Name: FUNCTION capture_delete(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_delete() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_delete() TO plank_owner;


--
-- Name: FUNCTION capture_delete_any(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_delete_any() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_delete_any() TO plank_owner;


--
-- Name: FUNCTION capture_insert(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_insert() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_insert() TO plank_owner;


--
-- Name: FUNCTION capture_insert_any(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_insert_any() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_insert_any() TO plank_owner;


--
-- Name: FUNCTION capture_row(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_row() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_row() TO plank_owner;


--
-- Name: FUNCTION capture_row_any(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_row_any() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_row_any() TO plank_owner;


--
-- Name: FUNCTION capture_truncate(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_truncate() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_truncate() TO plank_owner;


--
-- Name: FUNCTION capture_truncate_begin(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_truncate_begin() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_truncate_begin() TO plank_owner;


--
-- Name: FUNCTION capture_truncate_part(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_truncate_part() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_truncate_part() TO plank_owner;


--
-- Name: FUNCTION capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid) TO plank_capture;


--
-- Name: FUNCTION capture_update(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_update() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_update() TO plank_owner;


--
-- Name: FUNCTION capture_update_any(); Type: ACL; Schema: plank; Owner: plank_capture
--

REVOKE ALL ON FUNCTION plank.capture_update_any() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.capture_update_any() TO plank_owner;


--
-- Name: FUNCTION capturer(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.capturer() FROM PUBLIC;


--
-- Name: FUNCTION check_rows(t regclass, rows text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.check_rows(t regclass, rows text) FROM PUBLIC;


--
-- Name: FUNCTION close_if_full(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.close_if_full() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.close_if_full() TO plank_capture;


--
-- Name: FUNCTION collation_of(c oid, OUT "collation" text, OUT letters text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.collation_of(c oid, OUT "collation" text, OUT letters text) FROM PUBLIC;


--
-- Name: FUNCTION count_packed(rows bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.count_packed(rows bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.count_packed(rows bigint) TO plank_capture;


--
-- Name: FUNCTION cursor(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.cursor() FROM PUBLIC;


--
-- Name: FUNCTION decode_word(word text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.decode_word(word text) FROM PUBLIC;


--
-- Name: FUNCTION deny(t regclass, role text, ops text[], name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.deny(t regclass, role text, ops text[], name text) FROM PUBLIC;


--
-- Name: FUNCTION describe(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.describe(t oid) FROM PUBLIC;


--
-- Name: FUNCTION detach(t regclass, w oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.detach(t regclass, w oid) FROM PUBLIC;


--
-- Name: FUNCTION drop_query(name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.drop_query(name text) FROM PUBLIC;


--
-- Name: FUNCTION empty_leaf(which integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.empty_leaf(which integer) FROM PUBLIC;


--
-- Name: FUNCTION end_query(name text, reason text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.end_query(name text, reason text) FROM PUBLIC;


--
-- Name: FUNCTION facts(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.facts(t oid) FROM PUBLIC;


--
-- Name: FUNCTION fingerprint(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.fingerprint(t oid) FROM PUBLIC;


--
-- Name: FUNCTION follow_queries(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.follow_queries() FROM PUBLIC;


--
-- Name: FUNCTION follow_table(t regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.follow_table(t regclass) FROM PUBLIC;


--
-- Name: FUNCTION follow_tables(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.follow_tables() FROM PUBLIC;


--
-- Name: FUNCTION followed_as(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.followed_as(t oid) FROM PUBLIC;


--
-- Name: FUNCTION forbid_writes(t regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.forbid_writes(t regclass) FROM PUBLIC;


--
-- Name: FUNCTION forms(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.forms(t oid) FROM PUBLIC;


--
-- Name: FUNCTION has_claim(value text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.has_claim(value text) FROM PUBLIC;


--
-- Name: FUNCTION has_rows(t regclass); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.has_rows(t regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.has_rows(t regclass) TO plank_owner;


--
-- Name: FUNCTION has_semicolon(query text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.has_semicolon(query text) FROM PUBLIC;


--
-- Name: FUNCTION hmac(key bytea, message bytea); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.hmac(key bytea, message bytea) FROM PUBLIC;


--
-- Name: FUNCTION hold(t oid, who text, ops text[], versions text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.hold(t oid, who text, ops text[], versions text[]) FROM PUBLIC;


--
-- Name: FUNCTION holds(t oid, who text, ops text[], versions text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.holds(t oid, who text, ops text[], versions text[]) FROM PUBLIC;


--
-- Name: FUNCTION identity(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.identity() FROM PUBLIC;


--
-- Name: FUNCTION index_scope(rel regclass, key name[], scope jsonb); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.index_scope(rel regclass, key name[], scope jsonb) FROM PUBLIC;


--
-- Name: FUNCTION is_alone(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_alone() FROM PUBLIC;


--
-- Name: FUNCTION is_made(kind text, name name); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_made(kind text, name name) FROM PUBLIC;


--
-- Name: FUNCTION is_plain(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_plain(t oid) FROM PUBLIC;


--
-- Name: FUNCTION is_query(name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_query(name text) FROM PUBLIC;


--
-- Name: FUNCTION is_settled(expected text, must boolean); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_settled(expected text, must boolean) FROM PUBLIC;


--
-- Name: FUNCTION is_wide(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.is_wide(t oid) FROM PUBLIC;


--
-- Name: FUNCTION json_list(r anyarray); Type: ACL; Schema: plank; Owner: plank_json
--

REVOKE ALL ON FUNCTION plank.json_list(r anyarray) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.json_list(r anyarray) TO plank_owner;
GRANT ALL ON FUNCTION plank.json_list(r anyarray) TO plank_capture;
GRANT ALL ON FUNCTION plank.json_list(r anyarray) TO plank_reader;
GRANT ALL ON FUNCTION plank.json_list(r anyarray) TO plank_writer;


--
-- Name: FUNCTION json_of(r record); Type: ACL; Schema: plank; Owner: plank_json
--

REVOKE ALL ON FUNCTION plank.json_of(r record) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.json_of(r record) TO plank_owner;
GRANT ALL ON FUNCTION plank.json_of(r record) TO plank_capture;
GRANT ALL ON FUNCTION plank.json_of(r record) TO plank_reader;
GRANT ALL ON FUNCTION plank.json_of(r record) TO plank_writer;


--
-- Name: FUNCTION json_of_any(r record); Type: ACL; Schema: plank; Owner: plank_json
--

REVOKE ALL ON FUNCTION plank.json_of_any(r record) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.json_of_any(r record) TO plank_owner;
GRANT ALL ON FUNCTION plank.json_of_any(r record) TO plank_capture;
GRANT ALL ON FUNCTION plank.json_of_any(r record) TO plank_reader;
GRANT ALL ON FUNCTION plank.json_of_any(r record) TO plank_writer;


--
-- Name: FUNCTION judge(held boolean, affected bigint, refused bigint, expected bigint, affected_max bigint, is_single boolean, returned integer, is_too_much boolean); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.judge(held boolean, affected bigint, refused bigint, expected bigint, affected_max bigint, is_single boolean, returned integer, is_too_much boolean) FROM PUBLIC;


--
-- Name: FUNCTION keep_nothing(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.keep_nothing() FROM PUBLIC;


--
-- Name: FUNCTION key_of(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.key_of(t oid) FROM PUBLIC;


--
-- Name: FUNCTION leave_mark(upto bigint, place pg_snapshot, apart bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.leave_mark(upto bigint, place pg_snapshot, apart bigint) FROM PUBLIC;


--
-- Name: FUNCTION left_behind(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.left_behind() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.left_behind() TO plank_writer;


--
-- Name: FUNCTION letters(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.letters() FROM PUBLIC;


--
-- Name: FUNCTION level_of(t oid, OUT level text, OUT why text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.level_of(t oid, OUT level text, OUT why text) FROM PUBLIC;


--
-- Name: FUNCTION listen(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.listen() FROM PUBLIC;


--
-- Name: FUNCTION listeners(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.listeners() FROM PUBLIC;


--
-- Name: FUNCTION log_size(OUT rows_estimated bigint, OUT bytes bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.log_size(OUT rows_estimated bigint, OUT bytes bigint) FROM PUBLIC;


--
-- Name: FUNCTION look_at(t regclass, patient boolean, whole boolean, parts regclass[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.look_at(t regclass, patient boolean, whole boolean, parts regclass[]) FROM PUBLIC;


--
-- Name: FUNCTION make_query(name text, query text, key name[], every interval, scope jsonb, path text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.make_query(name text, query text, key name[], every interval, scope jsonb, path text) FROM PUBLIC;


--
-- Name: FUNCTION make_result(name text, view regclass, key name[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.make_result(name text, view regclass, key name[]) FROM PUBLIC;


--
-- Name: FUNCTION member_state(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.member_state(t oid) FROM PUBLIC;


--
-- Name: FUNCTION members_of(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.members_of(t oid) FROM PUBLIC;


--
-- Name: FUNCTION newest(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.newest() FROM PUBLIC;


--
-- Name: FUNCTION next_xid(n bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.next_xid(n bigint) FROM PUBLIC;


--
-- Name: FUNCTION open_leaf(which integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.open_leaf(which integer) FROM PUBLIC;


--
-- Name: FUNCTION own_tables(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.own_tables() FROM PUBLIC;


--
-- Name: FUNCTION owned(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.owned() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.owned() TO plank_writer;


--
-- Name: FUNCTION part_now(rel oid, number integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.part_now(rel oid, number integer) FROM PUBLIC;


--
-- Name: FUNCTION permit(t regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.permit(t regclass) FROM PUBLIC;


--
-- Name: FUNCTION permit_views(for_query text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.permit_views(for_query text) FROM PUBLIC;


--
-- Name: FUNCTION permit_writes(t regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.permit_writes(t regclass) FROM PUBLIC;


--
-- Name: FUNCTION pin(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.pin() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.pin() TO plank_capture;


--
-- Name: FUNCTION place_back(span interval, at_least bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.place_back(span interval, at_least bigint) FROM PUBLIC;


--
-- Name: FUNCTION prepared(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.prepared() FROM PUBLIC;
GRANT ALL ON FUNCTION plank.prepared() TO plank_reader;
GRANT ALL ON FUNCTION plank.prepared() TO plank_writer;


--
-- Name: FUNCTION probe_query(self text, query text, path text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.probe_query(self text, query text, path text) FROM PUBLIC;


--
-- Name: FUNCTION prune(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.prune() FROM PUBLIC;


--
-- Name: FUNCTION prune_marks(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.prune_marks() FROM PUBLIC;


--
-- Name: FUNCTION pruned(c pg_snapshot); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.pruned(c pg_snapshot) FROM PUBLIC;


--
-- Name: FUNCTION query_differs(name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_differs(name text) FROM PUBLIC;


--
-- Name: FUNCTION query_failed(name text, why text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_failed(name text, why text) FROM PUBLIC;


--
-- Name: FUNCTION query_named(name text, rel regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_named(name text, rel regclass) FROM PUBLIC;


--
-- Name: FUNCTION query_pause(every interval, owed interval); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_pause(every interval, owed interval) FROM PUBLIC;


--
-- Name: FUNCTION query_refusal(view regclass, OUT reason text, OUT hint text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_refusal(view regclass, OUT reason text, OUT hint text) FROM PUBLIC;


--
-- Name: FUNCTION query_rows(statement text, params text[]); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.query_rows(statement text, params text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.query_rows(statement text, params text[]) TO plank_owner;


--
-- Name: FUNCTION query_trouble(q plank.live_query); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.query_trouble(q plank.live_query) FROM PUBLIC;


--
-- Name: FUNCTION reached(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.reached() FROM PUBLIC;


--
-- Name: FUNCTION read_all(statement text, params text[]); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.read_all(statement text, params text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.read_all(statement text, params text[]) TO plank_owner;


--
-- Name: FUNCTION read_filter(rows text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.read_filter(rows text) FROM PUBLIC;


--
-- Name: FUNCTION read_next(count integer); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.read_next(count integer) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.read_next(count integer) TO plank_owner;


--
-- Name: FUNCTION read_number(statement text, params text[]); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.read_number(statement text, params text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.read_number(statement text, params text[]) TO plank_owner;


--
-- Name: FUNCTION read_open(statement text, params text[]); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.read_open(statement text, params text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.read_open(statement text, params text[]) TO plank_owner;


--
-- Name: FUNCTION read_operation(rest text, is_nested boolean, OUT op text, OUT list text[], OUT taken integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.read_operation(rest text, is_nested boolean, OUT op text, OUT list text[], OUT taken integer) FROM PUBLIC;


--
-- Name: FUNCTION read_quoted(rest text, OUT value text, OUT taken integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.read_quoted(rest text, OUT value text, OUT taken integer) FROM PUBLIC;


--
-- Name: FUNCTION read_scope(scope jsonb, rel regclass, bases regclass[], path text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.read_scope(scope jsonb, rel regclass, bases regclass[], path text) FROM PUBLIC;


--
-- Name: FUNCTION reader(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.reader() FROM PUBLIC;


--
-- Name: FUNCTION references_of(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.references_of(t oid) FROM PUBLIC;


--
-- Name: FUNCTION refresh(name text, first_xid xid8, verify boolean, OUT outcome text, OUT place text, OUT wait_ms bigint, OUT is_whole boolean, OUT changed bigint, OUT differs bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.refresh(name text, first_xid xid8, verify boolean, OUT outcome text, OUT place text, OUT wait_ms bigint, OUT is_whole boolean, OUT changed bigint, OUT differs bigint) FROM PUBLIC;


--
-- Name: FUNCTION refusal(t oid, OUT reason text, OUT hint text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.refusal(t oid, OUT reason text, OUT hint text) FROM PUBLIC;


--
-- Name: FUNCTION rels_of(view oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.rels_of(view oid) FROM PUBLIC;


--
-- Name: FUNCTION rename_log(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.rename_log() FROM PUBLIC;


--
-- Name: FUNCTION renew(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.renew() FROM PUBLIC;


--
-- Name: FUNCTION renew_policies(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.renew_policies() FROM PUBLIC;


--
-- Name: FUNCTION renew_policy(t regclass, for_role text, for_ops text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.renew_policy(t regclass, for_role text, for_ops text[]) FROM PUBLIC;


--
-- Name: FUNCTION renew_queries(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.renew_queries() FROM PUBLIC;


--
-- Name: FUNCTION reopen(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.reopen() FROM PUBLIC;


--
-- Name: FUNCTION rest_read(query text, counting text, count_query text, params text[], OUT snapshot text, OUT total bigint, OUT rows text[], OUT tag text); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.rest_read(query text, counting text, count_query text, params text[], OUT snapshot text, OUT total bigint, OUT rows text[], OUT tag text) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.rest_read(query text, counting text, count_query text, params text[], OUT snapshot text, OUT total bigint, OUT rows text[], OUT tag text) TO plank_owner;


--
-- Name: FUNCTION rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean, is_last boolean, trace text, OUT affected bigint, OUT refused bigint, OUT existed bigint, OUT rows text[], OUT keys text[], OUT tag text); Type: ACL; Schema: plank; Owner: plank_writer
--

REVOKE ALL ON FUNCTION plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean, is_last boolean, trace text, OUT affected bigint, OUT refused bigint, OUT existed bigint, OUT rows text[], OUT keys text[], OUT tag text) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.rest_write(held boolean, path text, query text, params text[], expected bigint, affected_max bigint, is_single boolean, is_last boolean, trace text, OUT affected bigint, OUT refused bigint, OUT existed bigint, OUT rows text[], OUT keys text[], OUT tag text) TO plank_owner;


--
-- Name: FUNCTION result_error(state text, said text, detail text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.result_error(state text, said text, detail text) FROM PUBLIC;


--
-- Name: FUNCTION result_shape(rel regclass, OUT columns text, OUT selected text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.result_shape(rel regclass, OUT columns text, OUT selected text) FROM PUBLIC;


--
-- Name: FUNCTION result_type(t oid, modifier integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.result_type(t oid, modifier integer) FROM PUBLIC;


--
-- Name: FUNCTION revoke(sub text, issued_before timestamp with time zone); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.revoke(sub text, issued_before timestamp with time zone) FROM PUBLIC;


--
-- Name: FUNCTION rows_of(t oid); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.rows_of(t oid) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.rows_of(t oid) TO plank_owner;
GRANT ALL ON FUNCTION plank.rows_of(t oid) TO plank_capture;


--
-- Name: FUNCTION runs_as(name name); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.runs_as(name name) FROM PUBLIC;


--
-- Name: FUNCTION scope_values(q plank.live_query, first_xid xid8, values_max integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.scope_values(q plank.live_query, first_xid xid8, values_max integer) FROM PUBLIC;


--
-- Name: FUNCTION sees_all(t oid); Type: ACL; Schema: plank; Owner: plank_reader
--

REVOKE ALL ON FUNCTION plank.sees_all(t oid) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.sees_all(t oid) TO plank_owner;


--
-- Name: FUNCTION sequences_of(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.sequences_of(t oid) FROM PUBLIC;


--
-- Name: FUNCTION set_slot(which integer); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.set_slot(which integer) FROM PUBLIC;


--
-- Name: FUNCTION settings(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.settings() FROM PUBLIC;


--
-- Name: FUNCTION tells_time(view oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.tells_time(view oid) FROM PUBLIC;


--
-- Name: FUNCTION triggers_of(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.triggers_of(t oid) FROM PUBLIC;


--
-- Name: FUNCTION try_lock(name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.try_lock(name text) FROM PUBLIC;


--
-- Name: FUNCTION unpin(theirs text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.unpin(theirs text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.unpin(theirs text[]) TO plank_capture;


--
-- Name: FUNCTION unprepare(before text[]); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.unprepare(before text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.unprepare(before text[]) TO plank_reader;
GRANT ALL ON FUNCTION plank.unprepare(before text[]) TO plank_writer;


--
-- Name: FUNCTION unwatch(t regclass); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.unwatch(t regclass) FROM PUBLIC;


--
-- Name: FUNCTION unwatch(name text); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.unwatch(name text) FROM PUBLIC;


--
-- Name: FUNCTION unwatch_all(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.unwatch_all() FROM PUBLIC;


--
-- Name: FUNCTION varint(n bigint); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.varint(n bigint) FROM PUBLIC;


--
-- Name: FUNCTION watch(t regclass, columns name[], old_rows boolean, level text, writable boolean); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.watch(t regclass, columns name[], old_rows boolean, level text, writable boolean) FROM PUBLIC;


--
-- Name: FUNCTION watch_query(name text, query text, key name[], every interval, scope jsonb); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.watch_query(name text, query text, key name[], every interval, scope jsonb) FROM PUBLIC;


--
-- Name: FUNCTION watched_above(t oid); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.watched_above(t oid) FROM PUBLIC;
GRANT ALL ON FUNCTION plank.watched_above(t oid) TO plank_capture;


--
-- Name: FUNCTION writer(); Type: ACL; Schema: plank; Owner: plank_owner
--

REVOKE ALL ON FUNCTION plank.writer() FROM PUBLIC;


--
-- Name: SEQUENCE began; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT USAGE,UPDATE ON SEQUENCE plank.began TO plank_capture;


--
-- Name: SEQUENCE bell; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT SELECT ON SEQUENCE plank.bell TO plank_capture;


--
-- Name: SEQUENCE last; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT USAGE ON SEQUENCE plank.last TO PUBLIC;
GRANT USAGE,UPDATE ON SEQUENCE plank.last TO plank_capture;


--
-- Name: SEQUENCE seq; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT USAGE ON SEQUENCE plank.seq TO plank_capture;


--
-- Name: TABLE log; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log TO plank_capture;


--
-- Name: TABLE log_0; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_0 TO plank_capture;


--
-- Name: TABLE log_1; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_1 TO plank_capture;


--
-- Name: TABLE log_2; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_2 TO plank_capture;


--
-- Name: TABLE log_3; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_3 TO plank_capture;


--
-- Name: TABLE log_4; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_4 TO plank_capture;


--
-- Name: TABLE log_5; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_5 TO plank_capture;


--
-- Name: TABLE log_6; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_6 TO plank_capture;


--
-- Name: TABLE log_7; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_7 TO plank_capture;


--
-- Name: TABLE log_8; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.log_8 TO plank_capture;


--
-- Name: TABLE member; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT SELECT ON TABLE plank.member TO plank_capture;


--
-- Name: SEQUENCE packed; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT USAGE ON SEQUENCE plank.packed TO plank_capture;


--
-- Name: SEQUENCE slot; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT SELECT ON SEQUENCE plank.slot TO plank_capture;


--
-- Name: TABLE truncating; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT SELECT,INSERT,DELETE ON TABLE plank.truncating TO plank_capture;


--
-- Name: TABLE unlisted; Type: ACL; Schema: plank; Owner: plank_owner
--

GRANT INSERT ON TABLE plank.unlisted TO plank_capture;


--
-- PostgreSQL database dump complete
--
