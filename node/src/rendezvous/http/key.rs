//! What a request says of where it belongs: the key it carries ([`KeyFrom`]), or the member in its
//! host name ([`Hosts`]).

use crate::rendezvous::Placement;
use axum::http::header::{COOKIE, HOST};
use axum::http::{HeaderMap, HeaderName, Uri};
use bytes::Bytes;
use percent_encoding::percent_decode;

/// The longest name of a host, in bytes.
const HOST_BYTES_MAX: usize = 253;
/// What stands before a member's number in a host name.
const APP: &str = "app-";

/// Where a request carries its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFrom {
    /// The whole value of this header.
    Header(HeaderName),
    /// What follows this in the path, up to the next `/`, percent-decoded: `/approvals/` for
    /// `/approvals/KEY` and `/approvals/KEY/confirm`.
    Path(String),
    /// The value of this cookie.
    Cookie(String),
}

/// A key that can't be one: none at all, too long, or given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadKey {
    pub(super) bytes: usize,
}

impl KeyFrom {
    /// The key that a request carries there, if any.
    pub(super) fn find(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<Bytes>, BadKey> {
        let found = match self {
            Self::Header(name) => {
                let mut values = headers.get_all(name).iter();
                let first = values.next();
                if values.next().is_some() {
                    return Err(BadKey { bytes: 0 });
                }
                first.map(|value| Bytes::copy_from_slice(value.as_bytes()))
            }
            Self::Path(before) => in_path(uri.path(), before),
            Self::Cookie(name) => headers
                .get_all(COOKIE)
                .iter()
                .find_map(|value| in_cookies(value.as_bytes(), name.as_bytes())),
        };
        found.map(checked).transpose()
    }
}

fn checked(key: Bytes) -> Result<Bytes, BadKey> {
    let bytes = key.len();
    if (1..=Placement::KEY_BYTES_MAX).contains(&bytes) { Ok(key) } else { Err(BadKey { bytes }) }
}

fn in_path(path: &str, before: &str) -> Option<Bytes> {
    let rest = path.strip_prefix(before)?;
    let segment = rest.split('/').next().unwrap_or(rest);
    Some(percent_decode(segment.as_bytes()).collect::<Vec<u8>>().into())
}

/// The value of the first cookie with this name (RFC 6265, section 4.2).
fn in_cookies(line: &[u8], name: &[u8]) -> Option<Bytes> {
    line.split(|byte| *byte == b';').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        (found == name).then(|| Bytes::copy_from_slice(bare.unwrap_or(value)))
    })
}

/// The hosts of the members: member 3 is `app-3.DOMAIN`, whichever member the name leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    domain: String,
}

/// No domain that hosts can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{domain}` is no domain of the members' hosts; give letters, digits, - and . such as \
     connect.example, at most 200 characters, without a dot at either end"
)]
pub struct BadDomain {
    /// What was given.
    pub domain: String,
}

impl Hosts {
    /// The hosts below this domain.
    ///
    /// # Errors
    /// When it is none.
    pub fn new(domain: &str) -> Result<Self, BadDomain> {
        let label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(inner)
        };
        if domain.len() > 200 || !domain.split('.').all(label) {
            return Err(BadDomain { domain: domain.to_owned() });
        }
        Ok(Self { domain: domain.to_ascii_lowercase() })
    }

    /// A member's host.
    #[must_use]
    pub fn of(&self, member: u64) -> String {
        format!("{APP}{member}.{}", self.domain)
    }

    /// The member that this host is of; a port does not matter. `None` for other hosts.
    #[must_use]
    pub fn member(&self, host: &str) -> Option<u64> {
        let name = host.split(':').next().filter(|name| name.len() <= HOST_BYTES_MAX)?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let number = name.strip_prefix(APP)?.strip_suffix(&self.domain)?.strip_suffix('.')?;
        // One spelling: no sign, no zeros before it.
        let member: u64 = number.parse().ok()?;
        (member.to_string() == number).then_some(member)
    }

    /// The member whose host a request names.
    pub(super) fn find(&self, uri: &Uri, headers: &HeaderMap) -> Option<u64> {
        let named = headers.get(HOST).and_then(|host| host.to_str().ok());
        self.member(uri.host().or(named)?)
    }
}

