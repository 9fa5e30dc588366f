//! The target of a load.

use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, bail};

/// A running service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in reports.
    pub name: String,
    /// The address it listens on.
    pub addr: SocketAddr,
    /// Other processes of the same service: a load's connections go round them all.
    pub more: Vec<SocketAddr>,
    /// Sent as a bearer token to `/admin`.
    pub admin_token: Option<String>,
    /// The name that operators' changes are recorded by, if it is not the service's own choice.
    pub operator: Option<String>,
}

impl Target {
    /// A service that asks for no admin token.
    #[must_use]
    pub fn new(name: impl Into<String>, addr: SocketAddr) -> Self {
        Self { name: name.into(), addr, more: Vec::new(), admin_token: None, operator: None }
    }

    /// Reads `http://host:port`, as services print it when they are ready.
    ///
    /// # Errors
    /// When it is no such URL, or the host has no address.
    pub fn from_url(name: impl Into<String>, url: &str) -> anyhow::Result<Self> {
        let form = "give http://HOST:PORT, for example http://127.0.0.1:8001";
        if url.starts_with("https://") {
            bail!("{url:?} asks for TLS, which the load tester does not speak: {form}");
        }
        let Some(rest) = url.strip_prefix("http://") else { bail!("{url:?} is no URL: {form}") };
        let authority = rest.trim_end_matches('/');
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            bail!("{url:?} must be a host and a port, nothing more: {form}");
        }
        let has_port =
            authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|p| p > 0));
        let with_port = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let mut addrs =
            with_port.to_socket_addrs().with_context(|| format!("{url:?} has no address: {form}"))?;
        let Some(addr) = addrs.next() else { bail!("{url:?} has no address") };
        Ok(Self::new(name, addr))
    }

    /// The address for a load's connection of that number.
    #[must_use]
    pub fn addr_of(&self, connection: usize) -> SocketAddr {
        let at = connection % (self.more.len() + 1);
        at.checked_sub(1).and_then(|at| self.more.get(at)).copied().unwrap_or(self.addr)
    }

    /// The URL of a path on it, for messages.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}
