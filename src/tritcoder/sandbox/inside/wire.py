"""What keeper and zygote say to each other: fixed packets over a SOCK_SEQPACKET socket.

The task is a file that holds `marshal.dumps((mode, source, code, fn_name, arguments))`: how the program is run; its
source as bytes; the same compiled, as an earlier child left it in `setup`, or no bytes; the function to call, or
None; its arguments.
"""

import struct

REQUEST = struct.Struct("<dd3Q")
"""cpu_s, wall_s, address space in all and beyond the zygote's own, largest file (bytes).
With it come six descriptors."""
DESCRIPTORS = ("value", "setup", "task", "stdin", "stdout", "stderr")
"""In the order in which a request carries them; then, for linked modes, one to read from, one to write to."""
MAIN, CALL, SERVE, EXAMINE = "main", "call", "serve", "examine"
"""As a whole; one call of a function; calls of a function as another program asks for them; what asks for them."""
REPLY = struct.Struct("<iiddQ")
"""wait status (-1: no child), why killed, cpu_s, wall_s, peak resident bytes."""
MIN_BUSY_SHARE = 0.05
"""A program is not stopped by the clock while it gets at least this share of a processor: it works, on a machine that
is busy with other things as well, and its processor time will tell."""
KILLED_NOT, KILLED_CPU, KILLED_WALL = 0, 1, 2
ARMED = b"+"
"""First byte of `setup` once the child is confined; without it no untrusted line has run."""
COMPILED, REFUSED = b"c", b"r"
"""Second byte of `setup`, from a child that had to compile: the code follows, or why there is none."""
MAX_CODE_BYTES = 2**20
"""Longer code is not handed back: the next child compiles anew."""
