//! RabbitMQ, and Erlang's port mapper, of which each stack has its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::Server;
use crate::files::{make_dir, write_private};
use crate::kind::Place;
use crate::process::Launch;
use crate::programs::Programs;

pub(crate) const USER: &str = "coupon";

/// The name of a node among Erlang's. The same in every stack, since each has its own port mapper; RabbitMQ's data folder is
/// bound to it.
pub(crate) fn erlang_name(server: &str) -> String {
    format!("{}@localhost", server.replacen("rabbitmq", USER, 1))
}

/// The settings by which nodes find each other, and share the machine. A node that sees no majority stops taking clients until
/// it does: what it would tell them of queues and bindings might not be so.
///
/// What was not yet written into a queue's own files lies in memory as well, once in each node.
fn clustered(nodes: u16) -> String {
    let name = |node| erlang_name(&Server::RabbitMq(node).to_string());
    let peers: String = (0..nodes)
        .map(|node| format!("cluster_formation.classic_config.nodes.{} = {}\n", node + 1, name(node)))
        .collect();
    format!(
        "cluster_formation.peer_discovery_backend = classic_config\n{peers}cluster_partition_handling = pause_minority\n\
         raft.wal_max_size_bytes = 32000000\nvm_memory_high_watermark.absolute = 512MB\n"
    )
}

/// One scheduler that does not spin: the machine is shared with all other servers, and on two cores a second one
/// costs more in waking each other than it brings (24 against 15 µs of CPU a grab over 64 connections, 8 against 5
/// over 256). Erlang's own protocol stays on the loopback, as AMQP does.
const ERLANG: &str =
    "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}";

/// The ports of a RabbitMQ node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) amqp: u16,
    /// Erlang's own protocol.
    pub(crate) distribution: u16,
    pub(crate) epmd: u16,
}

/// The port mapper in the foreground. RabbitMQ would start one itself, which would outlive it.
pub(crate) fn epmd(programs: &Programs, port: u16, log: &Path) -> Launch {
    let arguments = ["-address", "127.0.0.1", "-port", &port.to_string()].map(Into::into).into();
    Launch { program: programs.epmd.clone(), arguments, environment: Vec::new(), log: log.to_owned() }
}

pub(crate) fn launch(programs: &Programs, place: Place<'_>, ports: Ports, password: &str) -> Result<Launch> {
    let Place { name, dir, rabbitmq, tls, log, .. } = place;
    let (config, plugins, home) = (dir.join("rabbitmq.conf"), dir.join("enabled_plugins"), dir.join("home"));
    let listen = match tls {
        None => format!("listeners.tcp.1 = 127.0.0.1:{}", ports.amqp),
        Some(tls) => format!(
            "listeners.tcp = none\nlisteners.ssl.1 = 127.0.0.1:{}\nssl_options.cacertfile = {}\n\
             ssl_options.certfile = {}\nssl_options.keyfile = {}",
            ports.amqp,
            tls.ca().display(),
            tls.certificate().display(),
            tls.key().display()
        ),
    };
    let shared = match rabbitmq.get() {
        1 => "vm_memory_high_watermark.absolute = 2GB\n".to_owned(),
        nodes => clustered(nodes),
    };
    let text = format!(
        "{listen}\ndefault_user = {USER}\ndefault_pass = {password}\n\
         default_user_tags.administrator = true\ndisk_free_limit.absolute = 256MB\n{shared}"
    );
    write_private(&config, &text)?;
    write_private(&plugins, "[].\n")?;
    // In place of the machine's own; an empty file sets nothing.
    let environment_file = dir.join("rabbitmq-env.conf");
    write_private(&environment_file, "")?;
    make_dir(&home)?;
    // The nodes of a cluster know each other by it: they have the same password.
    write_private(&home.join(".erlang.cookie"), password)?;
    let environment = vec![
        ("HOME", home.into()),
        ("ERL_EPMD_PORT", ports.epmd.to_string().into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODENAME", erlang_name(name).into()),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string().into()),
        ("RABBITMQ_MNESIA_BASE", dir.join("data").into()),
        ("RABBITMQ_LOG_BASE", dir.join("log").into()),
        ("RABBITMQ_LOGS", "-".into()),
        ("RABBITMQ_CONFIG_FILE", config.into()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins.into()),
        ("RABBITMQ_CONF_ENV_FILE", environment_file.into()),
        ("RABBITMQ_GENERATED_CONFIG_DIR", dir.join("generated").into()),
        ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG.into()),
        // Lets the script become the Erlang machine, rather than wait for it: one process to signal.
        ("detached", "true".into()),
    ];
    Ok(Launch { program: programs.rabbitmq.clone(), arguments: Vec::new(), environment, log: log.to_owned() })
}

/// The environment by which RabbitMQ's own tool finds a node: the same name, port mapper and, in its home, the same
/// cookie.
pub(crate) fn tool_environment(name: &str, dir: &Path, epmd: u16) -> Vec<(&'static str, std::ffi::OsString)> {
    vec![
        ("HOME", dir.join("home").into()),
        ("ERL_EPMD_PORT", epmd.to_string().into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODENAME", erlang_name(name).into()),
        ("RABBITMQ_CONF_ENV_FILE", dir.join("rabbitmq-env.conf").into()),
    ]
}

/// Offers AMQP 0-9-1. RabbitMQ listens once it has started everything else; then it answers with `Connection.Start`.
pub(crate) fn greets(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    // A method frame (1), its channel and size, class 10 and method 10.
    let mut frame = [0; 11];
    stream.read_exact(&mut frame).context("no greeting")?;
    ensure!(
        matches!(frame, [1, _, _, _, _, _, _, 0, 10, 0, 10]),
        "it greets with something other than Connection.Start"
    );
    Ok(())
}
