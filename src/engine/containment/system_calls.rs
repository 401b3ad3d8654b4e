//! Which system calls are refused, by seccomp.
//!
//! Invariant: what is refused answers `EPERM`, as a system without that right would; threads, memory, files that are open
//! and the end of the process itself need none of it. `clone3` answers `ENOSYS`: what it is to make stands in memory,
//! where a filter cannot look, and C libraries then take `clone`, whose flags it sees.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule,
};

use super::{Network, status};
use crate::engine::protocol::Held;

/// Programs and processes: starting, watching, changing and ending others.
const PROCESSES: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_kill,
    // Older than `tgkill`: it names a thread alone, of whatever process. Of C's libraries only musl's `raise` uses it,
    // which is a fault's way to its end; refused, it takes another.
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setns,
    libc::SYS_unshare,
];

/// Rights of this process and of files.
const RIGHTS: &[c_long] = &[
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_truncate,
    libc::SYS_mknodat,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
];

/// The system as a whole, and parts of the kernel that have been ways into it.
const SYSTEM: &[c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
];

/// What only the older of the two processors has.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_mknod,
    libc::SYS_uselib,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(target_arch = "aarch64")]
const OLDER: &[c_long] = &[];

/// Everything that begins a connection or waits for one.
const NETWORK: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
];

/// What types on a terminal in the user's place: `TIOCSTI` and `TIOCLINUX`, the same on both processors.
const TYPING: &[u64] = &[0x5412, 0x541c];

/// Restricts this thread and those that it will start.
pub(super) fn restrict(network: Network) -> Held {
    let done = refusals(network).and_then(|refusals| {
        // The last one comes first in force; where both refuse, they do so alike.
        apply(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
        apply(refusals, libc::EPERM)
    });
    match (done, status("Seccomp:").as_deref()) {
        (Err(why), _) => Held::Not(format!("seccomp: {why}")),
        (Ok(()), Some("2")) => Held::By("seccomp".to_owned()),
        (Ok(()), _) => Held::Not("the system does not say so".to_owned()),
    }
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn refusals(network: Network) -> Result<Rules, String> {
    let mut always: Vec<c_long> = [PROCESSES, RIGHTS, SYSTEM, OLDER].concat();
    if network == Network::None {
        always.extend(NETWORK);
    }
    #[cfg(target_arch = "x86_64")]
    always.extend(of_x32(&always));
    let mut rules: Rules = always.into_iter().map(|call| (call, Vec::new())).collect();
    // Threads of its own, no further process; signals to its own threads.
    rules.insert(libc::SYS_clone, vec![rule(0, Is::MaskedEq(libc::CLONE_THREAD.cast_unsigned().into()), 0)?]);
    rules.insert(libc::SYS_tgkill, vec![rule(0, Is::Ne, std::process::id().into())?]);
    let typing = TYPING.iter().map(|request| rule(1, Is::Eq, *request));
    rules.insert(libc::SYS_ioctl, typing.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// The same calls by the numbers of x32, and those that have others there, which a 64-bit program never uses.
#[cfg(target_arch = "x86_64")]
fn of_x32(calls: &[c_long]) -> Vec<c_long> {
    const BIT: c_long = 0x4000_0000;
    let clones = [libc::SYS_clone, libc::SYS_clone3, libc::SYS_tgkill, libc::SYS_ioctl];
    calls.iter().copied().chain(clones).chain(512..548).map(|call| call | BIT).collect()
}

fn rule(argument: u8, is: Is, value: u64) -> Result<SeccompRule, String> {
    let condition =
        SeccompCondition::new(argument, Length::Dword, is, value).map_err(|error| error.to_string());
    SeccompRule::new(vec![condition?]).map_err(|error| error.to_string())
}

fn apply(rules: Rules, answer: i32) -> Result<(), String> {
    let refuse = SeccompAction::Errno(answer.cast_unsigned());
    let machine = std::env::consts::ARCH.try_into();
    let filter = machine
        .and_then(|machine| SeccompFilter::new(rules, SeccompAction::Allow, refuse, machine))
        .and_then(BpfProgram::try_from);
    let program = filter.map_err(|error| error.to_string())?;
    seccompiler::apply_filter(&program).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_refused_where_it_is_not_needed() {
        let refused = |network, call| refusals(network).unwrap().contains_key(&call);
        assert!(refused(Network::None, libc::SYS_connect) && !refused(Network::Any, libc::SYS_connect));
        assert!(refused(Network::None, libc::SYS_execve) && refused(Network::Any, libc::SYS_execve));
    }

    #[test]
    fn no_call_ends_another_process() {
        let rules = refusals(Network::Any).unwrap();
        let whole = [libc::SYS_kill, libc::SYS_tkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo];
        for call in whole.into_iter().chain([libc::SYS_pidfd_send_signal]) {
            assert!(rules.get(&call).is_some_and(Vec::is_empty), "call {call} is not refused outright");
        }
        assert_eq!(rules[&libc::SYS_tgkill].len(), 1, "its own threads alone");
    }

    #[test]
    fn a_program_of_the_list_fits_into_the_kernel() {
        let filter = SeccompFilter::new(
            refusals(Network::None).unwrap(),
            SeccompAction::Allow,
            SeccompAction::Errno(1),
            std::env::consts::ARCH.try_into().unwrap(),
        );
        assert!(BpfProgram::try_from(filter.unwrap()).unwrap().len() < 4096);
    }
}
