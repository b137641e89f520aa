"""Builds this workspace's programs for the scripts that run them."""

import json
import pathlib
import subprocess
import sys


def build(package, program=None):
    """Builds a package's program (by default of the same name) and returns its path."""
    program = program or package
    command = ["cargo", "build", "--release", "--package", package, "--bin", program]
    command += ["--message-format", "json-render-diagnostics"]
    root = pathlib.Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit("cargo is missing; install Rust")
    if done.returncode != 0:
        sys.exit(f"cargo could not build `{program}` (see above)")
    for message in map(json.loads, done.stdout.splitlines()):
        if message["reason"] == "compiler-artifact":
            target = message["target"]
            if target["name"] == program and target["kind"] == ["bin"]:
                return message["executable"]
    sys.exit(f"cargo built no program `{program}`")
