//! What a command means: argv read as the container's shell would read it.
//!
//! ```text
//! argv ─> programs  what kind of program is it?   ─> operands, or a script, or another argv
//!         parse     script ─> tree (ast)
//!         run       tree ─> simple commands, in an environment that is followed
//!         expand    word ─> texts (text): characters, patterns, holes
//!         filters   what text tools make of a known input
//!         foreign   strings that other languages put together
//!         pattern   what a glob can match
//!         path      where a path leads
//!     ─> reading    lines, accesses, hidden
//! ```
//!
//! Pure: no I/O, no clock, and nothing of rules: which paths are sensitive is not known here.
//! Nothing is ever executed. Every input, however malformed, yields a reading, within bounds of
//! steps, bytes and depth (`limits`); what exceeds them is told as hidden.
//!
//! Where the real outcome depends on what is not known, the reading holds what may happen: both
//! branches of a condition are read, as are commands whose predecessor may fail.

pub mod ast;
mod expand;
mod filters;
mod foreign;
mod names;
mod parse;
pub mod path;
pub mod pattern;
mod programs;
pub mod reading;
mod run;
pub mod text;

pub use run::{read, read_script};
