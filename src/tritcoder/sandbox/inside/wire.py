"""What keeper and zygote say to each other: fixed packets over a SOCK_SEQPACKET socket."""

import struct

REQUEST = struct.Struct("<dd4Q")
"""cpu_s, wall_s, address space in all and beyond the zygote's own, largest file (bytes), mode.
With it come six descriptors."""
DESCRIPTORS = ("value", "setup", "task", "stdin", "stdout", "stderr")
"""In the order in which a request carries them."""
REPLY = struct.Struct("<iiddQ")
"""wait status (-1: no child), why killed, cpu_s, wall_s, peak resident bytes."""
MODE_RUN, MODE_CALL = 0, 1
KILLED_NOT, KILLED_CPU, KILLED_WALL = 0, 1, 2
ARMED = b"+"
"""First byte of `setup` once the child is confined; without it no untrusted line has run."""
