"""Turns a table of molecules with measured labels into arrays for training a network.

The input is a CSV with a header, gzipped or not. It has a column `smiles` and optionally `mol_id`; every other column is
a label. An empty cell is a missing label. The output holds

  X        [N, 1024]  uint8    ECFP4: Morgan fingerprints of radius 2
  Y        [N, C]     float32  the labels, NaN where missing
  labels   [C]        str      their names

The script leaves out, counts and names the molecules that RDKit rejects. It installs RDKit from PyPI at first use.
"""

import argparse
import collections
import csv
import gzip
import math
import os
import pathlib
import sys
import zlib

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "scripts"))
import environment

RADIUS, BITS = 2, 1024


class BadTable(Exception):
    """The input is not a valid table."""


def read_table(path):
    """The molecules as (name, SMILES) pairs, the labels [N, C] and their names."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, None)
            if header is None or "smiles" not in header:
                raise BadTable("there is no column `smiles` in the header")
            name, count = collections.Counter(header).most_common(1)[0]
            if count > 1:
                raise BadTable(f"{count} columns are named {name!r}")
            columns = [i for i, name in enumerate(header) if name not in ("smiles", "mol_id")]
            if not columns:
                raise BadTable("there is no label column")
            molecules, labels = [], []
            for number, row in enumerate(filter(None, rows), start=1):
                if len(row) != len(header):
                    raise BadTable(f"row {number} has {len(row)} cells, the header has {len(header)}")
                cells = dict(zip(header, row))
                molecules.append((cells.get("mol_id") or f"row {number}", cells["smiles"]))
                labels.append(np.array([label(row[i], number, header[i]) for i in columns], dtype=np.float32))
    except (EOFError, UnicodeDecodeError, csv.Error, gzip.BadGzipFile, zlib.error) as error:
        raise BadTable(f"it is damaged or not CSV ({error})") from error
    if not molecules:
        raise BadTable("there is no row below the header")
    return molecules, np.stack(labels), [header[i] for i in columns]


def label(cell, row, column):
    if not cell:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadTable(f"row {row}, column {column}: {cell!r} is not a number")
    return value


def fingerprints(molecules):
    """The fingerprints of the molecules that RDKit accepts, and the indices of these molecules."""
    environment.require("rdkit", "rdkit")
    from rdkit import Chem, RDLogger
    from rdkit.Chem import rdFingerprintGenerator

    RDLogger.DisableLog("rdApp.*")  # rejected molecules are named below, in one line each
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    features, accepted = [], []
    for index, (_, smiles) in enumerate(molecules):
        progress(index + 1, len(molecules))
        molecule = Chem.MolFromSmiles(smiles)
        if molecule is not None and molecule.GetNumAtoms() > 0:
            features.append(generator.GetFingerprintAsNumPy(molecule).astype(np.uint8))
            accepted.append(index)
    if not features:
        raise BadTable("RDKit rejects every molecule")
    return np.stack(features), accepted


def progress(done, total):
    """A bar on a terminal; in a log, a line for every quarter."""
    if sys.stderr.isatty():
        if done % 100 == 0 or done == total:
            bar = "#" * (30 * done // total)
            print(f"\r[{bar:<30}] {done:,} / {total:,} molecules", end="", file=sys.stderr, flush=True)
        if done == total:
            print(file=sys.stderr)
    elif 4 * done // total != 4 * (done - 1) // total:
        print(f"{done:,} / {total:,} molecules", file=sys.stderr, flush=True)


def write(path, **arrays):
    """Writes the whole file or nothing."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def featurize(source, target):
    molecules, labels, names = read_table(source)
    features, accepted = fingerprints(molecules)
    rejected = sorted(set(range(len(molecules))) - set(accepted))
    labels = labels[accepted]
    write(target, X=features, Y=labels, labels=np.array(names))
    print(f"RDKit rejected {len(rejected):,} of {len(molecules):,} molecules{':' if rejected else ''}")
    for name, smiles in (molecules[index] for index in rejected):
        print(f"  {name}  {smiles}")
    observed = 100 * np.mean(~np.isnan(labels))
    print(f"{target}: {len(labels):,} molecules x {len(names):,} labels, {observed:.2f} % observed; {BITS:,} features")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=pathlib.Path, help="CSV with a column `smiles`; gzipped if it ends in .gz")
    parser.add_argument("output", type=pathlib.Path, help="the file for the arrays, by convention NAME.npz")
    arguments = parser.parse_args()
    if arguments.output.is_dir() or not arguments.output.absolute().parent.is_dir():
        parser.error(f"cannot write to {arguments.output}: it is a folder, or its folder does not exist")
    try:
        featurize(arguments.input, arguments.output)
    except BadTable as error:
        sys.exit(f"{arguments.input}: {error}")
    except OSError as error:
        sys.exit(f"{error.filename or arguments.output}: {error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing was written")


if __name__ == "__main__":
    main()
