//! NumPy archives, plain or compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBarIter;
use npyz::half::f16;
use npyz::npz::{NpzArchive, file_name_from_array_name};
use npyz::zip::read::ZipFile;
use npyz::{DType, Deserialize, NpyFile, Order, TypeChar};
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use super::arrays::{Arrays, TOO_LARGE, Y, matrix, words};
use super::csr::Csr;
use super::features::Block;
use super::file;
use crate::cli::source::Source;

type Archive = NpzArchive<BufReader<ProgressBarIter<File>>>;
/// Buffered, because elements are read one by one.
type Member<'a> = NpyFile<BufReader<ZipFile<'a>>>;

pub fn read(source: &Source) -> Result<Arrays> {
    let mut archive = open(&source.data)?;
    let sparse = sparse(&mut archive)?;
    let (x, y) = match sparse {
        Some(csr) if !source.has_labels() => (Some(Block::Sparse(csr)), None),
        Some(csr) => {
            ensure!(!source.has_features(), "it is one sparse matrix, read as Y: --features must name the file of X");
            (None, Some(Y::Sparse(csr)))
        }
        // Only the number of rows is needed.
        None if !source.has_features() && !source.has_labels() => match optional(&mut archive, "Y", tensor)? {
            Some(y) => (None, Some(Y::Dense(y))),
            None => (Some(block(&mut archive)?), None),
        },
        None => (
            if source.has_features() { Some(block(&mut archive)?) } else { None },
            if source.has_labels() { Some(Y::Dense(required(&mut archive, "Y", tensor)?)) } else { None },
        ),
    };
    let mut column =
        |name: &Option<String>| name.as_ref().map(|name| required(&mut archive, name, strings)).transpose();
    let (split, group) = (column(&source.split)?, column(&source.group)?);
    Ok(Arrays { x, y, labels: optional(&mut archive, "labels", strings)?, split, group })
}

/// X alone.
pub fn features(path: &Path) -> Result<Block> {
    let mut archive = open(path)?;
    match sparse(&mut archive)? {
        Some(csr) => Ok(Block::Sparse(csr)),
        None => block(&mut archive),
    }
}

fn open(path: &Path) -> Result<Archive> {
    Ok(NpzArchive::new(BufReader::new(file::open(path)?))?)
}

fn block(archive: &mut Archive) -> Result<Block> {
    if let Some(bits) = optional(archive, "X_bits", tensor)? {
        let [_, width] = matrix("X_bits", &bits)?;
        ensure!(optional(archive, "X", tensor)?.is_none(), "expected X or X_bits, found both");
        ensure!(bits.kind() == Kind::Uint8, "X_bits: expected the bytes of numpy.packbits");
        return Ok(Block::Bits { bytes: bits, width: 8 * width });
    }
    let x = required(archive, "X", tensor)?;
    matrix("X", &x)?;
    Ok(Block::Dense(x))
}

/// The matrix, if `scipy.sparse.save_npz` wrote the file.
fn sparse(archive: &mut Archive) -> Result<Option<Csr>> {
    let Some(format) = optional(archive, "format", strings)? else { return Ok(None) };
    let format = format.concat();
    ensure!(format == "csr", "expected format csr, found {format}: save_npz(file, matrix.tocsr()) writes csr");
    let mut array = |name| required(archive, name, tensor);
    let (shape, indptr, indices) = (array("shape")?, array("indptr")?, array("indices")?);
    Csr::new(&shape, &indptr, indices, array("data")?).map(Some)
}

fn optional<T>(archive: &mut Archive, name: &str, convert: fn(Member) -> Result<T>) -> Result<Option<T>> {
    let read = |member: NpyFile<ZipFile>| {
        let header = member.header().clone();
        convert(NpyFile::with_header(header, BufReader::new(member.into_inner())))
    };
    check_shape(archive, name).with_context(|| format!("array {name}"))?;
    let converted = archive.by_name(name).map_err(Into::into).and_then(|member| member.map(read).transpose());
    converted.with_context(|| format!("array {name}"))
}

/// npyz multiplies the lengths of a shape, and panics if the product overflows.
fn check_shape(archive: &mut Archive, name: &str) -> Result<()> {
    /// More than the header of an array takes.
    const BYTES: u64 = 4096;
    // npyz reports any other fault of the archive or the header.
    let Ok(member) = archive.zip_archive().by_name(&file_name_from_array_name(name)) else { return Ok(()) };
    let mut start = Vec::new();
    member.take(BYTES).read_to_end(&mut start)?;
    let start = String::from_utf8_lossy(&start);
    let shape = start.split_once("'shape':").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(shape, _)| shape);
    let lengths = shape.split(|character: char| !character.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let product = lengths.map(|digits| digits.parse().ok()).try_fold(1u64, |product, length: Option<u64>| {
        // 0 counts as 1, because npyz also multiplies the lengths after it.
        product.checked_mul(length?.max(1))
    });
    product.map(drop).context("its shape is too large")
}

