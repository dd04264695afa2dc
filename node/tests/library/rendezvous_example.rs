//! Runs `examples/rendezvous.rs`.

#[allow(dead_code, reason = "its `main` is for whoever runs it by itself")]
#[path = "../../examples/rendezvous.rs"]
mod example;

#[tokio::test]
async fn an_approval_that_is_begun_at_one_member_is_finished_at_another() {
    let told = example::run().await.unwrap();
    let expected = [
        "begin: 200 begun",
        "wait: 200 approved",
        "confirm: 200 confirmed",
        "none: 404 no such approval",
    ];
    assert_eq!(told, expected);
}
