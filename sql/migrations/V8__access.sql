-- ACCESS. Several policies of one role for one op add up: a row that one of them shows is shown. Each has a name, and the same
-- name replaces. plank.allow refuses what could not be followed. plank.revoke takes back the tokens of a subject.

alter table plank.policy add column name text not null default 'default' check (length(name) between 1 and 63);
alter table plank.policy drop constraint policy_pkey, add constraint policy_pkey primary key (rel, role, op, name);

-- What a filter says, percent-decoded like a query string.
create function plank.decode_word(word text) returns text language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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
end $$;

-- The text in quotes at the beginning of a text, without the quotes, and the length of it with them.
create function plank.read_quoted(rest text, out value text, out taken int) language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  found_text text := substring(rest from '^"(?:[^"\\]|\\.)*"');
begin
  if found_text is null then
    raise exception 'plank: the quote is never closed in %', quote_literal(left(rest, 40)) using errcode = 'invalid_parameter_value';
  end if;
  taken := length(found_text);
  value := regexp_replace(substr(found_text, 2, taken - 2), '\\(.)', '\1', 'g');
end $$;

-- [not.]operator.value at the beginning of a text: the operator, the values, and the length. In a group a value ends at a comma or
-- at a bracket, on its own it is all there is.
create function plank.read_operation(rest text, is_nested boolean, out op text, out list text[], out taken int)
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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

-- The conditions of a filter, in the grammar of the API (docs/PROTOCOL.md).
create function plank.read_filter(rows text) returns table (col text, op text, list text[])
  language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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

-- Whether a value of a policy stands for a claim. What is no {sub}, {role} or {claim.NAME} would be compared letter by letter, and
-- nobody means that.
create function plank.has_claim(value text) returns boolean language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
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

-- Refuses a filter that servers could not follow: it would show no row, and only their log would say why.
create function plank.check_rows(t regclass, rows text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
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
      -- Only what PostgreSQL itself reads: a type of somebody else's may run a function of his.
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

-- All policies of a role for an op change together: a client that resumes from before the last change has seen other rows.
create function plank.renew_policy(t regclass, for_role text, for_ops text[]) returns void language sql set search_path = pg_catalog, pg_temp as $$
  update plank.policy set since = pg_current_xact_id() where rel = t and role = for_role and op = any (for_ops)
$$;

-- Lets a role see rows of table t (select), or also write them through the API (insert, update, delete). rows: which, as a
-- filter; null for all. Policies of one role and op add up; name tells them apart, and the same name replaces what was said
-- before. Running servers follow at once. What a claim says is a value and never a part of the filter; a client without the claim
-- gets no row from the policy.
drop function plank.allow(regclass, text, text, text[]);
create function plank.allow(t regclass, role text, rows text default null, ops text[] default '{select}', name text default 'default') returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  changed text[];
begin
  perform plank.begin_policy(t, role, ops);
  if name is null or name = '' or length(name) > 63 then
    raise exception 'plank: name has to have 1 to 63 characters' using errcode = 'invalid_parameter_value';
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
  perform plank.announce(t, 'W');
end $$;

-- Takes it back: the policy of that name, or all of them. Clients that are connected lose sight of the rows at once.
drop function plank.deny(regclass, text, text[]);
create function plank.deny(t regclass, role text, ops text[] default '{select,insert,update,delete}', name text default null) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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

create or replace view plank.policies as
  select p.rel as "table", p.role, p.rows, array_agg(p.op order by array_position('{select,insert,update,delete}', p.op)) as ops, p.name
  from plank.policy p join pg_class c on c.oid = p.rel
  group by p.rel, p.role, p.name, p.rows;

-- Tokens that are not taken any more although they have not expired: those of a subject from before a time.
create table plank.revoked (
  sub     text        primary key check (sub <> ''),
  before  timestamptz not null,
  version xid8        not null default pg_current_xact_id()   -- so that a server reads what is new to it, and misses nothing
);
create index on plank.revoked (version);

-- Refuses the tokens of a subject that were issued before a time (claim iat, in whole seconds, rounded down; a token without it is
-- from before). Within a second every server refuses them, and closes their sockets with 4502. A later call for the same subject
-- can only move the time forward.
create function plank.revoke(sub text, issued_before timestamptz default now()) returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- A restored log has other transactions.
create or replace function plank.renew_policies() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.policy set since = '0';
  update plank.revoked set version = '0';
  return null;
end $$;

-- Whether plank has made a relation (kind r) or function (kind f) of the schema plank. Others may be in it: the search path of a
-- role named plank begins with it. What is not plank's is never dropped, and keeps its owner.
create function plank.is_made(kind text, name name) returns boolean language sql immutable set search_path = pg_catalog, pg_temp as $$
  select name::text = any (string_to_array(translate(case kind when 'r' then '
    began bell canary closings horizon last leaf log log_0 log_1 log_2 log_3 log_4 log_5 log_6 log_7 log_8 lower_case mark
    member meta migrations oldest packed permitted policies policy revoked seq slot tables ticket truncating unlisted
    watched' else '
    allow announce as_parent attach beat begin_policy bell_awake bell_sleep capture_begin capture_delete
    capture_delete_any capture_insert capture_insert_any capture_row capture_row_any capture_truncate
    capture_truncate_begin capture_truncate_part capture_unlisted capture_update capture_update_any check_rows
    close_if_full collation_of count_packed cursor decode_word deny describe detach empty_leaf facts fingerprint
    follow_table follow_tables forms has_claim hmac identity is_made is_plain is_wide keep_nothing key_of leave_mark
    letters level_of log_size look_at member_state members_of next_xid open_leaf permit pin prune prune_marks pruned
    reached read_filter read_operation read_quoted refusal rename_log renew renew_policies renew_policy reopen revoke
    sees_all sequences_of set_slot triggers_of unpin unwatch unwatch_all varint watch watched_above' end, E'\n', ' '), ' '))
$$;

revoke all on all functions in schema plank from public;
