//! The seams to native code that llama-cpp-2 has no safe way for: file descriptors and session of the
//! child, llama.cpp's abort and log hooks, context parameters, and a context that owns its model.
//!
//! Invariant: this file and `probe` are the only places of the engine with `unsafe`, and nothing outside
//! needs to know why it is sound: no function here has a precondition that the types do not carry, but
//! where its documentation says "before any other thread".

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, FromRawFd};
use std::time::Duration;

/// Keeps a private descriptor on standard output, for frames, and points standard output at standard
/// error, so that whatever native code prints lands in the log and never between frames.
///
/// # Panics
/// When the process has no standard output, so there is no one to talk to.
#[must_use]
pub fn move_stdout_aside() -> File {
    // SAFETY: fcntl with F_DUPFD_CLOEXEC makes a new descriptor and touches no memory of ours.
    let private = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_DUPFD_CLOEXEC, 3) };
    assert!(private >= 0, "the engine is started with a pipe as its standard output");
    // SAFETY: both descriptors are open; dup2 closes the old standard output, whose only owner is ourselves.
    unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
    // SAFETY: `private` was just made and belongs to no one else.
    unsafe { File::from_raw_fd(private) }
}

/// Starts a session of its own, so that Ctrl+C or a hang-up on the terminal never reaches this process.
/// Already leading one is as good.
pub fn new_session() {
    // SAFETY: setsid takes no arguments and touches no memory.
    unsafe { libc::setsid() };
}

/// How long a machine at the other end may say nothing, not even to the system's own questions, before it counts as gone.
const SILENCE: Duration = Duration::from_secs(30);

/// Has the system notice when a machine at these addresses goes without a word, as one that loses its power does: what is
/// read from it or written to it then fails, where it would else wait for hours. For connections that native code made.
pub fn notice_lost_machines(addresses: &[SocketAddr]) {
    use rustix::net::{getpeername, sockopt};
    /// No process of ours has as many descriptors when this is called.
    const MOST: i32 = 1024;
    if addresses.is_empty() {
        return;
    }
    for descriptor in 0..MOST {
        // SAFETY: it is only asked for its other end, and given options that change nothing of what it is. One that is
        // not open, or no connection, says so.
        let socket = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let peer = getpeername(socket).ok().flatten().and_then(|peer| SocketAddr::try_from(peer).ok());
        if !peer.is_some_and(|peer| addresses.contains(&peer)) {
            continue;
        }
        let set = sockopt::set_tcp_keepidle(socket, SILENCE / 3)
            .and_then(|()| sockopt::set_tcp_keepintvl(socket, SILENCE / 6))
            .and_then(|()| sockopt::set_tcp_keepcnt(socket, 4))
            .and_then(|()| sockopt::set_socket_keepalive(socket, true));
        // Where something was sent and never received, the questions above are not asked.
        #[cfg(target_os = "linux")]
        let set = set.and_then(|()| sockopt::set_tcp_user_timeout(socket, SILENCE.as_millis() as u32));
        if let Err(error) = set {
            tracing::warn!(%error, "a worker that loses its power will not be noticed");
        }
    }
}

#[cfg(feature = "llama")]
pub use llama::*;

