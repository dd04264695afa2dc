//! The keys of the configuration file that say which hosts the members have, and how requests find
//! them: `hosts_domain` and `hosts_redirect`.

use super::Overrides;
use super::written::Written;
use crate::rendezvous::http::{Hosts, Options, Redirect};
use crate::topology::FileError;

impl Written {
    /// How requests find their member; nothing if members have no hosts.
    pub(super) fn points_of(&self, overrides: &Overrides) -> Result<Option<Options>, FileError> {
        let given = &overrides.serving;
        let domain = given.hosts_domain.as_ref().or(self.hosts_domain.as_ref());
        let redirect = given.hosts_redirect.as_ref().or(self.hosts_redirect.as_ref());
        let Some(domain) = domain else {
            return match redirect {
                None => Ok(None),
                Some(_) => {
                    let mend = "add hosts_domain = \"DOMAIN\", or remove it";
                    Err(FileError::new("hosts_redirect", "needs hosts_domain", mend))
                }
            };
        };
        let hosts = Hosts::new(domain).map_err(|error| {
            let text = error.to_string();
            let (problem, mend) = text.split_once("; ").unwrap_or((&text, ""));
            FileError::new("hosts_domain", problem, mend)
        })?;
        let redirect = redirect.map(|text| redirected(text)).transpose()?;
        // What is served here is replicated: two members may serve a key for a moment.
        Ok(Some(Options { hosts: Some(hosts), redirect, claim: None, ..Options::default() }))
    }
}

/// `https`, `http`, or one of them and a port: `https:8443`.
fn redirected(text: &str) -> Result<Redirect, FileError> {
    let (scheme, port) = match text.split_once(':') {
        None => (text, Ok(None)),
        Some((scheme, port)) => (scheme, port.parse().map(Some)),
    };
    match port {
        Ok(port) if ["http", "https"].contains(&scheme) && port != Some(0) => {
            Ok(Redirect { scheme: scheme.to_owned(), port })
        }
        _ => {
            let problem = format!("`{text}` is no way to a member's host");
            let mend = "write https, http, or one of them with a port, such as https:8443";
            Err(FileError::new("hosts_redirect", problem, mend))
        }
    }
}
