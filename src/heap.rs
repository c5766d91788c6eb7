//! How the C library's heap is used. One of the two modules with unsafe code, beside `ingest::oauth`.
//!
//! glibc gives each thread an arena, up to eight for each core, and what a thread freed stays in
//! its arena. Takeovers allocate on threads of their own and the terms are then used by others, so
//! an instance kept a third more memory than it used: 264 MB in the place of 195 MB a minute after
//! it took 1,000,000 terms over, on two cores (`cargo bench --bench memory`).

/// Lets the heap have one arena for each core, and two at least. To be called before threads are
/// started. Does nothing where the C library is not glibc.
#[allow(unsafe_code)]
pub fn limit_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let arenas = libc::c_int::try_from(cores.max(2)).unwrap_or(libc::c_int::MAX);
        // SAFETY: `mallopt` may be called at any time and takes no pointers. What it answers only
        // says whether the parameter is known; without it memory use is higher and nothing else.
        unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
    }
}
