-- CAPTURE: the trigger functions that write the log. They run inside the transactions of all writers, with the rights of
-- plank_capture (security definer), so a writer needs no right on the log.
--
-- Rules that all of them keep:
-- - They name no column of the table, so ALTER TABLE can't make a writer fail, and no name of theirs means a column of it
--   (#variable_conflict). They take nothing from trigger arguments.
-- - They log every change once, with the row before and after it, and read no other table. They don't try to find the
--   order of changes to one row: foreign-key actions, nested triggers and MERGE hide it. Readers find it from the rows.
-- - Every name and operator is qualified, since the search path is the writer's: setting it costs 8 microseconds a call.
-- - The bell is read last. By then the transaction has its id, on which the proof of the doorbell rests.
-- - pg_sequence_last_value is a call in an expression, where `select last_value from plank.bell` is a query of its own. It
--   is volatile: it gives the value of this moment, also to a REPEATABLE READ writer. It is null for a sequence that was
--   never set; that counts as an armed bell.

-- SETTINGS change how values are written, and a writer may have any of them; the log always has the same. For a table whose
-- types are all built in, the functions compare the five that matter, and set them only where they differ: a SET clause of
-- the function costs 13 microseconds a call. Tables with other types, and with types whose text depends on more settings
-- (money, regclass and their like), get functions with SET clauses, whose names end in _any. plank.is_plain decides.
-- tests/it/capture_settings.rs goes through all settings of PostgreSQL to see that none is missing.
create function plank.pin() returns text[] language plpgsql as $$
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

-- Gives the writer its settings back. After an error PostgreSQL does that by itself.
create function plank.unpin(theirs text[]) returns void language plpgsql as $$
begin
  perform pg_catalog.set_config('timezone', theirs[1], true), pg_catalog.set_config('datestyle', theirs[2], true),
    pg_catalog.set_config('intervalstyle', theirs[3], true), pg_catalog.set_config('bytea_output', theirs[4], true),
    pg_catalog.set_config('extra_float_digits', theirs[5], true), pg_catalog.set_config('jit', theirs[6], true);
end $$;

-- LASTVAL: a writer may ask for the value of its own sequence, as PDO::lastInsertId does. The log's numbers come from a sequence
-- as well, so each function keeps what lastval() gives and sets it again. plank.last holds it for each session by itself;
-- everybody may read that sequence. An assignment costs less than PERFORM, and the block costs half a microsecond.
--
-- @keep@ and @give_back@ are these two pieces of the functions below.
create function plank.with_lastval(body text) returns text language sql as $$
  select replace(replace(body, '@keep@', $keep$if pg_catalog.current_setting('exit_on_error') operator(pg_catalog.=) 'off' then   -- else an error ends the session, caught or not
    begin
      lastval := pg_catalog.lastval();
    exception when object_not_in_prerequisite_state or insufficient_privilege then
      null;   -- no sequence was used in this session, or one that plank may not read
    end;
  end if;$keep$), '@give_back@', $give$if lastval is not null then
    number := pg_catalog.nextval('plank.last');
    number := pg_catalog.setval('plank.last', lastval);
  end if;$give$)
$$;

-- A leaf is named by a constant, since going through the partitioned table costs 3 microseconds a row. This writes
-- statements nine times, once for each leaf, and is dropped when the functions are made.
create function plank.on_leaf(statements text) returns text language sql as $$
  select 'if ' || string_agg(
    format('slot operator(pg_catalog.=) %s then %s', i, replace(replace(statements, '@leaf@', 'plank.log_' || i), '@slot@', i::text)),
    E'\n  elsif ' order by i) || E'\n  end if;\n'
  from generate_series(0, 8) i
$$;

-- PostgreSQL's functions call casts from a type to json that others have made. Those must not run with a right on the log, so each
-- call of row_to_json and json_agg becomes one of a function of plank_json, which has no right at all: see V10.
create function plank.with_no_rights(body text, form text) returns text language sql as $$
  select case form
    when '' then replace(replace(replace(body, 'pg_catalog.row_to_json(', 'plank.json_of('),
      'pg_catalog.json_agg(r.*)', 'plank.json_list(pg_catalog.array_agg(r.*))'),
      'pg_catalog.json_agg(p.whole)', 'plank.json_list(pg_catalog.array_agg(p.whole))')
    else replace(replace(replace(body, 'pg_catalog.row_to_json(', 'plank.json_of_any('),
      'pg_catalog.json_agg(r.*)', 'pg_catalog.json_agg(plank.json_of_any(r.*))'),
      'pg_catalog.json_agg(p.whole)', 'pg_catalog.json_agg(plank.json_of_any(p.whole))') end
$$;

-- STATEMENT LEVEL: capture_insert, capture_update, capture_delete.
--
-- The first 8 rows of an INSERT or DELETE, and the only row of an UPDATE, get a log row each. One row is the common case: it
-- takes one INSERT whose plan must stay small (hence the LIMITs), because a session keeps the plan of its first statement,
-- and after one of 400,000 rows PostgreSQL would compile the plan of every later one with JIT, for 65 ms.
--
-- All further rows are packed, which costs less: lists of at most 512 rows and about 256 KiB, old and new rows paired by their
-- position. Up to 16,384 rows each list is read from its offset; beyond that one pass groups the rows, for an offset is
-- reached by counting.
--
-- ROW LEVEL: capture_row. One call for each row, in the order of the changes. The watched tables that a row belongs to are
-- looked up, since a partition or a child table may belong to several. as_parent is called for children only: it takes 20
-- microseconds. A table that is not listed yet was made a moment ago; it is noted for the servers, which list tables.
do $make$
declare
  differ constant text := $$
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1'$$;

  -- A SELECT of lists of `size` rows each, and their numbers from 0. @new@ and @old@ are the lists of a transition table's
  -- rows behind the first `logged` ones.
  from_offsets constant text := $$ from pg_catalog.generate_series(0, (rows operator(pg_catalog.-) 1) operator(pg_catalog./) size) q(piece);$$;
  at_offset constant text := $$(
          select pg_catalog.json_agg(r.*)
          from (select * from %s offset logged operator(pg_catalog.+) (q.piece operator(pg_catalog.*) size) limit size) r)$$;
  grouped constant text := $$(
          select p.piece, pg_catalog.json_agg(p.whole) as r
          from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece
            from (select * from %s offset logged) r) p
          group by p.piece)$$;
  -- Each row by itself.
  singles constant text := '(select pg_catalog.row_to_json(r.*) as r, pg_catalog.row_number() over () as piece from %s r)';
  -- FULL JOIN: transition tables have no statistics, and an inner join would be planned as a nested loop.
  paired constant text := ' from %s n full join %s o on n.piece operator(pg_catalog.=) o.piece order by coalesce(n.piece, o.piece);';

  insert_few constant text := $$
      insert into @leaf@ (slot, rel, op, row)
        select @slot@, tg_relid, 'I', pg_catalog.row_to_json(n.*) from new_rows n limit 8;$$;
  delete_few constant text := $$
      insert into @leaf@ (slot, rel, op, old, began)
        select @slot@, tg_relid, 'D', pg_catalog.row_to_json(o.*), began from old_rows o limit 8;$$;
  update_one constant text := $$
      insert into @leaf@ (slot, rel, op, row, old, began)
        select @slot@, tg_relid, 'U', pg_catalog.row_to_json(n.*), (select pg_catalog.row_to_json(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;$$;

  inserts constant text := 'insert into plank.log (slot, rel, op, row, piece) select slot, tg_relid, ''i'', ';
  deletes constant text := 'insert into plank.log (slot, rel, op, old, piece, began) select slot, tg_relid, ''d'', ';
  updates constant text := 'insert into plank.log (slot, rel, op, row, old, piece, began) select slot, tg_relid, ''u'', ';
  insert_many constant text := 'if rows operator(pg_catalog.<=) 16384 then '
    || inserts || format(at_offset, 'new_rows') || ', q.piece' || from_offsets || ' else '
    || inserts || 'n.r, n.piece from ' || format(grouped, 'new_rows') || ' n order by n.piece; end if;';
  delete_many constant text := 'if rows operator(pg_catalog.<=) 16384 then '
    || deletes || format(at_offset, 'old_rows') || ', q.piece, began' || from_offsets || ' else '
    || deletes || 'o.r, o.piece, began from ' || format(grouped, 'old_rows') || ' o order by o.piece; end if;';
  pair constant text := 'n.r, o.r, coalesce(n.piece, o.piece), began';
  -- size 0: rows so large that each pair gets a log row. -1: so large that two don't fit into one, which holds 1 GB: a
  -- delete and an insert.
  update_many constant text := 'if size operator(pg_catalog.>) 0 and rows operator(pg_catalog.<=) 16384 then '
    || updates || format(at_offset, 'new_rows') || ', ' || format(at_offset, 'old_rows') || ', q.piece, began' || from_offsets
    || ' elsif size operator(pg_catalog.>) 0 then '
    || updates || pair || format(paired, format(grouped, 'new_rows'), format(grouped, 'old_rows'))
    || ' elsif size operator(pg_catalog.=) 0 then '
    || replace(updates, '''u''', '''U''') || pair || format(paired, format(singles, 'new_rows'), format(singles, 'old_rows'))
    || ' else size := 1; ' || delete_many || insert_many || ' end if;';

  largest constant text := '(select pg_catalog.max(pg_catalog.pg_column_size(r.*)) from %s r)';
  longest constant text := 'coalesce((select pg_catalog.max(pg_catalog.octet_length(pg_catalog.row_to_json(r.*)::pg_catalog.text)) from %s r), 0)';
  -- How many rows there are behind the first ones, and how many a list has, by the largest row as it is stored.
  size_of constant text := $$
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) operator(pg_catalog.-) logged into size, rows from %s r;
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));$$;
  size_of_pair constant text := $$
      select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) into size, rows from new_rows r;
      size := size operator(pg_catalog.+) $$ || format(largest, 'old_rows') || $$;
      if size operator(pg_catalog.<) 262144 then
        size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
      else
        size := case when $$ || format(longest, 'new_rows') || ' operator(pg_catalog.+) ' || format(longest, 'old_rows') || $$ operator(pg_catalog.>) 500000000
          then -1 else 0 end;
      end if;$$;

  -- @first@: how many log rows the first INSERT makes where there may be more rows. @began@: see plank.capture_begin.
  statement_level constant text := $$
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
  @keep@
  @began@
  if @differ@ then theirs := plank.pin(); end if;
  @few@
  get diagnostics logged = row_count;
  if logged operator(pg_catalog.>) 0 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.<) logged then
    perform plank.close_if_full();
  end if;
  -- Two conditions, as a query in the first one would cost every statement a microsecond.
  if logged operator(pg_catalog.=) @first@ and slot operator(pg_catalog.<) 8 then
    if exists (select from @transition@ offset logged) then
      if theirs is null then theirs := plank.pin(); end if;
      @size@
      @many@
      number := plank.count_packed(rows);
      if number operator(pg_catalog.%) 4096 operator(pg_catalog.<) rows then perform plank.close_if_full(); end if;
      logged := logged operator(pg_catalog.+) rows;
    end if;
  end if;
  if logged operator(pg_catalog.>) 0 and coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  @give_back@
  return null;
