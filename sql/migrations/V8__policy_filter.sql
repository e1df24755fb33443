-- FILTERS OF POLICIES. plank.allow refuses a filter that servers could not follow: such a policy would show no row, and only the
-- log of the servers would say why. This reads the grammar of the API (docs/PROTOCOL.md), as src/feed/filter does.

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

revoke all on all functions in schema plank from public;
