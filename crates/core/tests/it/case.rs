//! Threads, and random cases.

use std::ops::Range;
use std::thread;

use masked_loss_core::{Cells, Observed, Raw, RawLabels, Result, Table, Threads};
use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Rows and width of tables: narrow, wider than a block, and of one entry.
pub const SIZES: &[(usize, usize)] = if cfg!(miri) {
    &[(7, 13), (1, 1)]
} else {
    &[(7, 13), (700, 65), (3, 40_000), (1, 1), (50_000, 1), (0, 5), (5, 0)]
};

/// So many threads, which take turns at the parts.
pub struct Spread(pub usize);

// SAFETY: the parts do not overlap, and each is visited by one thread.
unsafe impl Threads for Spread {
    fn run(&self, count: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) -> Result<()> {
        thread::scope(|scope| {
            let spawn = |first| {
                scope.spawn(move || {
                    for start in (0..count).step_by(grain.max(1)).skip(first).step_by(self.0) {
                        body(start..count.min(start + grain.max(1)));
                    }
                })
            };
            // ThreadSanitizer knows of a join, and not of the end of a scope.
            let threads: Vec<_> = (0..self.0).map(spawn).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
        Ok(())
    }
}

pub struct Case {
    pub rows: usize,
    pub width: usize,
    pub input: Vec<f64>,
    pub label: Vec<f64>,
    pub mask: Vec<u8>,
}

impl Case {
    pub fn draw(seed: u64, (rows, width): (usize, usize), probabilities: bool, share: f64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let count = rows * width;
        let range = if probabilities { 0.01..0.99 } else { -6.0..6.0 };
        Self {
            rows,
            width,
            // Numbers that every type holds.
            input: (0..count).map(|_| (rng.random_range::<f64, _>(range.clone()) * 64.0).round() / 64.0).collect(),
            label: (0..count).map(|_| f64::from(u8::from(rng.random_bool(0.4)))).collect(),
            mask: (0..count).map(|_| u8::from(rng.random_bool(share))).collect(),
        }
    }

    pub fn input<X>(&self, of: impl Fn(f64) -> X) -> Vec<X> {
        self.input.iter().map(|&x| of(x)).collect()
    }

    pub fn cells(&self) -> Vec<i8> {
        self.label.iter().zip(&self.mask).map(|(&label, &mask)| if mask == 1 { label as i8 } else { -1 }).collect()
    }

    pub fn table<'a>(&self, cells: Cells<'a>) -> Table<'a> {
        Table { cells, rows: self.rows, width: self.width, index: None }
    }

    /// With garbage where a label is missing.
    pub fn spoilt(&self, garbage: f64) -> Self {
        let spoil = |values: &[f64]| {
            values.iter().zip(&self.mask).map(|(&value, &mask)| if mask == 1 { value } else { garbage }).collect()
        };
        Self { input: spoil(&self.input), label: spoil(&self.label), mask: self.mask.clone(), ..*self }
    }
}

pub fn raw<'a>(labels: RawLabels<'a>, mask: &'a [u8]) -> Raw<'a> {
    Raw { labels, observed: Observed::Bytes(mask) }
}

/// Of a multiple of 1/64 below 8 in size, which is exact.
pub fn to_f16(x: f64) -> u16 {
    if x == 0.0 {
        return 0;
    }
    let bits = (x as f32).to_bits();
    let (sign, exponent, mantissa) = (bits >> 31, (bits >> 23 & 0xff) as i32 - 127, bits >> 13 & 0x3ff);
    (sign << 15 | ((exponent + 15) as u32) << 10 | mantissa) as u16
}

/// Rows and width of about so many entries: narrow, as wide as a vector, wider than a block.
pub fn shape(most: usize) -> impl Strategy<Value = (usize, usize)> {
    let most = if cfg!(miri) { 60 } else { most };
    prop_oneof![1..3usize, 3..200usize, 4000..9000usize]
        .prop_flat_map(move |width| (0..=most / width, Just(width.min(most))))
}

/// So many cases, or as many as `PROPTEST_CASES` says.
pub fn cases(few: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(if cfg!(miri) { few / 15 } else { few }),
    }
}
