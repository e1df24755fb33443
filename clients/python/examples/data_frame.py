"""A pandas data frame that is always the table."""

import asyncio

import pandas

import plank


async def main() -> None:
    rows: dict[int, plank.messages.Row] = {}
    async with plank.connect("http://127.0.0.1:8080", numbers="float") as db:
        async for batch in db.subscribe("orders", snapshot=True):
            if batch.kind == "snapshot":
                rows = {row["id"]: row for row in batch.rows}
            for change in batch.changes:
                if change.op == "truncate":
                    rows.clear()
                elif change.op == "delete" and change.key:
                    del rows[change.key["id"]]
                elif change.row:
                    rows[change.row["id"]] = change.row
            frame = pandas.DataFrame(rows.values())
            print(frame.describe())


asyncio.run(main())
