-- CAPTURE: the trigger functions that write the log. They run inside the transactions of everybody who writes, with the
-- rights of this schema's owner (security definer), so a writer needs no right on the log.
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

-- A leaf is named by a constant, since going through the partitioned table costs 3 microseconds a row. This writes
-- statements nine times, once for each leaf, and is dropped when the functions are made.
create function plank.on_leaf(statements text) returns text language sql as $$
  select 'if ' || string_agg(
    format('slot operator(pg_catalog.=) %s then %s', i, replace(replace(statements, '@leaf@', 'plank.log_' || i), '@slot@', i::text)),
    E'\n  elsif ' order by i) || E'\n  end if;\n'
  from generate_series(0, 8) i
$$;

-- STATEMENT LEVEL: capture_insert, capture_update, capture_delete.
--
-- A statement of a few rows writes a log row for each change. One of more rows writes packed log rows, which cost less:
-- lists of at most 512 rows and about 256 KiB, old and new rows paired by their position. One row is the common case: it
-- takes one INSERT whose plan must stay small (hence the LIMITs), because a session keeps the plan of its first statement,
-- and after one of 400,000 rows PostgreSQL would compile the plan of every later one with JIT, for 65 ms.
--
-- ROW LEVEL: capture_row. One call for each row, in the order of the changes. The watched tables that a row belongs to are
-- looked up, since a partition or a child table may belong to several. A table that is not listed yet was made a moment
-- ago; it is noted for the servers, which list tables.
do $make$
declare
  differ constant text := $$
    pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'UTC' and pg_catalog.current_setting('timezone') operator(pg_catalog.<>) 'Etc/UTC'
    or pg_catalog.left(pg_catalog.current_setting('datestyle'), 3) operator(pg_catalog.<>) 'ISO'
    or pg_catalog.current_setting('intervalstyle') operator(pg_catalog.<>) 'postgres'
    or pg_catalog.current_setting('bytea_output') operator(pg_catalog.<>) 'hex'
    or pg_catalog.current_setting('extra_float_digits') operator(pg_catalog.<>) '1'$$;

  -- The rows of a transition table as lists of `size` rows each, and one by one.
  lists constant text := $$(
        select q.piece, pg_catalog.json_agg(q.whole) as r
        from (select (r.*)::pg_catalog.record as whole, (pg_catalog.row_number() over () operator(pg_catalog.-) 1) operator(pg_catalog./) size as piece from %s r) q
        group by q.piece)$$;
  singles constant text := '(select pg_catalog.row_to_json(r.*) as r, pg_catalog.row_number() over () as piece from %s r)';

  insert_few constant text := $$
      insert into @leaf@ (slot, rel, op, row)
        select @slot@, tg_relid, 'I', pg_catalog.row_to_json(n.*) from new_rows n
        where not exists (select from new_rows offset 8) limit 8;$$;
  delete_few constant text := $$
      insert into @leaf@ (slot, rel, op, old, began)
        select @slot@, tg_relid, 'D', pg_catalog.row_to_json(o.*), began from old_rows o
        where not exists (select from old_rows offset 8) limit 8;$$;
  update_one constant text := $$
      insert into @leaf@ (slot, rel, op, row, old, began)
        select @slot@, tg_relid, 'U', pg_catalog.row_to_json(n.*), (select pg_catalog.row_to_json(o.*) from old_rows o limit 1), began
        from new_rows n
        where not exists (select from new_rows offset 1)
          and pg_catalog.pg_column_size(n.*) operator(pg_catalog.+) (select pg_catalog.pg_column_size(o.*) from old_rows o limit 1)
            operator(pg_catalog.<) 262144
        limit 1;$$;
  insert_many constant text := $$
      insert into @leaf@ (slot, rel, op, row, piece)
        select @slot@, tg_relid, 'i', n.r, n.piece from $$ || format(lists, 'new_rows') || $$ n order by n.piece;$$;
  delete_many constant text := $$
      insert into @leaf@ (slot, rel, op, old, piece, began)
        select @slot@, tg_relid, 'd', o.r, o.piece, began from $$ || format(lists, 'old_rows') || $$ o order by o.piece;$$;
  -- FULL JOIN: transition tables have no statistics, and an inner join would be planned as a nested loop.
  update_many constant text := $$
      insert into @leaf@ (slot, rel, op, row, old, piece, began)
        select @slot@, tg_relid, 'u', n.r, o.r, coalesce(n.piece, o.piece), began
        from $$ || format(lists, 'new_rows') || $$ n full join $$ || format(lists, 'old_rows') || $$ o on n.piece operator(pg_catalog.=) o.piece
        order by coalesce(n.piece, o.piece);$$;
  -- The same, with a log row for each pair.
  update_large constant text := replace(replace(replace(update_many, '''u''', '''U'''), format(lists, 'new_rows'), format(singles, 'new_rows')),
    format(lists, 'old_rows'), format(singles, 'old_rows'));

  largest constant text := '(select pg_catalog.max(pg_catalog.pg_column_size(r.*)) from %s r)';
  longest constant text := 'coalesce((select pg_catalog.max(pg_catalog.octet_length(pg_catalog.row_to_json(r.*)::pg_catalog.text)) from %s r), 0)';
  -- How many rows there are, and how many a piece has, by the largest row as it is stored.
  size_of constant text := $$
    select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) into size, rows from %s r;
    size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));$$;
  -- 0: rows so large that each pair gets a log row. -1: so large that two don't fit into one, which holds 1 GB: a delete and
  -- an insert.
  size_of_pair constant text := $$
    select pg_catalog.max(pg_catalog.pg_column_size(r.*)), pg_catalog.count(*) into size, rows from new_rows r;
    size := size operator(pg_catalog.+) $$ || format(largest, 'old_rows') || $$;
    if size operator(pg_catalog.<) 262144 then
      size := pg_catalog.int8larger(1, pg_catalog.int8smaller(512, 262144 operator(pg_catalog./) size));
    elsif size is not null then
      size := case when $$ || format(longest, 'new_rows') || ' operator(pg_catalog.+) ' || format(longest, 'old_rows') || $$ operator(pg_catalog.>) 500000000
        then -1 else 0 end;
    end if;$$;

  -- %1: what a few rows need. %2: the size of pieces. %3: what many rows need. Leaf 8 takes no rows.
  statement_level constant text := $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
  rows pg_catalog.int8;
  size pg_catalog.int8;
  is_logged pg_catalog.bool;
  began pg_catalog.int8%5$s;
