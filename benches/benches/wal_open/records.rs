//! The floor of reading: `Records`, which only sums as many bytes as a record has, where it is
//! mapped.

use bytes::Bytes;
use holm_wal::Disk;
use std::io;

/// Files, seen as records of one size from their first byte to their last.
pub(crate) struct Records {
    files: Vec<Bytes>,
    bytes: usize,
}

impl Records {
    /// The segments of this disk, with records of so many bytes.
    pub(crate) fn of(disk: &dyn Disk, bytes: usize) -> io::Result<Self> {
        let mut files = Vec::new();
        for name in disk.list()?.into_iter().filter(|name| name.starts_with("segment-")) {
            let file = disk.open(&name)?;
            let len = usize::try_from(file.len()).map_err(io::Error::other)?;
            files.push(file.read(0, len)?);
        }
        Ok(Self { files, bytes })
    }

    /// Sums the records of these numbers, from 1 on.
    pub(crate) fn sum_all(&self, numbers: impl Iterator<Item = u64>) -> crate::Result<()> {
        let in_each = self.files[0].len() / self.bytes;
        for number in numbers {
            let at = usize::try_from(number - 1)?;
            let start = at % in_each * self.bytes;
            let bytes = &self.files[at / in_each][start..start + self.bytes];
            std::hint::black_box(crc32fast::hash(bytes));
        }
        Ok(())
    }
}
