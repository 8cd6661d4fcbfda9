//! TLS: whom to trust, what the server showed, and what is wrong with it in one word.

use super::verifier::Verifier;
use super::{Connection, Trust};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, Error, RootCertStore, SignatureScheme};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is wrong with TLS: the fact's word for it, and a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pub word: &'static str,
    pub text: String,
}

impl Fault {
    /// A fault of that word.
    pub fn new(word: &'static str, text: impl Into<String>) -> Self {
        Self { word, text: text.into() }
    }

    /// The fault that an error of TLS stands for. `asked` is whether the server asked for a certificate of the client,
    /// and if so whether it got one.
    pub fn of(error: &Error, asked: Option<bool>) -> Self {
        use AlertDescription as A;
        match error {
            Error::AlertReceived(A::CertificateRequired) => wanted(false),
            Error::AlertReceived(
                A::HandshakeFailure
                | A::BadCertificate
                | A::UnknownCA
                | A::CertificateUnknown
                | A::CertificateExpired
                | A::AccessDenied,
            ) if asked.is_some() => wanted(asked == Some(true)),
            Error::InvalidMessage(_) => Fault::new("other", "what the port answers to TLS is not TLS"),
            Error::PeerIncompatible(_) | Error::AlertReceived(A::ProtocolVersion) => {
                Fault::new("other", format!("no TLS version in common; TLS 1.2 and 1.3 are tried ({error})"))
            }
            Error::AlertReceived(A::UnrecognisedName) => {
                Fault::new("other_name", "the server has no certificate for this name")
            }
            other => Fault::new("other", other.to_string()),
        }
    }
}

/// The fault of a certificate that the server wants of the client; `sent` is whether it got one.
pub fn wanted(sent: bool) -> Fault {
    let text = match sent {
        true => "the server refuses the client's certificate",
        false => "the server wants a certificate of the client",
    };
    Fault::new("client_certificate_wanted", text)
}

/// The TLS error inside an I/O error, which may be wrapped in another one.
pub fn tls_error(io: &std::io::Error) -> Option<&Error> {
    let mut io = io;
    for _ in 0..4 {
        let inner = io.get_ref()?;
        if let Some(tls) = inner.downcast_ref() {
            return Some(tls);
        }
        io = inner.downcast_ref()?;
    }
    None
}

/// What a server showed in its last handshake.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    pub certificate: Option<String>,
    pub fault: Option<Fault>,
}

/// How to speak TLS with a server.
#[derive(Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    verifier: Arc<Verifier>,
    identity: Arc<Identity>,
}

impl Tls {
    /// With the system's roots, those of the user and of the client's request, and the client's certificate.
    ///
    /// # Errors
    /// The file that cannot be used, and why.
    pub fn new(trust: &Trust, connection: &Connection) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut own = Vec::new();
        if let Some(path) = &connection.cacert {
            own.extend(
                certificates(&read(path, "--cacert")?).map_err(|e| format!("--cacert {}: {e}", path.display()))?,
            );
        }
        if let Some(pem) = &trust.roots {
            own.extend(certificates(pem).map_err(|error| format!("the client's --cacert: {error}"))?);
        }
        let mut roots = RootCertStore::empty();
        let (system, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(own.iter().cloned());
        let key = match &connection.identity {
            None => None,
            Some((certificate, key)) => {
                let chain = certificates(&read(certificate, "--cert")?)
                    .map_err(|error| format!("--cert {}: {error}", certificate.display()))?;
                let wrong = |error: &dyn std::fmt::Display| format!("--key {}: {error}", key.display());
                let key = PrivateKeyDer::from_pem_slice(&read(key, "--key")?)
                    .map_err(|_| wrong(&"no private key in PEM form (an encrypted one cannot be used)"))?;
                Some(Arc::new(CertifiedKey::from_der(chain, key, &provider).map_err(|error| wrong(&error))?))
            }
        };
        let verifier = Verifier {
            provider: provider.clone(),
            roots,
            system,
            own,
            insecure: trust.insecure,
            shown: Mutex::default(),
        };
        let identity = Identity { key, asked: AtomicBool::new(false) };
        Ok(Self { provider, verifier: Arc::new(verifier), identity: Arc::new(identity) })
    }

    /// The settings of one handshake.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier.clone())
            .with_client_cert_resolver(self.identity.clone());
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        // A resumed session would show no certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// What the server showed so far.
    pub fn shown(&self) -> Shown {
        self.verifier.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the server asked for a certificate of the client, and if so whether it got one.
    pub fn asked(&self) -> Option<bool> {
        self.identity.asked.load(Ordering::Relaxed).then_some(self.identity.key.is_some())
    }

    /// The fault behind a failed handshake.
    pub fn fault(&self, error: &std::io::Error) -> Fault {
        match (tls_error(error), self.shown().fault) {
            (Some(Error::InvalidCertificate(_)), Some(fault)) => fault,
            (Some(tls), _) => Fault::of(tls, self.asked()),
            (None, _) if self.asked() == Some(false) => wanted(false),
            (None, _) => Fault::new("other", format!("the connection ended within the handshake ({error})")),
        }
    }
}

fn read(path: &std::path::Path, option: &str) -> Result<Vec<u8>, String> {
    /// Largest file of certificates, bytes; a system's whole bundle has a quarter of a megabyte.
    const LIMIT_BYTES: u64 = 4 << 20;
    crate::regular_file::read(path, LIMIT_BYTES).map_err(|error| format!("{option} {}: {error}", path.display()))
}

/// The certificates of a PEM file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("no certificate in PEM form (-----BEGIN CERTIFICATE-----) in it".into()),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("not PEM: {error}")),
    }
}

/// The client's certificate; hears whether the server asks for one.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    // Asked without one too, so that it is heard whether the server wants one.
    fn has_certs(&self) -> bool {
        true
    }
}
