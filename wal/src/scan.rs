//! Reading a segment's file from its beginning to its end: `Scanner`, a window that moves over the
//! file, so that bytes are summed while they are in the processor's cache, and a failing disk is an
//! error and never a signal.

use crate::disk::File;
use crate::format::{ALIGN, Found, RECORD_BYTES, Record, seed};
use std::io;

#[cfg(test)]
mod tests;

/// How much is read at once, in bytes: with room to spare in a second-level cache.
const WINDOW_BYTES: usize = 256 << 10;
/// How much is read at once of a file's beginning, in bytes: where a footer tells the rest, that is
/// all that is read.
const BEGINNING_BYTES: usize = 4 << 10;
/// How much the disk is told of ahead, in bytes: cold, it fetches that while what came before it is
/// summed.
const AHEAD_BYTES: usize = 8 << 20;
/// In what pieces zeroes are passed over, in bytes.
const ZEROES: [u8; 4096] = [0; 4096];

/// A window on a file.
pub(crate) struct Scanner<'a> {
    file: &'a dyn File,
    /// The file's size, in bytes.
    len: usize,
    /// Grows to the longest record.
    buffer: Vec<u8>,
    /// Where in the file the buffer begins, and how many bytes of it are read.
    start: usize,
    filled: usize,
    /// Up to where the disk was told that it will be read.
    told: usize,
}

impl<'a> Scanner<'a> {
    /// `buffer` is reused from file to file.
    pub(crate) fn new(file: &'a dyn File, len: usize, buffer: Vec<u8>) -> Self {
        Self { file, len, buffer, start: 0, filled: 0, told: 0 }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// So many bytes from `offset` on, or fewer where the file ends.
    pub(crate) fn bytes(&mut self, offset: usize, count: usize) -> io::Result<&[u8]> {
        let count = count.min(self.len.saturating_sub(offset));
        let held = offset >= self.start && offset + count <= self.start + self.filled;
        if !held {
            let window = if offset == 0 { BEGINNING_BYTES } else { WINDOW_BYTES };
            let fill = count.max(window).min(self.len.saturating_sub(offset));
            if self.buffer.len() < fill {
                self.buffer.resize(fill, 0);
            }
            self.filled = 0;
            // Where a footer tells the rest, no more than the beginning is read.
            if offset > 0 {
                self.tell(offset + fill);
            }
            self.file.copy_to(offset as u64, &mut self.buffer[..fill])?;
            (self.start, self.filled) = (offset, fill);
        }
        let at = offset - self.start;
        Ok(&self.buffer[at..at + count])
    }

    /// Tells the disk what is read behind this offset, half of it before it is needed.
    fn tell(&mut self, end: usize) {
        let from = self.told.max(end);
        if from < self.len && end + AHEAD_BYTES / 2 > self.told {
            self.told = (end + AHEAD_BYTES).min(self.len);
            self.file.will_copy(from as u64, (self.told - from) as u64);
        }
    }

    /// The record that is whole at this offset, if there is one.
    pub(crate) fn find(&mut self, offset: usize, salt: u32) -> io::Result<Option<Found<'_>>> {
        let Some(span) = self.span_at(offset, salt)? else { return Ok(None) };
        Ok(Record::parse(self.bytes(offset, span)?, seed(salt, offset)))
    }

    /// What stands at this offset by its head if it is a record, whatever its data are.
    pub(crate) fn guess(&mut self, offset: usize, salt: u32) -> io::Result<Option<Found<'_>>> {
        let Some(span) = self.span_at(offset, salt)? else { return Ok(None) };
        Ok(Record::parse_head(self.bytes(offset, span)?, seed(salt, offset)))
    }

    fn span_at(&mut self, offset: usize, salt: u32) -> io::Result<Option<usize>> {
        let span = Record::span_at(self.bytes(offset, RECORD_BYTES)?, seed(salt, offset));
        Ok(span.filter(|span| *span <= self.len - offset))
    }

    /// The offset of the first record from `offset` on, wherever one begins.
    pub(crate) fn next_record(&mut self, offset: usize, salt: u32) -> io::Result<Option<usize>> {
        let mut at = offset.next_multiple_of(ALIGN);
        while at + RECORD_BYTES <= self.len {
            let piece = self.bytes(at, ZEROES.len())?;
            if *piece == ZEROES[..piece.len()] {
                // A record's head is not zero where it has its kind, in its second eight bytes.
                at += piece.len().saturating_sub(ALIGN).max(ALIGN);
                continue;
            }
            let end = (at + ZEROES.len()).min(self.len);
            while at < end {
                if self.find(at, salt)?.is_some() {
                    return Ok(Some(at));
                }
                at += ALIGN;
            }
        }
        Ok(None)
    }

    /// Whether there are only zeroes in this range, as far as the file goes.
    pub(crate) fn is_zero(&mut self, range: std::ops::Range<usize>) -> io::Result<bool> {
        let mut at = range.start;
        while at < range.end.min(self.len) {
            let piece = self.bytes(at, ZEROES.len().min(range.end - at))?;
            if *piece != ZEROES[..piece.len()] {
                return Ok(false);
            }
            at += piece.len();
        }
        Ok(true)
    }
}

/// Writes zeroes over all that is not zero from there on.
pub(crate) fn wipe(file: &dyn File, from: usize) -> io::Result<()> {
    let len = usize::try_from(file.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut scanner = Scanner::new(file, len, Vec::new());
    let mut at = from;
    while at < len {
        let end = len.min(at + ZEROES.len());
        if !scanner.is_zero(at..end)? {
            file.write(at as u64, &[&ZEROES[..end - at]])?;
        }
        at = end;
    }
    Ok(())
}