begin
  if %4$s then theirs := plank.pin(); end if;
  %1$s
  is_logged := found;
  if is_logged then
    if pg_catalog.currval('plank.seq') operator(pg_catalog.%%) 4096 operator(pg_catalog.=) 0 then perform plank.close_if_full(); end if;
  elsif slot operator(pg_catalog.<) 8 then
    if theirs is null then theirs := plank.pin(); end if;
    %2$s
    if size is not null then
      %3$s
      is_logged := true;
      perform plank.count_packed(rows), plank.close_if_full();
    end if;
  end if;
  if is_logged and (pg_catalog.pg_sequence_last_value('plank.bell') is null or pg_catalog.pg_sequence_last_value('plank.bell') operator(pg_catalog.<>) 0) then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  return null;
end $$;

  row_level constant text := $$
#variable_conflict use_variable
declare
  slot pg_catalog.int8 := coalesce(pg_catalog.pg_sequence_last_value('plank.slot'), 0);
  theirs pg_catalog.text[];
begin
  if %1$s then theirs := plank.pin(); end if;
  if tg_op operator(pg_catalog.=) 'UPDATE' and pg_catalog.pg_column_size(new) operator(pg_catalog.+) pg_catalog.pg_column_size(old)
      operator(pg_catalog.>=) 262144 and pg_catalog.octet_length(pg_catalog.row_to_json(new)::pg_catalog.text)
      operator(pg_catalog.+) pg_catalog.octet_length(pg_catalog.row_to_json(old)::pg_catalog.text) operator(pg_catalog.>) 500000000 then
    -- Two rows that don't fit into one log row.
    %2$s
  else
    %3$s
  end if;
  if not found and slot operator(pg_catalog.<) 8 then
    perform plank.capture_unlisted(tg_relid, tg_op, case when tg_op operator(pg_catalog.<>) 'DELETE' then pg_catalog.row_to_json(new) end,
      case when tg_op operator(pg_catalog.<>) 'INSERT' then pg_catalog.row_to_json(old) end,
      case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end, case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end);
  elsif slot operator(pg_catalog.<) 8 and pg_catalog.currval('plank.seq') operator(pg_catalog.%%) 4096 operator(pg_catalog.=) 0 then
    perform plank.close_if_full();
  end if;
  if pg_catalog.pg_sequence_last_value('plank.bell') is null or pg_catalog.pg_sequence_last_value('plank.bell') operator(pg_catalog.<>) 0 then
    perform pg_catalog.pg_notify('plank', '');
  end if;
  if theirs is not null then perform plank.unpin(theirs); end if;
  return null;
