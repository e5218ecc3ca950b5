//! How much memory a process has, and came to have.

/// The physical memory of a process, in bytes. None where the system does not tell.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    status(pid, "VmRSS:")
}

/// The most physical memory that a process had at a time, in bytes. None where the system does not
/// tell.
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    status(pid, "VmHWM:")
}

/// Lets the peak begin anew. Where the system refuses, it stays what it was.
pub(crate) fn forget_peak_memory(pid: u32) {
    const PEAK: &str = "5";
    if let Err(error) = std::fs::write(format!("/proc/{pid}/clear_refs"), PEAK) {
        tracing::debug!(%error, "the peak of memory stays");
    }
}

fn status(pid: u32, field: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}
