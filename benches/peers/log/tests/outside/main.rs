//! The suite that openraft publishes for logs (`openraft::testing::log::Suite`), run against
//! Holm's log: once on a log that stays open, once on one that is closed after each call that
//! writes and opened again from its files. How many stores the suite asked for is asserted, so that
//! a version with fewer cases is noticed.
#![forbid(unsafe_code)]

mod machine;
mod store;

use holm_wal::{Disk, MemoryDisk, RealDisk};
use machine::Machine;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Between, Store, Types};

/// 44 cases of one store each, and the one that sends a snapshot from one store to another.
const STORES: usize = 44 + 2;

struct Builder {
    between: Between,
    disk: fn() -> (Option<tempfile::TempDir>, Arc<dyn Disk>),
    built: Arc<AtomicUsize>,
}

impl StoreBuilder<Types, Store, Machine, Option<tempfile::TempDir>> for Builder {
    async fn build(
        &self,
    ) -> Result<(Option<tempfile::TempDir>, Store, Machine), StorageError<Types>> {
        self.built.fetch_add(1, Ordering::Relaxed);
        let (folder, disk) = (self.disk)();
        let store = Store::create(disk, self.between).expect("an empty disk takes a log");
        Ok((folder, store, Machine::default()))
    }
}

fn real() -> (Option<tempfile::TempDir>, Arc<dyn Disk>) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let disk = RealDisk::open(folder.path()).expect("a folder of its own");
    (Some(folder), Arc::new(disk))
}

fn memory() -> (Option<tempfile::TempDir>, Arc<dyn Disk>) {
    (None, Arc::new(MemoryDisk::new()))
}

fn run(between: Between, disk: fn() -> (Option<tempfile::TempDir>, Arc<dyn Disk>)) {
    let built = Arc::new(AtomicUsize::new(0));
    let builder = Builder { between, disk, built: built.clone() };
    Types::run(Suite::test_all(builder)).expect("the suite passes");
    assert_eq!(built.load(Ordering::Relaxed), STORES, "the suite has other cases than it had");
}

#[test]
fn openrafts_suite_passes_on_a_log_on_disk() {
    run(Between::Nothing, real);
}

#[test]
fn openrafts_suite_passes_on_a_log_that_is_opened_again_after_each_write() {
    run(Between::Reopen, memory);
}

#[test]
fn openrafts_suite_passes_on_a_log_on_disk_that_is_opened_again_after_each_write() {
    run(Between::Reopen, real);
}
