"""Open orders as Server-Sent Events of your own application: uvicorn fastapi_stream:app"""

import json
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import plank

app = FastAPI()


@app.get("/open-orders")
async def open_orders() -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async with plank.connect("http://127.0.0.1:8080", numbers="float") as db:
            async for batch in db.subscribe("orders", filter="status=eq.open", snapshot=True):
                rows = batch.rows or [change.row or change.key for change in batch.changes]
                yield f"event: {batch.kind}\ndata: {json.dumps(rows)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")
