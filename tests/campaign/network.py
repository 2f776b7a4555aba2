"""A small network of namespaces on this machine: every packet between them passes one process that delays and drops it.

Linux, root, /dev/net/tun. The kernel's netem is not needed. Addresses are 10.77.0.1, 10.77.0.2, … in that order.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TUN_NO_PI = 0x0001 | 0x1000
CLONE_NEWNET = 0x40000000
MTU = 1500
libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Network:
    """Namespaces by name, and what the way between them does. Its fields may change while packets flow."""

    names: tuple[str, ...]
    delay_s: float = 0.0
    loss_ratio: float = 0.0
    cut: bool = False
    seed: int = 1
    forwarded: int = 0
    dropped: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    def address(self, name: str) -> str:
        """IPv4 address of a namespace."""
        return f"10.77.0.{self.names.index(name) + 1}"

    def command(self, name: str, *command: str) -> list[str]:
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", name, *command]

    def forward(self, descriptors: dict[int, int]) -> None:
        """Take packets from each TUN and give them to that of their destination, later or never."""
        rng, waiting, number = random.Random(self.seed), [], 0
        for descriptor in descriptors.values():
            os.set_blocking(descriptor, False)
        while not self.stopping.is_set():
            wait_s = min(0.05, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.05
            for descriptor in select.select(list(descriptors.values()), [], [], wait_s)[0]:
                packet = os.read(descriptor, MTU + 64)
                if packet[0] >> 4 != 4 or self.cut or rng.random() < self.loss_ratio or packet[19] not in descriptors:
                    self.dropped += 1
                    continue
                number += 1
                heapq.heappush(waiting, (time.monotonic() + self.delay_s, number, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, packet = heapq.heappop(waiting)
                try:
                    os.write(descriptors[packet[19]], packet)
                    self.forwarded += 1
                except OSError:
                    self.dropped += 1


@contextmanager
def network(*names: str) -> Iterator[Network]:
    """Namespaces that reach each other, gone afterwards."""
    net = Network(tuple(f"{name}-{os.getpid()}" for name in names))
    with ExitStack() as cleanup:
        descriptors = {}
        for index, name in enumerate(net.names, 1):
            subprocess.run(["ip", "netns", "add", name], check=True)
            cleanup.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            descriptors[index] = tun_in(name)
            cleanup.callback(os.close, descriptors[index])
            for line in ("link set lo up", f"addr add 10.77.0.{index}/24 dev peak0", "link set peak0 up"):
                subprocess.run(["ip", "-n", name, *line.split()], check=True)
        thread = threading.Thread(target=net.forward, args=(descriptors,), daemon=True)
        thread.start()
        cleanup.callback(thread.join, 2.0)
        cleanup.callback(net.stopping.set)
        yield net


def tun_in(namespace: str) -> int:
    """A TUN device named peak0 in a namespace; its descriptor works from ours."""
    ours = os.open("/proc/self/ns/net", os.O_RDONLY)
    theirs = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        enter(theirs)
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH14x", b"peak0", IFF_TUN_NO_PI))
        finally:
            enter(ours)
    finally:
        os.close(ours)
        os.close(theirs)
    return descriptor


def enter(namespace: int) -> None:
    """Move this thread into a network namespace."""
    if libc.setns(namespace, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
