//! Encrypted connections to real servers, which show a certificate made here and refuse every client without
//! encryption.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, mpsc};

use coupon_servers::broker::Broker;
use coupon_servers::gate::RedisServer;
use coupon_servers::mysql::Database;
use coupon_service::app::Application;
use coupon_stack::{Certificates, Stack, Topology};
use coupon_store::clock::Clock;
use coupon_store::settings::NoSettings;
use coupon_store::settings::{ServersSettings, Settings, Sources};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::bench::OneTable;

/// The servers, and the certificates of the authority that signed theirs and of one that did not.
struct Site {
    stack: Stack,
    ca: PathBuf,
    other_ca: PathBuf,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let certificates = certificates();
    let stack = Stack::start_encrypted(
        &Topology { shards: NonZeroU16::MIN, ..Topology::default() }.into(),
        &certificates,
    )
    .unwrap();
    let file = |name: &str, pem: &str| {
        let path = stack.dir().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let (ca, other_ca) = (file("ca.pem", &certificates.ca), file("other.pem", &self::certificates().ca));
    Site { stack, ca, other_ca }
});

/// A new authority each time, and its certificate for 127.0.0.1.
fn certificates() -> Certificates {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "an authority of this test's");
    let ca_certificate = ca.self_signed(&ca_key).unwrap().pem();
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = server.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    Certificates { ca: ca_certificate, certificate: certificate.pem(), key: key.serialize_pem() }
}

/// The settings that lead to the servers, changed as a test wants.
fn settings(ca: Option<&Path>, more: &[String]) -> Settings {
    let mut flags = SITE.stack.addresses().settings();
    flags.extend(ca.map(|ca| format!("servers.ca_file={}", ca.display())));
    flags.extend(more.iter().cloned());
    let service_defaults = "listen = \"127.0.0.1:0\"".to_owned();
    let sources = Sources { flags, service_defaults, ..Sources::default() };
    sources.read::<NoSettings>("own").unwrap().0
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(future)
}

/// The error of each of the three when it cannot be reached.
fn errors(servers: &ServersSettings) -> [String; 3] {
    in_runtime(async {
        let shard = servers.shards.first().unwrap();
        let mysql = match Database::new("servers.shards[0]", shard, "mysql", 1) {
            Ok(database) => {
                let error = database.connect().await.unwrap_err();
                assert!(!error.down, "{error}: to wait would not help");
                error.to_string()
            }
            Err(error) => error.to_string(),
        };
        let redis = match RedisServer::new(&servers.redis[0]) {
            Ok(redis) => redis.check().await.unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let rabbitmq = match Broker::new(&servers.rabbitmq) {
            Ok(broker) => broker.connection().await.map(drop).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        [mysql, redis, rabbitmq]
    })
}

const NAMES: [&str; 3] = ["servers.shards[0]", "servers.redis", "servers.rabbitmq"];

fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_service_that_trusts_the_authority_takes_grabs_and_stores_them() {
    let settings =
        settings(Some(&SITE.ca), &["shards=1".to_owned(), "servers.namespace=coupon_tls".to_owned()]);
    let (ready, started) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        in_runtime(async move {
            let clock = Clock::starting_at("2026-11-22T12:00:00Z".parse().unwrap());
            let application = Application::build("tls-svc", settings, Arc::new(OneTable), clock).unwrap();
            ready.send((application.address(), application.handle())).unwrap();
            application.run().await.unwrap();
        });
    });
    let (address, handle) = started.recv().unwrap();
    let answer = post(address, "/api/coupon/grab", r#"{"user_id":1,"coupon_id":1}"#);
    assert!(answer.contains(r#""grab_status":1"#), "{answer}");
    let drained = post(address, "/admin/drain", "");
    assert!(drained.contains(r#""drained":true"#), "{drained}");
    drop(handle.stop(true));
    thread.join().unwrap();
}

#[test]
fn a_certificate_that_nobody_we_trust_has_signed_is_refused() {
    for ca in [None, Some(&*SITE.other_ca)] {
        for (error, name) in errors(&settings(ca, &[]).servers).iter().zip(NAMES) {
            assert!(error.contains(&format!("setting `{name}`")), "{error}");
            assert!(error.contains("invalid peer certificate"), "{error}");
            assert!(error.contains("servers.ca_file"), "{error}");
        }
    }
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    let flags = SITE.stack.addresses().settings();
    let elsewhere: Vec<String> = flags.iter().map(|flag| flag.replace("127.0.0.1", "localhost")).collect();
    for (error, name) in errors(&settings(Some(&SITE.ca), &elsewhere).servers).iter().zip(NAMES) {
        assert!(error.contains(&format!("setting `{name}`")), "{error}");
        assert!(error.contains("not valid for"), "{error}");
    }
}

#[test]
fn with_an_authority_named_no_address_may_go_without_encryption() {
    let flags = SITE.stack.addresses().settings();
    let plain = |flag: &String| {
        flag.replace("rediss:", "redis:").replace("amqps:", "amqp:").replace("?require_ssl=true", "")
    };
    let plain: Vec<String> = flags.iter().map(plain).collect();
    for (error, name) in errors(&settings(Some(&SITE.ca), &plain).servers).iter().zip(NAMES) {
        assert!(error.contains(&format!("setting `{name}`")), "{error}");
        assert!(error.contains("must be encrypted"), "{error}");
    }
}

#[test]
fn an_authority_that_cannot_be_read_is_named() {
    let none = SITE.stack.dir().join("none.pem");
    for error in errors(&settings(Some(&none), &[]).servers) {
        assert!(error.contains("setting `servers.ca_file`") && error.contains("none.pem"), "{error}");
    }
}
