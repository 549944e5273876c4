"""What queued messages name. Their dotted paths are stored in messages, so they are never renamed."""

from __future__ import annotations

import time

from jobs_app import claims, queue, work
from jobs_app.guard import beat, stopping_file
from jobs_app.hosting import Host, anybody_hosts

SUCCESSION_S = 5
"""How long one token goes on to the next unit by itself: a short recording is prepared, transcribed and
finished without three waits for the queue. Not for ever: between tokens the queue replaces old processes."""


def work_once() -> None:
    """Do the best work there is, and see to it that the rest finds a worker."""
    beat()
    if stopping_file().exists():
        return
    until = time.monotonic() + SUCCESSION_S
    with Host() as host:
        while True:
            host.start()
            did = work.run_one()
            beat()
            if stopping_file().exists():
                break
            if host.active:
                if not did:
                    host.wait()
            elif not did or time.monotonic() > until:
                break
    # Where somebody is the host, he takes the rest himself, and a token would go round for nothing.
    if claims.anything_claimable() or (claims.anything_claimable(remote=True) and not anybody_hosts()):
        queue.wake()
