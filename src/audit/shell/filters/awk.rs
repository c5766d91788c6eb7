use super::{Call, Output};
pub(super) fn awk(_: &Call) -> Output {
    Ok(super::Stream::UNKNOWN)
}
