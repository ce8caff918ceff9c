"""Executing notebooks that hold sliders, without waiting for an answer that has long come."""

import time
from queue import Empty

from nbclient import NotebookClient

LOOK_AGAIN = 1.0  # seconds


class Client(NotebookClient):
    """`NotebookClient`, that looks again every second whether a cell has ended.

    Where a cell draws a slider the client writes to the kernel while it waits, and then may sleep through the kernel's answer
    until the cell's time is over (nbclient, issue 312).
    """

    async def async_start_new_kernel_client(self):
        """Start the kernel's client; its waits are cut into short ones."""
        client = await super().async_start_new_kernel_client()
        channel = client.shell_channel
        channel.get_msg = _looking_again(channel.get_msg)
        return client


def _looking_again(get_msg):
    """`get_msg` that asks anew every `LOOK_AGAIN` seconds, until its own timeout (None: for ever)."""

    async def patient(timeout: float | None = None):
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_AGAIN if ends is None else min(LOOK_AGAIN, max(0.0, ends - time.monotonic()))
            try:
                return await get_msg(timeout=left)
            except Empty:
                if ends is not None and time.monotonic() >= ends:
                    raise

    return patient
