-- Run after owner.sql: lets the role that owns plank.rest_write write the tables that clients may write.
do $$
declare
  thing record;
begin
  for thing in
    select w.rel from plank.watched w join pg_class c on c.oid = w.rel
    where w.writable or exists (select from plank.policy p where p.rel = w.rel and p.op <> 'select')
  loop
    begin
      perform plank.permit_writes(thing.rel);
    exception when insufficient_privilege then
      raise warning 'plank: % belongs to another role, which has to call plank.watch again', thing.rel;
    end;
  end loop;
end $$;
