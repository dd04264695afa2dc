//! Sealed sessions over HTTP, with a real client and its cookie jar, on the members of the example.

#[path = "../../examples/session_cookie.rs"]
mod example;

use example::Member;
use holm::Edges;
use reqwest::Client;

async fn open() -> Vec<Member> {
    example::open(3, &*Edges::in_memory().entropy).await.unwrap()
}

fn client() -> Client {
    Client::builder().cookie_store(true).no_proxy().build().unwrap()
}

async fn ask(client: &Client, member: &Member, path: &str) -> String {
    let url = format!("http://localhost:{}{path}", member.address.port());
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_cookie_that_one_member_sets_is_read_and_changed_by_another() {
    let members = open().await;
    let client = client();
    let asked = ask(&client, &members[0], "/").await;
    assert_eq!(asked, "member 1 reads no foo\n");
    let asked = ask(&client, &members[0], "/set/bar").await;
    assert_eq!(asked, "member 1 set foo to bar, change 1\n");
    let asked = ask(&client, &members[1], "/").await;
    assert_eq!(asked, "member 2 reads foo = bar after 1 changes\n");
    let asked = ask(&client, &members[2], "/set/baz").await;
    assert_eq!(asked, "member 3 set foo to baz, change 2\n");
    let asked = ask(&client, &members[0], "/").await;
    assert_eq!(asked, "member 1 reads foo = baz after 2 changes\n");
    // Somebody else has a jar of his own.
    let asked = ask(&self::client(), &members[0], "/").await;
    assert_eq!(asked, "member 1 reads no foo\n");
}

#[tokio::test]
async fn a_cookie_has_its_attributes_and_is_sent_anew_only_when_something_has_changed() {
    let members = open().await;
    let url =
        |nth: usize, path: &str| format!("http://localhost:{}{path}", members[nth].address.port());
    let plain = Client::builder().no_proxy().build().unwrap();
    let answer = plain.get(url(0, "/set/bar")).send().await.unwrap();
    let set = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (pair, attributes) = set.split_once(';').unwrap();
    assert!(pair.starts_with("__Host-visit="), "{set}");
    assert_eq!(attributes, " Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=43200");
    let ask = async |cookie: &str| {
        let answer = plain.get(url(1, "/")).header("cookie", cookie).send().await.unwrap();
        let anew = answer.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
        (answer.text().await.unwrap(), anew)
    };
    let (said, anew) = ask(pair).await;
    assert_eq!((said.as_str(), anew), ("member 2 reads foo = bar after 1 changes\n", None));
    let (said, anew) = ask(&pair[..pair.len() - 1]).await;
    assert_eq!((said.as_str(), anew), ("member 2 reads no foo\n", None), "it was cut");
    // Its key retires: the same, sealed anew.
    members[1].node.session_keys().rotate().await.unwrap();
    let (said, anew) = ask(pair).await;
    assert_eq!(said, "member 2 reads foo = bar after 1 changes\n");
    let anew = anew.expect("sealed anew");
    assert_ne!(anew.split(';').next(), Some(pair));
    let (said, again) = ask(anew.split(';').next().unwrap()).await;
    assert_eq!((said.as_str(), again), ("member 2 reads foo = bar after 1 changes\n", None));
}

#[tokio::test]
async fn a_session_crosses_members_while_keys_rotate_and_the_leader_is_stopped() {
    let mut members = open().await;
    let client = client();
    let mut count = 0;
    for round in 0..12 {
        if round == 6 {
            // Whoever leads goes, and its application with it.
            let leader = members[0].node.status().borrow().leader.unwrap();
            let leader = members.remove(usize::try_from(leader).unwrap() - 1);
            leader.serving.abort();
            leader.node.shutdown().await;
        }
        let rotating = members[round % members.len()].node.session_keys();
        let rotation = tokio::task::spawn(async move { rotating.rotate().await });
        for step in 0..20 {
            let member = &members[step % members.len()];
            count += 1;
            let said = ask(&client, member, &format!("/set/{count}")).await;
            assert!(said.ends_with(&format!(" set foo to {count}, change {count}\n")), "{said}");
            let next = &members[(step + 1) % members.len()];
            let said = ask(&client, next, "/").await;
            assert!(said.ends_with(&format!("foo = {count} after {count} changes\n")), "{said}");
        }
        rotation.await.unwrap().unwrap();
    }
    let keys = members[0].node.session_keys().list().await.unwrap();
    assert_eq!(keys.last().unwrap().key, 13);
}