/// See [`fuzz_points`](super::fuzz_points).
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(data: &[u8]) -> bool {
    let mut read = false;
    let hosts = Hosts { domain: "connect.example".into() };
    let text = String::from_utf8_lossy(data);
    if let Some(member) = hosts.member(&text) {
        let name = text.split(':').next().unwrap_or_default().to_ascii_lowercase();
        assert_eq!(name.strip_suffix('.').unwrap_or(&name), hosts.of(member));
        read = true;
    }
    if let Ok(hosts) = Hosts::new(&text) {
        assert_eq!(hosts.member(&hosts.of(7)), Some(7));
        read = true;
    }
    let mut headers = HeaderMap::new();
    if let Ok(value) = axum::http::HeaderValue::from_bytes(data) {
        headers.insert(COOKIE, value);
    }
    let uri = text.parse().unwrap_or_default();
    for from in [KeyFrom::Cookie("k".into()), KeyFrom::Path("/k/".into()), KeyFrom::Header(COOKIE)]
    {
        if let Ok(Some(key)) = from.find(&uri, &headers) {
            assert!((1..=Placement::KEY_BYTES_MAX).contains(&key.len()));
            // Any text is a header's.
            read |= from != KeyFrom::Header(COOKIE);
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_its_host_alone() {
        let hosts = Hosts::new("Connect.Example").unwrap();
        assert_eq!(hosts.of(3), "app-3.connect.example");
        for (host, member) in [
            ("app-3.connect.example", Some(3)),
            ("APP-3.Connect.example:8443", Some(3)),
            ("app-3.connect.example.", Some(3)),
            ("app-18446744073709551615.connect.example", Some(u64::MAX)),
            ("app-18446744073709551616.connect.example", None),
            ("app-03.connect.example", None),
            ("app-+3.connect.example", None),
            ("app-.connect.example", None),
            ("app-3connect.example", None),
            ("app-3.evil.connect.example", None),
            ("app-3.connect.example.evil", None),
            ("connect.example", None),
            ("", None),
        ] {
            assert_eq!(hosts.member(host), member, "{host}");
        }
    }

    #[test]
    fn a_domain_is_refused_by_name() {
        for domain in ["", ".a", "a.", "a..b", "a/b", "a:1", "ä", &"a".repeat(201)] {
            let error = Hosts::new(domain).unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{domain}` is no domain")), "{error}");
        }
    }

    fn found(from: &KeyFrom, uri: &str, headers: &[(&str, &str)]) -> Result<Option<Bytes>, BadKey> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        from.find(&uri.parse().unwrap(), &map)
    }

    fn key(text: &'static str) -> Result<Option<Bytes>, BadKey> {
        Ok(Some(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn a_key_is_found_where_it_was_said_to_be() {
        let path = KeyFrom::Path("/approvals/".into());
        assert_eq!(found(&path, "/approvals/7f%2Fa/confirm?x=1", &[]), key("7f/a"));
        assert_eq!(found(&path, "/approvals", &[]), Ok(None));
        assert_eq!(found(&path, "/approvals/", &[]), Err(BadKey { bytes: 0 }));
        let cookie = KeyFrom::Cookie("k".into());
        assert_eq!(found(&cookie, "/", &[("cookie", "kk=1; k=\"a=b\" ; k=2")]), key("a=b"));
        assert_eq!(found(&cookie, "/", &[("cookie", "x"), ("cookie", "k=2")]), key("2"));
        assert_eq!(found(&cookie, "/", &[("cookie", "K=2")]), Ok(None));
        let header = KeyFrom::Header(HeaderName::from_static("holm-key"));
        assert_eq!(found(&header, "/", &[("holm-key", "a b")]), key("a b"));
        let long = "k".repeat(257);
        assert_eq!(found(&header, "/", &[("holm-key", &long)]), Err(BadKey { bytes: 257 }));
        let twice = [("holm-key", "a"), ("holm-key", "b")];
        assert_eq!(found(&header, "/", &twice), Err(BadKey { bytes: 0 }));
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_a_client_says_makes_it_panic(text in "(app-[0-9]{0,3}|[k/=;\\PC])*(.connect.example)?") {
            fuzz(text.as_bytes());
        }
    }
}
