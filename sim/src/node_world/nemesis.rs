//! What fails the members and their links: `Nemesis` carries out what a plan has, each thing as a
//! task of its own. At most one thing at a time happens to a member's process, and one to its disk;
//! links and clocks fail as they like.

mod damage;
mod joining;
mod links;
mod machines;
mod operators;

use super::findings::{any_broken, say, takes_effect};
use super::happening::{Class, Happening};
use super::member::Member;
use super::network::Net;
use super::plan::Plan;
use crate::core_world::random::Random;
use crate::trace::What;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Carries out what happens.
#[derive(Clone)]
pub(super) struct Nemesis {
    pub(super) plan: Arc<Plan>,
    pub(super) net: Net,
    pub(super) members: Rc<Vec<Member>>,
    started: Instant,
    /// Links that stay cut.
    left_cut: Rc<RefCell<Vec<(u64, u64)>>>,
    random: Rc<RefCell<Random>>,
    /// Operators do something already.
    operating: Rc<Cell<bool>>,
}

impl Nemesis {
    pub(super) fn new(
        plan: Arc<Plan>,
        net: Net,
        members: Rc<Vec<Member>>,
        started: Instant,
    ) -> Self {
        let random = Random::new(plan.settings.seed, 7);
        Self {
            plan,
            net,
            members,
            started,
            left_cut: Rc::default(),
            random: Rc::new(RefCell::new(random)),
            operating: Rc::default(),
        }
    }

    /// Until all of it has ended, and the safety phase with it.
    pub(super) async fn run(&self) {
        let planned = (0..).zip(&self.plan.happenings);
        let planned = planned.filter(|(_, (_, what))| what.class() != Class::Client);
        let under_way: Vec<_> = planned
            .map(|(n, (at, what))| (self.clone(), n, *at, what.clone()))
            .map(|(nemesis, n, at, what)| {
                madsim::task::spawn_local(async move { nemesis.carry_out(n, at, what).await })
            })
            .collect();
        for one in under_way {
            one.await.expect("a fault that panics has found something");
        }
        sleep_until(self.started + Duration::from_micros(self.plan.settings.faults_end)).await;
    }

    async fn carry_out(&self, n: u64, at: u64, what: Happening) {
        sleep_until(self.started + Duration::from_micros(at)).await;
        if any_broken() {
            return;
        }
        match what.class() {
            _ if matches!(
                what,
                Happening::Wipe { .. }
                    | Happening::Rot { .. }
                    | Happening::Misdirect { .. }
                    | Happening::Lie { .. }
            ) =>
            {
                self.of_damage(n, &what).await;
            }
            Class::Link => self.of_links(n, &what).await,
            Class::Process => self.of_process(n, &what).await,
            Class::Disk => self.of_disk(n, &what).await,
            Class::Clock => self.of_clock(n, &what).await,
            Class::Operator => self.of_operator(n, &what).await,
            Class::Client => {}
        }
    }

    /// It takes effect from now on.
    fn begins(&self, n: u64, what: &Happening) {
        takes_effect(what.word());
        say(|| What::Begin {
            n: n + 1,
            what: what.word(),
            with: what.fields().into_iter().collect(),
        });
    }

    /// It has an end, which is now.
    fn ends(&self, n: u64, what: &Happening) {
        say(|| What::End { n: n + 1, what: what.word() });
    }

    /// Waits for as long as it lasts.
    async fn lasts(&self, what: &Happening) {
        sleep(Duration::from_micros(what.lasting().unwrap_or(0))).await;
    }

    /// The member that it happens to.
    fn member(&self, what: &Happening) -> Option<&Member> {
        let node = what.field("member")?;
        self.members.iter().find(|member| member.node == node)
    }

    fn between(&self, low: u64, high: u64) -> u64 {
        self.random.borrow_mut().between(low, high)
    }
}