end $$;

  -- What plank.capture_begin noted, once: the statement that noted it is the innermost one, and this one if the table agrees.
  began constant text := $$begin
    began := pg_catalog.currval('plank.began');
    number := pg_catalog.setval('plank.began', 0);
    began := case when began operator(pg_catalog.%) 1048576 operator(pg_catalog.=) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576)
      then began operator(pg_catalog./) 1048576 end;
  exception when object_not_in_prerequisite_state then
    null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;$$;

  row_level constant text := $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  lastval pg_catalog.int8;
  number pg_catalog.int8;
begin
  @keep@
  if @differ@ then theirs := plank.pin(); end if;
  if tg_op operator(pg_catalog.=) 'UPDATE' and pg_catalog.pg_column_size(new) operator(pg_catalog.+) pg_catalog.pg_column_size(old)
      operator(pg_catalog.>=) 262144 and pg_catalog.octet_length(pg_catalog.row_to_json(new)::pg_catalog.text)
      operator(pg_catalog.+) pg_catalog.octet_length(pg_catalog.row_to_json(old)::pg_catalog.text) operator(pg_catalog.>) 500000000 then
    -- Two rows that don't fit into one log row.
    @halves@
  else
    @whole@
  end if;
  if not found and slot operator(pg_catalog.<) 8 then
    perform plank.capture_unlisted(tg_relid, tg_op, case when tg_op operator(pg_catalog.<>) 'DELETE' then pg_catalog.row_to_json(new) end,
      case when tg_op operator(pg_catalog.<>) 'INSERT' then pg_catalog.row_to_json(old) end,
      case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end, case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end);
  elsif slot operator(pg_catalog.<) 8 and pg_catalog.currval('plank.seq') operator(pg_catalog.%) 4096 operator(pg_catalog.=) 0 then
    perform plank.close_if_full();
  end if;
  if coalesce(pg_catalog.pg_sequence_last_value('plank.bell'), 1) operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  @give_back@
  return null;
