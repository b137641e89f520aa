"""Plants faults in the library and the program, one at a time, and says which of them the tests notice.

The faults are in tests/faults.txt. Each is planted in a copy of the sources, and built; then the tests run until the
first one fails. The exit status is 1 if a fault goes unnoticed that is not marked as accepted.

Each fault in that file is a comment, a file, and lines to replace, which must occur in it once:

    == what is wrong
    src/plan.rs
    -the old lines
    +the new lines

A comment that begins with `accepted:` is one that no test can or need notice; it says why.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAULTS = ROOT / "tests" / "faults.txt"
NOT_COMPILED = "(does not compile)"
LIMIT = 900  # seconds: a fault may make a test wait for ever


@dataclasses.dataclass(frozen=True)
class Fault:
    comment: str
    file: str
    old: str
    new: str

    def planted(self, root):
        """The file's text with the fault."""
        text = (root / self.file).read_text()
        if text.count(self.old) != 1:
            sys.exit(f"{self.comment}: {self.file} has its lines {text.count(self.old)} times, not once")
        return text.replace(self.old, self.new)

    @property
    def package(self):
        """The package whose tests must notice it: its own."""
        folders = pathlib.PurePath(self.file).parts
        return f"masked-loss-{folders[1]}" if folders[0] == "crates" else "masked-loss"

    @property
    def likely(self):
        """Parts of the names of tests that are likely to notice it: those of its file and its folder."""
        return [f"{name}::" for name in pathlib.PurePath(self.file).with_suffix("").parts[-2:] if name != "src"]


def read(path):
    for block in re.split("^== ", path.read_text(), flags=re.MULTILINE)[1:]:
        comment, file, *lines = block.rstrip().split("\n")
        lines = [line for line in lines if not line.startswith("#")]
        old, new = ("".join(f"{line[1:]}\n" for line in lines if line.startswith(sign)) for sign in "-+")
        if not old or any(line[:1] not in ("-", "+") for line in lines):
            sys.exit(f"{path.name}: {comment}: expected lines that begin with - and +")
        yield Fault(comment, file, old, new)


class Copy:
    """A copy of the sources, and the tests built from it."""

    def __init__(self, root, target):
        self.root, self.environment = root, {**os.environ, "CARGO_TARGET_DIR": str(target)}

    def binaries(self, package):
        """The test programs of a package; None if it does not compile."""
        command = "cargo test --profile mutants --tests --no-run --message-format json --package".split()
        done = subprocess.run([*command, package], cwd=self.root, env=self.environment, capture_output=True)
        if done.returncode != 0:
            return None
        messages = map(json.loads, done.stdout.splitlines())
        return [message["executable"] for message in messages if message.get("profile", {}).get("test")]

    def failure(self, package, likely=()):
        """The first test that fails, `likely` ones first; None if all pass. A reason in brackets if no test says so."""
        binaries = self.binaries(package)
        if binaries is None:
            return NOT_COMPILED
        folder = self.root / ("." if package == "masked-loss" else f"crates/{package.removeprefix('masked-loss-')}")
        for names in [likely, ()] if likely else [()]:
            for binary in binaries:
                if failed := self.first_failure([binary, *names], folder):
                    return failed
        return None

    def first_failure(self, program, folder):
        environment = {**self.environment, "CARGO_MANIFEST_DIR": str(folder)}
        command = ["timeout", "--kill-after=5", str(LIMIT), *program]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        with subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes) as tests:
            for line in tests.stdout:
                if line.startswith("test ") and line.rstrip().endswith("FAILED"):
                    os.killpg(tests.pid, signal.SIGKILL)
                    return line.split()[1]
        return f"(status {tests.returncode})" if tests.returncode else None


def copy_sources(target):
    """The files that git tracks or does not ignore, as they are now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=pathlib.Path, default=FAULTS, help="another file of faults")
    parser.add_argument("--only", metavar="TEXT", help="only faults whose comment or file contains this")
    parser.add_argument("--check", action="store_true", help="only check that every fault has its place in the sources")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--target", type=pathlib.Path, help="a folder for builds, kept for the next run")
    arguments = parser.parse_args()
    wanted = arguments.only or ""
    faults = [fault for fault in read(arguments.faults) if wanted in f"{fault.comment}\n{fault.file}"]
    if not faults:
        sys.exit(f"{arguments.faults.name}: no fault's comment or file contains {wanted!r}")
    for fault in faults:
        fault.planted(ROOT)
    if arguments.check:
        print(f"{arguments.faults.name}: {len(faults)} faults, each with its place in the sources")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "sources"
        copy_sources(root)
        target = arguments.target or pathlib.Path(folder) / "target"
        sys.exit(plant(faults, Copy(root, target), arguments.trust))


def plant(faults, copy, trust):
    for package in sorted(set() if trust else {fault.package for fault in faults}):
        if failed := copy.failure(package):
            return f"{package}: {failed} fails without a fault"
    unnoticed, broken = [], []
    for number, fault in enumerate(faults, 1):
        path = copy.root / fault.file
        original = path.read_text()
        path.write_text(fault.planted(copy.root))
        failed = copy.failure(fault.package, fault.likely)
        path.write_text(original)
        print(f"{number:>3} {failed or 'UNNOTICED':<70} {fault.file}: {fault.comment}", flush=True)
        if failed == NOT_COMPILED:
            broken.append(fault)
        elif failed is None and not fault.comment.startswith("accepted:"):
            unnoticed.append(fault)
    planted = len(faults) - len(broken)
    noticed = planted - len(unnoticed)
    print(f"\n{noticed} of {planted} faults noticed or accepted, {len(broken)} do not compile")
    return 1 if unnoticed or broken else 0


if __name__ == "__main__":
    main()
