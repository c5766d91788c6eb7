//! gzip and base64, bounded.
//!
//! Owns the budget of expansion: one for a whole record, so that many small bombs are no more
//! than a large one.

use std::io::Read;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;

use super::error::ReadError;
use crate::limits;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const CHUNK_BYTES: usize = 64 * 1024;

const INDIFFERENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, INDIFFERENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, INDIFFERENT);

pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&GZIP_MAGIC)
}

/// How much a record may still expand.
#[derive(Debug)]
pub(super) struct Expansion {
    left_bytes: usize,
}

impl Expansion {
    pub(super) fn new() -> Self {
        Expansion { left_bytes: limits::DECOMPRESSED_MAX_BYTES }
    }

    /// The text behind all members of a gzip file.
    pub(super) fn gunzip(&mut self, compressed: &[u8]) -> Result<Vec<u8>, ReadError> {
        let ratio_bytes = compressed.len().saturating_mul(limits::DECOMPRESSED_MAX_RATIO);
        let allowed = self.left_bytes.min(ratio_bytes.max(limits::DECOMPRESSED_FREE_BYTES));
        let mut decoder = MultiGzDecoder::new(compressed);
        let mut text = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(ReadError::Truncated);
                }
                Err(_) => return Err(ReadError::BadCompression),
            };
            if read > allowed.saturating_sub(text.len()) {
                self.left_bytes = 0;
                return Err(ReadError::DecompressionLimit);
            }
            text.extend_from_slice(chunk.get(..read).unwrap_or_default());
        }
        self.left_bytes = self.left_bytes.saturating_sub(text.len());
        Ok(text)
    }

    /// The bytes behind base64 of either alphabet, with or without padding, and behind gzip if
    /// there is gzip in it.
    pub(super) fn decode(&mut self, encoded: &str) -> Result<Vec<u8>, ReadError> {
        let encoded = encoded.trim();
        let bytes = STANDARD
            .decode(encoded)
            .or_else(|_| URL_SAFE.decode(encoded))
            .map_err(|_| ReadError::BadBase64)?;
        if is_gzip(&bytes) { self.gunzip(&bytes) } else { Ok(bytes) }
    }
}
