//! Peak resident memory, if Linux reports it.

use std::fs;

use anyhow::Result;

/// The number of bytes by which a run raises the peak.
pub fn raised_by<T>(run: impl Fn(usize) -> Result<T>) -> Result<Option<u64>> {
    drop(run(0)?); // allocates what stays allocated
    masked_loss::release_buffers();
    let Some(before) = fs::write("/proc/self/clear_refs", "5").ok().and_then(|()| status("VmRSS")) else {
        return Ok(None);
    };
    drop(run(1)?);
    Ok(status("VmHWM").map(|peak| peak - before))
}

/// A line of this process's status, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    Some(1024 * line.split_whitespace().nth(1)?.parse::<u64>().ok()?)
}