end $$;
  row_whole constant text := $$
      insert into @leaf@ (slot, rel, op, row, old, leaf, row_at, old_at)
        select @slot@, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then case when m.columns is null then pg_catalog.row_to_json(new) else plank.as_parent(pg_catalog.row_to_json(new), m.columns) end end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then case when m.columns is null then pg_catalog.row_to_json(old) else plank.as_parent(pg_catalog.row_to_json(old), m.columns) end end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;$$;
  row_halves constant text := $$
      insert into @leaf@ (slot, rel, op, old, leaf, old_at)
        select @slot@, m.watched, 'D', case when m.columns is null then pg_catalog.row_to_json(old) else plank.as_parent(pg_catalog.row_to_json(old), m.columns) end, tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into @leaf@ (slot, rel, op, row, leaf, row_at)
        select @slot@, m.watched, 'I', case when m.columns is null then pg_catalog.row_to_json(new) else plank.as_parent(pg_catalog.row_to_json(new), m.columns) end, tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;$$;

  names constant text[] := array['insert', 'update', 'delete'];
  few constant text[] := array[insert_few, update_one, delete_few];
  sizes constant text[] := array[format(size_of, 'new_rows'), size_of_pair, format(size_of, 'old_rows')];
  many constant text[] := array[insert_many, update_many, delete_many];
  pinned constant text := 'set search_path = pg_catalog, pg_temp set timezone = ''UTC'' set datestyle = ''ISO''
    set intervalstyle = ''postgres'' set bytea_output = ''hex'' set extra_float_digits = 1 set lc_monetary = ''C''
    set quote_all_identifiers = off set jit = off set exit_on_error = off';
  form record;
  body text;
