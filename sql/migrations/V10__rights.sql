-- RIGHTS. Which role owns what, and so with whose rights it runs:
--
-- plank_capture  the trigger functions. It writes the log, and reads little else. They run inside the transactions of all writers.
-- plank_json     writes rows as JSON. It has no right at all: casts that the owner of a type has made run here.
-- plank_reader   reads the watched tables. It has no right on the log and on the other tables and functions of plank.
-- plank_writer   writes watched tables at /rest: triggers, defaults and checks run there. It has no right on plank's own tables.
-- plank_owner    all else. It runs nothing that another role can define.
--
-- Nobody can log in as one of them. sql/owner.sql makes them and gives to each what plank.runs_as says. A function of another
-- owner (security definer) can't be left: PostgreSQL refuses to set or reset the role in it.

-- WRITING ROWS AS JSON

-- For a table whose types are all built in.
create function plank.json_of(r record) returns json language plpgsql stable parallel safe security definer as $$
begin
  return pg_catalog.row_to_json(r);
end $$;

-- In SQL, since PL/pgSQL takes no list of records.
create function plank.json_list(r anyarray) returns json language sql stable parallel safe security definer as $$
  select pg_catalog.array_to_json(r)
$$;

-- For the others. What a cast does besides returning a value is undone: a setting that it sets would otherwise stay in the
-- session of a writer. Undoing costs about a microsecond. The caller sets exit_on_error = off, or the error that undoes it would end
-- the session. A prepared statement is not undone, and could stand in the place of one of the writer's: it is removed, which is an
-- error.
create function plank.json_of_any(r record) returns json language plpgsql security definer as $$
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

-- READING TABLES. A statement that reads a table may run what its owner or the owner of a type has defined: casts, operators,
-- checks of domains, policies of row security, conditions of indexes already when it is planned. So these functions plan it, run it
-- and fetch its rows with the rights of plank_reader. Parameters are members of $1.

-- Begins to read: the rows come with read_next, a part at a time, until the transaction ends.
create function plank.read_open(statement text, params text[]) returns void language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  rows refcursor := 'plank_read';
begin
  open rows no scroll for execute statement using params;
end $$;

create function plank.read_next(count int) returns table (r json, place text[]) language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  return query execute format('fetch forward %s from plank_read', count);
end $$;

-- All rows at once: for a page.
create function plank.read_all(statement text, params text[]) returns table (r json, place text[]) language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
begin
  return query execute statement using params;
end $$;

-- One number.
create function plank.read_number(statement text, params text[]) returns bigint language plpgsql security definer
  set search_path = pg_catalog, pg_temp as $$
declare
  found_number bigint;
begin
  execute statement into found_number using params;
  return found_number;
end $$;

-- Whether t has rows of its own. What functions of others do meanwhile is undone as in json_of_any.
create function plank.has_rows(t regclass) returns boolean language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- The rows that t itself stores, for capture of TRUNCATE. Refused where row security hides some of them. What functions of others do
-- meanwhile is undone.
create function plank.rows_of(t oid) returns table (r json, at tid) language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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

-- LISTS

-- Whether plank has made a relation (kind r) or function (kind f) of the schema plank. Others may be in it: the search path of a
-- role named plank begins with it. What is not plank's is never dropped, and keeps its owner.
create function plank.is_made(kind text, name name) returns boolean language sql immutable set search_path = pg_catalog, pg_temp as $$
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

-- The role that owns a function of plank.
create function plank.runs_as(name name) returns text language sql immutable set search_path = pg_catalog, pg_temp as $$
  select case
    when name in ('capture_begin', 'capture_delete', 'capture_delete_any', 'capture_insert', 'capture_insert_any', 'capture_row',
      'capture_row_any', 'capture_truncate', 'capture_truncate_begin', 'capture_truncate_part', 'capture_update', 'capture_update_any')
      then 'plank_capture'
    when name in ('json_list', 'json_of', 'json_of_any') then 'plank_json'
    when name in ('has_rows', 'query_rows', 'read_all', 'read_next', 'read_number', 'read_open', 'rest_read', 'rows_of', 'sees_all') then 'plank_reader'
    when name = 'rest_write' then 'plank_writer'
    else 'plank_owner' end
$$;

revoke all on all functions in schema plank from public;
