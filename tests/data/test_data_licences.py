from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data.config import PERMISSIVE
from tritcoder.data.licences import UNKNOWN, allowed, conjunction, of_header, of_package, of_text

MIT = """MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy of this software ...
The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software. THE SOFTWARE IS PROVIDED "AS IS" ..."""
BSD_2 = """Redistribution and use in source and binary forms, with or without modification, are permitted:
* Redistributions of source code must retain the above copyright notice
* Redistributions in binary form must reproduce the above copyright notice"""
BSD_3 = BSD_2 + "\n* Neither the name of the copyright holder nor the names of its contributors may be used ..."
BSD_4 = BSD_3 + "\n* All advertising materials mentioning features or use of this software must display ..."
APACHE = "                                 Apache License\n                           Version 2.0, January 2004"
ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee
is hereby granted, provided that the above copyright notice and this permission notice appear in all copies."""
MPL = "Mozilla Public License Version 2.0\n ... means either the GNU General Public License, Version 2.0 ..."
GPL_3 = "                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007"
GPL_2 = "GNU GENERAL PUBLIC LICENSE\n                       Version 2, June 1991"
LGPL = "GNU LESSER GENERAL PUBLIC LICENSE\n Version 2.1, February 1999 ... GNU General Public License"
AGPL = "GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3, 19 November 2007 ... GNU General Public License version 3"
PSF = "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2\n--------------------------------------------"
UNLICENSE = "This is free and unencumbered software released into the public domain."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, "MIT"),
        (MIT.replace("this permission notice shall be included", "nothing more"), "MIT-0"),
        (BSD_2, "BSD-2-Clause"),
        (BSD_3, "BSD-3-Clause"),
        (BSD_4, "BSD-4-Clause"),
        (APACHE, "Apache-2.0"),
        (ISC, "ISC"),
        (ISC.partition(", provided")[0], "0BSD"),
        (MPL, "MPL-2.0"),
        (GPL_3, "GPL-3.0"),
        (GPL_2, "GPL-2.0"),
        (LGPL, "LGPL-2.1"),
        (AGPL, "AGPL-3.0"),
        (PSF, "PSF-2.0"),
        (UNLICENSE, "Unlicense"),
        (MIT + "\n\n" + GPL_3, "MIT AND GPL-3.0"),
        ('"Commons Clause" License Condition v1.0\n' + APACHE, "Apache-2.0 AND LicenseRef-Commons-Clause"),
        ("All rights reserved. Not for redistribution.", ""),
        ("", ""),
    ],
)
def test_a_licence_is_recognised_by_its_text(text: str, expected: str) -> None:
    assert of_text(text) == expected
    assert of_text("\n".join(f"#  {line}" for line in text.splitlines())) == expected


@pytest.mark.parametrize(
    ("expression", "field", "classifiers", "texts", "expected"),
    [
        ("MIT", "GPL", ["License :: OSI Approved :: BSD License"], [], "MIT"),
        ("", "MIT", ["License :: OSI Approved :: MIT License"], [], "MIT"),
        ("", "MIT License", [], [], "MIT"),
        ("", "Apache License, Version 2.0", [], [], "Apache-2.0"),
        ("", "Apache 2.0 License", [], [], "Apache-2.0"),
        ("", "Apache-2.0", [], [], "Apache-2.0"),
        ("", "", ["License :: OSI Approved :: Apache Software License"], [], "Apache-2.0"),
        ("", "", ["License :: OSI Approved :: Python Software Foundation License"], [], "PSF-2.0"),
        ("", "", ["License :: OSI Approved :: ISC License (ISCL)"], [], "ISC"),
        ("", "", ["License :: OSI Approved :: The Unlicense (Unlicense)"], [], "Unlicense"),
        ("", "", ["License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"], [], "MPL-2.0"),
        ("", "", ["License :: OSI Approved :: zlib/libpng License"], [], "Zlib"),
        ("", "MPL-2.0 AND MIT", [], [], "MPL-2.0 AND MIT"),
        ("", "BSD", ["License :: OSI Approved :: BSD License"], [], "LicenseRef-BSD"),
        ("", "BSD", ["License :: OSI Approved :: BSD License"], [BSD_3], "BSD-3-Clause"),
        ("", "3-Clause BSD License", ["License :: OSI Approved :: BSD License"], [], "BSD-3-Clause"),
        ("", BSD_2, ["License :: OSI Approved :: BSD License"], [], "BSD-2-Clause"),
        ("", "", ["License :: OSI Approved"], [MIT], "MIT"),
        ("", "", ["Programming Language :: Python"], [], UNKNOWN),
        # a bundle of texts (fonts, vendored code) does not overrule what the publisher says in words
        ("", MIT + GPL_3, ["License :: OSI Approved :: Python Software Foundation License"], [], "PSF-2.0"),
        # two statements mean both
        ("", "MIT", ["License :: OSI Approved :: GNU General Public License v3 (GPLv3)"], [],
         "LicenseRef-GNU-General-Public-License-v3-GPLv3 AND MIT"),
        ("", "GPLv3", ["License :: OSI Approved :: MIT License"], [], "LicenseRef-GPLv3 AND MIT"),
        ("", "Proprietary", [], [], "LicenseRef-Proprietary"),
    ],
)  # fmt: skip
def test_a_package_states_its_licence_in_one_of_three_places(
    expression: str, field: str, classifiers: list[str], texts: list[str], expected: str
) -> None:
    assert of_package(expression, field, classifiers, texts) == expected


@pytest.mark.parametrize(
    ("expression", "verdict"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("MIT AND GPL-3.0", False),
        ("GPL-3.0 OR MIT AND Apache-2.0", True),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", True),
        ("(GPL-3.0 OR MIT) AND MPL-2.0", False),
        ("GPL-3.0 AND (MIT OR Apache-2.0)", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0 WITH Classpath-exception-2.0", False),
        ("Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause", True),
        ("((MIT))", True),
        ("(MIT", False),
        ("MIT)", False),
        ("MIT AND", False),
        ("OR MIT", False),
        ("MIT MIT", False),
        ("MIT WITH", False),
        ("()", False),
        ("MIT, but not for you", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_an_expression_is_met_by_permissive_licences_or_not(expression: str, verdict: bool) -> None:
    assert allowed(expression, PERMISSIVE) is verdict


_TREES = st.recursive(
    st.sampled_from(["MIT", "ISC", "GPL-3.0", "MPL-2.0"]),
    lambda inner: st.tuples(inner, st.sampled_from(["AND", "OR"]), inner),
    max_leaves=8,
)


def _written(tree: Any) -> str:
    return tree if isinstance(tree, str) else f"({_written(tree[0])} {tree[1]} {_written(tree[2])})"


def _met(tree: Any) -> bool:
    if isinstance(tree, str):
        return tree in PERMISSIVE
    verdicts = (_met(tree[0]), _met(tree[2]))
    return all(verdicts) if tree[1] == "AND" else any(verdicts)


@given(_TREES)
def test_an_expression_means_its_logic(tree: Any) -> None:
    assert allowed(_written(tree), PERMISSIVE) is _met(tree)


@given(st.text())
def test_any_text_is_judged_without_a_crash(text: str) -> None:
    assert allowed(text, ("MIT",)) in (True, False)
    of_text(text)
    of_header(text)
    of_package("", text, [f"License :: {text}"], [text])


def test_unknown_is_allowed_only_by_name() -> None:
    assert allowed(UNKNOWN, ("MIT", "unknown"))
    assert not allowed(UNKNOWN, ("MIT",))


def test_a_conjunction_keeps_alternatives_together() -> None:
    assert conjunction(["MIT OR GPL-3.0", "GPL-3.0"]) == "(MIT OR GPL-3.0) AND GPL-3.0"
    assert not allowed(conjunction(["MIT OR GPL-3.0", "GPL-3.0"]), PERMISSIVE)
    assert conjunction(["MIT", "", "MIT"]) == "MIT"
    assert conjunction([]) == UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# SPDX-License-Identifier: GPL-2.0-or-later\nimport os\n", "GPL-2.0-or-later"),
        ("#!/usr/bin/env python\n# SPDX-License-Identifier: (MIT OR Apache-2.0)\n", "(MIT OR Apache-2.0)"),
        ("/* SPDX-License-Identifier: MIT */", "MIT"),
        ("<!-- SPDX-License-Identifier: MIT -->", "MIT"),
        ('PREFIX = "SPDX-License-Identifier: " + name', ""),
        ("import os\n", ""),
        ("x = 1\n" * 2000 + "# SPDX-License-Identifier: MIT\n", ""),
    ],
)
def test_a_file_may_state_its_own_licence(text: str, expected: str) -> None:
    assert of_header(text) == expected
