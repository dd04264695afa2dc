//! Who may ask over HTTP: [`Token`]s, of which a member knows only the hashes, and the [`Role`]
//! that each of them has.

use orion::hazardous::hash::blake2::blake2b::Hasher;
use orion::util::secure_cmp;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// What a token's text begins with.
const TOKEN_PREFIX: &str = "holm-token-";
/// What a hash's text begins with.
const HASH_PREFIX: &str = "holm-hash-";
/// The random part of a token, in bytes.
const TOKEN_BYTES: usize = 32;
/// The most tokens that a member knows.
pub const TOKENS_MAX: usize = 1024;

/// What somebody may do. Each role includes those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read counters, keys, status and metrics.
    Read,
    /// Change counters and keys.
    Write,
    /// Change the cluster, and take what holds its secrets.
    Admin,
}

/// What an operation needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: anybody may ask.
    Nothing,
    /// A token of this role, or of a higher one.
    Role(Role),
}

/// What a client shows: `holm-token-` and 64 hexadecimal digits of randomness. It is wiped from
/// memory when it is dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// All that a member keeps of a token: `holm-hash-` and 64 hexadecimal digits, the BLAKE2b-256 hash
/// of the token's text. A token has 256 random bits, so a slow hash would protect nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

/// A token that a member knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    /// Who has it, for people.
    pub name: String,
    /// What it lets do.
    pub role: Role,
    /// What it is known by.
    pub hash: TokenHash,
}

/// The tokens that a member knows; if there are none, everybody may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<KnownToken>);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// It shows no token.
    Missing,
    /// It shows one that is not known.
    Unknown,
    /// Its token's role is too low.
    Role {
        /// The token's.
        has: Role,
        /// The operation's.
        needs: Role,
    },
}

