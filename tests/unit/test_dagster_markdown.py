"""Tables in the web UI read as what they hold, whoever wrote it."""

from __future__ import annotations

import pytest

from carbon_assets.markdown import escaped, table_text

HOSTILE = [
    ("a | b", r"a \| b"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("[here](javascript:alert(1))", r"\[here\](javascript:alert(1))"),
    ("![x](https://elsewhere/x.png)", r"\!\[x\](https:&#47;&#47;elsewhere/x.png)"),
    ("one\ntwo\r\n| three", r"one two \| three"),
    ("*bold* _it_ `code` ~~gone~~", r"\*bold\* \_it\_ \`code\` \~\~gone\~\~"),
    (r"back\slash", r"back\\slash"),
    ("&lt;", "&amp;lt;"),
    ("# heading", r"\# heading"),
    (None, ""),
    (0, "0"),
    ("-12.50", "-12.50"),
]


@pytest.mark.parametrize(("value", "text"), HOSTILE)
def test_a_value_is_read_as_it_is_written(value: object, text: str) -> None:
    assert escaped(value) == text


def test_a_table_has_its_columns_and_no_more_whatever_is_in_it() -> None:
    found = table_text(("name", "kg"), [("a|b", "1"), ("c\nd", "2")], right=1, title="E1-6 *gross*")
    assert found.split("\n") == [
        r"E1-6 \*gross\*",
        "",
        "| name | kg |",
        "|---|---:|",
        r"| a\|b | 1 |",
        "| c d | 2 |",
    ]
