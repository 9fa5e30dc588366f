//! A TCP proxy of a test's own, which can be led to another server while the connections that exist stay where they
//! are.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

/// One address, and the port on this machine behind it. It lives as long as the tests.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    behind: Arc<AtomicU16>,
}

impl Proxy {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let behind = Arc::new(AtomicU16::new(port));
        let (port, now) = (listener.local_addr().unwrap().port(), Arc::clone(&behind));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = SocketAddr::from((Ipv4Addr::LOCALHOST, now.load(Ordering::SeqCst)));
                // A client that finds no server behind it finds the connection closed.
                let _ = join(client, server);
            }
        });
        Self { port, behind }
    }

    /// New connections lead there.
    pub(crate) fn lead_to(&self, port: u16) {
        self.behind.store(port, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || {
            let _ = io::copy(&mut &from, &mut &to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    Ok(())
}