#[cfg(feature = "llama")]
mod llama {
    use std::ffi::{CStr, CString, c_char, c_void};
    use std::mem::{align_of, size_of, transmute};
    use std::path::Path;
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, PoisonError};

    use llama_cpp_2::LlamaContextLoadError;
    use llama_cpp_2::context::LlamaContext;
    use llama_cpp_2::context::params::LlamaContextParams;
    use llama_cpp_2::llama_backend::LlamaBackend;
    use llama_cpp_sys_2 as sys;

    use crate::engine::model::load_log::LoadLog;
    use crate::engine::model::loaded::LoadedModel;
    use crate::engine::probe::{self, Held, Probe};
    use crate::engine::protocol::GAVE_UP;
    use crate::engine::workers;
    use crate::token::TokenId;

    /// Makes a failed assertion of native code write its reason to standard error before the process ends,
    /// and nothing else: no debugger is started for a backtrace. To be called before any other thread.
    pub fn install_abort_hook() {
        // SAFETY: no other thread reads or writes the environment yet, as documented.
        unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") };
        // SAFETY: the callback lives as long as the program and can be called from any thread.
        unsafe { sys::ggml_set_abort_callback(Some(say_why)) };
    }

    unsafe extern "C" fn say_why(message: *const c_char) {
        // SAFETY: ggml passes a terminated string that it keeps until the call returns.
        let message = of_file(unsafe { CStr::from_ptr(message) }.to_bytes());
        for part in [GAVE_UP.as_bytes(), message, b"\n"] {
            // SAFETY: the pointer and length are those of a slice; write is safe in any state of the process.
            unsafe { libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len()) };
        }
        // A failed connection to a worker is told without its name.
        if let Some(words) = workers::last_words() {
            let line = format!("{words}\n");
            // SAFETY: as above.
            unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
        }
    }

    /// Last words without the folders of the machine that this was built on: `ggml.c:12: …`.
    fn of_file(message: &[u8]) -> &[u8] {
        let place = message.iter().position(|byte| *byte == b':').unwrap_or_default();
        let folders = message[..place].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        &message[folders..]
    }

    /// A function of ggml's RPC backend, where this build has that.
    fn of_rpc(name: &CStr) -> Result<NonNull<c_void>, String> {
        let absent = || {
            "This glassbox was built without llama.cpp's RPC. `cargo clean --release -p llama-cpp-sys-2` and another build give it.".to_owned()
        };
        // SAFETY: the name is terminated; a registry that is found lives as long as the process.
        let registry = unsafe { sys::ggml_backend_reg_by_name(c"RPC".as_ptr()) };
        if registry.is_null() {
            return Err(absent());
        }
        // SAFETY: the registry was just found; the name is terminated.
        let address = unsafe { sys::ggml_backend_reg_get_proc_address(registry, name.as_ptr()) };
        NonNull::new(address).ok_or_else(absent)
    }

    /// Registers the devices of a worker. One that does not answer ends the process: it is greeted before.
    ///
    /// # Errors
    /// Where the build has no RPC, or the worker has no device.
    pub fn add_worker(worker: &str) -> Result<(), String> {
        type AddServer = unsafe extern "C" fn(*const c_char) -> sys::ggml_backend_reg_t;
        let add = of_rpc(c"ggml_backend_rpc_add_server")?;
        let endpoint = CString::new(worker).map_err(|_| format!("{worker} is no address"))?;
        // SAFETY: ggml's header declares this function under this name with this signature.
        let add = unsafe { transmute::<NonNull<c_void>, AddServer>(add) };
        // SAFETY: the address is terminated and lives through the call, which copies it.
        let registry = unsafe { add(endpoint.as_ptr()) };
        if registry.is_null() {
            return Err(format!("The worker {worker} has no device."));
        }
        // SAFETY: a registry, which lives as long as the process; one that is known already is passed over.
        unsafe { sys::ggml_backend_register(registry) };
        Ok(())
    }

    /// Serves this machine's GPUs at an address, or its CPU where it has none, until that can be listened on no more.
    ///
    /// # Errors
    /// Where the build has no RPC.
    pub fn serve_devices(address: &str, threads: u32) -> Result<(), String> {
        type StartServer =
            unsafe extern "C" fn(*const c_char, *const c_char, usize, usize, *mut sys::ggml_backend_dev_t);
        let start = of_rpc(c"ggml_backend_rpc_start_server")?;
        let endpoint = CString::new(address).map_err(|_| format!("{address} is no address"))?;
        let mut devices = devices_to_serve();
        // SAFETY: ggml's header declares this function under this name with this signature.
        let start = unsafe { transmute::<NonNull<c_void>, StartServer>(start) };
        // SAFETY: the address is terminated, the list as long as said, and both live through the call.
        unsafe {
            start(endpoint.as_ptr(), std::ptr::null(), threads as usize, devices.len(), devices.as_mut_ptr());
        }
        Ok(())
    }

    /// GPUs, else the CPU.
    fn devices_to_serve() -> Vec<sys::ggml_backend_dev_t> {
        // SAFETY: numbers below the count name devices, which live as long as the process.
        let all = unsafe { (0..sys::ggml_backend_dev_count()).map(|at| sys::ggml_backend_dev_get(at)) };
        let of = |kinds: &[sys::ggml_backend_dev_type]| {
            let is = |device: &sys::ggml_backend_dev_t| {
                // SAFETY: it is a device.
                let kind = unsafe { sys::ggml_backend_dev_type(*device) };
                kinds.contains(&kind)
            };
            all.clone().filter(is).collect::<Vec<_>>()
        };
        let gpus = of(&[sys::GGML_BACKEND_DEVICE_TYPE_GPU, sys::GGML_BACKEND_DEVICE_TYPE_IGPU]);
        if gpus.is_empty() { of(&[sys::GGML_BACKEND_DEVICE_TYPE_CPU]) } else { gpus }
    }

    static LOG: Mutex<(String, LoadLog)> = Mutex::new((String::new(), LoadLog::new()));

    /// Sends llama.cpp's log to `tracing` and keeps what [`LoadLog`] understands.
    pub fn install_log_hook() {
        // SAFETY: the callback is a function of this program; it needs no data of its own.
        unsafe { sys::llama_log_set(Some(log), std::ptr::null_mut()) };
    }

    /// What the log said since the last call.
    #[must_use]
    pub fn take_load_log() -> LoadLog {
        std::mem::take(&mut LOG.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    unsafe extern "C" fn log(level: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
        // SAFETY: llama.cpp passes a terminated string that it keeps until the call returns.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        log.0.push_str(&text);
        while let Some(end) = log.0.find('\n') {
            let line: String = log.0.drain(..=end).collect();
            let line = line.trim_end();
            // Of a pass, which is no part of loading a model though one may be loaded meanwhile.
            if !line.contains("error saving state") {
                log.1.read(line, level == sys::GGML_LOG_LEVEL_ERROR);
            }
            match level {
                // Stopping a reply is not an error: llama.cpp calls a decode that was asked to end a failure.
                // Nor is that it was given no room for what the cells hold, see [`OwnedContext::held`].
                _ if line.contains("failed to decode, ret = 2") || line.contains("error saving state") => {
                    tracing::debug!(target: "llama.cpp", "{line}");
                }
                sys::GGML_LOG_LEVEL_ERROR => tracing::error!(target: "llama.cpp", "{line}"),
                sys::GGML_LOG_LEVEL_WARN => tracing::warn!(target: "llama.cpp", "{line}"),
                _ => tracing::debug!(target: "llama.cpp", "{line}"),
            }
        }
    }

    /// Writes a copy of a model with its matrices as f32, or as f16 without `floats`, through llama.cpp's own
    /// dequantisation; norms are f32 either way.
    ///
    /// # Errors
    /// With llama.cpp's code, where it cannot read the one file or write the other.
    pub fn dequantise(from: &Path, to: &Path, threads: u32, floats: bool) -> Result<(), String> {
        let name = |path: &Path| {
            CString::new(path.as_os_str().as_encoded_bytes())
                .map_err(|_| "a file name holds a zero".to_owned())
        };
        let (from, to) = (name(from)?, name(to)?);
        // SAFETY: gives a struct of plain numbers and null pointers.
        let mut params = unsafe { sys::llama_model_quantize_default_params() };
        params.ftype = if floats { sys::LLAMA_FTYPE_ALL_F32 } else { sys::LLAMA_FTYPE_MOSTLY_F16 };
        params.allow_requantize = true;
        params.nthread = threads.cast_signed();
        // SAFETY: both names are terminated and live through the call, as do the parameters.
        match unsafe { sys::llama_model_quantize(from.as_ptr(), to.as_ptr(), &raw const params) } {
            0 => Ok(()),
            code => Err(format!("llama.cpp could not dequantise it (code {code})")),
        }
    }

    /// Names the vector instructions that this processor has and llama.cpp was built without.
    #[must_use]
    pub fn unused_instructions() -> Vec<&'static str> {
        #[cfg(all(target_arch = "x86_64", not(feature = "dynamic-backends")))]
        {
            // SAFETY: these functions return constants of the build.
            let built =
                unsafe { (sys::ggml_cpu_has_avx(), sys::ggml_cpu_has_avx2(), sys::ggml_cpu_has_fma()) };
            let here = [
                ("AVX", std::is_x86_feature_detected!("avx"), built.0),
                ("AVX2", std::is_x86_feature_detected!("avx2"), built.1),
                ("FMA", std::is_x86_feature_detected!("fma"), built.2),
            ];
            here.iter().filter(|(_, has, built)| *has && *built == 0).map(|(name, ..)| *name).collect()
        }
        #[cfg(not(all(target_arch = "x86_64", not(feature = "dynamic-backends"))))]
        Vec::new()
    }

    // The wrapper has exactly one field, so equal size and alignment put it at offset 0.
    const _: () = assert!(
        size_of::<LlamaContextParams>() == size_of::<sys::llama_context_params>()
            && align_of::<LlamaContextParams>() == align_of::<sys::llama_context_params>()
    );

    /// Sets what llama-cpp-2 has no methods for: the evaluation callback, the abort callback, and how many
    /// rows of logits one batch may ask for (llama.cpp reserves a buffer of that many times the vocabulary).
    fn complete(
        mut params: LlamaContextParams,
        probe: &Arc<Probe>,
        stop: &Arc<AtomicBool>,
        output_rows: u32,
    ) -> LlamaContextParams {
        // SAFETY: see the assertion above; the reference ends before `params` is used again.
        let raw = unsafe { &mut *(&raw mut params).cast::<sys::llama_context_params>() };
        if !probe.is_absent() {
            raw.cb_eval = Some(probe::evaluate);
            raw.cb_eval_user_data = Arc::as_ptr(probe).cast_mut().cast();
        }
        raw.abort_callback = Some(is_stopped);
        raw.abort_callback_data = Arc::as_ptr(stop).cast_mut().cast();
        raw.n_outputs_max = output_rows;
        params
    }

    unsafe extern "C" fn is_stopped(data: *mut c_void) -> bool {
        // SAFETY: `data` is the flag that the context's owner keeps alive as long as the context.
        let stop = unsafe { &*data.cast::<AtomicBool>() };
        stop.load(Ordering::Relaxed)
    }

    /// llama.cpp's own context, which the wrapper does not give away: among its words the only one that is an address,
    /// since its list of samplers is empty. `None` where the wrapper is not made like that.
    fn raw_context(context: &LlamaContext<'_>) -> Option<NonNull<sys::llama_context>> {
        const WORDS: usize = 4;
        if size_of::<LlamaContext<'_>>() != WORDS * size_of::<*mut c_void>() {
            return None;
        }
        // SAFETY: the wrapper is as long and is aligned for its pointer; every word of it is initialised (a pointer and
        // a vector's three), and any word may be read as an address that is not followed.
        let words = unsafe { *(&raw const *context).cast::<[*mut sys::llama_context; WORDS]>() };
        let mut addresses = words.into_iter().filter(|word| word.addr() > 0xFFFF);
        addresses.next().filter(|_| addresses.next().is_none()).and_then(NonNull::new)
    }

    unsafe extern "C" {
        /// `llama_context::get_sched() const`, which has no C name: what runs a context's graphs.
        #[link_name = "_ZNK13llama_context9get_schedEv"]
        fn scheduler(context: *const sys::llama_context) -> sys::ggml_backend_sched_t;

        /// `llama_set_embeddings_nextn(llama_context *, bool, bool)`, which has no C name either: has each batch give the
        /// states that heads for multi-token prediction read, of all tokens or of those with logits alone (`masked`).
        #[link_name = "_Z26llama_set_embeddings_nextnP13llama_contextbb"]
        fn give_states(context: *mut sys::llama_context, wanted: bool, masked: bool);

        /// `llama_get_embeddings_nextn_ith(llama_context *, int32_t)`: such a state of the last batch.
        #[link_name = "_Z30llama_get_embeddings_nextn_ithP13llama_contexti"]
        fn state_of(context: *mut sys::llama_context, row: i32) -> *const f32;
    }

    /// A token with the state that the token before it left, as heads for multi-token prediction read them.
    #[derive(Clone, Copy, Debug)]
    pub struct Paired<'a> {
        /// The token.
        pub id: TokenId,
        /// Where in the sequence, from 0.
        pub position: i32,
        /// [`OwnedContext::state_width`] numbers.
        pub state: &'a [f32],
    }

    /// A context together with everything it points to.
    pub struct OwnedContext {
        // Declared first, so dropped first: it points into all the others.
        context: LlamaContext<'static>,
        /// What the evaluation callback works with.
        pub probe: Arc<Probe>,
        /// The model it runs.
        pub model: Arc<LoadedModel>,
        /// llama.cpp's own context, where it could be told.
        raw: Option<NonNull<sys::llama_context>>,
        /// How many threads it was last told to compute with; 0 before that.
        threads: u32,
        /// Adapters in the model's memory, which frees them with itself.
        adapters: Vec<NonNull<sys::llama_adapter_lora>>,
        _stop: Arc<AtomicBool>,
    }

    // SAFETY: the pointers are to what the context and the model own, which may be sent themselves; they are used only
    // through the owner.
    unsafe impl Send for OwnedContext {}

    impl OwnedContext {
        /// Makes a context. While `stop` is set, decoding ends at once (on the CPU).
        ///
        /// # Errors
        /// When llama.cpp refuses, mostly for want of memory; [`take_load_log`] knows why.
        pub fn new(
            backend: &LlamaBackend,
            model: Arc<LoadedModel>,
            params: LlamaContextParams,
            probe: Arc<Probe>,
            stop: Arc<AtomicBool>,
            output_rows: u32,
        ) -> Result<Self, LlamaContextLoadError> {
            let context = model.model.new_context(backend, complete(params, &probe, &stop, output_rows))?;
            // SAFETY: only the lifetime changes. The model lies in an `Arc` beside the context, so it keeps
            // its address and outlives it; the lifetime does not leave this struct (see `get_mut`).
            let context = unsafe { transmute::<LlamaContext<'_>, LlamaContext<'static>>(context) };
            let raw = raw_context(&context);
            Ok(Self { context, probe, model, raw, threads: 0, adapters: Vec::new(), _stop: stop })
        }

        /// Computes with so many threads from here on, where that can be told.
        pub fn set_threads(&mut self, threads: u32) {
            let Some(raw) = self.raw.filter(|_| self.threads != threads) else { return };
            let count = threads.cast_signed();
            // SAFETY: the context is alive and borrowed here; the call stores two numbers.
            unsafe { sys::llama_set_n_threads(raw.as_ptr(), count, count) };
            self.threads = threads;
        }

        /// Empties the cache: as if nothing had been read.
        pub fn clear(&mut self) {
            self.context.clear_kv_cache();
        }

        /// Has the evaluation callback watch the next batch, if the probe needs to.
        pub fn watch(&mut self) {
            let Some(raw) = self.raw.filter(|_| !self.probe.is_absent()) else { return };
            let callback: sys::ggml_backend_sched_eval_callback =
                self.probe.is_needed().then_some(probe::evaluate as _);
            // SAFETY: the context is alive and borrowed alone, and no graph is being computed. Its scheduler lives as
            // long, takes two addresses, and the probe stays where it is as long as the context. Where llama.cpp builds
            // a new graph, it puts in what the context was made with: the same.
            unsafe {
                let scheduler = scheduler(raw.as_ptr());
                sys::ggml_backend_sched_set_eval_callback(
                    scheduler,
                    callback,
                    Arc::as_ptr(&self.probe).cast_mut().cast(),
                );
            }
        }

        /// Waits until what was decoded is computed, which a GPU or a worker may still be at.
        pub fn settle(&mut self) {
            let Some(raw) = self.raw else { return };
            // SAFETY: the context is alive and borrowed alone.
            unsafe { sys::llama_synchronize(raw.as_ptr()) };
        }

        /// What a sequence holds, in the order of its cells; nothing where llama.cpp does not tell.
        pub fn held(&mut self, sequence: u8) -> Held {
            /// llama.cpp's `LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY`: of two caches that of the sliding windows alone.
            const WINDOWS: u32 = 1;
            let number = i32::from(sequence);
            let (first, last) =
                (self.context.kv_cache_seq_pos_min(number), self.context.kv_cache_seq_pos_max(number));
            // A state beside the cells is of the last position alone, which is then told as the first.
            let first = if self.model.model.is_hybrid() { 0 } else { first };
            let Some(raw) = self.raw.filter(|_| last >= 0) else { return Held::default() };
            let told = |flags: u32, tokens: usize| {
                (Held::LEAST_WORDS..=Held::MOST_WORDS).find_map(|words| {
                    // Without room for what the cells hold llama.cpp stops there, and has told where they are.
                    let mut state = vec![0_u8; Held::bytes(tokens, words)];
                    let (place, length) = (state.as_mut_ptr(), state.len());
                    // SAFETY: the context is alive and borrowed alone; no more is written than the length says.
                    unsafe { sys::llama_state_seq_get_data_ext(raw.as_ptr(), place, length, number, flags) };
                    Held::list(&state, sequence.into(), words)
                })
            };
            let tokens = usize::try_from(last - first + 1).unwrap_or_default();
            // SAFETY: the context is alive, and so is its model.
            let window = unsafe { sys::llama_model_n_swa(sys::llama_get_model(raw.as_ptr())) };
            let window = usize::try_from(window).unwrap_or_default();
            Held {
                all: told(0, tokens).unwrap_or_default(),
                window: if window > 0 { told(WINDOWS, tokens.min(window)) } else { None },
            }
        }

        /// How many tokens can be taken back of a past that is one state.
        #[must_use]
        pub fn taken_back(&self) -> u32 {
            // SAFETY: the context is alive.
            self.raw.map_or(0, |raw| unsafe { sys::llama_n_rs_seq(raw.as_ptr()) })
        }

        /// Numbers of a state that heads for multi-token prediction read.
        #[must_use]
        pub fn state_width(&self) -> usize {
            let Some(raw) = self.raw else { return 0 };
            // SAFETY: the context is alive, and so is its model.
            let width = unsafe { sys::llama_model_n_embd_out(sys::llama_get_model(raw.as_ptr())) };
            usize::try_from(width).unwrap_or_default()
        }

        /// Has each batch give such states from here on, of all its tokens or of those with logits alone; whether it can.
        pub fn give_states(&mut self, masked: bool) -> bool {
            let Some(raw) = self.raw else { return false };
            // SAFETY: the context is alive and borrowed alone; the call stores two flags.
            unsafe { give_states(raw.as_ptr(), true, masked) };
            true
        }

        /// The state of a token of the last batch, where these are given.
        #[must_use]
        pub fn state_of(&self, row: usize) -> Option<&[f32]> {
            let (raw, row, width) = (self.raw?, i32::try_from(row).ok()?, self.state_width());
            // SAFETY: the context is alive. llama.cpp gives null for a row that is not there, else as many numbers as
            // the model's states are wide, which stay until the next batch; that needs this context alone.
            unsafe {
                let state = state_of(raw.as_ptr(), row);
                (!state.is_null()).then(|| std::slice::from_raw_parts(state, width))
            }
        }

        /// Decodes tokens of sequence 0 with states, logits for the last alone where `logits` says so; whether
        /// llama.cpp could.
        pub fn decode_paired(&mut self, items: &[Paired<'_>], logits: bool) -> bool {
            let (Some(raw), width) = (self.raw, self.state_width()) else { return false };
            // SAFETY: the context is alive and borrowed alone. The batch is freed below and copies what it is given: a
            // token, its position, and a state as long as is said, which is that of the model's.
            unsafe {
                let Some(batch) = NonNull::new(sys::llama_batch_ext_init(raw.as_ptr())) else { return false };
                let mut whole = true;
                for (index, item) in items.iter().enumerate() {
                    let row = sys::llama_batch_ext_add_token(batch.as_ptr(), 0, item.id.0);
                    let state =
                        sys::llama_embd { data: item.state.as_ptr(), n_rows: 1, n_embd: item.state.len() };
                    whole = whole
                        && row >= 0
                        && item.state.len() == width
                        && sys::llama_batch_ext_set_pos(batch.as_ptr(), row, &raw const item.position)
                        && sys::llama_batch_ext_set_embd_token(batch.as_ptr(), row, state)
                        && sys::llama_batch_ext_set_output_logits(
                            batch.as_ptr(),
                            row,
                            logits && index + 1 == items.len(),
                        );
                }
                let decoded = whole
                    && sys::llama_process(raw.as_ptr(), sys::LLAMA_PROCESS_TYPE_DECODE, batch.as_ptr()) == 0;
                sys::llama_batch_ext_free(batch.as_ptr());
                decoded
            }
        }

        /// Whether adapters can be put into it.
        #[must_use]
        pub fn takes_adapters(&self) -> bool {
            self.raw.is_some()
        }

        /// Reads a LoRA adapter into the model's memory; its number, or `None` where llama.cpp refuses, and
        /// [`take_load_log`] knows why.
        pub fn load_adapter(&mut self, path: &Path) -> Option<usize> {
            let path = CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
            // SAFETY: the wrapper is transparent over the pointer to llama.cpp's model, which this context keeps alive.
            let model = unsafe { *(&raw const self.model.model).cast::<*mut sys::llama_model>() };
            // SAFETY: the path is terminated and lives through the call. The call writes to the model's list of
            // adapters alone, which only contexts read, and this is the model's only one and is borrowed here.
            let adapter = unsafe { sys::llama_adapter_lora_init(model, path.as_ptr()) };
            self.adapters.push(NonNull::new(adapter)?);
            Some(self.adapters.len() - 1)
        }

        /// Computes with these adapters, by number and scale, and with no others from here on.
        ///
        /// # Panics
        /// Where there is no such adapter.
        pub fn set_adapters(&mut self, wanted: &[(usize, f32)]) {
            let Some(raw) = self.raw else { return };
            let mut adapters: Vec<_> =
                wanted.iter().map(|(number, _)| self.adapters[*number].as_ptr()).collect();
            let mut scales: Vec<f32> = wanted.iter().map(|(_, scale)| *scale).collect();
            // SAFETY: both lists are as long as said and are copied; the adapters are those of the context's own model.
            unsafe {
                sys::llama_set_adapters_lora(
                    raw.as_ptr(),
                    adapters.as_mut_ptr(),
                    adapters.len(),
                    scales.as_mut_ptr(),
                );
            }
        }

        /// Adds these to the residual stream from here on, a vector after each block but the first, one after the other;
        /// none ends it. As many as another model would take are not added.
        pub fn set_pushes(&mut self, values: &[f32]) {
            let Some(raw) = self.raw else { return };
            let (width, layers) = (self.model.model.n_embd(), self.model.model.n_layer().cast_signed());
            let whole = usize::try_from(width).unwrap_or(0) * usize::try_from(layers - 1).unwrap_or(0);
            let data = if values.len() == whole && whole > 0 { values.as_ptr() } else { std::ptr::null() };
            // SAFETY: the values are as many as said, or none, and are copied.
            unsafe {
                sys::llama_set_adapter_cvec(raw.as_ptr(), data, values.len(), width, 1, layers);
            }
        }

        /// Whether the cache's state can be copied out and put back.
        #[must_use]
        pub fn has_state(&self) -> bool {
            self.raw.is_some()
        }

        /// Bytes of the cache's state; 0 where it cannot be told.
        pub fn state_size(&mut self) -> usize {
            // SAFETY: the context is alive and borrowed alone.
            self.raw.map_or(0, |raw| unsafe { sys::llama_state_get_size(raw.as_ptr()) })
        }

        /// The cache's whole state, all sequences, of the size just told; `None` where llama.cpp gives none.
        pub fn state(&mut self, size: usize) -> Option<Vec<u8>> {
            let raw = self.raw?;
            let mut state = vec![0; size];
            // SAFETY: the context is alive and borrowed alone; llama.cpp writes no more than the length it is given.
            let written = unsafe { sys::llama_state_get_data(raw.as_ptr(), state.as_mut_ptr(), state.len()) };
            (written == size && size > 0).then_some(state)
        }

        /// Puts a state that [`OwnedContext::state`] gave in the place of the cache; whether llama.cpp took it. What the
        /// cache holds otherwise is not known. It is the caller's to see that the bytes are such a state, unchanged:
        /// they are checked for length and layout alone.
        pub fn set_state(&mut self, state: &[u8]) -> bool {
            let Some(raw) = self.raw else { return false };
            // SAFETY: the context is alive and borrowed alone; llama.cpp reads no more than the length it is given,
            // and compares layers, types and row sizes with its own before it copies.
            unsafe { sys::llama_state_set_data(raw.as_ptr(), state.as_ptr(), state.len()) == state.len() }
        }

        /// The context.
        #[must_use]
        pub fn get(&self) -> &LlamaContext<'_> {
            &self.context
        }

        /// The context, to decode or to change its cache.
        pub fn with<T>(&mut self, act: impl for<'a> FnOnce(&mut LlamaContext<'a>) -> T) -> T {
            act(&mut self.context)
        }
    }
}
