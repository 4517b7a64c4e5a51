//! What the figures were measured on: processors, memory, and how long the disk takes to be sure.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

/// Syncs that are timed.
const SYNCS: usize = 200;

/// One line for the head of a table.
pub fn line(folder: &Path) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unnamed processor", |(_, name)| name.trim());
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0);
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
    let (gib, sync) = (kib / 1024 / 1024, fsync(folder)?);
    Ok(format!(
        "{day}: {cores} cores of {model}, {gib} GiB, the load's sender on the same cores; appending 8 KiB and `fdatasync`: {sync:.2} ms in the median."
    ))
}

/// Milliseconds, in the median, until 8 KiB more of a file are on the disk.
fn fsync(folder: &Path) -> Result<f64> {
    let path = folder.join("fsync.probe");
    let mut file = std::fs::File::create(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        took.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(path)?;
    Ok(crate::report::median(&took).unwrap_or_default())
}
