"""Builds this crate's examples for the scripts that run them."""

import json
import pathlib
import subprocess
import sys


def build(example):
    """Builds a program; cargo says where it is."""
    command = ["cargo", "build", "--release", "--example", example, "--message-format", "json-render-diagnostics"]
    root = pathlib.Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True)
    except FileNotFoundError:
        sys.exit("cargo is missing; install Rust")
    if done.returncode != 0:
        sys.exit(f"cargo could not build the example `{example}` (see above)")
    for message in map(json.loads, done.stdout.splitlines()):
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == example:
            return message["executable"]
    sys.exit(f"cargo built no example `{example}`")
