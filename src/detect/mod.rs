//! From records to findings (stateless rules) and observations (new-terms rules).

pub mod command;
pub mod exceptions;
pub mod explain;
pub mod finding;
pub mod harmless;
pub mod identity;
pub mod in_force;
pub mod ledger;
pub mod likely;
pub mod matcher;
pub mod place;
pub mod pool;
pub mod queries;
pub mod recent;
pub mod remembered;
pub mod runner;
pub mod slots;
pub mod suppress;
pub mod tally;
pub mod told;
pub mod triage;
pub mod tuples;
