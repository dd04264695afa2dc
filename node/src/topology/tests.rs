//! A table of topologies that contradict themselves, and who may dial whom in those that do not.

use super::*;

const TWO_ISLANDS: &str = r#"
    islands = [{ name = "north" }, { name = "south" }]
    members = [
        { id = 1, island = "north", address = "10.0.0.1" },
        { id = 2, island = "north", address = "10.0.0.2:7700" },
        { id = 3, island = "south" },
    ]
"#;

#[test]
fn a_missing_port_is_the_default_port_and_a_written_one_stays() {
    let topology = Topology::parse(TWO_ISLANDS).expect("sound");
    let addresses: Vec<_> =
        topology.members.iter().map(|member| member.address.as_deref()).collect();
    assert_eq!(addresses, [Some("10.0.0.1:7600"), Some("10.0.0.2:7700"), None]);
}

#[test]
fn without_links_everybody_may_dial_whoever_has_an_address() {
    let topology = Topology::parse(TWO_ISLANDS).expect("sound");
    assert!(topology.may_dial(1, 2) && topology.may_dial(2, 1));
    assert!(topology.may_dial(3, 1));
    assert!(!topology.may_dial(1, 3), "3 has no address");
    assert!(!topology.may_dial(1, 1), "nobody dials itself");
    assert!(!topology.may_dial(1, 9) && !topology.may_dial(9, 1), "9 is unknown");
}

#[test]
fn a_link_speaks_for_its_direction_only() {
    let text = r#"
        islands = [{ name = "north" }, { name = "south" }]
        members = [
            { id = 1, island = "north", address = "a" },
            { id = 2, island = "south", address = "b" },
        ]
        links = [{ from = "north", to = "south", dial = false }]
    "#;
    let topology = Topology::parse(text).expect("sound");
    assert!(!topology.may_dial(1, 2));
    assert!(topology.may_dial(2, 1));
}

#[test]
fn a_topology_survives_its_text() {
    let topology = Topology::parse(TWO_ISLANDS).expect("sound");
    let bytes = postcard::to_allocvec(&topology.links).expect("encodes");
    assert_eq!(postcard::from_bytes::<Vec<Link>>(&bytes).expect("decodes"), topology.links);
    assert_eq!(topology.check(), Ok(()));
}

fn told(text: &str) -> String {
    Topology::parse(text).expect_err("contradicts itself").to_string()
}

