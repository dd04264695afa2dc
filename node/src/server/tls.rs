//! TLS for HTTP, by rustls over ring, version 1.3 alone: [`server`] and [`client`] make each end's
//! settings from files of certificates and keys in PEM. There are no certificates but those that
//! are named: a network that is an island has no use for the authorities of the web.

use super::file::secrets;
use crate::topology::FileError;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// The keys, or the flags, that name an end's files.
pub(super) struct Names {
    pub(super) cert: &'static str,
    pub(super) key: &'static str,
    pub(super) ca: &'static str,
}

/// What a member shows at `cert` and `key`; with a `client_ca`, whoever connects has to show a
/// certificate that one of its authorities has signed.
pub(super) fn server(
    names: &Names,
    cert: &Path,
    key: &Path,
    client_ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, FileError> {
    let own = (certificates(names.cert, cert)?, private_key(names.key, key)?);
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(&[&TLS13]).expect("ring has what TLS 1.3 needs");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(roots(names.ca, path)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            builder
                .with_client_cert_verifier(verifier.map_err(|error| bad(names.ca, path, &error))?)
        }
    };
    let config = builder.with_single_cert(own.0, own.1);
    let mut config = config.map_err(|error| bad(names.cert, cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Whom a client believes, and what it shows of itself, if it does.
pub(super) fn client(
    names: &Names,
    ca: &Path,
    own: Option<(&Path, &Path)>,
) -> Result<ClientConfig, FileError> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(&[&TLS13]).expect("ring has what TLS 1.3 needs");
    let builder = builder.with_root_certificates(roots(names.ca, ca)?);
    let Some((cert, key)) = own else { return Ok(builder.with_no_client_auth()) };
    let config = builder
        .with_client_auth_cert(certificates(names.cert, cert)?, private_key(names.key, key)?);
    config.map_err(|error| bad(names.cert, cert, &error))
}

/// The settings of a client that believes nobody.
pub(super) fn nobody() -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder.with_protocol_versions(&[&TLS13]).expect("ring has what TLS 1.3 needs");
    builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn certificates(name: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = found.map_err(|error| bad(name, path, &error))?;
    if found.is_empty() { Err(bad(name, path, &"there is no certificate")) } else { Ok(found) }
}

fn private_key(name: &str, path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    let text = secrets::read(name, path, "name the PEM file of a private key")?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| bad(name, path, &error))
}

fn roots(name: &str, path: &Path) -> Result<RootCertStore, FileError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(name, path)? {
        roots.add(certificate).map_err(|error| bad(name, path, &error))?;
    }
    Ok(roots)
}

fn bad(name: &str, path: &Path, problem: &dyn std::fmt::Display) -> FileError {
    let problem = format!("{} is no good: {problem}", path.display());
    FileError::new(
        name,
        problem,
        "name a PEM file, with the certificates or the key that belong here",
    )
}
