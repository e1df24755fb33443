"""postgrest-py, as it comes from its registry, against a plank: `client.py http://127.0.0.1:PORT/rest`. The table `orders` is the
one of tests/it/rest, with three rows."""

import sys

from postgrest import SyncPostgrestClient
from postgrest.exceptions import APIError

db = SyncPostgrestClient(sys.argv[1])
count = 0


def check(what, got, expected):
    global count
    if got != expected:
        sys.exit(f"{what}: {got!r}, and not {expected!r}")
    count += 1


def orders():
    return db.from_("orders")


def names(query):
    return [row["name"] for row in query.order("id").execute().data]


def refused(what, query, code):
    try:
        query.execute()
    except APIError as error:
        check(what, error.code, code)
    else:
        sys.exit(f"{what}: was not refused")


select = lambda: orders().select("name")
check("select", names(select()), ["tea", "Coffee", "milk"])
check("eq", names(select().eq("id", 2)), ["Coffee"])
check("neq", names(select().neq("id", 2)), ["tea", "milk"])
check("gt and lt", names(select().gt("id", 1).lt("id", 3)), ["Coffee"])
check("like", names(select().like("name", "%e%")), ["tea", "Coffee"])
check("ilike", names(select().ilike("name", "c%")), ["Coffee"])
check("in", names(select().in_("id", [1, 3])), ["tea", "milk"])
check("is", names(select().is_("price", "null")), ["milk"])
check("contains", names(select().contains("tags", ["a"])), ["tea"])
check("overlaps", names(select().overlaps("tags", ["b"])), ["tea", "Coffee"])
check("or", names(select().or_("id.eq.1,name.eq.milk")), ["tea", "milk"])
check("not", names(select().not_.in_("id", [1, 3])), ["Coffee"])
check("limit and offset", names(select().limit(1).offset(1)), ["Coffee"])
check("range", names(select().range(1, 2)), ["Coffee", "milk"])
check("desc", [r["name"] for r in select().order("price", desc=True, nullsfirst=False).execute().data], ["Coffee", "tea", "milk"])
check("count", orders().select("*", count="exact").limit(1).execute().count, 3)
check("single", select().eq("id", 1).single().execute().data, {"name": "tea"})
refused("single of none", select().eq("id", 9).single(), "PGRST116")

check("insert", orders().insert({"name": "one"}).execute().data[0]["name"], "one")
check("insert many", len(orders().insert([{"name": "two"}, {"name": "three"}]).execute().data), 2)
check("upsert", orders().upsert({"id": 1, "name": "TEA"}).execute().data[0]["name"], "TEA")
check("update", orders().update({"status": "done"}).eq("id", 1).execute().data[0]["status"], "done")
check("delete", len(orders().delete().gte("id", 4).execute().data), 3)
refused("a duplicate", orders().insert({"id": 1, "name": "x"}), "23505")
refused("delete of all", orders().delete(), "21000")
refused("an unknown column", orders().select("nonsense"), "42703")
refused("embedding", orders().select("id,customers(*)"), "PGRST100")
print(f"ok: {count} uses of postgrest-py")