fn required<T>(archive: &mut Archive, name: &str, convert: fn(Member) -> Result<T>) -> Result<T> {
    optional(archive, name, convert)?.with_context(|| format!("there is no array {name}"))
}

fn tensor(member: Member) -> Result<Tensor> {
    let DType::Plain(of) = member.dtype() else {
        bail!("it holds records: numpy.lib.recfunctions.structured_to_unstructured converts them to numbers")
    };
    match (of.type_char(), of.size_field()) {
        (TypeChar::Bool, _) => numbers::<bool, bool>(member),
        (TypeChar::Uint, 1) => numbers::<u8, u8>(member),
        (TypeChar::Uint, 2) => numbers::<u16, i64>(member),
        (TypeChar::Uint, 4) => numbers::<u32, i64>(member),
        (TypeChar::Uint, 8) => numbers::<u64, i64>(member),
        (TypeChar::Int, 1) => numbers::<i8, i8>(member),
        (TypeChar::Int, 2) => numbers::<i16, i16>(member),
        (TypeChar::Int, 4) => numbers::<i32, i32>(member),
        (TypeChar::Int, 8) => numbers::<i64, i64>(member),
        (TypeChar::Float, 2) => numbers::<f16, f16>(member),
        (TypeChar::Float, 4) => numbers::<f32, f32>(member),
        (TypeChar::Float, 8) => numbers::<f64, f64>(member),
        (TypeChar::Object, _) => {
            bail!("it holds Python objects: convert them by .astype(str) or .astype(float) before saving")
        }
        (TypeChar::UnicodeStr | TypeChar::ByteStr, _) => {
            bail!("expected numbers, found text: .astype(float) converts it")
        }
        (TypeChar::DateTime, _) => bail!("it holds dates, which are not numbers"),
        (TypeChar::TimeDelta, _) => bail!("it holds lengths of time, which are not numbers"),
        (TypeChar::Complex, _) => bail!("expected real numbers, found complex ones"),
        (TypeChar::Float, bytes) => bail!("it holds {}-bit numbers: .astype('float64') converts them", 8 * bytes),
        _ => bail!("elements of type {of} are not supported"),
    }
}

/// Elements of type `T`, held as `S`.
fn numbers<T: Deserialize + TryInto<S>, S: Element>(member: Member) -> Result<Tensor> {
    /// Elements that are in memory twice while they are copied.
    const CHUNK: usize = 1 << 20;
    let order = member.order();
    let mut size: Vec<i64> = member.shape().iter().map(|&length| length as i64).collect();
    if order == Order::Fortran {
        size.reverse();
    }
    let count = member.len() as usize;
    let array = Tensor::f_empty([count as i64], (S::KIND, Device::Cpu))?;
    let mut elements = member.data::<T>()?;
    let convert = |element: io::Result<T>| element?.try_into().ok().context(TOO_LARGE);
    for start in (0..count).step_by(CHUNK) {
        let part = elements.by_ref().take(CHUNK).map(convert).collect::<Result<Vec<S>>>()?;
        array.f_narrow(0, start as i64, part.len() as i64)?.f_copy_(&Tensor::f_from_slice(&part)?)?;
    }
    let array = array.f_view(size.as_slice())?;
    Ok(match order {
        Order::C => array,
        Order::Fortran => array.permute((0..size.len() as i64).rev().collect::<Vec<_>>()).contiguous(),
    })
}

fn strings(member: Member) -> Result<Vec<String>> {
    match member.dtype() {
        DType::Plain(of) if matches!(of.type_char(), TypeChar::UnicodeStr | TypeChar::ByteStr) => {
            Ok(member.into_vec()?)
        }
        // Points in time are integers; the smallest integer means missing.
        DType::Plain(of) if matches!(of.type_char(), TypeChar::DateTime | TypeChar::TimeDelta) => {
            let word = |time: i64| if time == i64::MIN { String::new() } else { time.to_string() };
            Ok(member.into_vec()?.into_iter().map(word).collect())
        }
        _ => words(&tensor(member)?),
    }
}
