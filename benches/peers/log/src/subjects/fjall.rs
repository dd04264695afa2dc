//! fjall, a store of keys in a log-structured tree, with its defaults but without compression: a
//! record's key is its number; the batch that makes it durable is persisted by `SyncData`.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

pub(super) const SUBJECT: Subject = Subject {
    name: "fjall 3.1",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        let database = Database::builder(path).open()?;
        let keyspace = database.keyspace("log", KeyspaceCreateOptions::default)?;
        Ok(Box::new(Peer { database, keyspace, last: 0 }))
    },
    open: &[],
};

struct Peer {
    database: Database,
    keyspace: Keyspace,
    last: u64,
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let durability = (durability == Durability::Durable).then_some(PersistMode::SyncData);
        let mut batch = self.database.batch().durability(durability);
        for record in records {
            self.last += 1;
            batch.insert(&self.keyspace, self.last.to_be_bytes(), &record[..]);
        }
        batch.commit()?;
        Ok(())
    }
}
