"""Leads some requests to what is there: made-up tables and cursors would only ever be refused."""

import json
import os
import zlib

import schemathesis

# What run.sh has seen before it made its items.
CURSOR = os.environ["PLANK_TEST_CURSOR"]
ITEMS = int(os.environ["PLANK_TEST_ITEMS"])


def pick(thing):
    """A number that is the same for the same request: one seed, one run."""
    return zlib.crc32(json.dumps(thing, sort_keys=True, default=str).encode())


@schemathesis.hook.apply_to(path="/api/changes")
def map_query(context, query):
    number = pick(query)
    if query and "table" in query and number % 4:
        query["table"] = "items"
    if query and "since" in query and number % 2:
        query["since"] = CURSOR
    return query


@schemathesis.hook.apply_to(path="/api/items/{id}")
def map_path_parameters(context, path_parameters):
    number = pick(path_parameters)
    if path_parameters and number % 2:
        path_parameters["id"] = number % ITEMS + 1
    return path_parameters
