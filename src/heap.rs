//! The heap: jemalloc in the place of the C library's. One of the two modules with unsafe code, beside
//! `ingest::oauth`.
//!
//! What one thread allocates another frees all the time here: records that librdkafka's threads
//! decompress are let go by the thread that polls, outputs of the workers by the thread that sends. In
//! glibc's heap these wait for each other's locks, and what a thread freed stays in its arena.
//! `malloc` itself is jemalloc's, so that librdkafka and the other libraries in C use it too.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static HEAP: Jemalloc = Jemalloc;

/// Where jemalloc finds its settings when it starts: so many arenas however many cores the machine
/// has, of which a container may use few; what is free in one that is in use goes back to the system
/// within a quarter of a second. `MALLOC_CONF` in the environment is read after it.
// SAFETY: jemalloc declares this name as a pointer to a text that ends with NUL, which it reads; nothing
// else has the name.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
#[unsafe(export_name = "malloc_conf")]
#[used]
pub static SETTINGS: &[u8; 46] = b"narenas:4,dirty_decay_ms:250,muzzy_decay_ms:0\0";
