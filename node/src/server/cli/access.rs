//! Whom client commands ask, and what they show of themselves: [`ClientArgs`].

use super::{Endpoint, duration};
use crate::server::client::{Access, Client};
use crate::server::file::secrets;
use crate::server::tls;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args)]
pub(super) struct ClientArgs {
    /// Members to ask, in turn until one answers [port 7680 if none is given]
    #[arg(
        long,
        global = true,
        env = "HOLM_ENDPOINT",
        value_name = "URL|HOST:PORT",
        value_delimiter = ',',
        value_parser = Endpoint::parse,
        default_value = "http://127.0.0.1:7680"
    )]
    pub(super) endpoint: Vec<Endpoint>,
    /// How long to try, such as 10s or 500ms
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(super) timeout: Duration,
    /// The file of the token to show, for its owner alone
    #[arg(long, global = true, env = "HOLM_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// For https://: the file of those whose certificates are believed (PEM)
    #[arg(long, global = true, env = "HOLM_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The file of the certificate to show (PEM), with --cert-key and --ca
    #[arg(long, global = true, env = "HOLM_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The file of that certificate's private key (PEM), for its owner alone
    #[arg(long, global = true, env = "HOLM_CERT_KEY", value_name = "FILE")]
    cert_key: Option<PathBuf>,
}

const NAMES: tls::Names = tls::Names { cert: "--cert", key: "--cert-key", ca: "--ca" };

impl ClientArgs {
    /// The client that asks.
    ///
    /// # Errors
    /// A file that is no good, or one that goes with another one that is missing.
    pub(super) fn client(&self) -> Result<Client, String> {
        let token = self.token_file.as_ref().map(|path| {
            let mend = "name a file that `holm token new --out` has written";
            let text = secrets::read("--token-file", path, mend);
            let text = text.map_err(|error| error.to_string())?;
            let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
            let mut lines = lines.filter(|line| !line.is_empty());
            let token = lines.next().unwrap_or_default().parse();
            token.map_err(|problem| format!("--token-file: {}: {problem}", path.display()))
        });
        let own = match (&self.cert, &self.cert_key) {
            (Some(cert), Some(key)) => Some((cert.as_path(), key.as_path())),
            (None, None) => None,
            (Some(_), None) => return Err("--cert needs --cert-key as well".into()),
            (None, Some(_)) => return Err("--cert-key needs --cert as well".into()),
        };
        let tls = match (&self.ca, own) {
            (Some(ca), own) => Some(tls::client(&NAMES, ca, own)),
            (None, None) => None,
            (None, Some(_)) => return Err("--cert needs --ca as well: whom to show it to".into()),
        };
        let tls = tls.transpose().map_err(|error| error.to_string())?;
        Ok(Client::with(Access { token: token.transpose()?, tls }))
    }
}
