-- $1: every table, and not only those that are watched.
with recursive watched (rel, columns) as (/*watched*/),
shown as (
  select c.oid, n.nspname, c.relname, w.columns
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join watched w on w.rel = c.oid
  where case
    when $1::boolean then c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'
      and n.nspname not in ('plank', 'information_schema') and n.nspname not like 'pg\_%'
    else w.rel is not null
  end
),
shown_column as (
  select s.oid as rel, a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, a.atthasdef
  from shown s
  join pg_attribute a on a.attrelid = s.oid and a.attnum > 0 and not a.attisdropped
  where s.columns is null or a.attname = any (s.columns)
    or exists (
      select from pg_index i
      where i.indrelid = s.oid and i.indisprimary and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
    )
),
needed (oid) as (
  select atttypid from shown_column
  union
  select next.oid
  from needed
  join pg_type t on t.oid = needed.oid
  cross join lateral (
    select t.typelem where t.typelem <> 0 and t.typsubscript = 'array_subscript_handler'::regproc
    union all
    select t.typbasetype where t.typtype = 'd'
    union all
    select a.atttypid from pg_attribute a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
  ) next (oid)
)
select json_build_object(
  'tables', (
    select coalesce(json_agg(json_build_object(
      'schema', s.nspname,
      'name', s.relname,
      'comment', obj_description(s.oid, 'pg_class'),
      'columns', (
        select coalesce(json_agg(json_build_object(
          'name', c.attname,
          'type', c.atttypid::bigint,
          'not_null', c.attnotnull or t.typtype = 'd' and t.typnotnull,
          'has_default', c.atthasdef or c.attidentity <> '' or t.typdefault is not null,
          'is_generated', c.attgenerated <> '' or c.attidentity = 'a',
          'comment', col_description(s.oid, c.attnum)
        ) order by c.attnum), '[]')
        from shown_column c join pg_type t on t.oid = c.atttypid
        where c.rel = s.oid
      ),
      'references', (
        select coalesce(json_agg(json_build_object(
          'name', k.conname,
          'columns', own.names,
          'is_one_to_one', exists (
            select from pg_index i
            where i.indrelid = s.oid and i.indisunique and i.indpred is null and i.indexprs is null
              and k.conkey @> (i.indkey::int2[])[0:i.indnkeyatts - 1]
          ),
          'schema', o.nspname,
          'table', o.relname,
          'referenced', other.names
        ) order by k.conname), '[]')
        from pg_constraint k
        join shown o on o.oid = k.confrelid
        cross join lateral (
          select json_agg(c.attname order by u.place), count(c.attname)
          from unnest(k.conkey) with ordinality u (attnum, place)
          left join shown_column c on c.rel = s.oid and c.attnum = u.attnum
        ) own (names, shown)
        cross join lateral (
          select json_agg(c.attname order by u.place), count(c.attname)
          from unnest(k.confkey) with ordinality u (attnum, place)
          left join shown_column c on c.rel = o.oid and c.attnum = u.attnum
        ) other (names, shown)
        where k.conrelid = s.oid and k.contype = 'f'
          and own.shown = cardinality(k.conkey) and other.shown = cardinality(k.confkey)
      )
    ) order by s.nspname, s.relname), '[]')
    from shown s
  ),
  'types', (
    select coalesce(json_object_agg(t.oid, json_build_object(
      'schema', n.nspname,
      'name', t.typname,
      'kind', case
        when t.oid = 'boolean'::regtype then '"boolean"'::json
        when t.oid in ('smallint'::regtype, 'integer'::regtype, 'real'::regtype, 'double precision'::regtype) then '"number"'
        when t.oid in ('bigint'::regtype, 'numeric'::regtype) then '"wide_number"'
        when t.oid in ('json'::regtype, 'jsonb'::regtype, 'record'::regtype) then '"json"'
        when t.typtype = 'd' then json_build_object('domain', json_build_object('of', t.typbasetype::bigint, 'not_null', t.typnotnull))
        when t.typelem <> 0 and t.typsubscript = 'array_subscript_handler'::regproc
          then json_build_object('array', json_build_object('of', t.typelem::bigint))
        when t.typtype = 'e' then json_build_object('enum', json_build_object('labels', (
          select json_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid)))
        when t.typtype = 'c' then json_build_object('composite', json_build_object('members', (
          select coalesce(json_agg(json_build_object('name', a.attname, 'type', a.atttypid::bigint) order by a.attnum), '[]')
          from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped)))
        when exists (select from pg_cast k where k.castsource = t.oid and k.casttarget = 'json'::regtype and k.castfunc <> 0) then '"json"'
        else '"text"'
      end
    )), '{}')
    from pg_type t join pg_namespace n on n.oid = t.typnamespace
    where t.oid in (select oid from needed)
  )
)
