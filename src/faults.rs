//! Faults that tests plant into the protocol, to see that they would notice them.
//!
//! A build without debug assertions, which a release is, has none: [`Faults::has`] is then always
//! false and costs nothing. In other builds `run` takes one from the variable
//! `KUBETELL_PLANTED_FAULT` and says so loudly.

/// A mistake in the protocol, each one a simplification that somebody might make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// An offset is committed when its outputs are sent, before they are acknowledged.
    CommitBeforeAcknowledgement,
    /// The watermark is one past the highest offset done, whatever is below it.
    WatermarkNotContiguous,
    /// What comes back from a past assignment counts for the present one.
    PastEpochAccepted,
    /// What is sent is not kept for a replay.
    OutboxLeftOut,
    /// Of each term only the offset that opened its window last is kept for a replay.
    FirstOffsetInsteadOfOutbox,
    /// A takeover waits for the last record below the offset, which compaction may have removed.
    RestoreEndsOnLastRecord,
    /// A takeover begins with an empty view at the group's offset instead of folding up to it.
    StateLostAtRestart,
    /// The log is told apart by the id in the view, not by a marker that stands in the log.
    LogIdOnlyInView,
    /// A record is folded before the marker that it needs is acknowledged.
    MarkerUnacknowledged,
    /// A marker that lacks part of the merge is not followed by the whole one.
    MarkerNotRepeated,
    /// The view forgets terms by this machine's clock.
    ViewDroppedByWallClock,
    /// Whoever held a partition before may still write its view.
    NoEpochCheckInWriter,
    /// An owner that was suspended for hours goes on as if nothing had happened.
    SuspendedOwnerGoesOn,
    /// A term counts as observed when its observation is sent, not when it is acknowledged.
    CacheEntryOnSend,
}

impl Fault {
    pub const ALL: [Fault; 14] = [
        Fault::CommitBeforeAcknowledgement,
        Fault::WatermarkNotContiguous,
        Fault::PastEpochAccepted,
        Fault::OutboxLeftOut,
        Fault::FirstOffsetInsteadOfOutbox,
        Fault::RestoreEndsOnLastRecord,
        Fault::StateLostAtRestart,
        Fault::LogIdOnlyInView,
        Fault::MarkerUnacknowledged,
        Fault::MarkerNotRepeated,
        Fault::ViewDroppedByWallClock,
        Fault::NoEpochCheckInWriter,
        Fault::SuspendedOwnerGoesOn,
        Fault::CacheEntryOnSend,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Fault::CommitBeforeAcknowledgement => "commit-before-acknowledgement",
            Fault::WatermarkNotContiguous => "watermark-not-contiguous",
            Fault::PastEpochAccepted => "past-epoch-accepted",
            Fault::OutboxLeftOut => "outbox-left-out",
            Fault::FirstOffsetInsteadOfOutbox => "first-offset-instead-of-outbox",
            Fault::RestoreEndsOnLastRecord => "restore-ends-on-last-record",
            Fault::StateLostAtRestart => "state-lost-at-restart",
            Fault::LogIdOnlyInView => "log-id-only-in-view",
            Fault::MarkerUnacknowledged => "marker-unacknowledged",
            Fault::MarkerNotRepeated => "marker-not-repeated",
            Fault::ViewDroppedByWallClock => "view-dropped-by-wall-clock",
            Fault::NoEpochCheckInWriter => "no-epoch-check-in-writer",
            Fault::SuspendedOwnerGoesOn => "suspended-owner-goes-on",
            Fault::CacheEntryOnSend => "cache-entry-on-send",
        }
    }

    pub fn from_name(name: &str) -> Option<Fault> {
        Fault::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// The fault that is planted, if any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults(Option<Fault>);

/// Names the fault.
pub const VARIABLE: &str = "KUBETELL_PLANTED_FAULT";

impl Faults {
    pub const NONE: Faults = Faults(None);

    pub fn planted(fault: Fault) -> Faults {
        Faults(Some(fault))
    }

    pub fn has(self, fault: Fault) -> bool {
        cfg!(debug_assertions) && self.0 == Some(fault)
    }

    /// The fault that the environment asks for; never any in a release.
    pub fn from_environment() -> Faults {
        if !cfg!(debug_assertions) {
            return Faults::NONE;
        }
        let fault = std::env::var(VARIABLE).ok().and_then(|name| Fault::from_name(&name));
        if let Some(fault) = fault {
            tracing::error!(fault = fault.name(), "a fault is planted: this is a test");
        }
        Faults(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own() {
        for fault in Fault::ALL {
            assert_eq!(Fault::from_name(fault.name()), Some(fault));
        }
        assert_eq!(Fault::from_name("none"), None);
        assert!(!Faults::NONE.has(Fault::OutboxLeftOut));
        assert!(Faults::planted(Fault::OutboxLeftOut).has(Fault::OutboxLeftOut));
    }
}
