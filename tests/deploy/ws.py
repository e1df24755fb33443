#!/usr/bin/env python3
"""ws.py BASE_URL [CAFILE]: opens BASE_URL/ws?table=items as a browser would, waits for `welcome` and `subscribed`, posts an
item, and waits for the `changes` message that carries it.
"""

import json
import os
import sys
import time
import urllib.request

from client import WebSocket, trusting

DEADLINE = time.monotonic() + 30  # for everything together


def main():
    base = sys.argv[1]
    context = trusting(sys.argv[2]) if len(sys.argv) > 2 else None
    ws = WebSocket(base, deadline=DEADLINE, context=context)
    welcome = ws.expect("welcome")
    assert welcome["protocol"] == "plank.v1", welcome
    subscribed = ws.expect("subscribed")
    assert subscribed["table"] == "public.items", subscribed

    name = f"through the proxy {os.getpid()}"
    request = urllib.request.Request(
        f"{base}/api/items", json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
    )
    # No proxy from the environment: the address is on this machine.
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    with urllib.request.build_opener(*handlers).open(request, timeout=10) as answer:
        assert answer.status == 201, answer.status

    names = []
    while name not in names:
        names += [change["row"]["name"] for change in ws.expect("changes")["changes"] if change["op"] == "insert"]
    ws.close()


main()
