//! What clients do with Holm's own part of the state, as a seed draws it: from numbers of its own,
//! so that the rest of a plan is what it would be without.

use crate::core_world::random::Random;
use crate::node_world::happening::Happening;
use crate::node_world::plan::{Plan, Settings};

type Drawn = Vec<(u64, Happening)>;

/// Each kind in about half of the plans.
pub(super) fn visits(plan: &Plan) -> Drawn {
    let mut random = Random::new(plan.settings.seed, 8);
    let random = &mut random;
    let mut drawn = Drawn::new();
    for kind in [tickets, claims, sessions, backups] {
        if random.one_in(2) {
            drawn.extend(kind(plan, random));
        }
    }
    drawn
}

/// Who has tickets made; those that consume them have the numbers that follow.
const ISSUER: u64 = 10;
const CONSUMERS: u64 = 3;

fn tickets(plan: &Plan, random: &mut Random) -> Drawn {
    let end = plan.settings.faults_end;
    let mut drawn = Drawn::new();
    for ticket in 1..=random.between(2, 8) {
        let time = random.below(end * 3 / 4);
        let at = random.between(1, plan.settings.members);
        let millis = random.pick(&[1_000, 1_000, 2_000, 60_000]);
        drawn.push((time, Happening::Issue { client: ISSUER, ticket, millis, at }));
        let time = time + random.pick(&[10_000, 100_000, 500_000, millis * 900]);
        for client in ISSUER + 1..=ISSUER + random.between(2, CONSUMERS) {
            let apart = random.pick(&[1_000, 50_000, 1_000_000]);
            let time = time + random.below(apart);
            let at = random.between(1, plan.settings.members);
            if time < end {
                drawn.push((time, Happening::Present { client, ticket, at }));
            }
        }
    }
    drawn
}

/// Who claims.
const CLAIMANTS: std::ops::RangeInclusive<u64> = 20..=22;

fn claims(plan: &Plan, random: &mut Random) -> Drawn {
    let end = plan.settings.faults_end;
    let keys = random.between(1, 2).min(plan.settings.keys);
    let mut drawn = Drawn::new();
    for client in CLAIMANTS {
        let mut time = random.below(500_000);
        while time < end {
            let key = random.below(keys);
            let millis = random.pick(&[100, 200, 400, 1_000]);
            let at = random.between(1, plan.settings.members);
            let lasting = random.between(100_000, 1_500_000);
            drawn.push((time, Happening::Claim { client, key, millis, at, lasting }));
            time += lasting + random.below(200_000);
        }
    }
    drawn
}

/// Who has sessions.
const USERS: std::ops::RangeInclusive<u64> = 30..=32;
/// Who has their keys rotated.
const KEEPER: u64 = 33;

fn sessions(plan: &Plan, random: &mut Random) -> Drawn {
    let end = plan.settings.faults_end;
    let members = plan.settings.members;
    let mut drawn = Drawn::new();
    for client in USERS {
        let mut time = random.below(300_000);
        while time < end {
            let at = random.between(1, members);
            drawn.push((
                time,
                match random.below(8) {
                    0 => Happening::LogOut { client, at },
                    _ => Happening::Browse { client, at },
                },
            ));
            time += random.between(10_000, 400_000);
        }
    }
    for _ in 0..random.between(1, 8) {
        let at = random.between(1, members);
        drawn.push((random.below(end), Happening::RotateKeys { client: KEEPER, at }));
    }
    drawn
}

/// Who makes backups.
const ARCHIVIST: u64 = 40;

fn backups(plan: &Plan, random: &mut Random) -> Drawn {
    let Settings { faults_end, members, .. } = plan.settings;
    let backup = |random: &mut Random| {
        let at = random.between(1, members);
        (random.below(faults_end), Happening::BackUp { client: ARCHIVIST, at })
    };
    (0..random.between(2, 6)).map(|_| backup(random)).collect()
}
