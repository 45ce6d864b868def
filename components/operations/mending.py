"""Writing mends into files: only the text of what changes is replaced, comments and all else stay."""

import json
import re
from bisect import bisect, insort
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from ..model.rules import REMOVED, Edit, Finding
from .errors import OperationError
from .manifests import Loaded
from .places import YamlNode

CONTEXT: Final = 3
"""Lines of a diff before and after what changes."""

_KEY: Final = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_PLAIN: Final = re.compile(r"[A-Za-z][\w./-]*", re.ASCII)
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


@dataclass(frozen=True, kw_only=True, order=True)
class Replacement:
    """One change of a file's text.

    Attributes:
        start: First character that is replaced, from 0.
        end: The character after the last one.
        text: What stands there then.
    """

    start: int
    end: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A file and what it would be.

    Attributes:
        file: The file.
        before: Its text.
        after: Its text with all mends that fit together.
        replaced: These, sorted.
        findings: What that mends.
    """

    file: str
    before: str
    after: str
    replaced: Sequence[Replacement]
    findings: frozenset[Finding]

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        before, after = (StringIO(text).readlines() for text in (self.before, self.after))
        hunks: list[list[_Change]] = []
        for change in self._changes(before, after):
            if hunks and change.start - hunks[-1][-1].end <= 2 * CONTEXT:
                hunks[-1].append(change)
            else:
                hunks.append([change])
        lines = [line for hunk in hunks for line in _hunk(hunk, before, after)]
        return "".join((f"--- a/{self.file}\n", f"+++ b/{self.file}\n", *lines)) if lines else ""

    def _changes(self, before: Sequence[str], after: Sequence[str]) -> "Iterator[_Change]":
        """Lines that are replaced: to look for them takes minutes where thousands of lines are alike."""
        starts = [0, *accumulate(map(len, before))]
        blocks: list[_Change] = []
        grown = 0
        for each in self.replaced:
            start, end = bisect(starts, each.start) - 1, bisect(starts, each.end)
            new = start + grown
            if blocks and start <= blocks[-1].end:
                start, _, new, _ = blocks.pop()
            grown += each.text.count("\n") - self.before.count("\n", each.start, each.end)
            blocks.append(_Change(start, end, new, end + grown))
        for start, end, new, new_end in blocks:
            old, changed = before[start:end], after[new:new_end]
            same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, changed, strict=False)))
            ends = zip(reversed(old[same:]), reversed(changed[same:]), strict=False)
            tail = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))
            if change := _Change(start + same, start + len(old) - tail, new + same, new + len(changed) - tail):
                yield change

    def write(self) -> None:
        """Write the file, with the line ends and the byte order mark that it has.

        Raises:
            OperationError: It cannot be written.
        """
        try:
            raw = Path(self.file).read_bytes()
            encoding = "utf-8-sig" if raw.startswith(BOM_UTF8) else "utf-8"
            text = self.after.replace("\n", "\r\n") if b"\r\n" in raw else self.after
            Path(self.file).write_text(text, encoding=encoding, newline="")
        except OSError as error:
            raise OperationError(
                f"{self.file} cannot be written: {error.strerror}", remedy="Allow writing, or apply --diff"
            ) from error


def mends(loaded: Sequence[Loaded], findings: Iterable[Finding]) -> list[Mended]:
    """The files that findings with a mend would change; what came from a stack's export or a cluster has none.

    Raises:
        OperationError: A file cannot be read any more.
    """
    by_file: dict[str, list[tuple[Finding, list[Replacement]]]] = {}
    texts: dict[str, str] = {}
    written: set[tuple[str, str, str]] = set()
    for finding in findings:
        places = {(finding.cluster, finding.object, edit.path) for edit in finding.mend}
        if places & written:  # a heavier finding changes the same
            continue
        found = mend(loaded, finding, texts)
        for file, replaced in found.items():
            by_file.setdefault(file, []).append((finding, replaced))
        written |= places if found else set()
    return [_mended(file, texts[file], groups) for file, groups in by_file.items()]


def mend(loaded: Sequence[Loaded], finding: Finding, texts: dict[str, str]) -> dict[str, list[Replacement]]:
    """What a finding's mend replaces, by file: at each place that has the very same object.

    Nothing where there is no mend or no file, or where one of the places does not fit, which would differ then.

    Args:
        loaded: The clusters.
        finding: The finding.
        texts: Texts of files that were read before; those that are read are added.

    Raises:
        OperationError: A file cannot be read any more.
    """
    near = next((each for each in loaded if each.cluster.name == finding.cluster), None) if finding.mend else None
    if near is None or finding.object not in near.origins:
        return {}
    found: dict[str, list[Replacement]] = {}
    for origin in (near.origins[finding.object], *near.again.get(finding.object, ())):
        document = origin.document
        if document is None or not Path(origin.file).is_file():
            return {}
        if origin.file not in texts:
            texts[origin.file] = _text(origin.file)
        made = [
            replace(each, start=document.start + each.start, end=document.start + each.end)
            for each in replacements(document.text, origin.node, finding.mend)
        ]
        if not made:
            return {}
        found.setdefault(origin.file, []).extend(made)
    return found


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"{file} cannot be read any more: {error}", remedy="Check again") from error


def _mended(file: str, before: str, groups: Sequence[tuple[Finding, Sequence[Replacement]]]) -> Mended:
    chosen: list[Replacement] = []
    findings: set[Finding] = set()
    for finding, group in groups:
        new = [one for one in dict.fromkeys(group) if one not in chosen]  # a file may be read twice
        if any(_overlaps(one, chosen) for one in new):
            continue  # left for the next run
        for one in new:
            insort(chosen, one)
        findings.add(finding)
    parts: list[str] = []
    done = 0
    for each in chosen:
        parts += (before[done : each.start], each.text)
        done = each.end
    after = "".join(parts) + before[done:]
    return Mended(file=file, before=before, after=after, replaced=chosen, findings=frozenset(findings))


class _Change(NamedTuple):
    """Lines ``start:end`` of a text that become lines ``new:new_end``."""

    start: int
    end: int
    new: int
    new_end: int

    def __bool__(self) -> bool:
        return self.start < self.end or self.new < self.new_end


def _hunk(changes: Sequence[_Change], before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Changes that are near each other, with the lines around them, in the form of a unified diff."""
    first, last = changes[0], changes[-1]
    start, end = max(first.start - CONTEXT, 0), min(last.end + CONTEXT, len(before))
    new, new_end = start + first.new - first.start, end + last.new_end - last.end
    yield f"@@ -{start + 1},{end - start} +{new + 1},{new_end - new} @@\n"
    for change in changes:
        yield from (_signed(" ", line) for line in before[start : change.start])
        yield from (_signed("-", line) for line in before[change.start : change.end])
        yield from (_signed("+", line) for line in after[change.new : change.new_end])
        start = change.end
    yield from (_signed(" ", line) for line in before[start:end])


