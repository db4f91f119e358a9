#!/usr/bin/env python3
"""Checks of the documents: every Markdown file that is tracked, but for those among tests' inputs.

1. Relative links lead to a file that is there, and their anchors to a heading of it.
2. Lines have at most 100 characters, outside of tables and of fenced blocks.
3. Commands that begin with `loadgen` or `just`, in fenced blocks of a shell and in code within a
   sentence, have subcommands, flags and recipes that there are, as `--help` and the justfile say.
4. docs/design/README.md has each design note, once.

    .ci/docs.py [--loadgen target/debug/loadgen]

Without --loadgen its commands are not looked at. Ends with 0 where all holds, else with 1 and what
is wrong, a line each.
"""

import argparse
import functools
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST = 100
# Languages of fenced blocks whose lines are typed.
SHELLS = {"", "sh", "bash", "console"}
# What may stand before a command.
PREFIXES = {"nice", "nohup", "sudo", "time", "exec", "if", "then", "do", "!", "env"}

FENCE = re.compile(r"^\s*(```+|~~~+)\s*([\w+-]*)")
# Both may go over the end of a line, but not over that of a paragraph.
INLINE = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\n\s*\n).)+?)(?<!`)\1(?!`)", re.S)
LINK = re.compile(r"\]\(([^()\s]+(?:\([^()]*\))?)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")


def tracked():
    """The documents, new ones too, that are there."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = [ROOT / name for name in sorted(listed) if "/tests/" not in name]
    return [path for path in files if path.is_file()]


def parts(text):
    """Lines with their numbers and the language of the fenced block that they are in; None outside.

    The lines of the fences themselves are left out."""
    fence, language = None, None
    for number, line in enumerate(text.splitlines(), 1):
        found = FENCE.match(line)
        if fence is None and found:
            fence, language = found[1], found[2]
        elif fence is not None and found and found[1].startswith(fence) and not found[2]:
            fence, language = None, None
        else:
            yield number, line, language


def prose(text):
    """A document whose fenced blocks are empty lines."""
    lines = [""] * (text.count("\n") + 1)
    for number, line, language in parts(text):
        if language is None:
            lines[number - 1] = line
    return "\n".join(lines)


@functools.cache
def anchors(path):
    """Anchors of a file's headings, as GitHub makes them."""
    found = set()
    for _, line, language in parts(path.read_text(encoding="utf-8")):
        heading = HEADING.match(line) if language is None else None
        if heading:
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            slug = "".join(c for c in text if c.isalnum() or c in " -_").replace(" ", "-")
            same = sum(1 for other in found if re.fullmatch(re.escape(slug) + r"(-\d+)?", other))
            found.add(f"{slug}-{same}" if same else slug)
    return found


def wrong_links(path, text):
    """Relative links that lead nowhere, with the number of their line."""
    text = INLINE.sub(lambda code: re.sub(r"\S", " ", code[0]), prose(text))
    for found in LINK.finditer(text):
        target = found[1]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        line = text.count("\n", 0, found.start()) + 1
        name, _, anchor = target.partition("#")
        to = (path.parent / name).resolve() if name else path
        if not to.exists():
            yield line, f"the link `{target}` leads to no file"
        elif anchor and to.suffix == ".md" and anchor not in anchors(to):
            yield line, f"`{target}`: no heading of that name"