end $$;
  row_whole constant text := $$
      insert into @leaf@ (slot, rel, op, row, old, leaf, row_at, old_at)
        select @slot@, m.watched, pg_catalog.left(tg_op, 1)::pg_catalog."char",
          case when tg_op operator(pg_catalog.<>) 'DELETE' then plank.as_parent(pg_catalog.row_to_json(new), m.columns) end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then plank.as_parent(pg_catalog.row_to_json(old), m.columns) end,
          tg_relid,
          case when tg_op operator(pg_catalog.<>) 'DELETE' then new.ctid end,
          case when tg_op operator(pg_catalog.<>) 'INSERT' then old.ctid end
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;$$;
  row_halves constant text := $$
      insert into @leaf@ (slot, rel, op, old, leaf, old_at)
        select @slot@, m.watched, 'D', plank.as_parent(pg_catalog.row_to_json(old), m.columns), tg_relid, old.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;
      insert into @leaf@ (slot, rel, op, row, leaf, row_at)
        select @slot@, m.watched, 'I', plank.as_parent(pg_catalog.row_to_json(new), m.columns), tg_relid, new.ctid
        from plank.member m where m.rel operator(pg_catalog.=) tg_relid;$$;

  any_update constant text := 'if size operator(pg_catalog.>) 0 then ' || plank.on_leaf(update_many)
    || ' elsif size operator(pg_catalog.=) 0 then ' || plank.on_leaf(update_large)
    || ' else size := 1; ' || plank.on_leaf(delete_many) || plank.on_leaf(insert_many) || ' end if;';
  few text[] := array[insert_few, update_one, delete_few];
  sizes text[] := array[format(size_of, 'new_rows'), size_of_pair, format(size_of, 'old_rows')];
  many text[] := array[plank.on_leaf(insert_many), any_update, plank.on_leaf(delete_many)];
  names text[] := array['insert', 'update', 'delete'];
  form record;
