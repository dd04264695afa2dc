//! The files of a new cluster: [`Setup`] draws its secret and keys and writes a folder for each
//! member, beside the topology that all of them share.

use crate::topology::{Island, Link, Member, Topology};
use holm_transport::{KeyPair, PrivateKey, Secret};
use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The topology that all members share.
const TOPOLOGY: &str = "topology.toml";
/// In a member's folder: its configuration, the cluster's secrets, and its private key.
const CONFIG: &str = "holm.toml";
const SECRETS: &str = "secrets";
const KEY: &str = "member.key";

/// A cluster that is to be.
pub(super) struct Setup {
    cluster: String,
    topology: Topology,
    secret: Secret,
    /// In the topology's order.
    pairs: Vec<KeyPair>,
}

/// Where a member serves.
pub(super) struct Serves {
    /// The others, if it is not the one who dials: its address, as a rule.
    pub(super) listen: Option<String>,
    /// HTTP.
    pub(super) http: String,
}

impl Setup {
    /// One with a secret and a key pair for each member, drawn here.
    pub(super) fn sealed(cluster: &str, mut topology: Topology) -> io::Result<Self> {
        let mut pairs = Vec::new();
        for member in &mut topology.members {
            let pair = key_pair()?;
            member.key = Some(pair.public());
            pairs.push(pair);
        }
        Ok(Self { cluster: cluster.into(), topology, secret: secret()?, pairs })
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Writes everything into `folder`, which is there and empty, and syncs it. `serves` says where
    /// a member serves; `settings` is TOML that goes into each configuration. All of it can be read
    /// by its owner alone.
    pub(super) fn write(
        &self,
        folder: &Path,
        serves: impl Fn(&Member) -> Serves,
        settings: &str,
    ) -> io::Result<()> {
        write(&folder.join(TOPOLOGY), &topology_text(&self.topology))?;
        let of = format!("# What all members of cluster {} know, and nobody else.\n", self.cluster);
        for (member, pair) in self.topology.members.iter().zip(&self.pairs) {
            let own = Self::folder_of(folder, member.id);
            DirBuilder::new().mode(0o700).create(&own)?;
            write(&own.join(CONFIG), &self.config_text(member, &serves(member), settings))?;
            write(&own.join(SECRETS), &secret_text(&of, &self.secret))?;
            let of = format!("# The private key of member {}, for it alone.\n", member.id);
            write(&own.join(KEY), &key_text(&of, pair))?;
            sync_folder(&own)?;
        }
        sync_folder(folder)
    }

    /// Where [`Self::write`] puts what is member `id`'s.
    pub(super) fn folder_of(folder: &Path, id: u64) -> PathBuf {
        folder.join(format!("node{id}"))
    }

    /// Where [`Self::write`] puts member `id`'s configuration.
    pub(super) fn config_of(folder: &Path, id: u64) -> PathBuf {
        Self::folder_of(folder, id).join(CONFIG)
    }

    /// Where [`Self::write`] puts the secrets that member `id` shares.
    pub(super) fn secrets_of(folder: &Path, id: u64) -> PathBuf {
        Self::folder_of(folder, id).join(SECRETS)
    }

    fn config_text(&self, member: &Member, serves: &Serves, settings: &str) -> String {
        let (id, cluster) = (member.id, quoted(&self.cluster));
        let mut text = format!("# Member {id}. The paths are relative to this file.\n");
        line(&mut text, format_args!("cluster = {cluster}\nnode = {id}"));
        line(&mut text, format_args!("topology = \"../{TOPOLOGY}\""));
        line(&mut text, format_args!("secrets = \"{SECRETS}\"\nkey = \"{KEY}\""));
        line(&mut text, format_args!("data_dir = \"data\""));
        if let Some(listen) = &serves.listen {
            line(&mut text, format_args!("listen = {}", quoted(listen)));
        }
        line(&mut text, format_args!("http = {}\n{settings}", quoted(&serves.http)));
        text
    }
}

/// A new key pair, of the system's randomness.
pub(super) fn key_pair() -> io::Result<KeyPair> {
    let drawn = drawn()?;
    Ok(KeyPair::generate(&mut |bytes| bytes.copy_from_slice(&drawn[..])))
}

/// A new secret, of the system's randomness.
pub(super) fn secret() -> io::Result<Secret> {
    let drawn = drawn()?;
    Ok(Secret::generate(&mut |bytes| bytes.copy_from_slice(&drawn[..])))
}

/// The text of a key file: comments, and the private key.
pub(super) fn key_text(comment: &str, pair: &KeyPair) -> Zeroizing<String> {
    let private: &PrivateKey = pair.private();
    Zeroizing::new(format!("{comment}# {}\n{}\n", pair.public(), *private.reveal()))
}

/// The text of a file of secrets: comments, and one secret.
pub(super) fn secret_text(comment: &str, secret: &Secret) -> Zeroizing<String> {
    Zeroizing::new(format!("{comment}# id {}\n{}\n", secret.id(), *secret.reveal()))
}

/// Makes what was made or renamed in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file for its owner alone, which is whole or not there; none is overwritten.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = || -> io::Result<()> {
        // Readable by its owner alone from its beginning.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    written().map_err(|error| {
        let path = path.display();
        match error.kind() {
            io::ErrorKind::AlreadyExists => format!("{path} is there already; choose another name"),
            _ => format!("{path} can't be written: {error}"),
        }
    })
}

fn drawn() -> io::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes a file that is not there yet, for its owner alone, and syncs it.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The text of a topology's file.
pub(super) fn topology_text(topology: &Topology) -> String {
    let mut text = String::from("# Who there is: the same on all members.\n");
    for Island { name } in &topology.islands {
        line(&mut text, format_args!("\n[[islands]]\nname = {}", quoted(name)));
    }
    for Member { id, island, address, key, relay, weight } in &topology.members {
        line(&mut text, format_args!("\n[[members]]\nid = {id}\nisland = {}", quoted(island)));
        if let Some(address) = address {
            line(&mut text, format_args!("address = {}", quoted(address)));
        }
        if let Some(key) = key {
            line(&mut text, format_args!("key = \"{key}\""));
        }
        if !relay {
            line(&mut text, format_args!("relay = false"));
        }
        if *weight != 1 {
            line(&mut text, format_args!("weight = {weight}"));
        }
    }
    for Link { from, to, dial } in &topology.links {
        let (from, to) = (quoted(from), quoted(to));
        line(&mut text, format_args!("\n[[links]]\nfrom = {from}\nto = {to}\ndial = {dial}"));
    }
    text
}

fn quoted(text: &str) -> toml::Value {
    toml::Value::String(text.into())
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a String can't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topology_survives_its_text_whatever_its_names_are() {
        let name = "a \"quoted\"\n\\ island\u{7f}é";
        let mut members = vec![Member::new(1, name, Some("a:1".into())), Member::new(2, "b", None)];
        members[0].key = Some(holm_transport::PublicKey([1; 32]));
        members[1].key = Some(holm_transport::PublicKey([2; 32]));
        members[1].relay = false;
        members[1].weight = 0;
        let island = |name: &str| Island { name: name.into() };
        let link = Link { from: name.into(), to: "b".into(), dial: false };
        let islands = vec![island(name), island("b")];
        let topology = Topology { islands, members, links: vec![link] };
        assert_eq!(Topology::parse(&topology_text(&topology)), Ok(topology));
    }
}
