"""Packs each order that is placed. python3 worker.py URL SECRET_FILE CURSOR_FILE

The cursor is saved behind each batch. A batch that was being handled when the worker was killed comes again, so the update asks for the status
once more: an order is packed once.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from pathlib import Path

import plank

TOKEN_S = 600


def part(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def token_of(secret: bytes) -> str:
    claims = {"sub": "packer", "role": "worker", "exp": int(time.time()) + TOKEN_S}
    body = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(secret, body, hashlib.sha256))).decode()


async def main(url: str, secret_file: str, cursor_file: str) -> None:
    secret = Path(secret_file).read_bytes().rstrip()
    async with plank.connect(url, token=lambda: token_of(secret)) as db:
        placed = db.subscribe("orders", filter="status=eq.placed", snapshot=True, store=plank.FileCursor(cursor_file))
        async for batch in placed:
            for order in [*batch.rows, *(change.row for change in batch.changes if change.row)]:
                for packed in await db.update("orders", f"id=eq.{order['id']}&status=eq.placed", {"status": "packed"}):
                    print("packed", packed["id"], flush=True)


asyncio.run(main(*sys.argv[1:]))
