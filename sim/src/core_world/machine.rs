//! The state machine that the core's world applies commands to: `Machine`, keys with numbers, with
//! each client's last reply, so that a command that is proposed again takes effect once.

use bytes::Bytes;
use std::collections::BTreeMap;

/// A command's bytes: client, its number, what, key, value, and bytes that say nothing, so that
/// records have many lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who.
    pub client: u64,
    /// Counts the client's commands, from 1.
    pub number: u64,
    /// What.
    pub what: Write,
    /// Which key.
    pub key: u64,
    /// The value to put or add.
    pub value: u64,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Write {
    /// The key has the value from now on; the answer is what it had.
    Put,
    /// The key has so much more from now on; the answer is what it has.
    Add,
}

impl Command {
    /// How many bytes say something.
    pub(super) const BYTES: usize = 33;

    /// Its bytes, of which less than `padding` say nothing.
    ///
    /// # Panics
    /// If `padding` is 0, or more than memory holds.
    #[must_use]
    pub fn encode(&self, padding: u64) -> Bytes {
        let padding = usize::try_from(self.number * 13 % padding).expect("a small number");
        let mut bytes = self.head(padding);
        bytes.resize(Self::BYTES + padding, 0x5a);
        bytes.into()
    }

    /// Those of its bytes that say something, with room for more.
    pub(super) fn head(&self, more: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES + more);
        bytes.push(u8::from(self.what == Write::Add));
        for part in [self.client, self.number, self.key, self.value] {
            bytes.extend(part.to_le_bytes());
        }
        bytes
    }

    /// The command that these bytes encode, if they do.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let part = |at: usize| {
            let bytes = bytes.get(1 + at * 8..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let what = if *bytes.first()? == 0 { Write::Put } else { Write::Add };
        Some(Self { client: part(0)?, number: part(1)?, what, key: part(2)?, value: part(3)? })
    }
}

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    keys: BTreeMap<u64, u64>,
    /// Each client's last command, and what was replied.
    replies: BTreeMap<u64, (u64, u64)>,
    /// How many commands took effect.
    pub effects: u64,
}

impl Machine {
    /// Applies a command; what it answers, unless it is older than the client's last one.
    pub fn apply(&mut self, command: &Command) -> Option<u64> {
        if let Some((number, reply)) = self.replies.get(&command.client)
            && command.number <= *number
        {
            return (command.number == *number).then_some(*reply);
        }
        let value = self.keys.entry(command.key).or_default();
        let reply = match command.what {
            Write::Put => std::mem::replace(value, command.value),
            Write::Add => {
                *value = value.wrapping_add(command.value);
                *value
            }
        };
        self.effects += 1;
        self.replies.insert(command.client, (command.number, reply));
        Some(reply)
    }

    /// What a key has.
    #[must_use]
    pub fn read(&self, key: u64) -> u64 {
        self.keys.get(&key).copied().unwrap_or_default()
    }

    /// All of it as bytes, equal for equal states and salts; some of them say nothing.
    #[must_use]
    pub fn freeze(&self, salt: u64) -> Bytes {
        let mut bytes = Vec::new();
        let mut put = |part: u64| bytes.extend(part.to_le_bytes());
        put(self.effects);
        put(self.keys.len() as u64);
        for (key, value) in &self.keys {
            put(*key);
            put(*value);
        }
        put(self.replies.len() as u64);
        for (client, (number, reply)) in &self.replies {
            put(*client);
            put(*number);
            put(*reply);
        }
        let padding = (self.effects + salt) % 32;
        for at in 0..padding {
            put(at.rotate_left(17) ^ self.effects ^ salt);
        }
        bytes.into()
    }

    /// The state that was frozen into these bytes, if it was.
    #[must_use]
    pub fn thaw(bytes: &[u8]) -> Option<Self> {
        let mut parts = bytes
            .chunks_exact(8)
            .map(|part| u64::from_le_bytes(part.try_into().expect("chunks of eight")));
        let mut machine = Self { effects: parts.next()?, ..Self::default() };
        for _ in 0..parts.next()? {
            machine.keys.insert(parts.next()?, parts.next()?);
        }
        for _ in 0..parts.next()? {
            machine.replies.insert(parts.next()?, (parts.next()?, parts.next()?));
        }
        Some(machine)
    }
}
