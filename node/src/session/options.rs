//! What sessions are to be like: `SessionOptions`.

use super::error::SessionError;
use crate::own::keys::Policy;
use std::time::Duration;

/// What sessions are to be like; the same on all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// The cookie's name without its prefix, 1 to 64 letters, digits, hyphens and underscores. A
    /// token of one name does not open under another.
    pub name: String,
    /// What the sessions are for; a token for one purpose does not open for another. Default:
    /// `session`.
    pub purpose: String,
    /// How long a token is good, in log time, 1 s to [`grace`](Self::grace). Default: 12 hours.
    pub life: Duration,
    /// A new key is made after so long, 1 s to 400 days. The policy of whoever opened sessions last
    /// counts. Default: 1 day.
    pub rotation: Duration,
    /// What an older key sealed opens for so long after it was replaced, 1 s to 400 days. Default:
    /// 7 days.
    pub grace: Duration,
    /// The cookie's `Domain`, where members have hosts of their own below it; its name begins with
    /// `__Secure-` then. `None`: it goes back to its host alone, and begins with `__Host-`.
    pub domain: Option<String>,
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(400 * 24 * 3600);

impl SessionOptions {
    /// The defaults, with this name for the cookie.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            purpose: "session".into(),
            life: Duration::from_secs(12 * 3600),
            rotation: DAY,
            grace: DAY * 7,
            domain: None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), SessionError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !(1..=64).contains(&self.name.len()) || !self.name.bytes().all(is_name) {
            return Err(SessionError::Name { name: self.name.clone() });
        }
        if let Some(domain) = &self.domain {
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
            if !(1..=253).contains(&domain.len()) || !domain.bytes().all(is_host) {
                return Err(SessionError::Domain { domain: domain.clone() });
            }
        }
        for (what, is, most) in [
            ("a key's rotation", self.rotation, MOST),
            ("a key's grace", self.grace, MOST),
            ("a session's life", self.life, self.grace),
        ] {
            if is < LEAST || is > most {
                return Err(SessionError::Time { what, is, least: LEAST, most });
            }
        }
        Ok(())
    }

    pub(crate) fn policy(&self) -> Policy {
        let millis = crate::node::millis;
        Policy { rotation: millis(self.rotation), grace: millis(self.grace) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Spoil = fn(&mut SessionOptions);

    #[test]
    fn each_bound_is_told_by_its_name_and_the_mend() {
        let cases: [(Spoil, &str); 5] = [
            (
                |options| options.name = "a b".into(),
                "\"a b\" is no name for a cookie; give it 1 to 64 letters, digits, hyphens or \
                 underscores",
            ),
            (
                |options| options.domain = Some("a;b".into()),
                "\"a;b\" is no domain; give it letters, digits, hyphens and dots, 1 to 253",
            ),
            (
                |options| options.life = DAY * 8,
                "a session's life is 691200s; give it 1s to 604800s",
            ),
            (
                |options| options.rotation = Duration::ZERO,
                "a key's rotation is 0ns; give it 1s to 34560000s",
            ),
            (
                |options| options.grace = DAY * 401,
                "a key's grace is 34646400s; give it 1s to 34560000s",
            ),
        ];
        for (spoil, told) in cases {
            let mut options = SessionOptions::new("session");
            assert_eq!(options.check(), Ok(()));
            spoil(&mut options);
            assert_eq!(options.check().unwrap_err().to_string(), told);
        }
    }
}
