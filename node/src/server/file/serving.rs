//! The keys of the configuration file that say whom HTTP serves, and with how much: [`Serving`].

use super::written::Written;
use super::{Overrides, within};
use crate::rendezvous::http::Options;
use crate::server::access::{KnownToken, Role, TokenHash, Tokens};
use crate::server::http::Guarded;
use crate::server::limits::{self, Limits};
use crate::server::tls;
use crate::topology::FileError;
use clap::Args;
use rustls::ServerConfig;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Whom HTTP serves, and with how much.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    /// Whose requests are answered; if there are none, everybody's.
    pub tokens: Tokens,
    /// How connections are sealed, if they are.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether connections show a certificate.
    pub guarded: Guarded,
    /// How much is taken.
    pub limits: Limits,
    /// How requests find the member that they are for, if members have hosts.
    pub points: Option<Options>,
}

/// A choice against something that is on otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Off {
    Off,
}

/// One of `[[tokens]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenToken {
    name: String,
    role: Role,
    hash: String,
}

/// What flags and environment say of HTTP over the file.
#[derive(Args, Clone, Debug, Default)]
pub struct ServingOverrides {
    /// The file of the certificate that HTTP shows (PEM)
    #[arg(long, env = "HOLM_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The file of that certificate's private key (PEM)
    #[arg(long, env = "HOLM_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Whoever connects to HTTP must show a certificate signed by one in this file (PEM)
    #[arg(long, env = "HOLM_TLS_CLIENT_CA", value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,
    /// HTTP connections at a time
    #[arg(long, env = "HOLM_HTTP_CONNECTIONS_MAX", value_name = "N")]
    pub http_connections_max: Option<usize>,
    /// HTTP connections of one address at a time
    #[arg(long, env = "HOLM_HTTP_CONNECTIONS_PER_ADDRESS_MAX", value_name = "N")]
    pub http_connections_per_address_max: Option<usize>,
    /// HTTP requests a second of one address
    #[arg(long, env = "HOLM_HTTP_REQUESTS_PER_SECOND", value_name = "N")]
    pub http_requests_per_second: Option<u32>,
    /// Milliseconds the head of an HTTP request may take
    #[arg(long, env = "HOLM_HTTP_HEADER_TIMEOUT_MS", value_name = "MS")]
    pub http_header_timeout_ms: Option<u64>,
    /// Milliseconds the body of an HTTP request may take
    #[arg(long, env = "HOLM_HTTP_BODY_TIMEOUT_MS", value_name = "MS")]
    pub http_body_timeout_ms: Option<u64>,
    /// The members' hosts are app-ID.DOMAIN; a request for one is brought to its member
    #[arg(long, env = "HOLM_HOSTS_DOMAIN", value_name = "DOMAIN")]
    pub hosts_domain: Option<String>,
    /// Send a client with a key to its owner's host, instead of handing its request over
    #[arg(long, env = "HOLM_HOSTS_REDIRECT", value_name = "SCHEME[:PORT]")]
    pub hosts_redirect: Option<String>,
}

const NAMES: tls::Names = tls::Names { cert: "tls_cert", key: "tls_key", ca: "tls_client_ca" };

impl Written {
    /// Whom HTTP serves at `http`, and with how much. Files are found like the data directory.
    pub(super) fn serving_of(
        &self,
        folder: &Path,
        overrides: &Overrides,
        http: &str,
    ) -> Result<Serving, FileError> {
        let given = &overrides.serving;
        let path = |given: &Option<PathBuf>, written: &Option<PathBuf>| {
            given.clone().or_else(|| written.as_ref().map(|path| folder.join(path)))
        };
        let cert = path(&given.tls_cert, &self.tls_cert);
        let key = path(&given.tls_key, &self.tls_key);
        let ca = path(&given.tls_client_ca, &self.tls_client_ca);
        let tokens = tokens(&self.tokens)?;
        self.check_guard(&tokens, ca.is_some(), http)?;
        self.check_sealed(&tokens, cert.is_some(), http)?;
        let tls = match (&cert, &key) {
            (Some(cert), Some(key)) => Some(tls::server(&NAMES, cert, key, ca.as_deref())?),
            (None, None) if ca.is_none() => None,
            (None, _) => return Err(missing("tls_cert")),
            (Some(_), None) => return Err(missing("tls_key")),
        };
        let guarded = if ca.is_some() { Guarded::ByCertificates } else { Guarded::No };
        let (limits, points) = (self.limits_of(overrides)?, self.points_of(overrides)?);
        Ok(Serving { tokens, tls, guarded, limits, points })
    }

