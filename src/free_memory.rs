//! How much memory this process may still take.
//!
//! Invariant: the narrowest limit counts: of the machine, of a container, of the process's own control group and of those
//! around it. The file cache, which can be given up, is free.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// Bytes that are free for this process; `None` where the system does not say.
#[must_use]
pub fn bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let machine = Some(system.available_memory()).filter(|free| *free > 0);
    let own = get_current_pid().ok().and_then(|pid| {
        system.refresh_processes_specifics(
            ProcessesToUpdate::Some(&[pid]),
            false,
            ProcessRefreshKind::nothing(),
        );
        system.process(pid)?.cgroup_limits()
    });
    // A group's own count of free memory leaves the file cache out.
    let limit = own.or_else(|| system.cgroup_limits());
    let group = limit.map(|limits| limits.total_memory.saturating_sub(limits.rss));
    machine.into_iter().chain(group).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_and_no_more_than_the_machine_has() {
        let mut system = System::new().unwrap();
        system.refresh_memory();
        assert!((1 << 20..=system.total_memory()).contains(&bytes().unwrap()));
    }
}
