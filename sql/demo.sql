-- The demo's table, made by `plank serve --demo` only: what the dashboard shows and /api/items serves. An ordinary table, watched
-- like any other. Limits are checked here as well as in the server, since rows also come from psql, COPY and other programs.

create table public.items (
  id          bigint generated always as identity primary key,
  name        text not null constraint items_name_length check (char_length(name) between 1 and 200),
  description text,
  status      text not null default 'open' constraint items_status_known check (status in ('open', 'active', 'done')),
  data        jsonb not null default '{}' constraint items_data_object check (jsonb_typeof(data) = 'object'),
  version     int not null default 1,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now()
);

-- Pages of /api/items walk these: (sort column, id) is the key of a keyset page.
create index items_created_at on public.items (created_at, id);
create index items_updated_at on public.items (updated_at, id);
create index items_status on public.items (status, id);

-- The version is the ETag, so it has to change with every update, by whatever way it comes. A BEFORE trigger may not rely on
-- what the statement says about version and updated_at.
create function public.items_touch() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  new.version := old.version + 1;
  new.updated_at := now();
  return new;
end $$;

create trigger items_touch before update on public.items for each row execute function public.items_touch();

select plank.watch('public.items', writable => true);
