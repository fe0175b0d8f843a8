"""The page lets no markup through and needs nothing but itself."""

import base64
import re

import numpy as np
import pytest

from twin.report.html import Image, table, write_page


def test_images_are_embedded_and_described(tmp_path):
    images = [Image(b"one", "first"), Image(b"two", "second"), Image(b"three", "third")]
    write_page(tmp_path / "r.html", "t", [("one", "x", images[:1]), ("two", "y", images[1:])], {"seed": "1"})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    found = re.findall(r'<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">', page)
    assert [Image(base64.b64decode(data), words) for data, words in found] == images
    assert not re.search(r"<script|<link|https?://|src=\"(?!data:)", page)


def test_everything_but_tables_is_escaped(tmp_path):
    evil = '<script>alert("&")</script>'
    write_page(tmp_path / "r.html", evil, [(evil, [evil, table([[evil, 1.5]], [evil, "n"])], [Image(b"", evil)])], {evil: evil})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;") == 10
    assert page.count("<td") == 3


def test_paragraphs_and_an_image_without_caption(tmp_path):
    write_page(tmp_path / "r.html", "t", [("head", "one\n\ntwo", [Image(b"", "")])], {})
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<p>one</p>\n<p>two</p>" in page
    assert 'alt="head"' in page
    assert "<figcaption" not in page.split("</style>")[1]


def test_table_formats_numbers():
    html = table([["a", np.float32(0.123456), 12000, None], ["b", float("nan"), 3, 2.0]], ["name", "x", "n", "y"])
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html)
    assert cells == ["a", "0.1235", "12000", "–", "b", "–", "3", "2"]
    assert html.count('class="number"') == 9
    with pytest.raises(ValueError, match="row 1 has 1 cells; the header has 2"):
        table([["a"]], ["x", "y"])
