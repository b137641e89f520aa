"""A Python environment in a given folder, made once and shared by every clone.

Usage: environment.py FOLDER REQUIREMENT [REQUIREMENT ...]

Scripts that need one more package call `require`. Only the standard library is used here.
"""

import contextlib
import fcntl
import importlib
import pathlib
import shutil
import subprocess
import sys

OLDEST = (3, 10)  # what PyTorch 2.13 still supports


def fail(message):
    sys.exit(f"with-libtorch: {message}")


def say(message):
    print(f"with-libtorch: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def lock(folder):
    """One process at a time; the system frees the lock when its holder dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is setting up {folder}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def pip_install(python, requirements):
    say(f"installing {', '.join(requirements)} from PyPI")
    # pip draws its progress on stdout, which belongs to the command that runs next.
    done = subprocess.run([python, "-m", "pip", "install", *requirements], stdout=sys.stderr)
    if done.returncode != 0:
        fail(f"pip could not install {', '.join(requirements)} (see above); run the same command to try again")


def finds_packages(python):
    """False after an upgrade of Python, because the packages are in the folder of the old version."""
    return subprocess.run([python, "-I", "-c", "import pip"], stderr=subprocess.DEVNULL).returncode == 0


def make(folder, requirements):
    """Makes the environment. A stamp is written last; without it, everything is installed again."""
    python, stamp = folder / "bin" / "python", folder / "complete"
    wanted = "\n".join(requirements)

    def complete():
        return python.exists() and stamp.exists() and stamp.read_text() == wanted and finds_packages(python)

    if complete():
        return
    if sys.version_info < OLDEST:
        fail(f"PyTorch needs Python {OLDEST[0]}.{OLDEST[1]} or newer; python3 is {sys.version.split()[0]}")
    with lock(folder):
        if complete():
            return
        say(f"setting up {folder} (once; about 5 GB on Linux)")
        shutil.rmtree(folder, ignore_errors=True)
        if subprocess.run([sys.executable, "-m", "venv", folder]).returncode != 0:
            fail("python3 cannot make an environment; its venv module is missing (Debian: apt install python3-venv)")
        pip_install(python, requirements)
        stamp.write_text(wanted)


def require(module, *requirements):
    """Imports `module`, after installing `requirements` into the running environment if it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        pass
    if sys.prefix == sys.base_prefix:
        fail(f"{module} is missing: run this through scripts/with-libtorch, or `pip install {' '.join(requirements)}`")
    with lock(pathlib.Path(sys.prefix)):
        pip_install(sys.executable, requirements)
    importlib.invalidate_caches()
    return importlib.import_module(module)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        make(pathlib.Path(sys.argv[1]), sys.argv[2:])
    except KeyboardInterrupt:
        fail("interrupted; run the same command again to continue")
    except OSError as error:
        fail(f"cannot set up {sys.argv[1]}: {error}")
