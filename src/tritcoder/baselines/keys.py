"""Keys of services: read from the environment, and kept out of every text that people see or files hold."""

import os
from collections.abc import Sequence

from tritcoder.errors import AccessError


def find_key(names: Sequence[str]) -> str:
    """The key in the first of these environment variables that holds one; empty when none does.

    Raises:
        AccessError: it has characters that no HTTP header can carry; does not quote it.
    """
    for name in names:
        key = os.environ.get(name, "").strip()
        if key and not (key.isascii() and key.isprintable()):
            raise AccessError(f"the key in {name} holds characters that no key has", f"export {name}=KEY anew")
        if key:
            return key
    return ""


def without_key(text: str, key: str) -> str:
    """The text with the key blotted out, for services that repeat it in their errors."""
    return text.replace(key, "[the key]") if key else text
