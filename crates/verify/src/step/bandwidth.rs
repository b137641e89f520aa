//! The bandwidth of memory: moves the bytes that any implementation must move, with next to no arithmetic.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// A cache line of 4-byte numbers.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u32; 16]);

/// A thread's share of the arrays: 4, 4, 1 and 4 bytes per entry.
struct Part<'a> {
    logits: &'a [Line],
    labels: &'a [Line],
    mask: &'a [u128],
    gradient: &'a mut [Line],
}

/// The seconds of each of `times` passes over `entries`, with ordinary or non-temporal stores, whichever are faster.
///
/// A pass reads 4 bytes of logits and 1 of mask (or of labels in one byte) for each entry, with `LABELS` also 4 of
/// labels, and writes 4 of gradient.
pub fn seconds<const LABELS: bool>(times: usize, entries: usize, threads: usize) -> Vec<f64> {
    let lines = entries.div_ceil(16);
    let (logits, labels) = (vec![Line([1; 16]); lines], vec![Line([1; 16]); lines]);
    let (mask, mut gradient) = (vec![1u128; lines], vec![Line([1; 16]); lines]);
    let share = lines.div_ceil(threads);
    let mut by_pass = [ordinary::<LABELS>, non_temporal::<LABELS>].map(|pass| {
        let read = logits.chunks(share).zip(labels.chunks(share)).zip(mask.chunks(share));
        let parts = read.zip(gradient.chunks_mut(share));
        let parts = parts.map(|(((logits, labels), mask), gradient)| Part { logits, labels, mask, gradient });
        passes(pass, times, parts.collect())
    });
    by_pass.sort_by(|a, b| median(a).total_cmp(&median(b)));
    let [fastest, _] = by_pass;
    fastest
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Each thread makes all passes over its own part; a pass takes as long as its slowest thread.
fn passes(pass: fn(&mut Part<'_>), times: usize, parts: Vec<Part<'_>>) -> Vec<f64> {
    let start = Barrier::new(parts.len());
    let timed = |mut part: Part<'_>| {
        start.wait();
        let mut one = || {
            let start = Instant::now();
            pass(black_box(&mut part));
            start.elapsed().as_secs_f64()
        };
        one(); // warms up the caches, not counted
        (0..times).map(|_| one()).collect()
    };
    let timed = &timed;
    let by_thread: Vec<Vec<f64>> = thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || timed(part))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    (0..times).map(|time| by_thread.iter().map(|seconds| seconds[time]).fold(0.0, f64::max)).collect()
}

fn ordinary<const LABELS: bool>(part: &mut Part<'_>) {
    copy::<LABELS>(part, |from, to| *to = *from);
}

/// Avoids reading a line that is overwritten.
#[cfg(target_arch = "x86_64")]
fn non_temporal<const LABELS: bool>(part: &mut Part<'_>) {
    use std::arch::x86_64::{_mm_load_si128, _mm_sfence, _mm_stream_si128};
    copy::<LABELS>(part, |from, to| {
        for (from, to) in from.0.chunks_exact(4).zip(to.0.chunks_exact_mut(4)) {
            // SAFETY: 16 bytes each, and a line is aligned; every x86-64 processor has SSE2.
            unsafe { _mm_stream_si128(to.as_mut_ptr().cast(), _mm_load_si128(from.as_ptr().cast())) };
        }
    });
    // SAFETY: as above.
    unsafe { _mm_sfence() };
}

#[cfg(not(target_arch = "x86_64"))]
use ordinary as non_temporal;

#[inline(always)]
fn copy<const LABELS: bool>(part: &mut Part<'_>, write: impl Fn(&Line, &mut Line)) {
    let (mut read, mut bits) = (0, [0; 16]);
    let lines = part.logits.iter().zip(part.labels).zip(part.mask).zip(part.gradient.iter_mut());
    for (((logits, labels), mask), gradient) in lines {
        read ^= mask;
        if LABELS {
            bits.iter_mut().zip(labels.0).for_each(|(bits, label)| *bits ^= label);
        }
        write(logits, gradient);
    }
    black_box((read, bits));
}
