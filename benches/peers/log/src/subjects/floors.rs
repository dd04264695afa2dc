//! What no log can be faster than: the bytes alone, without heads, checksums or an index, copied
//! into a mapped file, or written by one `pwrite` a batch; then `fdatasync`. Both files are
//! allocated and were written before, in small pages.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use holm_wal::{Disk, File, RealDisk};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

pub(super) const MAPPED: Subject = Subject {
    name: "floor: mapped copy",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        let file = RealDisk::open(path)?.with_stores_alone().create("floor", FILE_BYTES)?;
        Ok(Box::new(Mapped { file, end: 0 }))
    },
    open: &[],
};

pub(super) const PWRITE: Subject = Subject {
    name: "floor: pwrite",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        drop(RealDisk::open(path)?.create("floor", FILE_BYTES)?);
        let file = OpenOptions::new().write(true).open(Path::new(path).join("floor"))?;
        Ok(Box::new(Pwrite { file, end: 0, batch: Vec::new() }))
    },
    open: &[],
};

/// More than a run writes, in bytes.
const FILE_BYTES: u64 = 64 << 20;

struct Mapped {
    file: Arc<dyn File>,
    end: u64,
}

impl Log for Mapped {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        for record in records {
            self.file.write(self.end, &[&record[..]])?;
            self.end += record.len() as u64;
        }
        if durability == Durability::Durable {
            self.file.sync()?;
        }
        Ok(())
    }
}

struct Pwrite {
    file: std::fs::File,
    end: u64,
    batch: Vec<u8>,
}

impl Log for Pwrite {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let bytes: &[u8] = if let [record] = records {
            record
        } else {
            self.batch.clear();
            records.iter().for_each(|record| self.batch.extend_from_slice(record));
            &self.batch
        };
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        if durability == Durability::Durable {
            self.file.sync_data()?;
        }
        Ok(())
    }
}
