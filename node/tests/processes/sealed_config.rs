//! Configurations of sealed links as people get them wrong: the files of secrets and keys, who may
//! read them, and whether they are the ones that the topology means.

use holm::server::file::{Overrides, ServeConfig};
use holm::{KeyPair, PublicKey, Secret, Security};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn pair(byte: u8) -> KeyPair {
    KeyPair::generate(&mut |bytes| bytes.fill(byte))
}

fn secret(byte: u8) -> String {
    Secret::generate(&mut |bytes| bytes.fill(byte)).reveal().to_string()
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("set");
}

/// A folder with member 1's configuration, its key, and a ring of two secrets.
struct Sealed {
    folder: TempDir,
}

impl Sealed {
    fn new(security: &str, key: Option<PublicKey>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = key.map_or_else(String::new, |key| format!("key = \"{key}\"\n"));
        let text = format!(
            "cluster = \"harbour\"\nnode = 1\nstorage = \"memory\"\nlisten = \"127.0.0.1\"\n\
             http = \"127.0.0.1\"\n{security}\n[[islands]]\nname = \"north\"\n[[members]]\n\
             id = 1\nisland = \"north\"\naddress = \"127.0.0.1\"\n{key}"
        );
        fs::write(folder.path().join("holm.toml"), text).expect("written");
        let own = format!("# member 1\n\n{}  # its own\n", *pair(1).private().reveal());
        private(&folder.path().join("member.key"), &own);
        let ring = format!("{}\n{}\n", secret(1), secret(2));
        private(&folder.path().join("secrets"), &ring);
        Self { folder }
    }

    fn sound() -> Self {
        Self::new("secrets = \"secrets\"\nkey = \"member.key\"", Some(pair(1).public()))
    }

    fn load(&self, overrides: &Overrides) -> Result<ServeConfig, String> {
        let inside = format!("{}/", self.folder.path().display());
        let loaded = ServeConfig::load(&self.folder.path().join("holm.toml"), overrides);
        loaded.map_err(|error| error.to_string().replace(&inside, ""))
    }

    fn told(&self) -> String {
        self.load(&Overrides::default()).expect_err("this is wrong")
    }
}

#[test]
fn a_sound_configuration_has_the_pair_and_the_ring_of_its_files() {
    let config = Sealed::sound().load(&Overrides::default()).expect("sound");
    let Security::Sealed { pair: found, ring } = config.security else { panic!("insecure") };
    assert_eq!(found.public(), pair(1).public());
    let ids = [secret(1), secret(2)].map(|text| text.parse::<Secret>().expect("a secret").id());
    assert_eq!(ring.ids().collect::<Vec<_>>(), ids);
}

#[test]
fn given_files_win_over_the_written_ones() {
    let sealed = Sealed::new("secrets = \"none\"\nkey = \"none\"", Some(pair(1).public()));
    let given = |name| Some(sealed.folder.path().join(name));
    let overrides =
        Overrides { secrets: given("secrets"), key: given("member.key"), ..Overrides::default() };
    assert!(matches!(sealed.load(&overrides), Ok(ServeConfig { .. })));
}

#[test]
fn sealed_or_insecure_is_said_in_one_way_alone() {
    let key = Some(pair(1).public());
    for (security, expected) in [
        (
            "key = \"member.key\"",
            "holm.toml: secrets: is missing; add secrets = \"FILE\" (or --secrets, or \
             HOLM_SECRETS), as `holm init` writes it; or add insecure = true to accept that ",
        ),
        (
            "secrets = \"secrets\"",
            "holm.toml: key: is missing; add key = \"FILE\" (or --key, or HOLM_KEY)",
        ),
        (
            "insecure = true\nsecrets = \"secrets\"\nkey = \"member.key\"",
            "holm.toml: secrets: contradicts insecure = true, with which nothing is sealed; \
             remove one of the two",
        ),
        (
            "insecure = true\nkey = \"member.key\"",
            "holm.toml: key: contradicts insecure = true, with which nothing is sealed; \
             remove one of the two",
        ),
    ] {
        let told = Sealed::new(security, key).told();
        assert!(told.starts_with(expected), "told: {told}\nexpected: {expected}");
    }
    let sealed = Sealed::new("insecure = true", key);
    let secrets = Some(sealed.folder.path().join("secrets"));
    let told = sealed.load(&Overrides { secrets, ..Overrides::default() }).expect_err("both");
    assert!(told.starts_with("holm.toml: secrets: contradicts insecure = true"), "{told}");
}

#[test]
fn files_that_others_may_read_are_refused_with_the_command_that_mends_them() {
    for (file, key) in [("secrets", "secrets"), ("member.key", "key")] {
        for mode in [0o640, 0o604, 0o620, 0o601, 0o610] {
            let sealed = Sealed::sound();
            let path = sealed.folder.path().join(file);
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let expected = format!(
                "holm.toml: {key}: {file} is open to others than its owner (mode {mode:03o}); run \
                 chmod 600 {file}"
            );
            assert_eq!(sealed.told(), expected);
            fs::set_permissions(&path, Permissions::from_mode(0o400)).expect("set");
            assert!(sealed.load(&Overrides::default()).is_ok(), "the owner alone");
        }
    }
}

#[test]
fn files_that_hold_something_else_are_told_with_their_line_and_never_repeated() {
    let own = pair(1).private().reveal();
    for (file, text, expected) in [
        ("secrets", String::new(), "holm.toml: secrets: secrets: there is no secret; write one"),
        ("secrets", own.to_string(), "holm.toml: secrets: secrets: line 1: this is a private key"),
        (
            "secrets",
            format!("{0}\n{0}\n", secret(1)),
            "holm.toml: secrets: secrets: line 2 repeats the secret of line 1; remove one of them",
        ),
        (
            "member.key",
            "# nothing\n".into(),
            "holm.toml: key: member.key: there is no key; let `holm keygen` write one for this",
        ),
        ("member.key", secret(1), "holm.toml: key: member.key: line 1: this is a secret"),
        (
            "member.key",
            format!("\n{0}\n{0}\n", *own),
            "holm.toml: key: member.key: line 3 is more than one key; keep one",
        ),
    ] {
        let sealed = Sealed::sound();
        private(&sealed.folder.path().join(file), &text);
        let told = sealed.told();
        assert!(told.starts_with(expected), "told: {told}\nexpected: {expected}");
        let body = text.trim().split('-').nth(2).unwrap_or("nothing of it");
        assert!(!told.contains(body.lines().next().unwrap_or(body)), "{told}");
    }
    let sealed = Sealed::sound();
    fs::remove_file(sealed.folder.path().join("secrets")).expect("removed");
    let told = sealed.told();
    assert!(told.starts_with("holm.toml: secrets: secrets can't be read: No such file"), "{told}");
}

#[test]
fn the_private_key_must_be_the_one_that_the_topology_means() {
    let security = "secrets = \"secrets\"\nkey = \"member.key\"";
    let (own, other) = (pair(1).public(), pair(2).public());
    assert_eq!(
        Sealed::new(security, Some(other)).told(),
        format!(
            "holm.toml: key: belongs to {own}, but the topology gives member 1 {other}; \
             name the file of that member's key, or correct it"
        )
    );
    assert_eq!(
        Sealed::new(security, None).told(),
        "holm.toml: members 1: key: is missing, but links are sealed; \
         add key = \"holm-public-…\", as the member's `holm keygen` prints it"
    );
}
