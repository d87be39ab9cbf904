"""Checks the README and the pages of this folder: links to files and headings, and every word's spelling.

`python docs/prose.py` from the root prints each finding with its file and line, and exits with 1 if there is any. Words
of the field that no dictionary has stand in docs/words.txt, in order. Code is left out.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORDS = ROOT / "docs" / "words.txt"

FENCE = re.compile(r"^( *)(```+|~~~+).*?^ *\2 *$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)", re.DOTALL)
# Not prose: addresses, names of files, paths and modules, words with digits, and attributes of headings.
NAMES = re.compile(r"https?://\S+|<[^>]+>|\{[^}]*\}|[\w.-]*[/_\d@#][\w./@#-]*|\b\w+\.(?:py|md|ya?ml|csv|json)\b|&\w+;")
WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")


def pages() -> list[Path]:
    """The README and every page of this folder."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def prose(text: str) -> str:
    """The text with code blanked out, lines and columns kept."""
    for code in (FENCE, CODE):
        text = code.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as Markdown renderers make them; equal ones are numbered."""
    found: Counter[str] = Counter()
    names = set()
    blanked = FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), text)
    for heading in re.findall(r"^#{1,6} (.+?)(?: *\{ *#.*\})? *$", blanked, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", LINK.sub(r"\1", heading)).strip().lower()
        name = re.sub(r"\s", "-", plain)
        names.add(f"{name}-{found[name]}" if found[name] else name)
        found[name] += 1
    return names


def broken_links(page: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and reason of each relative link of a page that leads nowhere."""
    blanked = prose(text)
    for link in LINK.finditer(blanked):
        target = link[2]
        if re.match(r"[a-z]+:", target):
            continue
        line = blanked.count("\n", 0, link.start()) + 1
        name, _, anchor = target.partition("#")
        file = page if not name else (page.parent / name)
        if _is_generated(file):
            continue
        if not file.exists():
            yield line, f"link to {target}, which is not there"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield line, f"link to {target}, whose heading is not there"


def misspelt(text: str, known: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Line and word of each word that neither the dictionary nor `known` has."""
    from spellchecker import SpellChecker

    dictionary = SpellChecker(language="en", distance=1)
    own = {word.lower() for word in known}
    for number, line in enumerate(NAMES.sub(" ", LINK.sub(r" \1 ", prose(text))).splitlines(), 1):
        for word in WORD.findall(line):
            plain = word.replace("’", "'")
            if not _spelt(plain, own, dictionary):
                yield number, word


def _spelt(word: str, own: set[str], dictionary: Iterable[str]) -> bool:
    stem = re.sub(r"'[a-z]+$", "", word)
    forms = {word.lower(), stem.lower()}
    return len(stem) < 3 or stem.isupper() or any(form in own or form in dictionary for form in forms)


def _is_generated(file: Path) -> bool:
    """Whether the site's build writes this page (docs/reference); its own strict check follows links to these."""
    return (ROOT / "docs" / "reference") in file.resolve().parents


def main() -> int:
    """Check every page; the exit code says whether anything was found."""
    known = WORDS.read_text(encoding="utf-8").split()
    findings = [] if known == sorted(set(known), key=str.lower) else [f"{WORDS.name}: keep each word once, in order"]
    for page in pages():
        text = page.read_text(encoding="utf-8")
        name = page.relative_to(ROOT)
        findings += [f"{name}:{line}: {reason}" for line, reason in broken_links(page, text)]
        findings += [f"{name}:{line}: {word} is in no dictionary" for line, word in misspelt(text, known)]
    print("\n".join(findings) or f"{len(pages())} pages: links and spelling are sound")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
