//! Alerts: what leaves.