impl Token {
    /// A new one, of the system's randomness.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn draw() -> std::io::Result<Self> {
        let mut random = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(&mut random[..]).map_err(std::io::Error::other)?;
        Ok(Self(Zeroizing::new(format!("{TOKEN_PREFIX}{}", *hex(&random[..])))))
    }

    /// Its text, to be shown to a member or kept in a file that nobody else reads.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a member knows it by.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl FromStr for Token {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What is wrong is not repeated: it may be nearly a token.
        let bytes = text.strip_prefix(TOKEN_PREFIX).and_then(unhex);
        bytes.ok_or("this is no token; `holm token new` draws one")?;
        Ok(Self(Zeroizing::new(text.into())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl TokenHash {
    fn of(token: &[u8]) -> Self {
        let hash = Hasher::Blake2b256.digest(token).expect("hashing takes any bytes");
        Self(hash.as_ref().try_into().expect("256 bits"))
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with(TOKEN_PREFIX) {
            return Err("this is a token itself, and only its hash belongs here".into());
        }
        let bytes = text.strip_prefix(HASH_PREFIX).and_then(unhex);
        bytes.map(Self).ok_or_else(|| "this is no hash of a token".into())
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", *hex(&self.0))
    }
}

impl Tokens {
    /// These tokens. Their names and hashes differ.
    ///
    /// # Errors
    /// The name that is no good, or is there twice, and what is wrong.
    pub fn new(tokens: Vec<KnownToken>) -> Result<Self, String> {
        if tokens.len() > TOKENS_MAX {
            return Err(format!("{} are more than the most, {TOKENS_MAX}", tokens.len()));
        }
        for (at, token) in tokens.iter().enumerate() {
            let name = &token.name;
            let visible = name.bytes().all(|byte| byte.is_ascii_graphic());
            if name.is_empty() || name.len() > 64 || !visible {
                return Err(format!("`{}` is no name", name.escape_debug()));
            }
            if tokens[..at].iter().any(|other| other.name == *name || other.hash == token.hash) {
                return Err(format!("`{name}` stands there twice, by its name or its hash"));
            }
        }
        Ok(Self(tokens))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token an `Authorization` header shows, if it may do this. It takes as long whichever
    /// token it is, or if it is none.
    pub(super) fn admit(&self, shown: Option<&[u8]>, needs: Needs) -> Result<(), Denied> {
        let Needs::Role(needs) = needs else { return Ok(()) };
        if self.is_empty() {
            return Ok(());
        }
        let shown = shown.ok_or(Denied::Missing)?;
        let hash = bearer(shown).map(TokenHash::of).ok_or(Denied::Unknown)?;
        let mut has = None;
        for known in &self.0 {
            if secure_cmp(&known.hash.0, &hash.0).is_ok() {
                has = Some(known.role);
            }
        }
        match has {
            None => Err(Denied::Unknown),
            Some(has) if has < needs => Err(Denied::Role { has, needs }),
            Some(_) => Ok(()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no role; there are read, write and admin"))
    }
}

/// The token of `Bearer TOKEN`.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Zeroizing::new(digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str, role: Role, token: &Token) -> KnownToken {
        KnownToken { name: name.into(), role, hash: token.hash() }
    }

    #[test]
    fn a_token_admits_up_to_its_role_and_another_one_admits_nothing() {
        let [reads, writes, other] = [(); 3].map(|()| Token::draw().expect("entropy"));
        let tokens = vec![known("r", Role::Read, &reads), known("w", Role::Write, &writes)];
        let tokens = Tokens::new(tokens).expect("sound");
        let admit = |token: &Token, role| {
            let shown = format!("bearer {}", token.reveal());
            tokens.admit(Some(shown.as_bytes()), Needs::Role(role))
        };
        assert_eq!(admit(&reads, Role::Read), Ok(()));
        assert_eq!(admit(&writes, Role::Read), Ok(()));
        assert_eq!(admit(&writes, Role::Write), Ok(()));
        let low = |has, needs| Err(Denied::Role { has, needs });
        assert_eq!(admit(&reads, Role::Write), low(Role::Read, Role::Write));
        assert_eq!(admit(&writes, Role::Admin), low(Role::Write, Role::Admin));
        assert_eq!(admit(&other, Role::Read), Err(Denied::Unknown));
        assert_eq!(tokens.admit(None, Needs::Role(Role::Read)), Err(Denied::Missing));
        assert_eq!(tokens.admit(None, Needs::Nothing), Ok(()));
        let digits = &reads.reveal()["holm-token-".len()..];
        let hash = reads.hash().to_string();
        for shown in ["", "Bearer", "Bearer ", "Basic eDp5", reads.reveal(), digits, &hash] {
            let denied = tokens.admit(Some(shown.as_bytes()), Needs::Role(Role::Read));
            assert_eq!(denied, Err(Denied::Unknown), "{shown}");
        }
        let hashed = format!("Bearer {hash}");
        let denied = tokens.admit(Some(hashed.as_bytes()), Needs::Role(Role::Read));
        assert_eq!(denied, Err(Denied::Unknown), "what a configuration holds opens nothing");
    }

    #[test]
    fn tokens_and_hashes_survive_their_text_and_are_not_taken_for_each_other() {
        let token = Token::draw().expect("entropy");
        let again: Token = token.reveal().parse().expect("its text");
        assert_eq!((again.reveal(), again.hash()), (token.reveal(), token.hash()));
        assert_eq!(token.hash().to_string().parse(), Ok(token.hash()));
        assert!(
            token.reveal().parse::<TokenHash>().expect_err("a token").contains("only its hash")
        );
        assert!(token.hash().to_string().parse::<Token>().is_err());
        let cut = &token.reveal()[..token.reveal().len() - 1];
        let error = cut.parse::<Token>().expect_err("cut");
        assert!(!error.contains(&cut[20..]) && !format!("{token:?}").contains(&cut[20..]));
    }

    #[test]
    fn a_name_or_a_hash_that_is_there_twice_is_refused() {
        let [a, b] = [(); 2].map(|()| Token::draw().expect("entropy"));
        let twice = vec![known("a", Role::Read, &a), known("a", Role::Read, &b)];
        assert!(Tokens::new(twice).is_err());
        let twice = vec![known("a", Role::Read, &a), known("b", Role::Read, &a)];
        assert!(Tokens::new(twice).is_err());
        for name in ["", "a b", "ä"] {
            assert!(Tokens::new(vec![known(name, Role::Read, &a)]).is_err(), "{name}");
        }
        let many = vec![known("a", Role::Read, &a); TOKENS_MAX + 1];
        assert!(Tokens::new(many).expect_err("too many").contains("1024"));
    }
}
