"""Reads the checkpoints of `masked-loss train`."""

import json
import pathlib


def seconds(folder):
    """The seconds of each epoch but the first, with validation and checkpoint, from the times at which epochs ended."""
    with pathlib.Path(folder, "checkpoint.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    # It follows a checksum.
    _, progress = header["__metadata__"]["progress"].split(" ", 1)
    times = json.loads(progress)["times"]
    return [end - start for start, end in zip(times, times[1:])]
