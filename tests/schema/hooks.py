"""Leads some requests to what is there: made-up tables, columns and cursors would only ever be refused."""

import json
import os
import zlib

import schemathesis

# What run.sh has seen before it made its items.
CURSOR = os.environ["PLANK_TEST_CURSOR"]
ITEMS = int(os.environ["PLANK_TEST_ITEMS"])

# More than the request-timeout of schemathesis.toml would be a failure.
WAIT_MAX_S = 1

# Filters and orders of the table items, right ones and wrong ones.
CONDITIONS = [
    ("id", "gt.7"),
    ("id", "in.(1,2,99999999999999999999)"),
    ("status", "not.eq.open"),
    ("name", "ilike.ITEM 1*"),
    ("name", "eq."),
    ("description", "is.null"),
    ("created_at", "lt.infinity"),
    ("created_at", "gt.yesterday"),
    ("data", "eq.1"),
    ("or", "(id.lt.3,and(id.gt.30,name.like.*4),version.neq.1)"),
    ("not.and", '(name.eq."item 1",status.in.(open,done))'),
    ("and", "(id.gt.1"),
]
ORDERS = ["id.desc", "status,created_at.desc.nullsfirst", "name.nullslast", "data", "id,id", "version.desc,name"]
FORMS = ["application/json", "application/x-ndjson", "application/jsonl", "text/csv", "application/x-ndjson;q=0.3, */*;q=0.1"]


def pick(thing):
    """A number that is the same for the same request: one seed, one run."""
    return zlib.crc32(json.dumps(thing, sort_keys=True, default=str).encode())


def lead(query):
    """Columns that are there in three of four filters."""
    number = pick(query)
    if query and "filter" in query and number % 4:
        conditions = [CONDITIONS[(number >> shift) % len(CONDITIONS)] for shift in range(4, 4 + number % 3)]
        query["filter"] = dict(conditions)
    return number


@schemathesis.hook("map_query").apply_to(path="/api/changes")
def changes(context, query):
    number = lead(query)
    if query and "table" in query and number % 4:
        query["table"] = "items"
    if query and "since" in query and number % 2:
        query["since"] = CURSOR
    wait = query.get("wait") if query else None
    if isinstance(wait, int) and wait > WAIT_MAX_S and wait <= 60:
        query["wait"] = number % (WAIT_MAX_S + 1)
    return query


@schemathesis.hook("map_query").apply_to(path="/api/tables/{table}/rows")
def rows(context, query):
    number = lead(query)
    if query and "order" in query and number % 4:
        query["order"] = ORDERS[number % len(ORDERS)]
    if query and "columns" in query and number % 2:
        query["columns"] = ["name", "data,created_at", "nope"][number % 3]
    if query and "after" in query and number % 3:
        del query["after"]
    return query


@schemathesis.hook("map_path_parameters").apply_to(path="/api/tables/{table}/rows")
def table(context, path_parameters):
    if path_parameters and pick(path_parameters) % 8:
        path_parameters["table"] = ["items", "public.items", '"items"'][pick(path_parameters) % 3]
    return path_parameters


# Accept is no parameter of the document, so nothing is made up for it.
@schemathesis.hook("before_call").apply_to(path="/api/tables/{table}/rows")
def form(context, case, kwargs):
    number = pick([case.query, case.path_parameters])
    if number % 2:
        case.headers = {**(case.headers or {}), "Accept": FORMS[number % len(FORMS)]}


@schemathesis.hook("map_path_parameters").apply_to(path="/api/items/{id}")
def item(context, path_parameters):
    number = pick(path_parameters)
    if path_parameters and number % 2:
        path_parameters["id"] = number % ITEMS + 1
    return path_parameters


# Conditions on columns of any type: each is right for some, and refused for the others.
VALUES = [
    "is.null",
    "not.is.null",
    "eq.1",
    "neq.7",
    "gt.0",
    "in.(1,2)",
    "like.*a*",
    "match.^o",
    "eq.infinity",
    "cs.{a}",
    "ov.[1,9)",
    "fts(english).tea",
    "eq(any).{1,2}",
    "isdistinct.NaN",
]
PREFERENCES = [
    "count=exact",
    "count=estimated, handling=strict",
    "max-affected=3, handling=strict",
    "resolution=merge-duplicates, missing=default",
    "resolution=ignore-duplicates",
    "tx=rollback",
    "missing=default",
    "return=headers-only",
    "handling=strict, nonsense",
]
TABLES = ["orders", "wide", 'sales."Order {Lines}/é"', "numbered", "keyless", "quiet"]
ROW_FORMS = ["application/vnd.pgrst.object+json", "text/csv", "application/json;nulls=stripped", "image/png", "*/*"]


@schemathesis.hook("map_query").apply_to(path_regex="^/rest/")
def conditions(context, query):
    number = pick(query)
    if query and isinstance(query.get("filter"), dict) and number % 4:
        for at, name in enumerate(sorted(query["filter"])):
            if name not in ("and", "or", "not.and", "not.or"):
                query["filter"][name] = VALUES[(number >> at) % len(VALUES)]
    return query


# Rows that were inserted come back, so that there is something to hold against their schema: a schema of an answer can't say that
# there may be no body.
@schemathesis.hook("before_call").apply_to(path_regex="^/rest/")
def preference(context, case, kwargs):
    number = pick([case.query, str(case.body)])
    method = case.operation.method.upper()
    headers = dict(case.headers or {})
    words = [PREFERENCES[number % len(PREFERENCES)]] if number % 3 else []
    if method in ("POST", "PUT"):
        words = ["return=representation", *[word for word in words if not word.startswith("return")]]
    elif method != "GET" and number % 2:
        words.append("return=representation")
    if words:
        headers["Prefer"] = ", ".join(words)
    if number % 5 == 0:
        headers["Accept"] = ROW_FORMS[number % len(ROW_FORMS)]
    case.headers = headers
    # A PUT names one row twice.
    if method == "PUT" and isinstance(case.body, dict) and number % 4:
        for name, value in case.body.items():
            if name in (case.query or {}) and not isinstance(value, (dict, list, bool)):
                case.query[name] = f"eq.{value}"


@schemathesis.hook("map_body").apply_to(path="/rest")
def batch(context, body):
    if isinstance(body, list):
        for operation in body:
            number = pick(operation)
            if isinstance(operation, dict) and number % 4:
                operation["table"] = TABLES[number % len(TABLES)]
                operation["key"] = {"id": number % 25}
                operation["values"] = [{"name": "n", "code": str(number % 9)}, {"id": number % 25, "what": "w"}, {"a": 1}][number % 3]
    return body