begin
  for form in values ('', '', differ), ('_any', 'set search_path = pg_catalog, pg_temp set timezone = ''UTC'' set datestyle = ''ISO''
      set intervalstyle = ''postgres'' set bytea_output = ''hex'' set extra_float_digits = 1 set lc_monetary = ''C''
      set quote_all_identifiers = off set jit = off', 'false')
  loop
    for i in 1..3 loop
      execute format('create function plank.capture_%s%s() returns trigger language plpgsql security definer %s as %L', names[i], form.column1,
        form.column2, format(statement_level, plank.on_leaf(few[i]), sizes[i], many[i], form.column3,
          case names[i] when 'insert' then '' else ' := plank.statement_began(tg_relid)' end));
    end loop;
    execute format('create function plank.capture_row%s() returns trigger language plpgsql security definer %s as %L', form.column1, form.column2,
      format(row_level, form.column3, plank.on_leaf(row_halves), plank.on_leaf(row_whole)));
  end loop;
end $make$;
drop function plank.on_leaf(text);

-- Changes that end where they began don't say where that was: "insert, delete" of a row and "delete, insert" of the same row
-- end differently. So an UPDATE and a DELETE note where they began: what was logged until then came before them. Of
-- statements within others only the innermost is known; it is null otherwise, as for one whose note was overwritten by
-- another table's. The low bits are the table.
create function plank.capture_begin() returns trigger language plpgsql security definer as $$
begin
  perform pg_catalog.setval('plank.began', coalesce(pg_catalog.pg_sequence_last_value('plank.seq'), 0) operator(pg_catalog.*) 1048576
    operator(pg_catalog.+) (tg_relid::pg_catalog.int8 operator(pg_catalog.%) 1048576));
  return null;
end $$;

create function plank.statement_began(t oid) returns bigint language plpgsql as $$
declare
  noted pg_catalog.int8;
begin
  begin
    noted := pg_catalog.currval('plank.began');
  exception when object_not_in_prerequisite_state then
    return null;   -- the trigger before the statement is not there: no reason for a writer to fail
  end;
  perform pg_catalog.setval('plank.began', 0);
  if noted operator(pg_catalog.%) 1048576 operator(pg_catalog.<>) (t::pg_catalog.int8 operator(pg_catalog.%) 1048576) then return null; end if;
  return noted operator(pg_catalog./) 1048576;
end $$;

-- Counts the rows of a packed statement. plank.seq counts one for each of its pieces.
create function plank.count_packed(rows bigint) returns void language plpgsql as $$
begin
  perform pg_catalog.nextval('plank.packed') from pg_catalog.generate_series(1, rows operator(pg_catalog./) 4);
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

-- TRUNCATE of a table that stands alone.
create function plank.capture_truncate() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.log (slot, rel, op) values (coalesce(pg_sequence_last_value('plank.slot'), 0), tg_relid, 'T');
  delete from plank.truncating where xid = pg_current_xact_id() and watched = tg_relid;
  if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
  return null;
end $$;

-- TRUNCATE of a partitioned table truncates its partitions as well. PostgreSQL fires the BEFORE triggers of all of them first,
-- its own before theirs. This one notes it in a table that writers can't write, so that the partitions log nothing.
create function plank.capture_truncate_begin() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into plank.truncating (xid, watched) values (pg_current_xact_id(), tg_relid);
  return null;
end $$;

-- TRUNCATE of one table of several that clients see as one: each of its own rows is logged as deleted.
create function plank.capture_truncate_part() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  above record;
  theirs text[] := plank.pin();
begin
  for above in
    select m.watched, m.columns from plank.member m
    where m.rel = tg_relid and not exists (select from plank.truncating t where t.xid = pg_current_xact_id() and t.watched = m.watched)
  loop
    begin
      if not plank.sees_all(tg_relid) then raise insufficient_privilege; end if;
      -- began: all else that was logged of the table comes before or after all of this. Places in it are given out again.
      execute format('insert into plank.log (slot, rel, op, old, leaf, old_at, began)
        select coalesce(pg_sequence_last_value(''plank.slot''), 0), $1, ''D'', plank.as_parent(row_to_json(x.*), $2), $3, x.ctid, $4 from only %s x',
        tg_relid::regclass) using above.watched, above.columns, tg_relid, coalesce(pg_sequence_last_value('plank.seq'), 0);
    exception when insufficient_privilege then
      -- Without the right to read the rows: the servers learn that the table can't be followed through this.
      insert into plank.log (slot, rel, op) values (coalesce(pg_sequence_last_value('plank.slot'), 0), above.watched, 'R');
    end;
    if pg_sequence_last_value('plank.bell') is distinct from 0 then perform pg_notify('plank', ''); end if;
  end loop;
  perform plank.unpin(theirs);
  return null;
end $$;

-- Whether this schema's owner sees all rows of a table. Row security does not refuse, it hides; a hidden row must not be
-- taken for one that is gone.
create function plank.sees_all(t oid) returns boolean language sql stable set search_path = pg_catalog, pg_temp as $$
  select not row_security_active(t)
    or (exists (select from pg_policy where polrelid = t and polname = 'plank_reads') and not exists (select from pg_policy where polrelid = t and not polpermissive))
$$;

revoke all on all functions in schema plank from public;
