#!/usr/bin/env python3
"""Finds import cycles among the Rust files of this workspace.

A file imports another if a `use` or an inline path names an item of it, also through re-exports. These do not count:
`mod x;`, re-exports of a child that the file itself does not use, comments, and code under `#[cfg(test)]`. A path to an
unknown item (such as one that a macro generates) counts for the last module on it. The code must be formatted by rustfmt.
The exit status is 1 if there is a cycle; the script prints the shortest cycle of each import that is part of one.
"""

import argparse
import pathlib
import re
import sys

IGNORED = re.compile(r"""//[^\n]*|/\*.*?\*/|\bb?r(\#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^\\'])'""", re.S)
TEST = re.compile(r"^( *)#\[cfg\((?:test|all\(test,.*?\))\)\]\n(?:\1#.*\n)*(?:\1[^\n{]*;|[^\n]*\{\n.*?^\1\})", re.M | re.S)
MODULE = re.compile(r"\bmod (\w+)( \{|;)")
USE = re.compile(r"(\bpub(?:\([^)]*\))? )?\buse\s+([^;]+);")
ITEM = re.compile(r"^(?:pub(?:\([^)]*\))?\s+)?(?:(?:async|const|extern|unsafe)\s+)*"
                  r"(?:\b(?:const|enum|fn|macro_rules!|static|struct|trait|type|union)|(?<=const))\s+(\w+)", re.M)
PATH = re.compile(r"(?<![\w:'])(?<!\(in )[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)+")


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def leaves(tokens, prefix=()):
    """The path, the name and the position of each item of a `use`."""
    path, name, at = prefix, None, 0
    for token in tokens:
        if token[0] == "{":
            yield from leaves(tokens, path)
            name = None
        elif token[0] in ",}":
            if name:
                yield path, name, at
            path, name = prefix, None
            if token[0] == "}":
                return
        elif token[0] == "as":
            name = next(tokens)[0]
        elif token[0] == "self" and path:
            path, name, at = (*path, "self"), path[-1], token.start()
        else:
            path, name, at = (*path, token[0]), token[0], token.start()
    if name:
        yield path, name, at


class Module:
    """A file and its children."""

    def __init__(self, file, folder, parent=None):
        self.file, self.folder, self.parent, self.children = file, folder, parent, {}
        self.root = parent.root if parent else self
        self.source = file.read_text(encoding="utf-8")
        text = TEST.sub(blank, IGNORED.sub(blank, self.source))
        for name, body in MODULE.findall(text):
            if body != ";":
                sys.exit(f"{file}: expected modules in files of their own, found `mod {name} {{`")
            for child in (folder / f"{name}.rs", folder / name / "mod.rs"):
                if child.exists():
                    self.children[name] = Module(child, folder / name, self)
        self.uses = [(path, name, at, bool(use[1])) for use in USE.finditer(text)
                     for path, name, at in leaves(re.compile(r"\w+|[{},*]").finditer(text, use.start(2), use.end(2)))]
        self.text = USE.sub(blank, MODULE.sub(blank, text))
        self.names = set(ITEM.findall(self.text))

    def walk(self):
        yield self
        for child in self.children.values():
            yield from child.walk()

    def look_up(self, name, last, seen=frozenset()):
        """A module, the file of an item, None for something of another crate, or False for an unknown name."""
        if name in self.children and not last:
            return self.children[name]
        if name in self.names:
            return self.file
        if (self, name) in seen:
            return self.children.get(name, False)
        seen |= {(self, name)}
        found = [self.resolve(path, seen) for path, known, _, _ in self.uses if known == name]
        if not found:
            globs = [self.resolve(path[:-1], seen) for path, known, _, _ in self.uses if known == "*"]
            found = [module.look_up(name, last, seen) for module in globs if isinstance(module, Module)]
        found = [target for target in found if target is not False] or [self.children.get(name, False)]
        return next(filter(None, found), found[0])

    def resolve(self, path, seen=frozenset()):
        """Like `look_up`, for a path; an unknown name belongs to the module in which it was looked up."""
        here = self
        for at, word in enumerate(path):
            if word in ("crate", "self", "super"):
                here = {"crate": self.root, "self": here, "super": here.parent}[word]
            elif (found := here.look_up(word, at == len(path) - 1, seen)) is False:
                return here.file if at else None
            else:
                here = found
            if not isinstance(here, Module):
                break
        return here

    def is_used(self, name):
        """Whether the code (not a `use`) mentions `name`, but not as a method, a field or a new variable."""
        return re.search(rf"(?<![\w:])(?<![^.]\.)(?<!fn )(?<!let ){name}\b(?!\s*:(?!:))", self.text)

    def imports(self):
        """The imports of the module: the module or the file, the position and the words."""
        modules = {"crate", "self", "super", *self.children}
        for path, name, at, public in self.uses:
            words, used = "use " + "::".join(path), True
            target = self.resolve(path[:-1] if name == "*" else path)
            if name == "*" and isinstance(target, Module):
                known = target.names.union(target.children, (known for _, known, _, _ in target.uses)) - {"*"}
                used = [known for known in sorted(known) if self.is_used(known)]
                yield from ((target.look_up(known, True), at, f"{words} ({known})") for known in used)
            elif isinstance(target, Module) and re.search(rf"(?<![\w:.]){name}\s*::", self.text):
                modules.add(name)
            elif target and (not public or self.folder not in getattr(target, "file", target).parents or self.is_used(name)):
                yield target, at, words
        for match in PATH.finditer(self.text):
            path = re.findall(r"\w+", match[0])
            if path[0] in modules:
                yield self.resolve(path), match.start(), "::".join(path)


