//! Members of two recoveries of a cluster: neither talks to the other, sealed or not, directly or
//! through a third; whoever has an empty storage talks to both.

use super::sealed::is_refused;
use super::*;
use crate::Refusal;

const ONE: Epoch = Epoch(0x0001_1234_5678_9abc);
const OTHER: Epoch = Epoch(0x0001_4321_5678_9abc);

/// Two members, of which the second dials the first.
async fn two(epochs: [Epoch; 2], links: fn(u64) -> Security) -> [End; 2] {
    let (listener, address) = port().await;
    let [first, second] = epochs;
    let listens = config(member(1), Some(listener), vec![awaited(2)]);
    let dials = config(member(2), None, vec![dialled(1, &address)]);
    [
        End::start(Config { epoch: first, security: links(1), ..listens }),
        End::start(Config { epoch: second, security: links(2), ..dials }),
    ]
}

const LINKS: [fn(u64) -> Security; 2] = [|_| Security::Insecure, |node| sealed(node, &[1])];

#[tokio::test]
async fn whoever_was_left_behind_is_refused_by_that_reason() {
    for links in LINKS {
        for epochs in [[ONE, Epoch::FIRST], [Epoch::FIRST, ONE], [ONE, OTHER]] {
            let [mut first, mut second] = two(epochs, links).await;
            is_refused(&mut first, &mut second, Refusal::Epoch).await;
        }
    }
}

#[tokio::test]
async fn equal_epochs_meet_and_so_does_whoever_has_none_yet() {
    for links in LINKS {
        for epochs in [[ONE, ONE], [ONE, Epoch::NONE_YET], [Epoch::NONE_YET, Epoch::FIRST]] {
            let [mut first, mut second] = two(epochs, links).await;
            first.sees_up(second.me).await;
            second.sees_up(first.me).await;
            first.talks_with(&mut second).await;
        }
    }
}

#[tokio::test]
async fn a_member_that_learns_its_epoch_is_let_in() {
    for links in LINKS {
        let [mut first, mut second] = two([ONE, Epoch::FIRST], links).await;
        is_refused(&mut first, &mut second, Refusal::Epoch).await;
        second.transport.change_epoch(ONE);
        second.sees_up(first.me).await;
        first.sees_up(second.me).await;
    }
}
