//! What memory allows: the bytes that any implementation must move, moved with next to no arithmetic.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

/// A cache line of `f32`.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; 16]);

/// The seconds of `times` passes that read 4 bytes of logits and 1 of labels for each entry and write 4 of gradient;
/// through the caches or past them, whichever is faster here.
pub fn seconds(times: usize, entries: usize, threads: usize) -> Vec<f64> {
    let lines = entries.div_ceil(16);
    let (logits, labels) = (vec![Line([1.0; 16]); lines], vec![1u128; lines]);
    let mut gradient = vec![Line([1.0; 16]); lines];
    [through_caches, past_caches]
        .map(|pass| passes(pass, times, threads, &logits, &labels, &mut gradient))
        .into_iter()
        .min_by(|a, b| median(a).total_cmp(&median(b)))
        .unwrap_or_default()
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

type Pass = fn(&[Line], &[u128], &mut [Line]);

/// Each thread makes all the passes over a part of its own; a pass takes as long as its slowest thread.
fn passes(
    pass: Pass,
    times: usize,
    threads: usize,
    logits: &[Line],
    labels: &[u128],
    gradient: &mut [Line],
) -> Vec<f64> {
    let part = logits.len().div_ceil(threads);
    let parts = logits.chunks(part).zip(labels.chunks(part)).zip(gradient.chunks_mut(part));
    let start = Barrier::new(parts.len());
    let timed = |((logits, labels), gradient): ((&[Line], &[u128]), &mut [Line])| {
        start.wait();
        let mut one = || {
            let start = Instant::now();
            pass(black_box(logits), black_box(labels), black_box(gradient));
            start.elapsed().as_secs_f64()
        };
        one(); // not counted: it brings the caches into their usual state
        (0..times).map(|_| one()).collect()
    };
    let by_thread: Vec<Vec<f64>> = thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(|| timed(part))).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    });
    (0..times).map(|time| by_thread.iter().map(|seconds| seconds[time]).fold(0.0, f64::max)).collect()
}

fn through_caches(logits: &[Line], labels: &[u128], gradient: &mut [Line]) {
    let mut read = 0;
    for ((logits, labels), gradient) in logits.iter().zip(labels).zip(gradient) {
        read ^= labels;
        *gradient = *logits;
    }
    black_box(read);
}

/// Spares the reading of a line that is to be overwritten.
#[cfg(target_arch = "x86_64")]
fn past_caches(logits: &[Line], labels: &[u128], gradient: &mut [Line]) {
    use std::arch::x86_64::{_mm_load_ps, _mm_sfence, _mm_stream_ps};
    let mut read = 0;
    for ((logits, labels), gradient) in logits.iter().zip(labels).zip(gradient) {
        read ^= labels;
        for (from, to) in logits.0.chunks_exact(4).zip(gradient.0.chunks_exact_mut(4)) {
            // SAFETY: four numbers each, and a line is aligned; every x86-64 processor has SSE.
            unsafe { _mm_stream_ps(to.as_mut_ptr(), _mm_load_ps(from.as_ptr())) };
        }
    }
    // SAFETY: as above.
    unsafe { _mm_sfence() };
    black_box(read);
}

#[cfg(not(target_arch = "x86_64"))]
use through_caches as past_caches;
