//! Whoever is no member and knows the secret asks one thing, and gets one answer; nobody else does.

use super::*;
use crate::{Answered, AskError, Caller, QUESTION_BYTES_MAX, Refusal, Stranger, ask};

/// Somebody who is none of the members.
fn caller(security: Security) -> Caller {
    Caller { cluster: CLUSTER.to_owned(), me: member(9), security, seed: [3; 32] }
}

async fn asks(address: &str, caller: Caller, question: &[u8]) -> Result<Answered, AskError> {
    within(ask(&Tcp, address, caller, question, Timing::default())).await
}

/// Answers each with his own words turned round.
async fn turns_round(mut strangers: Receiver<Stranger>, seen: Arc<Mutex<Vec<MemberId>>>) {
    while let Some(Stranger { from, question, reply, .. }) = strangers.recv().await {
        seen.lock().expect("whole").push(from);
        // Whoever has given up hears nothing.
        let _ = reply.send(question.iter().rev().copied().collect());
    }
}

#[tokio::test]
async fn whoever_knows_the_secret_is_heard_and_answered_and_is_no_member_by_that() {
    for security in [Security::Insecure, sealed(9, &[1])] {
        let (listener, address) = port().await;
        let base = match security {
            Security::Insecure => config(member(1), Some(listener), vec![]),
            Security::Sealed { .. } => sealed_config(member(1), Some(listener), vec![]),
        };
        let is_sealed = matches!(security, Security::Sealed { .. });
        let mut end = End::start(base);
        let seen = Arc::default();
        tokio::spawn(turns_round(end.transport.hear_strangers(), Arc::clone(&seen)));
        for question in [&b"abc"[..], &[7; QUESTION_BYTES_MAX]] {
            let answered = asks(&address, caller(security.clone()), question).await.unwrap();
            assert_eq!(answered.by.node, NodeId(1));
            assert_eq!(answered.key, is_sealed.then(|| pair(1).public()));
            assert!(answered.answer.iter().eq(question.iter().rev()));
        }
        assert_eq!(*seen.lock().unwrap(), [member(9); 2]);
        assert!(end.inbound.try_recv().is_err(), "nothing is handed up");
        assert!(end.transport.peers().is_empty());
    }
}

#[tokio::test]
async fn whoever_does_not_know_the_secret_or_the_cluster_is_not_heard() {
    let (listener, address) = port().await;
    let end = End::start(sealed_config(member(1), Some(listener), vec![]));
    let seen = Arc::default();
    tokio::spawn(turns_round(end.transport.hear_strangers(), Arc::clone(&seen)));
    let wrong = asks(&address, caller(sealed(9, &[2])), b"q").await.unwrap_err();
    assert!(wrong.why.contains("with the same secret?"), "{wrong}");
    let elsewhere = Caller { cluster: "other".to_owned(), ..caller(sealed(9, &[1])) };
    assert!(asks(&address, elsewhere, b"q").await.is_err());
    let open = asks(&address, caller(Security::Insecure), b"q").await.unwrap_err();
    assert!(open.why.contains("give the cluster's secret"), "{open}");
    assert!(seen.lock().unwrap().is_empty());
    let refused = end.transport.refused();
    assert_eq!((refused[&Refusal::Secret], refused[&Refusal::Cluster]), (1, 1));
}

#[tokio::test]
async fn a_question_that_is_too_long_or_that_nobody_hears_is_refused() {
    let (listener, address) = port().await;
    let end = End::start(sealed_config(member(1), Some(listener), vec![]));
    assert!(asks(&address, caller(sealed(9, &[1])), b"q").await.is_err(), "the door is shut");
    assert_eq!(end.transport.refused()[&Refusal::Stranger], 1);
    let strangers = end.transport.hear_strangers();
    let long = [0; QUESTION_BYTES_MAX + 1];
    assert!(asks(&address, caller(sealed(9, &[1])), &long).await.is_err());
    assert_eq!(end.transport.refused()[&Refusal::Garbage], 1);
    drop(strangers);
    assert!(asks(&address, caller(sealed(9, &[1])), b"q").await.is_err());
    assert_eq!(end.transport.refused()[&Refusal::Busy], 1);
}

#[tokio::test]
async fn a_member_that_calls_nobody_in_particular_is_a_stranger_too() {
    let (listener, address) = port().await;
    let mut end = End::start(sealed_config(member(1), Some(listener), vec![awaited(2)]));
    let seen = Arc::default();
    tokio::spawn(turns_round(end.transport.hear_strangers(), Arc::clone(&seen)));
    let known = Caller { me: member(2), ..caller(sealed(2, &[1])) };
    assert_eq!(&asks(&address, known, b"ab").await.unwrap().answer[..], b"ba");
    assert!(end.inbound.try_recv().is_err(), "it is not up");
}