class Program:
    """What a program takes, by its --help."""

    def __init__(self, path):
        self.path = path

    @functools.cache
    def help(self, command):
        """Subcommands and flags of a command, which is a tuple of words."""
        shown = subprocess.run([self.path, *command, "--help"], capture_output=True, text=True)
        if shown.returncode != 0:
            raise SystemExit(f"{self.path} {' '.join(command)} --help: {shown.stderr.strip()}")
        text = shown.stdout
        listed = re.search(r"^Commands:\n(.*?)(?:\n\n|\Z)", text, re.M | re.S)
        names = re.findall(r"^  ([a-z][\w-]*)", listed[1], re.M) if listed else []
        flags = {"-h", "--help"}
        for line in text.splitlines():
            if re.match(r"\s+-", line):
                # The description stands behind two blanks; it may name other commands' flags.
                flag = re.split(r"\s{2,}", line.strip(), maxsplit=1)[0]
                flags.update(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", flag))
        for names_of in re.findall(r"\[alias(?:es)?:\s+([^\]]*)\]", text):
            flags.update(re.findall(r"--?[a-zA-Z][\w-]*", names_of))
        return set(names), flags

    def wrong(self, words):
        """What of a command there is not; `words` are those behind the program's name."""
        command = ()
        for word in words:
            names, flags = self.help(command)
            if word == "--":
                return
            if re.match(r"--?[a-zA-Z]", word):
                flag = word.split("=", 1)[0]
                if flag not in flags:
                    yield f"`{' '.join(('loadgen', *command))}` has no flag `{flag}`"
            elif names:
                if word in names:
                    command += (word,)
                elif re.fullmatch(r"[a-z][a-z0-9-]*", word):
                    yield f"`{' '.join(('loadgen', *command))}` has no command `{word}`"
                    return
                else:
                    return


def commands(line):
    """The simple commands of a line of a shell, as lists of words."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=";&|()<>")
    lexer.whitespace_split = True
    command = []
    try:
        for word in lexer:
            if word and set(word) <= set(";&|()"):
                yield command
                command = []
            else:
                command.append(word)
    except ValueError:
        # A quote that does not end: a text that is no shell's.
        pass
    yield command


def program_of(command):
    """Name of the program that a command starts, and the words behind it."""
    words = list(command)
    while words and (words[0] in PREFIXES or re.match(r"[A-Z_][A-Z0-9_]*=", words[0])):
        words.pop(0)
    if not words:
        return "", []
    if words[:2] == ["cargo", "run"] and "--" in words and "--example" not in words:
        return "loadgen", words[words.index("--") + 1:]
    return pathlib.PurePath(words[0]).name, words[1:]


def typed(text):
    """Commands of a document, with the number of their line."""
    outside = prose(text)
    for found in INLINE.finditer(outside):
        code = " ".join(found[2].replace("…", " ").split())
        if code.startswith(("loadgen ", "just ")):
            number = outside.count("\n", 0, found.start()) + 1
            yield from ((number, command) for command in commands(code))
    whole = ""
    for number, line, language in parts(text):
        if language in SHELLS:
            whole += line
            if whole.endswith("\\"):
                whole = whole[:-1] + " "
                continue
            yield from ((number, command) for command in commands(whole))
            whole = ""


def recipes():
    """Names of the justfile's recipes."""
    text = (ROOT / "justfile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][\w-]*)[^:=\n]*:(?!=)", text, re.M))


def wrong_lines(text):
    """Lines that are too long."""
    for number, line, language in parts(text):
        if language is None and not line.lstrip().startswith("|") and len(line) > LONGEST:
            # What can't be broken may stand alone.
            if len(line.split()) > 1:
                yield number, f"{len(line)} characters, {LONGEST} are allowed"


def wrong_index():
    """Design notes that their index lacks or has twice."""
    folder = ROOT / "docs/design"
    text = (folder / "README.md").read_text(encoding="utf-8")
    for note in sorted(folder.glob("[0-9]*.md")):
        rows = text.count(f"\n| [{note.name[:4]}]({note.name}) |")
        if rows != 1:
            yield f"{note.name} has {rows} rows in the table"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--loadgen", metavar="FILE", help="the program, to ask for its flags")
    program = arguments.parse_args().loadgen
    program = Program(str(pathlib.Path(program).resolve())) if program else None
    known = recipes()
    wrong = [("docs/design/README.md", 1, what) for what in wrong_index()]
    files, count = tracked(), 0
    for path in files:
        name = path.relative_to(ROOT)
        text = path.read_text(encoding="utf-8")
        wrong += [(name, number, what) for number, what in wrong_lines(text)]
        wrong += [(name, number, what) for number, what in wrong_links(path, text)]
        for number, command in typed(text):
            what, words = program_of(command)
            if what == "loadgen" and program:
                count += 1
                wrong += [(name, number, said) for said in program.wrong(words)]
            elif what == "just" and words and re.fullmatch(r"[a-z][\w-]*", words[0]):
                count += 1
                if words[0] not in known:
                    wrong.append((name, number, f"there is no recipe `just {words[0]}`"))
    for name, number, what in wrong:
        print(f"{name}:{number}: {what}")
    print(f"{len(files)} documents, {count} commands: {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
