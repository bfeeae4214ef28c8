"""Sees to it that an adapter never outlives its host."""

import os
import select
import threading
import time
from collections.abc import Callable

_POLL_SECONDS = 0.5
_LAST_SECONDS = 6.0


def watch_parent(parent: int, gone: Callable[[], None]) -> None:
    """Watch the process that started this one, in a thread, so that a blocked event loop does not matter.

    PR_SET_PDEATHSIG is the host's to set, not ours: it fires at the end of the *thread* that forked, and only
    the host knows whether that thread lives as long as itself.

    Args:
        parent: Its id, as it was early on: when it has died meanwhile, that is noticed too.
        gone: Called once, in another thread, when the parent has died. Six seconds later the process ends,
            whatever it is doing.
    """
    threading.Thread(target=_watch, args=(parent, gone), name="mimic-parent", daemon=True).start()


def _watch(parent: int, gone: Callable[[], None]) -> None:
    _wait_for_end(parent)
    gone()
    time.sleep(_LAST_SECONDS)
    os._exit(1)


def _wait_for_end(parent: int) -> None:
    try:
        pidfd = os.pidfd_open(parent)
    except (AttributeError, OSError):
        # No pidfd on this system or in this sandbox, or the parent is gone already.
        pidfd = None
    if pidfd is not None:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        # Opened by number: only while it is still the parent is it the process that was meant.
        if os.getppid() == parent:
            poll.poll()
        os.close(pidfd)
        return
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
