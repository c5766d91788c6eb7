//! New terms: observations, their fold, and the state that is a view of the log.

pub mod observation;
