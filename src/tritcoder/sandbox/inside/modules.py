"""What is imported before programs run, so that they need not."""

OFTEN = (
    "array bisect cmath collections contextlib copy fractions functools heapq io itertools json keyword math "
    "operator random re reprlib string time typing"
)
"""What every other program imports; the fewer, the cheaper each fork."""
SELDOM = (
    "abc ast calendar dataclasses datetime decimal enum hashlib inspect locale numbers os.path queue statistics "
    "struct textwrap threading traceback types unicodedata"
)
"""Added for a program that names one of them: imported once here, rather than by each of its children."""
WHERE_NO_FILE_OPENS = (
    "_pylong _strptime argparse asyncio base64 binascii builtins cProfile codecs collections.abc colorsys "
    "concurrent.futures.thread configparser csv difflib encodings.ascii encodings.latin_1 encodings.utf_16 "
    "encodings.utf_32 errno fileinput fnmatch getopt gettext glob graphlib hmac html.parser "
    "importlib.machinery importlib.resources importlib.util ipaddress linecache logging mmap multiprocessing opcode "
    "optparse pathlib pdb pickle platform pprint profile pstats pydoc resource sched secrets select selectors shlex "
    "shutil signal socket stat subprocess symtable tempfile timeit token tokenize tracemalloc tty unittest "
    "urllib.parse uuid warnings weakref xml.etree.ElementTree zlib zoneinfo"
)
"""Added where seccomp forbids opening any file: what is not here cannot be imported there."""
NUMPY = "numpy numpy.linalg numpy.fft numpy.random numpy.polynomial numpy.ma"
