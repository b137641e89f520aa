//! The curves for TensorBoard: a file of records, each an `Event` message of Protocol Buffers.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::progress::Epoch;

/// The same name for every run in a folder: TensorBoard would merge the epochs of two files.
pub const FILE: &str = "events.out.tfevents.masked-loss";

/// Writes the whole history; `times`: when its epochs ended, in seconds since 1970.
pub fn write(path: &Path, history: &[Epoch], times: &[f64]) -> Result<()> {
    let start = times.first().copied().unwrap_or(0.0);
    let mut file = record(&[double(1, start), bytes(3, b"brain.Event:2")].concat());
    for ((step, epoch), &time) in (1..).zip(history).zip(times) {
        let scalars = [
            ("loss/train", Some(epoch.train_loss)),
            ("loss/validation", Some(epoch.validation_loss)),
            ("auroc/validation", epoch.validation_macro_auroc),
        ];
        for (tag, value) in scalars.into_iter().filter_map(|(tag, value)| Some((tag, value?))) {
            let value = [bytes(1, tag.as_bytes()), float(2, value as f32)].concat();
            let summary = bytes(1, &value);
            file.extend(record(&[double(1, time), integer(2, step), bytes(5, &summary)].concat()));
        }
    }
    Ok(fs::write(path, file)?)
}

/// A TFRecord: length, its checksum, content, its checksum.
fn record(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), content, &checksum(content)].concat()
}

/// Masked as TFRecord requires.
fn checksum(content: &[u8]) -> [u8; 4] {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn double(field: u8, value: f64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

fn float(field: u8, value: f32) -> Vec<u8> {
    [&[field << 3 | 5][..], &value.to_le_bytes()].concat()
}

fn integer(field: u8, value: u64) -> Vec<u8> {
    let mut message = vec![field << 3];
    varint(&mut message, value);
    message
}

fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    let mut message = vec![field << 3 | 2];
    varint(&mut message, content.len() as u64);
    message.extend(content);
    message
}

/// Seven bits a byte, the lowest first.
fn varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}
