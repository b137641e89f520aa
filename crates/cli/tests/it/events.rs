//! Reads the events by the description of TensorBoard's formats, not by the code that writes them.

use std::fs;
use std::path::Path;

/// Step, tag and value of every scalar, in the file's order; the records must be complete, with correct checksums.
pub fn read(path: &Path) -> Vec<(u64, String, f32)> {
    let file = fs::read(path).unwrap();
    let mut rest = &file[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(unmasked(&rest[8..12]), crc32c(&rest[..8]));
        let content = &rest[12..12 + length];
        assert_eq!(unmasked(&rest[12 + length..16 + length]), crc32c(content));
        events.push(fields(content));
        rest = &rest[16 + length..];
    }
    let version = events.remove(0);
    assert_eq!(find(&version, 3), b"brain.Event:2");
    let scalar = |event: &Vec<(u64, Vec<u8>)>| {
        let time = f64::from_le_bytes(find(event, 1).try_into().unwrap());
        assert!(time > 1.7e9, "{time}");
        let value = fields(&find(&fields(&find(event, 5)), 1));
        let number = f32::from_le_bytes(find(&value, 2).try_into().unwrap());
        (varint(&mut &find(event, 2)[..]), String::from_utf8(find(&value, 1)).unwrap(), number)
    };
    events.iter().map(scalar).collect()
}

fn find(fields: &[(u64, Vec<u8>)], number: u64) -> Vec<u8> {
    fields.iter().find(|field| field.0 == number).unwrap_or_else(|| panic!("no field {number}: {fields:?}")).1.clone()
}

/// The fields of a message, a varint's as its bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let start = message;
        let length = match key & 7 {
            0 => {
                varint(&mut message);
                start.len() - message.len()
            }
            1 => 8,
            2 => varint(&mut message) as usize,
            5 => 4,
            wire => panic!("wire type {wire}"),
        };
        let content = if key & 7 == 0 { start } else { message };
        fields.push((key >> 3, content[..length].to_vec()));
        message = &content[length..];
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().unwrap();
        value |= u64::from(byte & 0x7f) << shift;
        *message = rest;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn unmasked(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap()).wrapping_sub(0xa282_ead8).rotate_left(15)
}

/// Bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}
