-- POLICIES: which rows a role may see and write, while servers run with --auth on. A policy is a filter in the language of the
-- API, with {sub}, {role} and {claim.NAME} of the token. Without a policy a role may do nothing.
--
-- Policies are part of the description of a table, so they change at a place in the log: changes before that place are shown by
-- the old policies, later ones by the new policies, on every server.

-- Tickets open a WebSocket in a browser, which can't send a token there. Any server gives them, and each works once on one
-- server. They are worth nothing after a crash, so they are not logged.
create unlogged table plank.ticket (
  hash      bytea       primary key,                         -- SHA-256 of the ticket: reading this table gives no ticket
  principal json        not null,
  expires   timestamptz not null
);
create index on plank.ticket (expires);

-- Checks the arguments of allow and deny, and lets policies of one table change one after the other: each description has to
-- contain the policies that were announced before it.
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
    raise exception 'plank: % belongs to another role', t using hint = 'who may see a table is for its owner to say', errcode = 'insufficient_privilege';
  end if;
  update plank.watched set since = since where rel = t;
  if not found then
    raise exception 'plank: % is not watched', t using hint = 'call plank.watch first', errcode = 'undefined_object';
  end if;
end $$;

-- All policies of a role for an op change together: a client that resumes from before the last change has seen other rows.
create function plank.renew_policy(t regclass, for_role text, for_ops text[]) returns void language sql set search_path = pg_catalog, pg_temp as $$
  update plank.policy set since = pg_current_xact_id() where rel = t and role = for_role and op = any (for_ops)
$$;

-- Lets a role see rows of table t (select), or also write them through the API (insert, update, delete). rows: which, as a
-- filter; null for all. Policies of one role and op add up; name tells them apart, and the same name replaces what was said
-- before. Running servers follow at once. What a claim says is a value and never a part of the filter; a client without the claim
-- gets no row from the policy.
create function plank.allow(t regclass, role text, rows text default null, ops text[] default '{select}', name text default 'default') returns void
  language plpgsql set search_path = pg_catalog, pg_temp as $$
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

-- Takes it back: the policy of that name, or all of them. Clients that are connected lose sight of the rows at once.
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

-- The policies, one line for each table, role, filter and name.
create view plank.policies as
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

-- A restored log has other transactions: what was allowed before its first cursor counts as always allowed.
create function plank.renew_policies() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update plank.policy set since = '0';
  update plank.revoked set version = '0';
  return null;
end $$;
create trigger renew_policies after update of log_id on plank.meta for each statement execute function plank.renew_policies();

revoke all on all functions in schema plank from public;
