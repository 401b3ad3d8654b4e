//! What the threads of llama.cpp are told through the system and through their runtime.
//!
//! Invariant: where the system or the runtime has no such thing, nothing is changed and nothing fails.

use std::ffi::{c_uint, c_void};
use std::sync::mpsc::{self, Sender};
use std::thread;

/// Starts a team of threads and runs a function in each: what GCC's OpenMP runtime has `#pragma omp parallel` call.
type Parallel = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, c_uint, c_uint);

/// Whether the threads that compute sleep while they wait for each other.
///
/// GCC's runtime has them spin for milliseconds, unless it has more threads than there are processors; then for
/// microseconds. So a further team is started, which does nothing but be counted.
#[derive(Debug, Default)]
pub struct Sleep {
    /// The team; it ends with this.
    team: Option<Sender<()>>,
}

impl Sleep {
    /// From the next pass on, which so many threads compute at most.
    pub fn set(&mut self, sleeps: bool, most: u32) {
        if !sleeps {
            self.team = None;
        } else if self.team.is_none() {
            self.team = parallel().map(|parallel| counted(parallel, most));
        }
    }
}

/// A team that makes so many threads one more than there are processors, and ends when the sender is dropped.
fn counted(parallel: Parallel, most: u32) -> Sender<()> {
    // SAFETY: a question without pointers. Those that this process must not use are counted too, which does no harm.
    let processors = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    // The thread that starts the team is one of it, and is not counted.
    let threads = u32::try_from(processors).unwrap_or(1).saturating_sub(most) + 2;
    let (alive, ended) = mpsc::channel();
    let (started, is_started) = mpsc::channel::<()>();
    let team = thread::Builder::new().name("more-threads".into()).spawn(move || {
        // SAFETY: the function takes any pointer and does nothing; the call returns when all threads have run it. They
        // stay with this thread, asleep, until it ends.
        unsafe { parallel(nothing, std::ptr::null_mut(), threads, 0) };
        drop(started);
        // What is waited for is that the other end is dropped; nobody sends.
        while ended.recv().is_ok() {}
    });
    match team {
        Ok(_) => drop(is_started.recv()),
        Err(error) => tracing::debug!(%error, "no further threads"),
    }
    alive
}

extern "C" fn nothing(_: *mut c_void) {}

/// The runtime's function, where llama.cpp runs on one that has it.
fn parallel() -> Option<Parallel> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the names are terminated. NOLOAD gives what is loaded already, as a part of llama.cpp's libraries maybe,
        // or null, which dlsym takes for the program itself; the handle is kept, so that the function stays.
        let found = unsafe {
            let runtime = libc::dlopen(c"libgomp.so.1".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            libc::dlsym(runtime, c"GOMP_parallel".as_ptr())
        };
        // SAFETY: a function of that name has this signature in every version of the runtime's interface.
        (!found.is_null()).then(|| unsafe { std::mem::transmute::<*mut c_void, Parallel>(found) })
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Asks the system to let this process's threads run for short times but soon, where it can. Their share of the
/// processors stays the same. To be called before other threads, which inherit it.
pub fn ask_for_short_slices() {
    #[cfg(target_os = "linux")]
    linux::short_slices();
}

#[cfg(target_os = "linux")]
mod linux {
    /// How long a thread runs at a time while others wait, ns.
    const SLICE: u64 = 300_000;
    /// `SCHED_OTHER`: threads that share processors by their weight.
    const SHARING: u32 = 0;

    /// `struct sched_attr` as the first version of the call has it.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }

    /// Whether the system took it; kernels before 6.12 ignore it.
    pub fn short_slices() -> bool {
        let size = size_of::<Attributes>() as u32;
        let mut attributes = Attributes { size, ..Attributes::default() };
        // SAFETY: the struct is as long as said and lives through the call, which fills it for the calling thread.
        let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        if read != 0 || attributes.policy != SHARING {
            return false;
        }
        attributes = Attributes { size, runtime: SLICE, ..attributes };
        // SAFETY: as above; the call reads the struct.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) == 0 }
    }
}
