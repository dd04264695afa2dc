//! A state machine of somebody else's in the core's world: `Host`, which makes them and draws their
//! commands, and `State`, a member's own machine with such a guest, if there is one. A guest's
//! command travels behind the world's own one, so that it is retried, forwarded and counted once
//! like any other.

use super::machine::{Command, Machine};
use super::random::Random;
use crate::checkers::{Check, Violation, ensure};
use bytes::Bytes;

/// A state machine of somebody else's.
pub(crate) trait Guest: Send {
    /// Applies a command; its reply, encoded.
    fn apply(&mut self, command: &[u8]) -> Result<Bytes, Violation>;
    /// The state, encoded.
    fn freeze(&self) -> Result<Bytes, Violation>;
}

/// Where guests come from.
pub(crate) trait Host: Send + Sync {
    /// The guest whose state these bytes are; the first state, if there are none.
    fn thaw(&self, frozen: Option<&[u8]>) -> Result<Box<dyn Guest>, Violation>;
    /// A command, encoded.
    fn draw(&self, random: &mut Random) -> Result<Bytes, Violation>;
}

/// What a member has applied.
pub(super) struct State {
    pub(super) machine: Machine,
    guest: Option<Box<dyn Guest>>,
}

/// What comes of a command.
pub(super) struct Applied {
    /// What the client is told.
    pub(super) reply: u64,
    /// The guest's reply and the state it left, if the command took effect on a guest.
    pub(super) guest: Option<(Bytes, Bytes)>,
}

impl State {
    /// The state in which everybody begins.
    pub(super) fn first(host: Option<&dyn Host>) -> Result<Self, Violation> {
        let guest = host.map(|host| host.thaw(None)).transpose()?;
        Ok(Self { machine: Machine::default(), guest })
    }

    /// Applies an entry's bytes, if they are a command that is not older than its client's last.
    pub(super) fn apply(&mut self, data: &[u8]) -> Result<Option<(Command, Applied)>, Violation> {
        let Some(command) = Command::decode(data) else { return Ok(None) };
        let effects = self.machine.effects;
        let Some(reply) = self.machine.apply(&command) else { return Ok(None) };
        let guest = match &mut self.guest {
            Some(guest) if self.machine.effects > effects => {
                let answered = guest.apply(&data[Command::BYTES..])?;
                Some((answered, guest.freeze()?))
            }
            _ => None,
        };
        Ok(Some((command, Applied { reply, guest })))
    }

    /// All of it as bytes, equal for equal states.
    pub(super) fn freeze(&self, salt: u64) -> Result<Bytes, Violation> {
        let own = self.machine.freeze(salt);
        let Some(guest) = self.guest()? else { return Ok(own) };
        let mut bytes = Vec::with_capacity(8 + own.len() + guest.len());
        bytes.extend((own.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&own);
        bytes.extend_from_slice(&guest);
        Ok(bytes.into())
    }

    /// The guest's state, encoded, if there is one.
    pub(super) fn guest(&self) -> Result<Option<Bytes>, Violation> {
        self.guest.as_ref().map(|guest| guest.freeze()).transpose()
    }

    /// The state that was frozen into these bytes. A guest has to come back as it was.
    pub(super) fn thaw(host: Option<&dyn Host>, bytes: &[u8]) -> Result<Self, Violation> {
        let unreadable = || Violation {
            checker: "a snapshot can be read",
            says: "a member has a snapshot that is none".to_owned(),
        };
        let Some(host) = host else {
            let machine = Machine::thaw(bytes).ok_or_else(unreadable)?;
            return Ok(Self { machine, guest: None });
        };
        let (length, rest) = bytes.split_first_chunk().ok_or_else(unreadable)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| unreadable())?;
        let (own, frozen) = rest.split_at_checked(length).ok_or_else(unreadable)?;
        let guest = host.thaw(Some(frozen))?;
        as_it_was(&*guest, frozen)?;
        let machine = Machine::thaw(own).ok_or_else(unreadable)?;
        Ok(Self { machine, guest: Some(guest) })
    }
}

fn as_it_was(guest: &dyn Guest, frozen: &[u8]) -> Check {
    let again = guest.freeze()?;
    ensure((*again == *frozen).into(), "restored as it was", || {
        format!(
            "a state machine was restored from a snapshot of {} bytes, and its own snapshot is \
             another one, of {} bytes; `restore` has to bring back all that `snapshot` keeps, and \
             equal states need equal snapshots (no hash order)",
            frozen.len(),
            again.len()
        )
    })
}

/// A command's bytes, with the guest's command behind them. What it is depends on the command
/// alone, so that a shrunk schedule has the same ones.
pub(super) fn encode(
    command: &Command,
    padding: u64,
    host: Option<&dyn Host>,
) -> Result<Bytes, Violation> {
    let Some(host) = host else { return Ok(command.encode(padding)) };
    let seed = command.key.rotate_left(32) ^ command.value.rotate_left(8) ^ command.client;
    let drawn = host.draw(&mut Random::new(seed, 4))?;
    let mut bytes = command.head(drawn.len());
    bytes.extend_from_slice(&drawn);
    Ok(bytes.into())
}
