"""Licences: SPDX expressions, what package metadata says, and the texts themselves.

Every doubt is resolved against use: several statements mean all of them at once, and what is not recognised is
not allowed.
"""

import re
from collections.abc import Sequence

from tritcoder.data.config import PERMISSIVE

UNKNOWN = "unknown"

_COPYLEFT = (
    "AFL-3.0", "AGPL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "BSD-4-Clause", "CDDL-1.0", "EPL-2.0",
    "GPL-2.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0", "GPL-3.0-only", "GPL-3.0-or-later",
    "LGPL-2.1", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later",
    "MPL-1.1", "MPL-2.0", "ZPL-2.1",
)  # fmt: skip
_IDS = {licence.lower() for licence in (*PERMISSIVE, *_COPYLEFT)}

_BY_NAME = {
    "apache": "Apache-2.0",
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache2": "Apache-2.0",
    "apache software": "Apache-2.0",
    "apache software 2.0": "Apache-2.0",
    "asl 2.0": "Apache-2.0",
    "boost software 1.0": "BSL-1.0",
    "bsd": "LicenseRef-BSD",
    "bsd 2 clause": "BSD-2-Clause",
    "2 clause bsd": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "bsd 3 clause": "BSD-3-Clause",
    "3 clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "revised bsd": "BSD-3-Clause",
    "cc0 1.0 universal": "CC0-1.0",
    "historical permission notice and disclaimer": "HPND",
    "isc": "ISC",
    "mit": "MIT",
    "expat": "MIT",
    "mit no attribution": "MIT-0",
    "mozilla public 2.0": "MPL-2.0",
    "mpl 2.0": "MPL-2.0",
    "psf": "PSF-2.0",
    "psf 2.0": "PSF-2.0",
    "python software foundation": "PSF-2.0",
    "unlicense": "Unlicense",
    "university of illinois/ncsa open source": "NCSA",
    "universal permissive": "UPL-1.0",
    "zlib/libpng": "Zlib",
    "zlib": "Zlib",
}
"""The names that people give licences, as `_plain_name` leaves them, and their SPDX ids."""

_FILLER = re.compile(r"\([^)]*\)|\b(?:licen[cs]ed?|the|version|under)\b|\bv(?=\d)|[,_\"'-]", re.IGNORECASE)
_TOKEN = re.compile(r"\(|\)|[A-Za-z0-9.+:-]+")
_OPERATORS = {"and", "or", "with", "(", ")"}
_SPDX_LINE = re.compile(r"SPDX-License-Identifier:[ \t]*([A-Za-z0-9.+:() -]+)")
_HEADER_CHARS = 4000
_LICENCE_TEXT_CHARS = 100_000