begin
  for form in values ('', '', differ), ('_any', pinned, 'false') loop
    for i in 1..3 loop
      body := plank.with_lastval(statement_level);
      body := replace(body, '@began@', case names[i] when 'insert' then '' else began end);
      body := replace(body, '@differ@', form.column3);
      body := replace(body, '@few@', plank.on_leaf(few[i]));
      body := replace(body, '@first@', case names[i] when 'update' then '0' else '8' end);
      body := replace(body, '@transition@', case names[i] when 'delete' then 'old_rows' else 'new_rows' end);
      body := replace(replace(body, '@size@', sizes[i]), '@many@', many[i]);
      execute format('create function plank.capture_%s%s() returns trigger language plpgsql security definer %s as %L',
        names[i], form.column1, form.column2, plank.with_no_rights(body, form.column1));
    end loop;
    body := replace(plank.with_lastval(row_level), '@differ@', form.column3);
    body := replace(replace(body, '@halves@', plank.on_leaf(row_halves)), '@whole@', plank.on_leaf(row_whole));
    execute format('create function plank.capture_row%s() returns trigger language plpgsql security definer %s as %L', form.column1, form.column2,
      plank.with_no_rights(body, form.column1));
  end loop;
end $make$;
drop function plank.on_leaf(text);
drop function plank.with_no_rights(text, text);

