"""The functions that queued messages name. Messages store their dotted paths, so they are never renamed."""

from __future__ import annotations

import time

from jobs_app.leases import claims, queue
from jobs_app.leases.run_folder import beat, is_stopping
from jobs_app.work.unit import do_next
from jobs_app.workers.hosting import Host, anybody_hosts

SUCCESSION_S = 5
"""For this long, one token may go on to further units.

So a short recording is prepared, transcribed and finished without three waits for the queue. The time is
limited, because the queue replaces old processes between two tokens.
"""


def work_once() -> None:
    """Do the best unit of work there is, and wake another worker if more work is left."""
    beat()
    if is_stopping():
        return
    until = time.monotonic() + SUCCESSION_S
    with Host() as host:
        while True:
            host.start()
            # This is read before the search for work, because a host that ends leaves work behind, for
            # example the end of a job.
            hosting = host.active
            did = do_next()
            beat()
            if is_stopping():
                break
            if hosting:
                if not did:
                    host.wait()
            elif not did or time.monotonic() > until:
                break
    # If a process of this machine is the host, it takes the remaining windows of providers itself. A token
    # for them would find nothing to do.
    if claims.anything_claimable() or (claims.anything_claimable(remote=True) and not anybody_hosts()):
        queue.wake()
