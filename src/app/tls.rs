//! TLS of the listeners: certificates are read from files, and read again when the files change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::sync::watch;

use super::tasks::Tasks;
use crate::config::server::TlsFiles;
use crate::fault::{Fault, Kind, Outcome};

/// What is negotiated with ALPN.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Http,
    /// HTTP/2 alone.
    Grpc,
}

/// The certificates in force. Cloning shares them.
pub(super) type Certificates = watch::Receiver<Arc<ServerConfig>>;

/// Reads the files and keeps looking at them, until the gateway takes no more connections.
///
/// # Errors
/// `Unavailable`, naming the variable, when they cannot be used. Not later: then the ones in force stay.
pub(super) fn certificates(
    files: TlsFiles,
    protocols: Protocols,
    every: Duration,
    tasks: &Tasks,
    mut accepting: watch::Receiver<bool>,
) -> Outcome<Certificates> {
    let mut known = Contents::read(&files)?;
    let (in_force, certificates) = watch::channel(Arc::new(known.config(&files, protocols)?));
    tasks.start(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = accepting.wait_for(|accepting| !*accepting) => return,
            }
            let renewed = Contents::read(&files).and_then(|contents| {
                if contents == known {
                    return Ok(None);
                }
                let config = contents.config(&files, protocols)?;
                Ok(Some((contents, config)))
            });
            match renewed {
                Ok(None) => {}
                Ok(Some((contents, config))) => {
                    known = contents;
                    in_force.send_replace(Arc::new(config));
                    tracing::info!(setting = files.variable, "renewed certificates are in force");
                }
                // Half-written files look like this, too: the next look finds them whole.
                Err(fault) => tracing::warn!(setting = files.variable, "the old certificates stay in force: {fault}"),
            }
        }
    });
    Ok(certificates)
}

#[derive(PartialEq, Eq)]
struct Contents {
    cert: Vec<u8>,
    key: zeroize::Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Outcome<Self> {
        let read = |path: &Path| std::fs::read(path).map_err(|error| unusable(files, &error.to_string()));
        Ok(Self {
            cert: read(&files.cert)?,
            key: read(&files.key)?.into(),
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn config(&self, files: &TlsFiles, protocols: Protocols) -> Outcome<ServerConfig> {
        let chain = chain_of(&self.cert).ok_or_else(|| unusable(files, "there is no certificate in it"))?;
        // The parser's own words could quote the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| unusable(files, "its key file has no key"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(files, &error.to_string()))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let unusable_ca = |reason: &str| {
                    Fault::new(Kind::Unavailable).say(format!("GRPC_TLS_CLIENT_CA cannot be used: {reason}"))
                };
                let mut roots = RootCertStore::empty();
                for authority in chain_of(authorities).ok_or_else(|| unusable_ca("there is no certificate in it"))? {
                    roots.add(authority).map_err(|error| unusable_ca(&error.to_string()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| unusable_ca(&error.to_string()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unusable(files, &error.to_string()))?;
        config.alpn_protocols = match protocols {
            Protocols::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            Protocols::Grpc => vec![b"h2".to_vec()],
        };
        Ok(config)
    }
}

fn chain_of(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!chain.is_empty()).then_some(chain)
}

fn unusable(files: &TlsFiles, reason: &str) -> Fault {
    Fault::new(Kind::Unavailable).say(format!("{} cannot be used: {reason}", files.variable))
}
