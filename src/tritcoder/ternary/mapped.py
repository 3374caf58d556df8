"""A file's bytes without reading them: the one way in which model files are opened."""

import mmap
import stat
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tritcoder.errors import ModelFileError


def map_file(path: Path, least_bytes: int) -> UInt8[np.ndarray, "bytes"]:
    """A read-only view of a file; pages are read when they are touched.

    Raises:
        ModelFileError: there is no such file, it is none that can be mapped, or it is shorter than `least_bytes`.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            raise ModelFileError(f"{path} is no file", "give the path of a model file")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < least_bytes:
                raise ModelFileError(
                    f"{path} should hold at least {least_bytes} bytes, found {size} (the file is cut short)",
                    "copy or export it again",
                )
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
    except ModelFileError:  # which is a ValueError too
        raise
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist", "give the path of a model file") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error})", "choose another file") from None
    except ValueError as error:  # a null byte in the name
        raise ModelFileError(f"{str(path)!r} names no file ({error})", "give the path of a model file") from None
