"""Checks that no dependency needs a newer Rust than the workspace's rust-version.

What the code itself uses of the standard library is checked by Clippy (incompatible_msrv). The exit status is 1 if a dependency
needs more.
"""

import json
import subprocess
import sys


def version(text):
    return tuple(int(number) for number in text.split("-")[0].split("."))


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    members = set(metadata["workspace_members"])
    own = {package["rust_version"] for package in metadata["packages"] if package["id"] in members}
    if len(own) != 1 or None in own:
        sys.exit(f"the packages of the workspace have different rust-versions: {own}")
    (promised,) = own
    needs = [
        f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
        for package in metadata["packages"]
        if package["rust_version"] and version(package["rust_version"]) > version(promised)
    ]
    for line in needs:
        print(line)
    print(f"{len(metadata['packages'])} packages, {len(needs)} need more than Rust {promised}")
    sys.exit(1 if needs else 0)


if __name__ == "__main__":
    main()
