//! Certificates that a stack's servers encrypt connections with.
//!
//! The stack's folder remembers it: servers that are started there again use the same.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::files::{make_dir, write_private};

/// A certificate for 127.0.0.1 with its key, and the certificate of the authority that signed it, as PEM.
#[derive(Clone)]
pub struct Certificates {
    /// The certificate of the authority that clients must trust.
    pub ca: String,
    /// The servers' certificate, the same for all.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificates")
    }
}

/// The files that servers are configured with.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Tls {
    fn in_stack(stack: &Path) -> Self {
        let dir = stack.join("tls");
        Self { ca: dir.join("ca.pem"), certificate: dir.join("server.pem"), key: dir.join("server.key") }
    }

    /// A stack's, if its servers encrypt.
    pub(crate) fn of(stack: &Path) -> Option<Self> {
        let tls = Self::in_stack(stack);
        tls.key.is_file().then_some(tls)
    }

    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &Path {
        &self.key
    }
}

/// Writes the files into a stack's folder.
pub(crate) fn keep(stack: &Path, certificates: &Certificates) -> Result<()> {
    let tls = Tls::in_stack(stack);
    make_dir(&stack.join("tls"))?;
    write_private(&tls.ca, &certificates.ca)?;
    write_private(&tls.certificate, &certificates.certificate)?;
    // Last: with it the others are there.
    write_private(&tls.key, &certificates.key)
}
