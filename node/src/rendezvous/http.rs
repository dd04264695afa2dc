//! Requests that find the member that holds their key: [`Points`] stands in front of an embedder's
//! axum router as a `tower` service, on each member, and serves a request here, hands it to the
//! member whose it is over the members' own connections, or sends the client there.

mod hold;
mod key;
mod options;
mod points;
mod wire;

pub use key::{BadDomain, Hosts, KeyFrom};
pub use options::{Options, Prefer, Redirect};
pub(crate) use points::Whose;
pub use points::{FORWARDED_BY, Point, Points, SERVED_BY};

/// Whatever another member hands over or returns, and whatever a client says of where its request
/// belongs: nothing panics, what is read from a member says the same when it is written again, and
/// a host is a member's in one spelling alone. Whether anything was read, and not refused.
#[cfg(any(test, feature = "fuzzing"))]
pub fn fuzz_points(data: &[u8]) -> bool {
    let (handed, said) = (wire::fuzz(data), key::fuzz(data));
    handed || said
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_kept_inputs_still_pass() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/node_points");
        let (mut count, mut read) = (0, 0);
        for file in folder.read_dir().expect("the kept corpus") {
            let input = std::fs::read(file.unwrap().path()).unwrap();
            count += 1;
            read += u32::from(super::fuzz_points(&input));
        }
        assert!(count > 10 && read >= 7, "{read} of {count} inputs are read");
    }
}
