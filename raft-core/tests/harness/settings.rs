//! What the cores of a script are made with: `Settings`, as the options of `nodes` say.
//!
//! ```text
//! seed=7126                     decides the time-outs
//! entries=1024                  in one append
//! inflight=64                   appends to one follower, not answered yet
//! inflight-bytes=8388608        the weight of those
//! uncommitted-bytes=67108864    beyond it proposals are refused
//! forwarded=64                  requests of a follower, not answered yet
//! caught-up=128                 entries that a learner may lack
//! stalled=100                   ticks that an own write may take
//! drift=100                     of two clocks, in thousandths
//! chunk=262144                  bytes of a snapshot in one piece
//! chunks=1048576                bytes of it under way
//! kept=1073741824               bytes of log kept for who installs a snapshot
//! pre-vote=on  check-quorum=on
//! ```

use super::commands::Words;
use holm_raft_core::{Boot, Config, MemberId, Switch};

#[derive(Clone, Debug)]
pub(super) struct Settings {
    seed: u64,
    /// Holds for all members, but for who they are.
    shared: Config,
}

impl Default for Settings {
    fn default() -> Self {
        let mut shared = Config::new(MemberId::default(), Boot(0), 0);
        shared.forwarded_requests_max = 64;
        // With this seed nobody's time-out is the shortest one, so `silence` begins no campaign.
        Self { seed: 7126, shared }
    }
}

impl Settings {
    pub(super) fn read(words: &mut Words) -> Result<Self, String> {
        let Self { mut seed, mut shared } = Self::default();
        set(words, "seed", &mut seed)?;
        set(words, "entries", &mut shared.append_entries_max)?;
        set(words, "inflight", &mut shared.inflight_appends_max)?;
        set(words, "inflight-bytes", &mut shared.inflight_bytes_max)?;
        set(words, "uncommitted-bytes", &mut shared.uncommitted_bytes_max)?;
        set(words, "forwarded", &mut shared.forwarded_requests_max)?;
        set(words, "caught-up", &mut shared.caught_up_entries)?;
        set(words, "stalled", &mut shared.stalled_write_ticks)?;
        set(words, "drift", &mut shared.clock_drift_permille)?;
        set(words, "chunk", &mut shared.snapshot_chunk_bytes)?;
        set(words, "chunks", &mut shared.snapshot_inflight_bytes_max)?;
        set(words, "kept", &mut shared.install_log_bytes_max)?;
        switch(words, "pre-vote", &mut shared.pre_vote)?;
        switch(words, "check-quorum", &mut shared.check_quorum)?;
        shared.me.node.0 = 1;
        shared.check().map_err(|error| error.to_string())?;
        Ok(Self { seed, shared })
    }

    /// The settings of one boot of a member.
    pub(super) fn of(&self, me: MemberId, boot: Boot) -> Config {
        let seed = self.seed * 1000 + me.node.0 * 10 + boot.0;
        Config { me, boot, seed, ..self.shared.clone() }
    }

    pub(super) const fn election_ticks(&self) -> u32 {
        self.shared.election_ticks
    }
}

fn set<T: std::str::FromStr>(words: &mut Words, key: &str, value: &mut T) -> Result<(), String> {
    if let Some(given) = words.option(key)? {
        *value = given;
    }
    Ok(())
}

fn switch(words: &mut Words, key: &str, value: &mut Switch) -> Result<(), String> {
    let given: Option<String> = words.option(key)?;
    *value = match given.as_deref() {
        None => return Ok(()),
        Some("on") => Switch::On,
        Some("off") => Switch::Off,
        Some(other) => return Err(format!("`{key}={other}` is neither on nor off")),
    };
    Ok(())
}
