//! What a `Store` promises: single cases first, then properties over histories of commands.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn add(store: &mut Store, name: &str, by: i64) -> Reply {
    store.apply(Command::Add { name: name.into(), by })
}

fn put(store: &mut Store, key: &str, value: &'static str, expect: Option<u64>) -> Reply {
    store.apply(Command::Put {
        key: key.into(),
        value: Bytes::from_static(value.as_bytes()),
        expect,
    })
}

fn delete(store: &mut Store, key: &str, expect: Option<u64>) -> Reply {
    store.apply(Command::Delete { key: key.into(), expect })
}

#[test]
fn a_counter_counts_from_zero_in_both_directions() {
    let mut store = Store::default();
    assert_eq!(store.counter("a"), 0);
    assert_eq!(add(&mut store, "a", 5), Reply::Added { value: 5 });
    assert_eq!(add(&mut store, "a", -7), Reply::Added { value: -2 });
    assert_eq!(store.counter("a"), -2);
    assert_eq!(store.counter("b"), 0);
}

#[test]
fn an_overflow_in_either_direction_is_refused_and_changes_nothing() {
    for (limit, step) in [(i64::MAX, 1), (i64::MIN, -1)] {
        let mut store = Store::default();
        assert_eq!(add(&mut store, "a", limit), Reply::Added { value: limit });
        let before = store.clone();
        assert_eq!(add(&mut store, "a", step), Reply::Overflow { value: limit });
        assert_eq!(store, before);
    }
}

#[test]
fn compare_and_set_with_zero_writes_only_what_is_absent() {
    let mut store = Store::default();
    assert_eq!(put(&mut store, "k", "one", Some(0)), Reply::Put { revision: 1 });
    assert_eq!(put(&mut store, "k", "two", Some(0)), Reply::Conflict { revision: 1 });
    assert_eq!(store.key("k").map(|found| found.value.as_ref()), Some(b"one".as_ref()));
    assert_eq!(put(&mut store, "k", "two", Some(1)), Reply::Put { revision: 2 });
    assert_eq!(put(&mut store, "k", "three", Some(1)), Reply::Conflict { revision: 2 });
    assert_eq!(put(&mut store, "none", "x", Some(2)), Reply::Conflict { revision: 0 });
    assert_eq!(store.key("none"), None);
}

#[test]
fn delete_answers_for_each_case_of_presence_and_expectation() {
    let mut store = Store::default();
    assert_eq!(delete(&mut store, "k", None), Reply::Missing);
    assert_eq!(delete(&mut store, "k", Some(0)), Reply::Missing);
    assert_eq!(delete(&mut store, "k", Some(4)), Reply::Conflict { revision: 0 });
    assert_eq!(put(&mut store, "k", "one", None), Reply::Put { revision: 1 });
    assert_eq!(delete(&mut store, "k", Some(0)), Reply::Conflict { revision: 1 });
    assert_eq!(delete(&mut store, "k", Some(1)), Reply::Deleted { revision: 2 });
    assert_eq!(store.key("k"), None);
}

#[test]
fn a_key_made_again_never_shows_an_old_revision() {
    let mut store = Store::default();
    assert_eq!(put(&mut store, "k", "one", None), Reply::Put { revision: 1 });
    assert_eq!(delete(&mut store, "k", None), Reply::Deleted { revision: 2 });
    assert_eq!(put(&mut store, "k", "one", None), Reply::Put { revision: 3 });
    assert_eq!(put(&mut store, "k", "late", Some(1)), Reply::Conflict { revision: 3 });
}

#[test]
fn a_value_costs_its_length_and_little_more_in_the_log() {
    let value = Bytes::from(vec![0xff; 1000]);
    let command = Command::Put { key: "k".into(), value, expect: None };
    let bytes = postcard::to_allocvec(&command).expect("encodes");
    assert!(bytes.len() < 1000 + 16, "{} bytes for a value of 1000", bytes.len());
}

fn command() -> impl Strategy<Value = Command> {
    let name = prop::sample::select(vec!["a", "b", "ключ"]).prop_map(String::from);
    let by = prop_oneof![Just(i64::MAX), Just(i64::MIN), Just(0), any::<i64>(), -3..3_i64];
    let expect = || prop::option::of(0..12_u64);
    let value = prop::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    prop_oneof![
        (name.clone(), by).prop_map(|(name, by)| Command::Add { name, by }),
        (name.clone(), value, expect()).prop_map(|(key, value, expect)| Command::Put {
            key,
            value,
            expect
        }),
        (name, expect()).prop_map(|(key, expect)| Command::Delete { key, expect }),
    ]
}

proptest! {
    #[test]
    fn a_refusal_changes_nothing_and_a_revision_is_given_once(
        commands in prop::collection::vec(command(), 0..40),
    ) {
        let mut store = Store::default();
        let mut revisions = BTreeSet::from([0]);
        for command in commands {
            let before = store.clone();
            match store.apply(command) {
                Reply::Overflow { .. } | Reply::Conflict { .. } | Reply::Missing => {
                    prop_assert_eq!(&store, &before);
                }
                Reply::Put { revision } | Reply::Deleted { revision } => {
                    let highest = revisions.last().copied();
                    prop_assert!(highest < Some(revision));
                    revisions.insert(revision);
                }
                Reply::Added { .. } => prop_assert_eq!(store.revision, before.revision),
            }
        }
    }

    #[test]
    fn a_snapshot_through_its_bytes_goes_on_as_the_store_would(
        before in prop::collection::vec(command(), 0..20),
        after in prop::collection::vec(command(), 0..20),
    ) {
        let mut store = Store::default();
        for command in before {
            store.apply(command);
        }
        let bytes = postcard::to_allocvec(&store.snapshot()).expect("encodes");
        let mut restored = Store::restore(postcard::from_bytes(&bytes).expect("decodes"));
        prop_assert_eq!(&restored, &store);
        for command in after {
            prop_assert_eq!(restored.apply(command.clone()), store.apply(command));
        }
    }

    #[test]
    fn a_counter_is_the_sum_of_what_was_added(
        steps in prop::collection::vec(-1000..1000_i64, 0..40),
    ) {
        let mut store = Store::default();
        for by in &steps {
            add(&mut store, "n", *by);
        }
        prop_assert_eq!(store.counter("n"), steps.iter().sum::<i64>());
    }
}