#[test]
fn each_contradiction_of_islands_and_members_names_its_key_and_its_mend() {
    let cases = [
        ("", "members: there are 0; name 1 to 255 [[members]]"),
        (
            r#"islands = [{ name = "n" }, { name = "n" }]"#,
            "islands `n`: name: is given twice; remove or rename one",
        ),
        (
            r#"islands = [{ name = "" }]"#,
            "islands ``: name: an island's name has 1 to 128 bytes; choose another name",
        ),
        (
            r#"islands = [{ name = "n" }, { name = "s" }]
               members = [{ id = 0, island = "n" }]"#,
            "members 0: id: ids count from 1; choose another id",
        ),
        (
            r#"islands = [{ name = "n" }]
               members = [{ id = 1, island = "n" }, { id = 1, island = "n" }]"#,
            "members 1: id: is given twice; renumber one of the two",
        ),
        (
            r#"islands = [{ name = "n" }]
               members = [{ id = 1, island = "m" }]"#,
            "members 1: island: there is no island `m`; \
             add an [[islands]] entry with name = \"m\", or correct it",
        ),
        (
            r#"islands = [{ name = "n" }]
               members = [{ id = 1, island = "n", address = "a" },
                          { id = 2, island = "n", address = "a:7600" }]"#,
            "members 2: address: `a:7600` is another member's address too; give each its own",
        ),
        (
            r#"islands = [{ name = "n" }]
               members = [{ id = 1, island = "n" }, { id = 2, island = "n" }]"#,
            "members 1 and 2: can never find each other: no chain of links joins them; \
             give member 1 or 2 an address",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(told(text), expected, "for {text}");
    }
}

#[test]
fn each_contradiction_of_links_names_its_key_and_its_mend() {
    let links = [
        (
            r#"{ from = "n", to = "x", dial = true }"#,
            "links `n` to `x`: to: there is no island `x`; \
             add an [[islands]] entry with name = \"x\", or correct it",
        ),
        (
            r#"{ from = "n", to = "n", dial = false }"#,
            "links `n` to `n`: a link joins two islands; on one island all may dial each other; \
             remove it",
        ),
        (
            r#"{ from = "n", to = "s", dial = true }, { from = "n", to = "s", dial = false }"#,
            "links `n` to `s`: is given twice; remove one of the two",
        ),
        (
            r#"{ from = "n", to = "s", dial = false }, { from = "s", to = "n", dial = false }"#,
            "islands `n`: nobody can reach this island: members 1 and 2 can never find each \
             other; set dial = true in a [[links]] entry from or to `n`",
        ),
        (
            r#"{ from = "s", to = "n", dial = false }"#,
            "islands `n`: nobody can reach this island: members 1 and 2 can never find each \
             other; give member 2 an address",
        ),
    ];
    let islands = r#"islands = [{ name = "n" }, { name = "s" }]"#;
    let members =
        r#"members = [{ id = 1, island = "n", address = "a" }, { id = 2, island = "s" }]"#;
    for (link, expected) in links {
        assert_eq!(told(&format!("{islands}\n{members}\nlinks = [{link}]")), expected);
    }
}

/// A topology of members `id@island`, each with an address (`-id@island`: without; `!id@island`:
/// relaying for nobody), where the islands named together may not dial each other.
fn drawn(members: &str, apart: &str) -> Result<Topology, String> {
    let mut topology = Topology::default();
    for text in members.split_whitespace() {
        let (id, island) = text.trim_start_matches(['-', '!']).split_once('@').expect("id@island");
        let address = (!text.starts_with('-')).then(|| format!("10.0.0.{id}:7600"));
        let mut member = Member::new(id.parse().expect("a number"), island, address);
        member.relay = !text.starts_with('!');
        if !topology.islands.iter().any(|known| known.name == island) {
            topology.islands.push(Island { name: island.into() });
        }
        topology.members.push(member);
    }
    for text in apart.split_whitespace() {
        let (one, other) = text.split_once('|').expect("one|other");
        for (from, to) in [(one, other), (other, one)] {
            topology.links.push(Link { from: from.into(), to: to.into(), dial: false });
        }
    }
    topology.check().map(|()| topology).map_err(|error| error.to_string())
}

#[test]
fn members_without_a_link_of_their_own_find_each_other_through_those_that_relay() {
    for (what, members, apart) in [
        ("a hub and spokes that only dial", "1@hub -2@a -3@b -4@c", ""),
        ("a chain of four islands", "1@a 2@b 3@c 4@d", "a|c a|d b|d"),
        ("a bridge between two groups", "1@a 2@a 3@m 4@b 5@b", "a|b"),
        ("spokes around a ring with one silent side", "1@a 2@b !3@c 4@d", "a|c b|d"),
        ("a pair that is silent", "!1@a !2@b", ""),
    ] {
        assert_eq!(drawn(members, apart).map(|_| ()), Ok(()), "{what}");
    }
}

#[test]
fn members_that_can_never_find_each_other_are_named_with_the_mend() {
    for (members, apart, expected) in [
        (
            "!1@hub -2@a -3@b",
            "",
            "members 2 and 3: can never find each other: only members that relay for nobody stand \
             between them (1); remove relay = false from one that joins them, or let one dial the \
             other",
        ),
        (
            "1@a 2@b !3@c 4@d",
            "a|c a|d b|d",
            "members 1 and 4: can never find each other: only members that relay for nobody stand \
             between them (3); remove relay = false from one that joins them, or let one dial the \
             other",
        ),
        (
            "1@a 2@b 3@c",
            "a|c b|c",
            "islands `c`: nobody can reach this island: members 3 and 1 can never find each \
             other; set dial = true in a [[links]] entry from or to `c`",
        ),
        (
            "-1@a -2@b -3@c",
            "",
            "islands `a`: nobody can reach this island: members 1 and 2 can never find each \
             other; give member 1 or 2 an address",
        ),
        (
            "1@a 2@b 3@c 4@d",
            "a|c a|d b|c b|d",
            "members 1 and 3: can never find each other: no chain of links joins them; \
             set dial = true from `a` to `c` or back, or give them a relay",
        ),
        (
            "1@a -2@a -3@b",
            "a|b",
            "islands `b`: nobody can reach this island: members 3 and 1 can never find each \
             other; set dial = true in a [[links]] entry from or to `b`",
        ),
    ] {
        assert_eq!(drawn(members, apart).expect_err(members), expected);
    }
}

#[test]
fn a_member_relays_unless_it_says_otherwise() {
    let text = TWO_ISLANDS.replace("\"south\" },", "\"south\", relay = false },");
    let topology = Topology::parse(&text);
    let relays: Vec<_> =
        topology.expect("sound").members.iter().map(|member| member.relay).collect();
    assert_eq!(relays, [true, true, false]);
}

#[test]
fn a_weight_is_one_unless_it_is_written_and_has_a_bound() {
    let text = |weight: &str| {
        format!("[[islands]]\nname = \"a\"\n[[members]]\nid = 1\nisland = \"a\"\n{weight}")
    };
    let weight = |line: &str| Topology::parse(&text(line)).map(|found| found.members[0].weight);
    assert_eq!(weight(""), Ok(1));
    assert_eq!(weight("weight = 0"), Ok(0));
    assert_eq!(weight("weight = 1000"), Ok(1000));
    let error = weight("weight = 1001").unwrap_err().to_string();
    assert_eq!(error, "members 1: weight: is 1001; give it 0 to 1000");
}

#[test]
fn keys_are_those_of_all_members_each_its_own_or_of_none() {
    let key = |byte| PublicKey([byte; 32]);
    let checked = |keys: [Option<PublicKey>; 3]| {
        let mut topology = Topology::parse(TWO_ISLANDS).expect("sound");
        topology.members.iter_mut().zip(keys).for_each(|(member, key)| member.key = key);
        topology.check().map_err(|error| error.to_string())
    };
    assert_eq!(checked([Some(key(1)), Some(key(2)), Some(key(3))]), Ok(()));
    assert_eq!(
        checked([Some(key(1)), Some(key(2)), Some(key(1))]).expect_err("twice"),
        "members 3: key: is member 1's key too; draw another with `holm keygen`, each member has \
         its own"
    );
    assert_eq!(
        checked([None, Some(key(2)), Some(key(3))]).expect_err("missing"),
        "members 1: key: is missing, but member 2 has one; add key = \"holm-public-…\", as \
         `holm keygen` prints it, or remove all keys"
    );
}

#[test]
fn a_key_that_is_none_is_told_with_its_line_and_without_its_text() {
    let private = holm_transport::PrivateKey::from([7; 32]).reveal();
    let text = format!("[[members]]\nid = 1\nisland = \"n\"\nkey = \"{}\"\n", *private);
    let error = Topology::parse(&text).expect_err("a private key");
    assert_eq!((error.line, error.key.as_str()), (Some(4), "key"));
    assert!(error.problem.contains("this is a private key"), "{error}");
    assert!(!error.to_string().contains(&private[20..]), "{error}");
}

#[test]
fn what_the_format_itself_refuses_is_told_with_its_line() {
    let text = "[[islands]]\nname = \"n\"\ncolour = \"red\"\n";
    let error = Topology::parse(text).expect_err("an unknown key");
    assert_eq!((error.line, error.key.as_str()), (Some(3), "colour"));
    assert!(error.problem.contains("unknown field `colour`"), "{error}");
    let text =
        "[[islands]]\nname = \"n\"\n[[members]]\nid = 1\nisland = \"n\"\naddress = \"::1\"\n";
    let error = Topology::parse(text).expect_err("an ambiguous address");
    assert_eq!(error.line, Some(6));
    assert!(error.problem.contains("write an IPv6 address as [::1]:7600"), "{error}");
}

#[test]
fn addresses_are_completed_or_refused() {
    for (text, expected) in [
        ("localhost", "localhost:7600"),
        ("10.1.2.3:80", "10.1.2.3:80"),
        ("[::1]", "[::1]:7600"),
        ("[::1]:9", "[::1]:9"),
    ] {
        assert_eq!(with_port(text, MEMBER_PORT).as_deref(), Ok(expected));
    }
    for text in ["", ":80", "::1", "a:b", "a:70000", "http://a:80", "a b:1", "[]:1"] {
        assert!(with_port(text, MEMBER_PORT).is_err(), "{text}");
    }
}
