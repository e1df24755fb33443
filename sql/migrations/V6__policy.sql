-- WHO MAY SEE WHAT, while servers run with --auth on. A policy says what one role may do with the rows of one table, in the
-- filter language of the API with {sub}, {role} and {claim.NAME} of who is asking. Without one a role may do nothing.
-- Policies are part of a table's description, so they change at a place in the log: what was committed before it is shown
-- by the old ones, what comes behind by the new ones, on every server.

-- Tickets: what a browser opens a WebSocket with, for it can't send a token there. Any server may have given one, and it works
-- once on one of them. Worth nothing after a crash, so not logged.
create unlogged table plank.ticket (
  hash      bytea       primary key,                         -- SHA-256 of the ticket: who can read this table can't use it
  principal json        not null,
  expires   timestamptz not null
);
create index on plank.ticket (expires);

-- One after the other for each table: a description has to have the policies of all that were announced before it.
create function plank.begin_policy(t regclass, role text, ops text[]) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
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
    raise exception 'plank: % belongs to somebody else', t using hint = 'who may see a table is for its owner to say', errcode = 'insufficient_privilege';
  end if;
  update plank.watched set since = since where rel = t;
  if not found then
    raise exception 'plank: % is not watched', t using hint = 'call plank.watch first', errcode = 'undefined_object';
  end if;
end $$;

-- Lets a role see rows of table t (select), or also write them through the API (insert, update, delete). rows: which, as a
-- filter; null for all. Calling it again for the same role and op replaces what was said before. Running servers follow at
-- once. What a claim says is a value and never a part of the filter; who does not have the claim sees no row.
create function plank.allow(t regclass, role text, rows text default null, ops text[] default '{select}') returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform plank.begin_policy(t, role, ops);
  if rows = '' then
    raise exception 'plank: rows is empty' using hint = 'leave it out for all rows', errcode = 'invalid_parameter_value';
  end if;
  if length(rows) > 4096 then
    raise exception 'plank: rows has more than 4096 characters' using errcode = 'invalid_parameter_value';
  end if;
  if rows is not null and 'select' = any (ops) and not (select w.old_rows from plank.watched w where w.rel = t) then
    raise exception 'plank: % logs no old rows, and without them nobody knows when a row has left what somebody may see', t
      using hint = 'call plank.watch with old_rows, or allow all rows', errcode = 'object_not_in_prerequisite_state';
  end if;
  insert into plank.policy as p (rel, role, op, rows) select distinct t, allow.role, o, allow.rows from unnest(ops) o
    on conflict on constraint policy_pkey do update set rows = excluded.rows, since = excluded.since where p.rows is distinct from excluded.rows;
  if found then perform plank.announce(t, 'W'); end if;
end $$;

-- Takes it back. Whoever is connected loses sight of the rows at once.
create function plank.deny(t regclass, role text, ops text[] default '{select,insert,update,delete}') returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform plank.begin_policy(t, role, ops);
  delete from plank.policy p where p.rel = t and p.role = deny.role and p.op = any (ops);
  if found then perform plank.announce(t, 'W'); end if;
end $$;

-- Who may do what.
create view plank.policies as
  select p.rel as "table", p.role, p.rows, array_agg(p.op order by array_position('{select,insert,update,delete}', p.op)) as ops
  from plank.policy p join pg_class c on c.oid = p.rel
  group by p.rel, p.role, p.rows;

-- A restored log has other transactions: what was allowed before its first cursor was always allowed.
create function plank.renew_policies() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.policy set since = '0';
  return null;
end $$;
create trigger renew_policies after update of log_id on plank.meta for each statement execute function plank.renew_policies();

revoke all on all functions in schema plank from public;

select plank.watch('public.items');
