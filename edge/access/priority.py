"""Lets the threads on a door's way run before the ones that decode video, where the system allows it.

A negative nice value needs RLIMIT_NICE (`LimitNICE=` in the systemd unit) or CAP_SYS_NICE; without either everything
works, and only a busy machine is slower at the door. It never uses a real-time class, which could starve the machine.
"""

import os
import threading

DOOR_NICE = -10


def prefer_this_thread() -> bool:
    """Prefer the calling thread; returns whether the system allowed it. Linux counts niceness by thread."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), DOOR_NICE)
    except PermissionError:
        return False
    return True
