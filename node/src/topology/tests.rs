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
            "members 2: address: is missing, but member 1 would have to dial it; \
             give member 2 or member 1 an address",
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
            "links `n` to `s`: members 1 and 2 can never reach each other: neither island may \
             dial the other; set dial = true in one direction (there are no relays yet)",
        ),
        (
            r#"{ from = "s", to = "n", dial = false }"#,
            "members 2: address: is missing, but member 1 would have to dial it; \
             give member 2 an address",
        ),
    ];
    let islands = r#"islands = [{ name = "n" }, { name = "s" }]"#;
    let members =
        r#"members = [{ id = 1, island = "n", address = "a" }, { id = 2, island = "s" }]"#;
    for (link, expected) in links {
        assert_eq!(told(&format!("{islands}\n{members}\nlinks = [{link}]")), expected);
    }
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
