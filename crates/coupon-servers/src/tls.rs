//! Encrypted connections to servers, and the authorities to trust there.
//!
//! Each driver brings its own TLS settings and all of them the same library. An address asks for encryption in its
//! driver's own way; the authority that signed the certificates is one setting for all.

use std::sync::Arc;

use coupon_store::settings::ServerUrl;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

const SETTING: &str = "setting `servers.ca_file`";

/// Holds an address to what `servers.ca_file` promises: with an authority named, everything is to be encrypted.
pub(super) fn check(setting: &str, url: &ServerUrl, encrypted: bool, how: &str) -> anyhow::Result<()> {
    if encrypted {
        // Drivers take the process's; without this, any library could change which one that is.
        let _ = crypto::ring::default_provider().install_default();
    }
    anyhow::ensure!(
        encrypted || url.ca_file().is_none(),
        "setting `{setting}`: servers.ca_file is set, so the connection to {} must be encrypted: write {how}",
        url.host()
    );
    Ok(())
}

/// The authority that the settings name, as PEM; `None` for those that browsers trust.
pub(super) fn authority(url: &ServerUrl) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(file) = url.ca_file() else { return Ok(None) };
    let pem = std::fs::read(file)
        .map_err(|error| anyhow::anyhow!("{SETTING}: cannot read {}: {error}", file.display()))?;
    // Drivers find out late, or panic.
    roots(&pem).map_err(|why| anyhow::anyhow!("{SETTING}: {}: {why}", file.display()))?;
    Ok(Some(pem))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is no PEM file ({error})"))?;
        roots.add(certificate).map_err(|error| format!("it holds no authority's certificate ({error})"))?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
}

/// For a driver that wants it ready made.
pub(super) fn connector(url: &ServerUrl) -> anyhow::Result<TlsConnector> {
    let roots = match authority(url)? {
        Some(pem) => roots(&pem).map_err(anyhow::Error::msg)?,
        None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
    };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Advice about a certificate that no trusted authority has signed.
pub(super) fn hint(why: &str) -> &'static str {
    // The second is the error when an authority of the same name is trusted.
    let not_trusted = ["UnknownIssuer", "BadSignature"].iter().any(|sign| why.contains(sign));
    if not_trusted { "; setting `servers.ca_file` names who signed it" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_authority_is_refused() {
        for (pem, says) in [
            ("", "no certificate"),
            ("nonsense", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no authority's"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "no PEM file"),
        ] {
            let error = roots(pem.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{pem:?}: {error}");
        }
    }
}
