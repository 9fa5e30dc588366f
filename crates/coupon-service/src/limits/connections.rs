//! Limits on one address's connections, and on the time for which an answer may lie unread.
//!
//! Counted when a connection opens and when it closes: requests cost nothing.

use std::any::Any;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use coupon_store::settings::LimitSettings;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Open connections by address.
#[derive(Debug)]
pub(crate) struct Connections {
    /// 0: no limit.
    per_ip: u32,
    /// In milliseconds.
    unread: u32,
    open: Mutex<HashMap<IpAddr, u32>>,
    refused: AtomicU64,
}

/// One that counts, for as long as this lives.
struct Counted {
    ip: IpAddr,
    connections: Arc<Connections>,
}

impl Connections {
    pub(crate) fn new(settings: &LimitSettings) -> Self {
        Self {
            per_ip: settings.connections_per_ip,
            unread: settings.unread_ms.get(),
            open: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Connections refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Looks at a connection that was just accepted. One too many is answered with `refusal`, and is closed before anything
    /// that its client has sent is read.
    pub(crate) fn opened(self: &Arc<Self>, stream: &dyn Any, data: &mut Extensions, refusal: &[u8]) {
        let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
        self.limit_silence(stream);
        if self.per_ip == 0 {
            return;
        }
        let Ok(peer) = stream.peer_addr() else { return };
        match self.count(whom(peer.ip())) {
            Some(counted) => drop(data.insert(counted)),
            None => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                refuse(stream, refusal);
            }
        }
    }

    fn count(self: &Arc<Self>, ip: IpAddr) -> Option<Counted> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(ip).or_default();
        if *count >= self.per_ip {
            return None;
        }
        *count += 1;
        Some(Counted { ip, connections: Arc::clone(self) })
    }

    /// A peer that takes nothing of what it was sent is cut off by the system.
    #[cfg(target_os = "linux")]
    fn limit_silence(&self, stream: &TcpStream) {
        // A connection that is closed already has no use for it.
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream.as_fd(), self.unread);
    }

    #[cfg(not(target_os = "linux"))]
    fn limit_silence(&self, _: &TcpStream) {
        let _ = self.unread;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.ip);
            }
        }
    }
}

/// The client that an address stands for: a client with one address of IPv6 has 2^64 of them.
fn whom(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

/// Says why and hangs up. Once shut down, nothing more can arrive; what has arrived is thrown away, so that no
/// request is acted upon whose answer could not be delivered. Errors mean that the peer has left.
fn refuse(stream: &TcpStream, refusal: &[u8]) {
    let socket = stream.as_fd();
    let _ = rustix::net::send(socket, refusal, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
    let mut sink = [0_u8; 16 * 1_024];
    while let Ok((1.., _)) = rustix::net::recv(socket, &mut sink, RecvFlags::DONTWAIT) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(per_ip: u32) -> Arc<Connections> {
        let (open, refused) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Connections { per_ip, unread: 1, open, refused })
    }

    #[test]
    fn an_address_has_so_many_at_once_and_is_forgotten_with_the_last() {
        let connections = connections(2);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (first, second) = (connections.count(a), connections.count(a));
        assert!(first.is_some() && second.is_some() && connections.count(a).is_none());
        let others = connections.count(b);
        assert!(others.is_some());
        drop(first);
        assert!(connections.count(a).is_some());
        drop((second, others));
        assert!(connections.open.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_an_ipv4_address_is_one_however_it_is_written() {
        let whom = |ip: &str| whom(ip.parse().unwrap());
        assert_eq!(whom("2001:db8::1"), whom("2001:db8::ffff:1"));
        assert_ne!(whom("2001:db8::1"), whom("2001:db8:0:1::1"));
        assert_eq!(whom("::ffff:192.0.2.1"), whom("192.0.2.1"));
        assert_ne!(whom("192.0.2.1"), whom("192.0.2.2"));
    }
}
