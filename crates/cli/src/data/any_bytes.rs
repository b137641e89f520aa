//! Files of any bytes: each is a table or an error, never a panic, and never a request for more memory than there is.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use clap::Parser;
use npyz::zip::write::FileOptions;
use npyz::zip::{CompressionMethod, ZipArchive, ZipWriter};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use super::{Features, Table};
use crate::cli::source::Source;

/// Files that other programs wrote, each with the options that read it.
const SEEDS: &[(&str, &[&str])] = &[
    ("table.csv", &["--labels", "y1,y2", "--bits", "bits", "--group", "group"]),
    ("table.csv.gz", &["--labels", "y1,y2", "--bits", "bits", "--group", "group"]),
    ("table.npz", &["--group", "group"]),
    ("bits.npz", &[]),
    ("table.parquet", &["--labels", "y1,y2", "--group", "group"]),
    ("table.safetensors", &[]),
    ("csr_labels.npz", &["--features", "csr_features.npz"]),
    ("csr_features.npz", &["--features", "csr_features.npz"]),
    ("long.csv", &["--long", "row,label,value", "--features", "csr_features.npz"]),
    ("long.parquet", &["--long", "row,label,value", "--features", "csr_features.npz"]),
];

fn seeds() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/seeds")
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    source: Source,
}

fn source(data: &Path, options: &[&str]) -> Source {
    let path = |option: &&str| match option.ends_with(".npz") {
        true => seeds().join(option).into_os_string(),
        false => option.into(),
    };
    let line = ["masked-loss".into(), "--data".into(), data.into()].into_iter().chain(options.iter().map(path));
    Options::parse_from(line).source
}

#[test]
fn the_seeds_are_tables() {
    for (name, options) in SEEDS.iter().filter(|(name, _)| *name != "csr_features.npz") {
        let table = Table::read(&source(&seeds().join(name), options)).unwrap();
        assert_eq!((table.rows(), table.label_names.len()), (12, 2), "{name}");
    }
}

/// A change of a file.
#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    /// A number, little-endian, as lengths and offsets are stored.
    Number(Index, i64, usize),
    /// A digit, as in the headers of .npy and .safetensors.
    Digit(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    let number = prop_oneof![any::<i64>(), -2..3i64, Just(i64::MAX), Just(1 << 40), Just(i64::from(i32::MAX))];
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (place(), number, proptest::sample::select(vec![2, 4, 8]))
            .prop_map(|(at, n, width)| Edit::Number(at, n, width)),
        (place(), b'0'..=b'9').prop_map(|(at, digit)| Edit::Digit(at, digit)),
        (place(), vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), vec(b'0'..=b'9', 1..12)).prop_map(|(at, digits)| Edit::Insert(at, digits)),
        (place(), 1..40usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        place().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Set(place, byte) => overwrite(bytes, place, &[*byte]),
            Self::Number(place, number, width) => overwrite(bytes, place, &number.to_le_bytes()[..*width]),
            Self::Digit(place, digit) => {
                let digits: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    bytes[*place.get(&digits)] = *digit;
                }
            }
            Self::Insert(place, more) => {
                let at = at(place, bytes);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(place, count) => {
                let at = at(place, bytes);
                bytes.drain(at..bytes.len().min(at + count));
            }
            Self::Cut(place) => bytes.truncate(at(place, bytes)),
        }
    }
}

/// Anywhere in the file, or at its end.
fn at(place: &Index, bytes: &[u8]) -> usize {
    place.index(bytes.len() + 1)
}

fn overwrite(bytes: &mut [u8], place: &Index, with: &[u8]) {
    let at = at(place, bytes);
    bytes[at..].iter_mut().zip(with).for_each(|(byte, &with)| *byte = with);
}

/// Edits one array of an archive, whose checksum is then that of the edited array.
fn edit_array(archive: &[u8], array: Index, edits: &[Edit]) -> Vec<u8> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut edited = ZipWriter::new(Cursor::new(Vec::new()));
    let chosen = array.index(archive.len());
    for i in 0..archive.len() {
        let mut member = archive.by_index(i).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        if i == chosen {
            edits.iter().for_each(|edit| edit.apply(&mut bytes));
        }
        edited.start_file(member.name(), FileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        edited.write_all(&bytes).unwrap();
    }
    edited.finish().unwrap().into_inner()
}

/// The same cases in every run, or others, as many as `PROPTEST_CASES` says.
fn cases() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig { rng_seed: RngSeed::Fixed(1), ..ProptestConfig::default() },
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_bytes_are_a_table_or_an_error(
        seed in proptest::sample::select(SEEDS),
        edits in vec(edit(), 1..4),
        array in proptest::option::of(any::<Index>()),
    ) {
        let (name, options) = seed;
        let mut bytes = fs::read(seeds().join(name)).unwrap();
        match array {
            Some(array) if name.ends_with(".npz") => bytes = edit_array(&bytes, array, &edits),
            _ => edits.iter().for_each(|edit| edit.apply(&mut bytes)),
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut source = source(&path, options);
        if name == "csr_features.npz" {
            source.features = Some(path);
            source.data = seeds().join("csr_labels.npz");
        }
        let results = [Table::read(&source).err(), Features::read(&source, &["y1".into(), "y2".into()]).err()];
        for error in results.into_iter().flatten().map(|error| format!("{error:#}")) {
            prop_assert!(error.starts_with("cannot use ") || error.contains(" rows, and "), "{error}");
            // Where a panic was caught.
            prop_assert!(name.ends_with(".parquet") || !error.contains("it is damaged"), "{error}");
        }
    }
}
