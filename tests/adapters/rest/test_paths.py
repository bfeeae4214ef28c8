"""JSONPath: the fast way and the library's give the same."""

from typing import Any

import pytest
from mimic_adapter_rest.paths import Path, PathError

_DATA = {"a": {"b-c": [1, None, {"d": "x"}], "e f": False}, "n": None}


@pytest.mark.parametrize(
    "path, matches",
    [
        ("$", [_DATA]),
        ("$.a.b-c[0]", [1]),
        ("$['a']['b-c'][2].d", ["x"]),
        ('$.a["e f"]', [False]),
        ("$.a.b-c[9]", []),
        ("$.a.b-c.x", []),
        ("$.a[0]", []),
        ("$.a.b-c[2].d[0]", []),
        ("$.n", [None]),
        ("$.n.x", []),
        ("$.a.b-c[*]", [1, None, {"d": "x"}]),
        ("$.a.b-c[-1].d", ["x"]),
        ("$.a.b-c[?@.d=='x'].d", ["x"]),
        ("$.x[*]", []),
        ("$.a.b-c[0].x[*]", []),
        ("$..d", ["x"]),
        ("$.x | $.a.b-c[0] | $..d", [1, "x"]),
        ("$.a.b-c[?@.d=='|' || @.d=='x'].d", ["x"]),
        ("$.a[?$.n==null]", [[1, None, {"d": "x"}], False]),
    ],
)
def test_paths(path: str, matches: list[Any]) -> None:
    assert Path(path).all(_DATA) == matches


@pytest.mark.parametrize(
    "path", ["", "a.b", "$.", "$.a[", "$.a[?]", "$.a | ", "$.a |  | $.b", "$[?foo(@)]", "$ .a b"]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(PathError, match="character"):
        Path(path)


def test_what_a_path_leads_through() -> None:
    assert Path("$.a[*]").leads_somewhere({"a": []})
    assert not Path("$.a[*]").leads_somewhere({"b": []})
    assert Path("$.x | $.a").leads_somewhere({"a": None})
    assert Path("$.a").first({"a": None}) is None
    assert not Path("$.a").holds({"a": ""})
    assert Path("$.a").holds({"a": ["x"]})
