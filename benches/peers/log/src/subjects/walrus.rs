//! walrus-rust, with its defaults (files opened for synchronous writes, batches through io_uring).
//! When it syncs is settled when it is opened. It takes its folder from the environment alone,
//! which `main` has set.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use walrus_rust::{FsyncSchedule, ReadConsistency, Walrus};

pub(super) const SUBJECT: Subject = Subject {
    name: "walrus-rust 0.2",
    syncs: Syncs::AsAsked,
    create: |path, durability| {
        let schedule = match durability {
            Durability::Buffered => FsyncSchedule::NoFsync,
            Durability::Durable => FsyncSchedule::SyncEach,
        };
        let key = path.file_name().and_then(|name| name.to_str()).ok_or("a folder with a name")?;
        let consistency = ReadConsistency::StrictlyAtOnce;
        let log = Walrus::with_consistency_and_schedule_for_key(key, consistency, schedule)?;
        if !path.is_dir() {
            return Err(format!("walrus does not write to {}", path.display()).into());
        }
        Ok(Box::new(Peer { log }))
    },
    open: &[],
};

const TOPIC: &str = "log";

struct Peer {
    log: Walrus,
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], _: Durability) -> Result<()> {
        if let [record] = records {
            return Ok(self.log.append_for_topic(TOPIC, record)?);
        }
        let records: Vec<&[u8]> = records.iter().map(AsRef::as_ref).collect();
        Ok(self.log.batch_append_for_topic(TOPIC, &records)?)
    }
}