def _signed(sign: str, line: str) -> str:
    """A line of a unified diff; the last one of a file may have no end."""
    return f"{sign}{line}" if line.endswith("\n") else f"{sign}{line}\n\\ No newline at end of file\n"


def _overlaps(one: Replacement, chosen: Sequence[Replacement]) -> bool:
    """Whether one replaces what others do, which are sorted and do not overlap: then only its neighbours can."""
    position = bisect(chosen, one)
    near = chosen[max(position - 1, 0) : position + 1]
    return any(one.start < other.end and other.start < one.end for other in near)


def replacements(text: str, root: YamlNode | None, edits: Sequence[Edit]) -> list[Replacement]:
    """What edits of an object change in the text of its file; nothing where one of them does not fit the text.

    Args:
        text: The file's text.
        root: The object in it.
        edits: The edits.
    """
    found: list[Replacement] = []
    for edit in edits:
        made = _replacement(text, root, edit)
        if made is None:
            return []
        found.append(made)
    return found


def _replacement(text: str, root: YamlNode | None, edit: Edit) -> Replacement | None:
    *above, last = (int(index) if index else name for index, name in _KEY.findall(edit.path))
    holder = root
    for key in above:
        holder = _below(text, holder, key)
    if holder is None or holder.id != "mapping":
        return None
    entries: list[tuple[Any, Any]] = holder.value
    position = next((index for index, (key, _) in _from_the_end(entries) if key.value == last), None)
    if edit.value == REMOVED:
        return None if position is None or len(entries) == 1 else _taken_out(text, holder, position)
    spell = json.dumps if text.lstrip().startswith(("{", "[")) else _flow
    value = spell(json.loads(edit.value))
    if position is not None:
        node = entries[position][1]
        in_line = getattr(node, "flow_style", False) or (node.id == "scalar" and node.style not in ("|", ">"))
        if not in_line or not _alone(text, node, entries[position][0]):
            return None
        return Replacement(start=node.start_mark.index, end=_end(text, node), text=value)
    if not entries:
        return None
    first = entries[0][0].start_mark
    after = ", " if getattr(holder, "flow_style", False) else "\n" + " " * first.column
    return Replacement(start=first.index, end=first.index, text=f"{spell(last)}: {value}{after}")


def _below(text: str, node: YamlNode | None, key: str | int) -> YamlNode | None:
    """What is below a node under a key; nothing where other places share it."""
    if node is None or node.id != ("sequence" if isinstance(key, int) else "mapping"):
        return None
    if isinstance(key, int):
        name, found = node, node.value[key] if key < len(node.value) else None
    else:
        name, found = next((entry for _, entry in _from_the_end(node.value) if entry[0].value == key), (None, None))
    return found if found is not None and _alone(text, found, name) else None


def _from_the_end(entries: Sequence[tuple[Any, Any]]) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """Entries of a mapping with their positions, the last one first: of a key that is given twice it counts."""
    return zip(range(len(entries) - 1, -1, -1), reversed(entries), strict=True)


def _alone(text: str, node: Any, name: Any) -> bool:  # noqa: ANN401 -- nodes of PyYAML
    """Whether a node is no alias, which has the place of what it stands for, and has no anchor."""
    start = node.start_mark.index
    return start >= name.start_mark.index and text[start : start + 1] != "&"


def _taken_out(text: str, holder: YamlNode, position: int) -> Replacement:
    """An entry without which the others stay as they are; there is more than one."""
    entries: list[tuple[Any, Any]] = holder.value
    key, value = entries[position]
    start, end = key.start_mark.index, _end(text, value)
    if getattr(holder, "flow_style", False) and position:
        start = _end(text, entries[position - 1][1])
    elif position == 0:
        end = entries[1][0].start_mark.index
    else:  # the whole line, with a comment behind it
        start = text.rfind("\n", 0, start) + 1
        end = text.find("\n", end) + 1 or len(text)
    return Replacement(start=start, end=end, text="")


def _end(text: str, node: Any) -> int:  # noqa: ANN401 -- a node of PyYAML
    """Where a node's own text ends; the marks of blocks are at what follows them."""
    held: list[Any] = [] if node.id == "scalar" or node.flow_style else node.value
    if not held:
        end = node.end_mark.index
        while text[end - 1 : end].isspace():
            end -= 1
        return end
    return _end(text, held[-1][1] if node.id == "mapping" else held[-1])


def _flow(value: object) -> str:
    """A value in YAML's flow style, without quotes where none are needed."""
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in entries) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, cast("list[object]", value))) + "]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, ensure_ascii=False)
