"""Names of columns: documented, and each of one quantity."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from twin.data.formats import formats
from twin.data.tables.names import KNOWN, NAMES, count_known, parse_columns, plain

PAGE = Path(__file__).parents[4] / "docs" / "formats.md"


def test_every_name_and_format_is_documented():
    page = PAGE.read_text()
    names = [name for quantity, names in NAMES.items() if quantity != "simulated" for name in names]
    undocumented = [name for name in names if f"`{name}`" not in page]
    assert undocumented == []
    assert all(f"`{name}`" in page for name in formats())
    assert all(f"`{ending}`" in page for form in formats().values() for ending in form.endings)


def test_a_name_is_of_one_quantity():
    assert [name for name, n in Counter(plain(name) for names in NAMES.values() for name in names).items() if n > 1] == []
    assert all(plain(names[0]) in KNOWN for names in NAMES.values())


def test_names_are_compared_as_people_write_them():
    for name in ("contrastLeft", "Contrast Left", "CONTRAST_LEFT", "contrast.left", " contrast-left "):
        assert KNOWN[plain(name)] == "left"
    assert count_known(["Mouse", "animal", "Response", "colour"]) == 2


def test_what_is_asked_for_is_parsed():
    assert parse_columns("choice=resp, stimulus = my stim") == {"choice": "resp", "stimulus": "my stim"}
    for wrong in ("", "choice", "choice=", "=resp", "choice=resp,"):
        with pytest.raises(ValueError, match="expected QUANTITY=COLUMN"):
            parse_columns(wrong)
