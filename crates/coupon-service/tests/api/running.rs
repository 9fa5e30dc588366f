//! A service that runs in this process, on threads of its own.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use actix_web::dev::ServerHandle;
use coupon_core::ShardingStrategy;
use coupon_service::app::Application;
use coupon_store::clock::Clock;
use coupon_store::settings::{NoSettings, Sources};

use crate::client::{Answer, Connection};

/// A running service. Dropping it stops it.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts one on a free port, with settings as flags spell them.
    pub(crate) fn start(strategy: impl ShardingStrategy + 'static, flags: Vec<String>, clock: Clock) -> Self {
        let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
        let sources = Sources { service_defaults, flags, ..Sources::default() };
        let (settings, NoSettings {}) = sources.read("own").unwrap();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let application =
                    Application::build("test-svc", settings, Arc::new(strategy), clock).unwrap();
                ready.send((application.address(), application.handle())).unwrap();
                application.run().await.unwrap();
            });
        });
        let (address, handle) = started.recv().unwrap();
        Self { address, handle, thread: Some(thread) }
    }

    pub(crate) fn send(&self, request: &[u8]) -> Answer {
        let mut connection = Connection::open(self.address);
        connection.send(request);
        connection.receive(request.starts_with(b"HEAD "))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
