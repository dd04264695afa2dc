//! What a schedule of the node's world can make happen: `Happening`, faults by their class, what
//! operators do, and what clients ask for.

pub use crate::schedule::Class;
use crate::schedule::happenings;

happenings! {
    /// Nothing gets from one member to another directly. Nobody is told.
    Link "cut" Cut { from, to, lasting }
    /// Nothing gets through between two members directly.
    Link "part" Part { a, b, lasting }
    /// Two members' link is cut and back, and its connections are reset, so many times.
    Link "flap" Flap { a, b, times, lasting }
    /// A member is cut off from all others.
    Link "isolate" Isolate { member, lasting }
    /// Whoever leads is cut off from all others.
    Link "isolate-leader" IsolateLeader { lasting }
    /// An island is cut off from all others.
    Link "island-off" IslandOff { island, lasting }
    /// Nothing comes through the connections of two members any more, and neither is told.
    Link "hang" Hang { a, b }
    /// The same, and one of the two is told that they are broken.
    Link "half-open" HalfOpen { a, b }
    /// The connections of two members are reset.
    Link "reset" Reset { a, b }
    /// What goes from one member to another takes so many microseconds more, give or take a half.
    Link "slow" Slow { from, to, micros, lasting }
    /// So many bytes a second get from one member to another.
    Link "narrow" Narrow { from, to, bytes, lasting }
    /// So many millionths of the packets from one member to another are lost, and sent again later.
    Link "lossy" Lossy { from, to, millionths, lasting }
    /// In so many millionths of what is written from one member to another a bit flips, though the
    /// packets' own checksums ought to have found that.
    Link "garble" Garble { from, to, millionths, lasting }
    /// Two members' link stays cut when the other faults have ended, if the others join a quorum.
    Link "stay-cut" StayCut { a, b }

    /// A process ends and is started again. Its machine closes its connections.
    Process "kill" Kill { member, lasting }
    /// A machine loses power and has it back: what was not synced is lost, nobody is told.
    Process "power-cut" PowerCut { member, lasting }
    /// A machine loses power after its disk has hung for as long.
    Process "cut-amid-stall" CutAmidStall { member, lasting }
    /// A machine loses power right when its member comes to another term, while that is on its way
    /// to the disk. Leadership is handed over for it.
    Process "cut-at-term" CutAtTerm { member, lasting }
    /// A process is stopped and goes on.
    Process "pause" Pause { member, lasting }
    /// A process is killed and started so many times.
    Process "restart-loop" RestartLoop { member, times, period }
    /// A process is killed, and its disk takes its time when it comes back.
    Process "slow-start" SlowStart { member, lasting }

    /// A member comes back with an empty disk, as another incarnation, under its old number.
    Process "wipe" Wipe { member, lasting }

    /// The disk's next syncs report errors for so long.
    Disk "fail-sync" FailSync { member, lasting }
    /// The same, and then the machine loses power.
    Disk "fail-sync-and-cut" FailSyncAndCut { member, lasting }
    /// The disk is full.
    Disk "fill" Fill { member, lasting }
    /// The disk does nothing.
    Disk "stall" Stall { member, lasting }

    /// The disk's next read reports an error.
    Disk "fail-read" FailRead { member, lasting }
    /// A bit flips; after a while the process is started again and finds it.
    Disk "rot" Rot { member, lasting }
    /// A sector goes to a wrong place; after a while the process is started again.
    Disk "misdirect" Misdirect { member, lasting }
    /// The disk says that it has synced and does not, until its machine loses power; it is replaced
    /// then.
    Disk "lie" Lie { member, lasting }

    /// A clock runs at so many thousandths of its rate; timers don't.
    Clock "rate" Rate { member, permille, lasting }
    /// A clock leaps ahead, as that of a machine that was suspended.
    Clock "jump" Jump { member, millis }

    /// A member becomes a voter, once it has caught up.
    Operator "add" Add { member }
    /// A member becomes a learner.
    Operator "learn" Learn { member }
    /// A new machine joins by a one-time ticket, as a voter once it has caught up.
    Operator "join" Join { member }
    /// A learner becomes a voter.
    Operator "promote" Promote { member }
    /// A voter becomes a learner.
    Operator "demote" Demote { member }
    /// A member is removed.
    Operator "remove" Remove { member }
    /// Whoever leads is removed.
    Operator "remove-leader" RemoveLeader {}
    /// The leader hands over.
    Operator "transfer" Transfer { member }

    /// A number is put, under a key of the client's.
    Client "put" Put { client, key, value, at }
    /// Something is added to a number, under a key of the client's.
    Client "add-to" AddTo { client, key, value, at }
    /// A number is put in a session, once.
    Client "put-in-session" PutInSession { client, key, value, at }
    /// A number is read, by a round.
    Client "read" Read { client, key, at }
    /// A number is read, by the lease.
    Client "lease-read" LeaseRead { client, key, at }
    /// What a member holds is read from where the client has seen it last.
    Client "read-on" ReadOn { client, at }
    /// A one-time ticket is made, which can be consumed for so many milliseconds of log time.
    Client "issue" Issue { client, ticket, millis, at }
    /// A ticket is presented, and once more after that is answered.
    Client "present" Present { client, ticket, at }
    /// A member claims a key for so many milliseconds, and holds it as long as this lasts.
    Client "claim" Claim { client, key, millis, at, lasting }
    /// A sealed session is presented, changed and sealed again, or begun.
    Client "browse" Browse { client, at }
    /// A client's sessions are revoked.
    Client "log-out" LogOut { client, at }
    /// The keys that sessions are sealed with are rotated.
    Client "rotate-keys" RotateKeys { client, at }
    /// A member is backed up, and the backup restored as another cluster.
    Client "back-up" BackUp { client, at }
}