    /// Strangers are kept away, or cannot reach it, or are welcome by the operator's own word.
    fn check_guard(&self, tokens: &Tokens, certified: bool, http: &str) -> Result<(), FileError> {
        let guarded = certified || !tokens.is_empty();
        match self.auth {
            Some(Off::Off) if guarded => {
                let other = if certified { "tls_client_ca" } else { "[[tokens]]" };
                let problem = format!("contradicts {other}, which keep strangers away");
                Err(FileError::new("auth", problem, "remove one of the two"))
            }
            None if !guarded && !is_loopback(http) => {
                let problem = format!(
                    "other machines can reach http = \"{http}\", and nothing keeps them from \
                     reading and changing everything"
                );
                let mend = "add [[tokens]] (`holm token new` draws one), or tls_client_ca; or add \
                            auth = \"off\" to accept that";
                Err(FileError::new("auth", problem, mend))
            }
            _ => Ok(()),
        }
    }

    /// Tokens don't cross a network for everybody to read, unless the operator says so.
    fn check_sealed(&self, tokens: &Tokens, sealed: bool, http: &str) -> Result<(), FileError> {
        match self.tls {
            Some(Off::Off) if sealed => {
                let problem = "contradicts tls_cert, with which HTTP is sealed";
                Err(FileError::new("tls", problem, "remove one of the two"))
            }
            None if !sealed && !tokens.is_empty() && !is_loopback(http) => {
                let problem = format!(
                    "is missing: whoever can read the wire to http = \"{http}\" would learn the \
                     tokens"
                );
                let mend = "add tls_cert and tls_key; or add tls = \"off\" where something else \
                            seals the way";
                Err(FileError::new("tls_cert", problem, mend))
            }
            _ => Ok(()),
        }
    }

    fn limits_of(&self, overrides: &Overrides) -> Result<Limits, FileError> {
        let (given, unset) = (&overrides.serving, Limits::default());
        let connections = given.http_connections_max.or(self.http_connections_max);
        let of_address =
            given.http_connections_per_address_max.or(self.http_connections_per_address_max);
        let rate = given.http_requests_per_second.or(self.http_requests_per_second);
        let header = given.http_header_timeout_ms.or(self.http_header_timeout_ms);
        let body = given.http_body_timeout_ms.or(self.http_body_timeout_ms);
        within("http_connections_max", connections, &limits::CONNECTIONS)?;
        within("http_connections_per_address_max", of_address, &limits::CONNECTIONS)?;
        within("http_requests_per_second", rate, &limits::REQUESTS_PER_SECOND)?;
        within("http_header_timeout_ms", header, &limits::TIMEOUT_MS)?;
        within("http_body_timeout_ms", body, &limits::TIMEOUT_MS)?;
        Ok(Limits {
            connections_max: connections.unwrap_or(unset.connections_max),
            connections_per_address_max: of_address.unwrap_or(unset.connections_per_address_max),
            requests_per_second: rate,
            header_timeout: header.map_or(unset.header_timeout, Duration::from_millis),
            body_timeout: body.map_or(unset.body_timeout, Duration::from_millis),
        })
    }
}

fn tokens(written: &[WrittenToken]) -> Result<Tokens, FileError> {
    let known = |token: &WrittenToken| {
        let hash: Result<TokenHash, String> = token.hash.parse();
        let hash = hash.map_err(|problem| {
            let key = format!("tokens {}: hash", token.name.escape_debug());
            FileError::new(key, problem, "give the holm-hash-… that `holm token new` prints")
        })?;
        Ok(KnownToken { name: token.name.clone(), role: token.role, hash })
    };
    let known = written.iter().map(known).collect::<Result<_, _>>()?;
    Tokens::new(known).map_err(|problem| {
        let mend = "give each its own name, of 1 to 64 visible ASCII characters, and its own hash";
        FileError::new("tokens", problem, mend)
    })
}

fn missing(key: &str) -> FileError {
    let problem = "is missing: a certificate and its private key belong together";
    let flag = key.replace('_', "-");
    FileError::new(key, problem, format!("add {key} = \"FILE\" (or --{flag})"))
}

/// Whether only this machine reaches an address.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}
