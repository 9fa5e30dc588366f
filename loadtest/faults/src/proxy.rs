//! A network that misbehaves: a proxy that cuts answers short, or swallows everything for a while.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The treatment of bytes that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyMode {
    /// Nothing.
    Pass,
    /// Half of the next answer on each connection goes through, then the connection is cut.
    Cut,
    /// Nothing comes through in either direction, and no connection ends: as if packets were lost. What was swallowed
    /// comes through later, as TCP sends it again.
    Swallow,
    /// As [`Self::Swallow`], for answers alone: requests arrive.
    SwallowAnswers,
    /// It ends, and so does every connection.
    End,
}

impl ProxyMode {
    const fn holds_back(self, answers: bool) -> bool {
        matches!(self, Self::Swallow) || (answers && matches!(self, Self::SwallowAnswers))
    }
}

/// Counts of the harm that a proxy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ProxyCounts {
    /// Answers of which half went through.
    pub(super) cut: u64,
    /// Packets that were held back.
    pub(super) held: u64,
}

#[derive(Debug, Default)]
struct AtomicCounts {
    cut: AtomicU64,
    held: AtomicU64,
}

/// A proxy in front of one address, on its own thread. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct FaultProxy {
    /// The address at which it listens.
    pub(super) address: SocketAddr,
    mode: watch::Sender<ProxyMode>,
    count: Arc<AtomicCounts>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Starts one.
    pub(super) fn start(to: SocketAddr) -> Result<Self> {
        let (mode, watched) = watch::channel(ProxyMode::Pass);
        let (started, start) = mpsc::channel();
        let count = Arc::new(AtomicCounts::default());
        let counted = Arc::clone(&count);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::bind(("127.0.0.1", 0)).await {
                    Ok(listener) => {
                        let _ = started.send(listener.local_addr());
                        accept(listener, to, watched, counted).await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
        })?;
        let address = start.recv().context("the proxy did not start")??;
        Ok(Self { address, mode, count, thread: Some(thread) })
    }

    /// Has it do this from now on.
    pub(super) fn set(&self, mode: ProxyMode) {
        self.mode.send_replace(mode);
    }

    /// The harm that it has done so far.
    pub(super) fn harm(&self) -> ProxyCounts {
        let AtomicCounts { cut, held } = &*self.count;
        ProxyCounts { cut: cut.load(Ordering::Relaxed), held: held.load(Ordering::Relaxed) }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.set(ProxyMode::End);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn accept(
    listener: TcpListener,
    to: SocketAddr,
    mut mode: watch::Receiver<ProxyMode>,
    count: Arc<AtomicCounts>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = mode.wait_for(|mode| *mode == ProxyMode::End) => return,
        };
        let Ok((client, _)) = accepted else { continue };
        let (mode, count) = (mode.clone(), Arc::clone(&count));
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(to).await {
                serve(client, server, mode, &count).await;
            }
        });
    }
}

/// Both directions of one connection, until either ends.
async fn serve(client: TcpStream, server: TcpStream, mode: watch::Receiver<ProxyMode>, count: &AtomicCounts) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pass_on(from_client, to_server, mode.clone(), false, count) => {}
        () = pass_on(from_server, to_client, mode, true, count) => {}
    }
}

async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut mode: watch::Receiver<ProxyMode>,
    answers: bool,
    count: &AtomicCounts,
) {
    let mut buffer = vec![0; 16_384];
    loop {
        let Ok(size @ 1..) = from.read(&mut buffer).await else { return };
        if mode.borrow().holds_back(answers) {
            count.held.fetch_add(1, Ordering::Relaxed);
        }
        let Ok(now) = mode.wait_for(|mode| !mode.holds_back(answers)).await.map(|mode| *mode) else { return };
        let cut = now == ProxyMode::Cut && answers;
        if cut {
            count.cut.fetch_add(1, Ordering::Relaxed);
        }
        let passes = if cut { size / 2 } else { size };
        let written = to.write_all(buffer.get(..passes).unwrap_or_default()).await;
        if written.is_err() || cut || now == ProxyMode::End {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// Answers everything with itself.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 64];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        stream.write_all(&buffer[..count]).unwrap();
                    }
                });
            }
        });
        address
    }

    fn connect(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream
    }

    #[test]
    fn what_passes_comes_through_and_what_is_cut_comes_half() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut stream = connect(&proxy);
        let mut answer = [0; 6];
        stream.write_all(b"whole!").unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"whole!");
        proxy.set(ProxyMode::Cut);
        stream.write_all(b"halved").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"hal");
    }

    #[test]
    fn what_is_swallowed_comes_through_later() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut stream = connect(&proxy);
        proxy.set(ProxyMode::Swallow);
        stream.write_all(b"late").unwrap();
        let mut answer = [0; 4];
        assert!(stream.read(&mut answer).is_err());
        proxy.set(ProxyMode::Pass);
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"late");
    }
}
