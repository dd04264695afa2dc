//! What a schedule can make happen: `Happening`, faults by their class, what operators do, and what
//! clients ask for. One list makes the type, its words and keys in a schedule's text, and the rows
//! of the coverage table.

pub use crate::schedule::Class;
use crate::schedule::happenings;

happenings! {
    /// Nothing gets from one member to another directly; they notice.
    Link "cut" Cut { from, to, lasting }
    /// Nothing gets through between two members directly; they notice.
    Link "part" Part { a, b, lasting }
    /// Nothing gets through between two members directly, and they don't notice.
    Link "half-open" HalfOpen { a, b, lasting }
    /// Two members' link is cut and back, again and again.
    Link "flap" Flap { a, b, period, lasting }
    /// What goes from one member to another takes so many times as long.
    Link "slow" Slow { from, to, factor, lasting }
    /// So many millionths of what goes from one member to another are lost.
    Link "lossy" Lossy { from, to, millionths, lasting }
    /// So many millionths arrive twice.
    Link "repeat" Repeat { from, to, millionths, lasting }
    /// So many millionths are overtaken by what was sent after them.
    Link "reorder" Reorder { from, to, millionths, lasting }
    /// So many bytes a millisecond get from one member to another.
    Link "narrow" Narrow { from, to, bytes, lasting }
    /// A member is cut off from all others.
    Link "isolate" Isolate { member, lasting }
    /// Whoever leads is cut off from all others.
    Link "isolate-leader" IsolateLeader { lasting }
    /// An island is cut off from all others.
    Link "island-off" IslandOff { island, lasting }
    /// Nobody relays for others.
    Link "no-relay" NoRelay { lasting }

    /// A process ends and is started again.
    Process "kill" Kill { member, lasting }
    /// A machine loses power and has it back.
    Process "power-cut" PowerCut { member, lasting }
    /// A machine loses power once its disk has done at most so many operations, and has it back; so
    /// many times, also while it starts.
    Process "lights-out" LightsOut { member, operations, cuts }
    /// A machine loses power so many operations of its disk after the files of its log have changed
    /// next, and has it back; so many times. A file was begun then, or is not needed any more. A
    /// batch that holds a term and entries counts as well.
    Process "cut-at-files" CutAtFiles { member, soon, cuts }
    /// A machine loses power right after its log was given a term and entries in one batch, of
    /// which all behind some sector is lost, and has it back; so many times.
    Process "cut-at-term" CutAtTerm { member, cuts }
    /// A process is stopped and goes on.
    Process "pause" Pause { member, lasting }
    /// A process is killed and started so many times.
    Process "restart-loop" RestartLoop { member, times, period }
    /// A process is killed, and its disk takes its time when it comes back.
    Process "slow-start" SlowStart { member, lasting }
    /// A member comes back with an empty disk, as another incarnation.
    Process "wipe" Wipe { member, lasting }

    /// The disk's next sync reports an error.
    Disk "fail-sync" FailSync { member }
    /// The disk's next read reports an error.
    Disk "fail-read" FailRead { member }
    /// The disk is full.
    Disk "fill" Fill { member, lasting }
    /// The disk does nothing.
    Disk "stall" Stall { member, lasting }
    /// A bit flips; after a while the process is started again and finds it.
    Disk "rot" Rot { member, lasting }
    /// A sector goes to a wrong place; after a while the process is started again.
    Disk "misdirect" Misdirect { member, lasting }

    /// A clock runs at so many thousandths of its rate.
    Clock "rate" Rate { member, permille, lasting }
    /// A clock leaps ahead.
    Clock "jump" Jump { member, millis }

    /// A member becomes a voter.
    Operator "add" Add { member }
    /// A member becomes a learner.
    Operator "learn" Learn { member }
    /// A member becomes a voter once it has caught up.
    Operator "join" Join { member }
    /// A member is removed.
    Operator "remove" Remove { member }
    /// Whoever leads is removed.
    Operator "remove-leader" RemoveLeader {}
    /// A member takes another's place, through a joint configuration.
    Operator "swap" Swap { member, leaves }
    /// The leader hands over.
    Operator "transfer" Transfer { member }
    /// A member takes a snapshot now.
    Operator "snapshot" Snapshot { member }

    /// A key is written.
    Client "put" Put { client, key, value, at }
    /// A number is added to a key.
    Client "add-to" AddTo { client, key, value, at }
    /// A key is read, by a round.
    Client "read" Read { client, key, at }
    /// A key is read, by the lease.
    Client "lease-read" LeaseRead { client, key, at }
}
