-- CANARY. A server writes a row here now and then, and measures how long it takes until its own listener brings it back:
-- a listener that hears nothing any more, for whatever reason, is noticed from outside. Nobody can subscribe to it: the
-- table is not watched, so what is logged of it means nothing to any reader but the one that wrote it.
create table plank.canary (
  node uuid        primary key,
  beat bigint      not null,
  at   timestamptz not null default now()
);

-- The same way as every change: the triggers of a watched table.
create trigger plank_insert after insert on plank.canary referencing new table as new_rows for each statement execute function plank.capture_insert();
create trigger plank_update after update on plank.canary referencing old table as old_rows new table as new_rows for each statement execute function plank.capture_update();
alter table plank.canary enable always trigger plank_insert;
alter table plank.canary enable always trigger plank_update;

-- One beat. Nodes that have been gone for a day are forgotten.
create function plank.beat(node uuid, beat bigint) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from plank.canary c where c.at < now() - interval '1 day';
  insert into plank.canary as c (node, beat) values (beat.node, beat.beat)
    on conflict on constraint canary_pkey do update set beat = excluded.beat, at = excluded.at;
end $$;

revoke all on all functions in schema plank from public;
