//! From records to findings (stateless rules) and observations (new-terms rules).

pub mod finding;
