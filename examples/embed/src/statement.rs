//! The snapshot of a ledger: [`Statement`], in a format of this program's own, which postcard
//! carries as a run of bytes. A format that is written by hand can be read by later versions of
//! the program, whatever becomes of its types.
//!
//! ```text
//! ┌────────┬──────────┬───────────────────────────────────────────────┐
//! │ "LDGR" │ version  │ for each account, ascending by name:          │
//! │        │ u16 = 1  │ length u16 │ name, UTF-8 │ cents u64           │
//! └────────┴──────────┴───────────────────────────────────────────────┘
//! ```
//! Little-endian. Holm keeps a checksum of the whole, so there is none here.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

const MAGIC: &[u8] = b"LDGR";
const VERSION: u16 = 1;

/// All balances at some point. Taking one costs nothing: it shares the accounts with the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    accounts: Arc<BTreeMap<String, u64>>,
}

impl Statement {
    pub(crate) fn of(accounts: &Arc<BTreeMap<String, u64>>) -> Self {
        Self { accounts: Arc::clone(accounts) }
    }

    pub(crate) fn into_accounts(self) -> Arc<BTreeMap<String, u64>> {
        self.accounts
    }

    fn encode(&self) -> Result<Vec<u8>, String> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        for (name, cents) in &*self.accounts {
            let length = u16::try_from(name.len());
            let length = length.map_err(|_| format!("a name has {} bytes", name.len()))?;
            bytes.extend(length.to_le_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(cents.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Never panics: what can't be read is told, and stops the member rather than the ledger.
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let cut = || "the statement is cut short".to_owned();
        let rest = bytes.strip_prefix(MAGIC).ok_or("these bytes are no statement")?;
        let (version, mut rest) = rest.split_first_chunk().ok_or_else(cut)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(format!("the statement has version {version}, not {VERSION}"));
        }
        let mut accounts = BTreeMap::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (name, after) = after.split_at_checked(length).ok_or_else(cut)?;
            let (cents, after) = after.split_first_chunk().ok_or_else(cut)?;
            let name = std::str::from_utf8(name).map_err(|error| format!("a name: {error}"))?;
            accounts.insert(name.to_owned(), u64::from_le_bytes(*cents));
            rest = after;
        }
        Ok(Self { accounts: Arc::new(accounts) })
    }
}

impl Serialize for Statement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.encode().map_err(serde::ser::Error::custom)?;
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Run;

        impl Visitor<'_> for Run {
            type Value = Statement;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a statement's bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Statement, E> {
                Statement::decode(bytes).map_err(E::custom)
            }
        }

        deserializer.deserialize_bytes(Run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_survives_its_bytes_and_nothing_else_is_one() {
        let accounts = BTreeMap::from([("ann".to_owned(), 50), (String::new(), u64::MAX)]);
        let statement = Statement { accounts: Arc::new(accounts) };
        let bytes = statement.encode().unwrap();
        assert_eq!(Statement::decode(&bytes), Ok(statement));
        // With a header, an account of 10 bytes and one of 13.
        assert_eq!(bytes.len(), 6 + 10 + 13);
        for length in (0..bytes.len()).filter(|length| ![6, 16].contains(length)) {
            assert!(Statement::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut newer = bytes.clone();
        newer[4] = 2;
        let error = Statement::decode(&newer).unwrap_err();
        assert_eq!(error, "the statement has version 2, not 1");
    }
}
