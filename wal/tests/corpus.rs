//! The bodies of the fuzz targets over their kept corpora, over what is close to them, and over
//! noise.

use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut inputs: Vec<_> = fs::read_dir(path.join(target))
        .expect("the corpus is kept")
        .map(|entry| entry.expect("readable"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("readable"))
        })
        .collect();
    inputs.sort();
    inputs
}

#[test]
fn the_corpus_holds_recoveries_promises_and_most_of_it_gets_past_the_checksum() {
    let inputs = corpus("wal_recovery");
    let past: Vec<_> = inputs
        .iter()
        .filter(|(_, data)| holm_wal::fuzz_recovery(data) > 0)
        .map(|(name, _)| name.as_str())
        .collect();
    let sound = ["configuration", "entries", "replaced", "torn", "vote", "witness_below"];
    for name in sound {
        assert!(past.contains(&name), "{name} did not get past: {past:?}");
    }
    for (name, _) in inputs.iter().filter(|(name, _)| name.starts_with("bad_")) {
        assert!(!past.contains(&name.as_str()), "{name} was taken for a log");
    }
}

#[test]
fn the_corpus_of_operations_holds_the_logs_promises_and_most_of_it_is_recovered() {
    let inputs = corpus("wal_operations");
    let recovered: Vec<_> = inputs
        .iter()
        .map(|(name, data)| (name.as_str(), holm_wal::fuzz_operations(data)))
        .collect();
    let often = recovered.iter().filter(|(_, count)| *count == 3).count();
    assert!(often > inputs.len() / 2, "{recovered:?}");
}

proptest! {
    #[test]
    fn operations_by_noise_hold_the_logs_promises(
        data in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        holm_wal::fuzz_operations(&data);
    }

    #[test]
    fn what_is_close_to_the_corpus_keeps_recoveries_promises(
        input in 0_usize..1000,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let inputs = corpus("wal_recovery");
        let mut data = inputs[input % inputs.len()].1.clone();
        data.truncate(length.index(data.len() + 1));
        for (at, byte) in changes {
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
            }
        }
        holm_wal::fuzz_recovery(&data);
    }

    #[test]
    fn noise_keeps_recoveries_promises(data in proptest::collection::vec(any::<u8>(), 0..600)) {
        holm_wal::fuzz_recovery(&data);
    }
}
