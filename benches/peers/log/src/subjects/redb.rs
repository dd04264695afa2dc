//! redb, a store of keys in a copy-on-write tree, with its defaults: a record's key is its number,
//! a batch a transaction. What is buffered is in memory alone, until a durable transaction.

use super::{Durability, Log, Result, Subject, Syncs};
use bytes::Bytes;
use redb::{Database, TableDefinition};

pub(super) const SUBJECT: Subject = Subject {
    name: "redb 4.6",
    syncs: Syncs::AsAsked,
    create: |path, _| {
        std::fs::create_dir_all(path)?;
        Ok(Box::new(Peer { database: Database::create(path.join("log.redb"))?, last: 0 }))
    },
    open: &[],
};

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

struct Peer {
    database: Database,
    last: u64,
}

impl Log for Peer {
    fn append(&mut self, records: &[Bytes], durability: Durability) -> Result<()> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(match durability {
            Durability::Buffered => redb::Durability::None,
            Durability::Durable => redb::Durability::Immediate,
        })?;
        let mut table = transaction.open_table(TABLE)?;
        for record in records {
            self.last += 1;
            table.insert(self.last, &record[..])?;
        }
        drop(table);
        transaction.commit()?;
        Ok(())
    }
}
