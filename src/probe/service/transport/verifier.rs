//! Verifies a server's certificate as webpki does, and keeps what was shown and what is wrong with it.

use super::certificate::Certificate;
use super::tls::{Fault, Shown};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// Verifies as webpki does, and keeps what was shown. A certificate that the user named is trusted as it is, also one
/// that calls itself an authority, which `openssl req -x509` makes and webpki takes for no server's.
#[derive(Debug)]
pub struct Verifier {
    pub provider: Arc<CryptoProvider>,
    pub roots: RootCertStore,
    /// How many of them are the system's.
    pub system: usize,
    /// Certificates that the user named.
    pub own: Vec<CertificateDer<'static>>,
    /// Accept every certificate; what is wrong with it is kept all the same.
    pub insecure: bool,
    pub shown: Mutex<Shown>,
}

impl Verifier {
    fn judge(
        &self,
        end: &CertificateDer,
        chain: &[CertificateDer],
        name: &ServerName,
        now: UnixTime,
    ) -> Option<(Fault, Error)> {
        let read = Certificate::read(end);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let with = |word, text: String, error: CertificateError| Some((Fault::new(word, text), error.into()));
        if let Some(read) = read.as_ref().filter(|read| read.not_after.as_second() < seconds) {
            return with(
                "expired",
                format!("the certificate has expired on {}", read.not_after),
                CertificateError::Expired,
            );
        }
        if let Some(read) = read.as_ref().filter(|read| read.not_before.as_second() > seconds) {
            let text = format!("the certificate is not valid yet: it begins on {}", read.not_before);
            return with("not_yet_valid", text, CertificateError::NotValidYet);
        }
        let parsed = match ParsedCertificate::try_from(end) {
            Ok(parsed) => parsed,
            Err(error) => {
                return Some((Fault::new("other", format!("the certificate cannot be read ({error})")), error));
            }
        };
        let named = verify_server_name(&parsed, name);
        let algorithms = self.provider.signature_verification_algorithms.all;
        let trusted = match self.own.iter().any(|own| own == end) {
            true => Ok(()),
            false => verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, chain, now, algorithms),
        };
        let other_name = named.as_ref().err().map(|error| other_name(name, error));
        match (trusted, named) {
            (Err(error), _) => {
                let (word, mut text) = self.distrust(read.as_ref(), chain, &error);
                if let Some(also) = other_name {
                    text = format!("{text}; besides, {also}");
                }
                Some((Fault::new(word, text), error))
            }
            (Ok(()), Err(error)) => Some((Fault::new("other_name", other_name.unwrap_or_default()), error)),
            (Ok(()), Ok(())) => None,
        }
    }

    /// Why the chain leads to no trusted root.
    fn distrust(&self, read: Option<&Certificate>, chain: &[CertificateDer], error: &Error) -> (&'static str, String) {
        use CertificateError as C;
        // webpki's word for a certificate that calls itself an authority; the variant is not public here.
        let signs_itself = format!("{error:?}").contains("CaUsedAsEndEntity");
        let none = if self.system == 0 { "; this machine has no root certificates of its own" } else { "" };
        match error {
            Error::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
                ("expired", "a certificate in the server's chain has expired".into())
            }
            Error::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
                ("not_yet_valid", "a certificate in the server's chain is not valid yet".into())
            }
            _ if read.is_some_and(|read| read.self_issued) => ("self_signed", "the certificate is self-signed".into()),
            Error::InvalidCertificate(C::UnknownIssuer) => {
                let issuer = read.map_or("(unread)", |read| &read.issuer);
                let alone =
                    if chain.is_empty() { "; the server sends no intermediate certificate with it" } else { "" };
                ("unknown_issuer", format!("the certificate's issuer, {issuer}, is not trusted here{alone}{none}"))
            }
            _ if signs_itself => ("other", "the certificate is an authority's own and no server's".into()),
            other => ("other", other.to_string()),
        }
    }
}

fn other_name(name: &ServerName, error: &Error) -> String {
    let presented = match error {
        Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => presented.as_slice(),
        _ => &[],
    };
    // `DnsName("asr.example")`, `IpAddress(127.0.0.1)`.
    let bare = |text: &String| text.split_once('(').map_or(text.as_str(), |(_, rest)| rest).replace(['"', ')'], "");
    let names: Vec<String> = presented.iter().take(8).map(bare).collect();
    let asked = name.to_str();
    match names.is_empty() {
        true => format!("the certificate names no host at all (no subjectAltName), so not {asked}"),
        false => format!("the certificate is for {}, and not for {asked}", names.join(", ")),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.judge(end, chain, name, now);
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.certificate = Certificate::read(end).map(|read| read.told());
        shown.fault = judged.as_ref().map(|(fault, _)| fault.clone());
        match judged {
            Some((_, error)) if !self.insecure => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