-- Changes that end where they began don't say where that was: "insert, delete" of a row and "delete, insert" of the same row
-- end differently. So an UPDATE and a DELETE note where they began: what was logged until then came before them. Of
-- statements within others only the innermost is known; it is null otherwise, as for one whose note was overwritten by
-- another table's. The low bits are the table.
create function plank.capture_begin() returns trigger language plpgsql security definer as $$
declare
  noted pg_catalog.int8;
begin
  noted := pg_catalog.setval('plank.began', coalesce(pg_catalog.pg_sequence_last_value('plank.seq'), 0) operator(pg_catalog.*) 1048576
    operator(pg_catalog.+) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576));
  return null;
end $$;

-- Counts the rows of a packed statement, in steps of 16: the new count. plank.seq counts one for each of its pieces.
create function plank.count_packed(rows bigint) returns bigint language plpgsql as $$
declare
  counted pg_catalog.int8;
begin
  for i in 1..(rows operator(pg_catalog.+) 15) operator(pg_catalog./) 16 loop
    counted := pg_catalog.nextval('plank.packed');
  end loop;
  return counted;
end $$;

-- A row of a child table as its parent has it: without the child's own columns. Null columns: the row as it is.
create function plank.as_parent(r json, columns name[]) returns json language sql stable as $$
  select case when columns is null or r is null then r else (
    select pg_catalog.json_object_agg(e.key, e.value) from pg_catalog.json_each(r) e where e.key operator(pg_catalog.=) any (columns::pg_catalog.text[])) end
$$;

-- Logs a change of a table that no server has listed yet, say a partition that was made in this transaction.
create function plank.capture_unlisted(t oid, op text, r json, o json, r_at tid, o_at tid) returns void language plpgsql
  set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op, row, old, leaf, row_at, old_at)
    select coalesce(pg_sequence_last_value('plank.slot'), 0), a.watched, left(capture_unlisted.op, 1)::"char",
      plank.as_parent(r, a.columns), plank.as_parent(o, a.columns), t, r_at, o_at
    from plank.watched_above(t) a;
  insert into plank.unlisted (rel, watched) select t, a.watched from plank.watched_above(t) a;
end $$;

-- TRUNCATE of a partitioned table truncates its partitions as well. PostgreSQL fires the BEFORE triggers of all of them first,
-- its own before theirs. This one notes it in a table that writers can't write, so that the partitions log nothing.
create function plank.capture_truncate_begin() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.truncating (xid, watched) values (pg_current_xact_id(), tg_relid);
  return null;
end $$;

do $make$
declare
  -- TRUNCATE of a table that stands alone.
  truncate_whole constant text := $$
declare
  lastval bigint;
  number bigint;
begin
  @keep@
  insert into plank.log (slot, rel, op) values (coalesce(pg_sequence_last_value('plank.slot'), 0), tg_relid, 'T');
  delete from plank.truncating where xid = pg_current_xact_id() and watched = tg_relid;
  if coalesce(pg_sequence_last_value('plank.bell'), 1) <> 0 then perform pg_notify('plank', ''); end if;
  @give_back@
  return null;
end $$;

  -- TRUNCATE of one table of several that clients see as one: each of its own rows is logged as deleted.
  truncate_part constant text := $$
declare
  above record;
  theirs text[] := plank.pin();
  lastval bigint;
  number bigint;
begin
  @keep@
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
  @give_back@
  return null;
end $$;
begin
  execute format('create function plank.capture_truncate() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as %L',
    plank.with_lastval(truncate_whole));
  execute format('create function plank.capture_truncate_part() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp set exit_on_error = off as %L',
    plank.with_lastval(truncate_part));
end $make$;
drop function plank.with_lastval(text);

-- Whether plank_reader sees all rows of a table. Row security does not refuse, it hides; a hidden row must not be taken for one
-- that is gone.
create function plank.sees_all(t oid) returns boolean language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  return not row_security_active(t)
    or (exists (select from pg_policy where polrelid = t and polname = 'plank_reads') and not exists (select from pg_policy where polrelid = t and not polpermissive));
end $$;

revoke all on all functions in schema plank from public;
