//! What a member reads again at SIGHUP, while it goes on: [`Changes`]. The secrets that its links
//! begin with, the tokens that HTTP asks for, and the certificates that HTTP shows and believes. A
//! file that is no good changes nothing of what it is about, and the log says so.

use super::file::{ServeConfig, Serving, secrets};
use super::http::{Gate, Guarded};
use crate::node::Node;
use crate::store::Store;
use crate::topology::FileError;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

/// What can change of a member that runs.
pub(super) struct Changes<'a> {
    pub(super) node: &'a Node<Store>,
    pub(super) gate: Arc<Gate>,
    /// As it was when it started, and stays.
    pub(super) guarded: Guarded,
    /// Where the secrets are; none if links are insecure.
    pub(super) secrets: Option<PathBuf>,
    /// How HTTP is sealed; none if it is not.
    pub(super) tls: Option<watch::Sender<Arc<ServerConfig>>>,
}

impl Changes<'_> {
    /// Reads all of it again whenever that is asked for.
    pub(super) async fn reread(
        &self,
        reload: impl Fn() -> Result<ServeConfig, FileError>,
        asked: &Notify,
    ) -> Infallible {
        loop {
            asked.notified().await;
            self.secrets().await;
            let changed = reload()
                .map_err(|error| error.to_string())
                .and_then(|config| self.serve_by(config.serving));
            match changed {
                Ok(()) => tracing::info!("tokens and certificates for HTTP were read again"),
                Err(error) => tracing::error!(
                    "tokens and certificates for HTTP were not read again, the old ones count: \
                     {error}"
                ),
            }
        }
    }

    async fn secrets(&self) {
        let Some(path) = &self.secrets else {
            tracing::warn!("SIGHUP: links between members are insecure, there are no secrets");
            return;
        };
        let ring = secrets::ring(path).map_err(|error| error.to_string());
        let changed = match ring {
            Ok(ring) => {
                let ids: Vec<_> = ring.ids().map(|id| id.to_string()).collect();
                let changed = self.node.change_secrets(ring).await;
                changed.map(|()| ids).map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        match changed {
            Ok(ids) => tracing::info!(ids = ids.join(" "), "the secrets were read again"),
            Err(error) => {
                tracing::error!("the secrets were not read again, the old ones count: {error}");
            }
        }
    }

    /// All of it or nothing. Connections that stand go on: a token that is gone lets in no further
    /// request on them, and certificates count for handshakes that begin now.
    fn serve_by(&self, Serving { tokens, tls, guarded, .. }: Serving) -> Result<(), String> {
        if guarded != self.guarded || tls.is_some() != self.tls.is_some() {
            return Err("whether HTTP is sealed, and asks for certificates, is settled when the \
                        member starts; restart it, or undo that"
                .into());
        }
        if let (Some(own), Some(tls)) = (&self.tls, tls) {
            own.send_replace(tls);
        }
        self.gate.change_tokens(tokens);
        Ok(())
    }
}