def imports(folder):
    """The files below a folder, and the import lines for each pair of them."""
    files = sorted(folder.rglob("*.rs"), key=lambda f: (f.name not in ("lib.rs", "main.rs"), len(f.parts), f))
    seen, edges = set(), {}
    for root in files:
        for module in Module(root, root.parent).walk() if root not in seen else ():
            seen.add(module.file)
            for target, at, words in module.imports():
                pair = module.file, getattr(target, "file", target)
                if target and pair[0] != pair[1]:
                    line = module.source.count("\n", 0, at) + 1
                    edges.setdefault(pair, []).append(f"{module.file}:{line}: {words}")
    return files, edges


def cycles(edges):
    """For each edge the shortest cycle that it is part of, without duplicates."""
    found = set()
    for start, end in edges:
        paths, reached = [(start, end)], {end}
        for path in paths:
            if path[-1] == start:
                first = path.index(min(path))
                found.add(path[first:-1] + path[:first + 1])
                break
            new = sorted(after for before, after in edges if before == path[-1] and after not in reached)
            reached.update(new)
            paths += [(*path, after) for after in new]
    return sorted(found, key=lambda cycle: (len(cycle), cycle))


def report(edges, root, title):
    """Prints the cycles and their imports; returns the number of cycles."""
    found = cycles(edges)
    print(f"{title}, {len(found) or 'no'} import cycle{'s' * (len(found) > 1)}")
    for cycle in found:
        print("  " + " -> ".join(str(node).removeprefix(f"{root}/") for node in cycle))
        for pair in zip(cycle, cycle[1:]):
            print(*(f"    {line.removeprefix(f'{root}/')}" for line in dict.fromkeys(edges[pair])), sep="\n")
    return len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folders", action="store_true", help="also print the cycles among each package's top-level modules")
    parser.add_argument("root", nargs="?", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent,
                        help="the workspace (default: that of this script)")
    arguments, failed = parser.parse_args(), False
    root = arguments.root.resolve()
    for manifest in [root / "Cargo.toml", *sorted(root.glob("crates/*/Cargo.toml"))]:
        name = re.search(r'^\[package\][^\[]*?^name\s*=\s*"([^"]+)"', manifest.read_text(encoding="utf-8"), re.M)[1]
        for folder in [manifest.parent / "src", *sorted(main.parent for main in manifest.parent.glob("tests/*/main.rs"))]:
            part = "" if folder.name == "src" else f" tests/{folder.name}"
            files, edges = imports(folder)
            failed |= report(edges, root, f"{name}{part}: {len(files)} files") > 0
            if arguments.folders:
                tops = {}
                for pair, lines in edges.items():
                    top = tuple(file.relative_to(folder).with_suffix("").parts[0] for file in pair)
                    if top[0] != top[1]:
                        tops.setdefault(top, []).extend(lines)
                report(tops, root, f"{name}{part}: top-level modules")
    sys.exit(failed)


if __name__ == "__main__":
    main()
