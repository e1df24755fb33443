#!/usr/bin/env python3
"""notify.py PLANK_BIN: plays systemd for plank.service: what plank says to it (sd_notify(3)) from start to stop.

With a private PostgreSQL in a temporary directory, without new privileges and without memory that is both writable and
executable, as in the unit's sandbox.
"""

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65  # MemoryDenyWriteExecute; Linux 6.3 and newer, without effect elsewhere
DEADLINE = time.monotonic() + 90  # for everything together

libc = ctypes.CDLL(None)


def sandbox():
    os.umask(0o077)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)


def wait_for(notify, plank, line):
    """Reads until plank has said this; what it says of its status in between is its own business."""
    notify.settimeout(1)
    while time.monotonic() < DEADLINE:
        # Before the read: the last words of one that has ended are still to be heard.
        ended = plank.poll() is not None
        try:
            said = notify.recv(4096).decode().splitlines()
        except TimeoutError:
            if ended:
                break
            continue
        if line in said:
            print(f"ok: plank says {line} to systemd", flush=True)
            return
    raise AssertionError(f"plank did not say {line} to systemd")


def main():
    directory = tempfile.mkdtemp(prefix="plank-notify-")
    # As root plank drops to the user postgres for its PostgreSQL, who must get through here.
    os.chmod(directory, 0o711)
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(f"{directory}/notify")
    environment = {name: os.environ[name] for name in ("PATH", "PLANK_PG_BIN") if name in os.environ}
    environment |= {"NOTIFY_SOCKET": f"{directory}/notify", "WATCHDOG_USEC": "30000000"}
    environment |= {"PLANK_DATA_DIR": f"{directory}/data", "PLANK_LISTEN": "127.0.0.1:0"}
    with open(f"{directory}/log", "w+") as log:
        plank = subprocess.Popen(
            [sys.argv[1], "serve"], env=environment, stdout=log, stderr=log, preexec_fn=sandbox
        )
        try:
            wait_for(notify, plank, "READY=1")
            wait_for(notify, plank, "WATCHDOG=1")
            plank.terminate()
            wait_for(notify, plank, "STOPPING=1")
            code = plank.wait(max(1, DEADLINE - time.monotonic()))
            assert code == 0, f"plank ended with {code} on SIGTERM, not with 0"
            assert not os.path.exists(f"{directory}/data/pgdata/postmaster.pid"), "PostgreSQL was left running"
            print("ok: plank stops on SIGTERM, and its PostgreSQL with it", flush=True)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read())
            raise
        finally:
            if plank.poll() is None:
                # It stops its PostgreSQL before it ends; without this the directory would go away under it.
                plank.terminate()
                plank.wait(60)
            shutil.rmtree(directory, ignore_errors=True)


main()