_PHRASES = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("MPL-2.0", ("mozilla public license", "version 2.0")),
    ("PSF-2.0", ("python software foundation license version 2",)),
    ("Unlicense", ("free and unencumbered software released into the public domain",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("BSL-1.0", ("boost software license - version 1.0",)),
    ("Zlib", ("altered source versions must be plainly marked",)),
    ("LicenseRef-Commons-Clause", ("commons clause",)),
)
"""A licence's text holds all of its phrases, in lower case with single spaces."""

_GNU_TITLE = re.compile(r"gnu (affero |lesser |library )?general public license,? version (\d(?:\.\d)?)")
_GNU_NAMES = {"affero": "AGPL", "lesser": "LGPL", "library": "LGPL", "": "GPL"}
_MIT_GRANT = "permission is hereby granted, free of charge, to any person obtaining a copy"
_BSD_GRANT = "redistribution and use in source and binary forms"
_USE_GRANT = re.compile(r"permission to use, copy, modify,? and(?: or)? distribute this software")


def allowed(expression: str, licences: Sequence[str]) -> bool:
    """Whether an SPDX expression can be met with these licence ids alone.

    `A OR B` needs one of them, `A AND B` both; `A WITH exception` needs A, for exceptions only grant more.
    What is no SPDX expression is allowed only when `licences` holds it word for word.
    """
    known = {licence.lower() for licence in licences}
    if expression.lower() in known:
        return True
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != re.sub(r"\s+", "", expression):
        return False
    verdict, rest = _any_of(tokens, known)
    return verdict and not rest


def _any_of(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    verdict, rest = _all_of(tokens, known)
    while rest and rest[0].upper() == "OR":
        right, rest = _all_of(rest[1:], known)
        verdict = verdict or right
    return verdict, rest


def _all_of(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    verdict, rest = _one(tokens, known)
    while rest and rest[0].upper() == "AND":
        right, rest = _one(rest[1:], known)
        verdict = verdict and right
    return verdict, rest


def _one(tokens: list[str], known: set[str]) -> tuple[bool, list[str]]:
    """The verdict on the first operand; a rest that no operator begins is what makes an expression invalid."""
    if not tokens or tokens[0] == ")":
        return False, ["("]
    if tokens[0] == "(":
        verdict, rest = _any_of(tokens[1:], known)
        return (verdict, rest[1:]) if rest[:1] == [")"] else (False, ["("])
    if tokens[1:2] and tokens[1].upper() == "WITH":
        return tokens[0].lower() in known and len(tokens) > 2, tokens[3:]
    return tokens[0].lower() in known, tokens[1:]


def conjunction(expressions: Sequence[str]) -> str:
    """All of the expressions at once, each said once; `unknown` when there is none."""
    distinct = list(dict.fromkeys(expression for expression in expressions if expression))
    if len(distinct) < 2:
        return distinct[0] if distinct else UNKNOWN
    return " AND ".join(f"({one})" if " OR " in one.upper() else one for one in distinct)


def of_package(expression: str, field: str, classifiers: Sequence[str], texts: Sequence[str] = ()) -> str:
    """The licence of a distribution, from every place where its metadata may state it.

    Args:
        expression: `License-Expression` (PEP 639); when there is one, it alone counts.
        field: `License`: a publisher's own words, or a whole text.
        classifiers: all `Classifier` lines.
        texts: the licence files. Whole texts often quote the licences of bundled fonts and libraries too, so
            they are asked only where words leave the licence open.

    Returns:
        an SPDX expression, or `unknown`.
    """
    if expression.strip():
        return expression.strip()
    words, texts = ([], [field, *texts]) if "\n" in field.strip() else ([field], texts)
    stated = {licence for line in classifiers if (licence := _of_classifier(line))}
    stated |= {licence for name in words if (licence := of_words(name))}
    if stated <= {"LicenseRef-BSD"}:
        read = (licence for text in texts if (licence := of_text(text)))
        return next(read, "") or conjunction(sorted(stated))
    if any(licence.startswith("BSD-") for licence in stated):
        stated.discard("LicenseRef-BSD")
    return conjunction(sorted(stated))


def _of_classifier(classifier: str) -> str:
    kind, *path = classifier.split(" :: ")
    return of_words(path[-1]) if kind == "License" and path and path != ["OSI Approved"] else ""


def of_words(words: str) -> str:
    """The SPDX expression that a publisher's words mean: an expression already, or a licence's usual name.

    Returns:
        `LicenseRef-...` for words that are not recognised; empty for none.
    """
    words = words.strip()
    tokens = _TOKEN.findall(words.lower())
    if tokens and all(token in _IDS or token in _OPERATORS for token in tokens):
        return words
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.")
    return _BY_NAME.get(_plain_name(words), f"LicenseRef-{slug}" if slug else "")


def _plain_name(words: str) -> str:
    return " ".join(_FILLER.sub(" ", words.lower()).split()).strip(" .")


def of_text(text: str) -> str:
    """The licence or licences whose text this is, as an SPDX expression; empty when none is recognised."""
    plain = " ".join(re.sub(r"[\s*#/]+", " ", text[:_LICENCE_TEXT_CHARS].lower()).split())
    found = [licence for licence, phrases in _PHRASES if all(phrase in plain for phrase in phrases)]
    if _MIT_GRANT in plain:
        found.append("MIT" if "permission notice shall be included" in plain else "MIT-0")
    if _BSD_GRANT in plain:
        found.append(_bsd(plain))
    if _USE_GRANT.search(plain):
        found.append(_isc_family(plain))
    title = _GNU_TITLE.search(plain)
    if title and "MPL-2.0" not in found:  # whose text speaks of the GPL too
        found.append(f"{_GNU_NAMES[(title[1] or '').strip()]}-{float(title[2]):.1f}")
    return conjunction(found) if found else ""


def _bsd(plain: str) -> str:
    if "all advertising materials mentioning" in plain:
        return "BSD-4-Clause"
    if "neither the name" in plain or "to endorse or promote products" in plain:
        return "BSD-3-Clause"
    return "BSD-2-Clause" if "redistributions in binary form" in plain else "BSD-1-Clause"


def _isc_family(plain: str) -> str:
    if "with or without fee" not in plain:
        return "HPND"
    return "ISC" if "provided that the above copyright notice" in plain else "0BSD"


def of_header(text: str) -> str:
    """The SPDX expression that a source file states for itself in its first lines; empty for none."""
    line = _SPDX_LINE.search(text[:_HEADER_CHARS])
    return line[1].strip(" -") if line else ""
