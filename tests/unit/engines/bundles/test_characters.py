"""What a reader cannot see, or takes for something else, is pointed out with its line."""

from __future__ import annotations

import pytest

from secureflow.engines.bundles import Bundle, characters, diff, difference, pointed_out
from secureflow.engines.bundles.characters import MAX_REMARKS
from secureflow.kit.plain import hidden


def of(text: str, **others: str) -> list[tuple[str, int, str]]:
    files = {"a.py": text, **{f"{name}.py": one for name, one in others.items()}}
    found = pointed_out(Bundle({name: one.encode() for name, one in files.items()}))
    return [(one.file, one.line, one.text) for one in found]


def test_plain_source_has_no_remark() -> None:
    assert of("def f(x):\n\treturn x  # Größe, 大小, размер, für µ\n") == []


def test_lines_that_a_screen_breaks_are_counted() -> None:
    """Their later parts look like lines of their own."""
    assert of(f"x = {'1' * 156}\n") == []
    ((file, line, text),) = of(f"x = 1\nx = {'1' * 157}\ny = 2\nx = {'1' * 900}")
    assert (file, line, text) == ("a.py", 2, "2 lines have more than 160 characters")


@pytest.mark.parametrize("code", [0x202E, 0x2066, 0x200B, 0xFEFF, 0x0C, 0x1B, 0xAD, 0x2028, 0x3164])
def test_a_hidden_character_is_named_with_its_line(code: int) -> None:
    ((file, line, text),) = of(f"x = 1\ny = 2{chr(code)}\n")
    assert (file, line) == ("a.py", 2)
    assert f"U+{code:04X}" in text
    assert not hidden(text)


def test_a_word_of_two_alphabets() -> None:
    ((_, line, text),) = of("admin = 1\n\u0430dmin = 2\n")  # a Cyrillic а
    assert (line, text) == (2, "\\u0430dmin mixes alphabets")


def test_a_word_that_looks_like_another_one_of_the_bundle() -> None:
    ((file, line, text),) = of("\u0441\u043e\u0440 = 1\n", b="cop = 2\n")  # сор, all Cyrillic
    assert (file, line) == ("a.py", 1)
    assert text == "\\u0441\\u043e\\u0440 looks like cop"
    assert of("# \u0441\u043e\u0440\n") == []  # a word of its own language


def test_a_word_that_python_reads_as_another() -> None:
    ((_, _, text),) = of("\uff45\uff58\uff45\uff43('1')\n")  # full-width exec
    assert text == "\\uff45\\uff58\\uff45\\uff43 is read as exec"


def test_remarks_are_bounded() -> None:
    found = of("\u200b\n" * (MAX_REMARKS + 50))
    assert len(found) == MAX_REMARKS + 1
    assert "more" in found[-1][2]
    assert found[-1][1] == MAX_REMARKS + 1


def test_what_is_looked_at_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "LOOKED_AT", 100)
    looked: list[str] = []
    normal = characters.unicodedata.normalize
    monkeypatch.setattr(
        characters, "_alphabets", lambda word: looked.append(normal("NFKC", word)) or set()
    )
    ((_, line, text),) = of(
        "# \u0431\u043e\u043b\u044c\u0448\u0435 \u0441\u043b\u043e\u0432\n" * 500
    )
    assert "nothing from here on" in text
    assert line == 34  # a line and its two words are three
    assert len(looked) == 66


def test_what_did_not_change_is_not_pointed_out_again() -> None:
    old = Bundle({"a.py": b"\xe2\x80\x8b\n", "b.py": b"x"})
    new = Bundle({"a.py": b"\xe2\x80\x8b\n", "b.py": b"y"})
    assert diff(old, new).remarks == ()
    assert len(diff(None, new).remarks) == 1


@pytest.mark.parametrize(
    "name", ["\u0269mport_x", "l\u0661st", "\ua4f3s", "\u1d0fs", "\U0001042cs", "\u53d8\u91cf"]
)
@pytest.mark.parametrize(
    "code",
    ["{name} = 1", "import {name}", "from a.{name} import b as {name}", "def {name}(): pass",
     "class {name}: pass", "f({name}=1)", "def f({name}): pass", "a.{name}",
     "try: pass\nexcept E as {name}: pass", "def f():\n    global {name}"],
)  # fmt: skip
def test_every_name_beyond_ascii_is_pointed_out(name: str, code: str) -> None:
    source = code.format(name=name)
    bundle = Bundle({"m.py": f"{source}\n# caf\u00e9\nx = 'caf\u00e9'\n".encode()})
    found = list(pointed_out(bundle))
    assert [one.line for one in found] == [source.count("\n") + 1]
    assert ascii(name)[1:-1] in found[0].text


def test_prose_is_not_pointed_out_unless_it_may_be_code() -> None:
    prose = "caf\u00e9\n"
    assert not list(pointed_out(Bundle({"a.txt": prose.encode(), "m.py": b"# " + prose.encode()})))
    for unread in (f"# {prose}x = (", f"# {prose}" + "#\n" * 140_000):
        (remark,) = pointed_out(Bundle({"m.py": unread.encode()}))
        assert "beyond ASCII" in remark.text
