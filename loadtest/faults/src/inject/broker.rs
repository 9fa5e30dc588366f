//! RabbitMQ: killed, frozen, short of memory; queues that are deleted or hold messages that no service can read.

use std::time::Duration;

use amqprs::BasicProperties;
use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, QueueDeclareArguments, QueueDeleteArguments,
    QueuePurgeArguments,
};
use anyhow::{Context, Result, ensure};
use coupon_lab::wait::{blocking, until};
use coupon_servers::broker::Broker;
use coupon_stack::Server;
use serde_json::Value;

use super::confirms::{ConfirmCallback, Published};
use super::databases::todays_shard;
use super::{RECOVERY, frozen, killed, meanwhile};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;
use crate::service::TestedService;

/// The time that RabbitMQ stays away, beside the seconds that it takes to start.
const AWAY: Duration = Duration::from_secs(1);
/// The time in which it is seen whether grabs go on, beside the one that it takes to make a queue again.
const GOES_ON: Duration = Duration::from_secs(3);
/// The time that something stays wrong while RabbitMQ runs.
const WRONG: Duration = Duration::from_secs(8);
/// The time that a message may take through its queue.
const THROUGH: Duration = Duration::from_secs(20);
/// The number of messages that a policy throws away before it goes.
const MANY: usize = 20;

/// Killed, and started again.
pub(crate) fn killed_and_restarted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    killed(deployment, Server::RabbitMq(0), AWAY)
}

/// Frozen, and woken.
pub(crate) fn paused(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    frozen(deployment, Server::RabbitMq(0), WRONG)
}

/// Short of memory, so that it takes no message.
pub(crate) fn short_of_memory(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (short, plenty) = (["absolute", "1MB"], ["absolute", "2GB"]);
    alarmed(deployment, "memory", "set_vm_memory_high_watermark", &short, &plenty)
}

/// Short of room on its disk, by its own measure, so that it takes no message.
pub(crate) fn disk_full(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    alarmed(deployment, "disk", "set_disk_free_limit", &["900000GB"], &["50MB"])
}

/// A limit is set so that RabbitMQ raises an alarm, and set back again.
fn alarmed(
    deployment: &CaseDeployment<'_>,
    of: &str,
    limit: &str,
    short: &[&str],
    plenty: &[&str],
) -> Result<Proof> {
    let stack = deployment.stack()?;
    let set = |value: &[&str]| stack.rabbitmqctl(&[&[limit], value].concat()).map(drop);
    let raised = || Ok(stack.rabbitmqctl(&["eval", "rabbit_alarm:get_alarms()."])?.contains(of));
    deployment.fault_begins();
    let look = || {
        let alarm = until("RabbitMQ raises an alarm", WRONG, raised);
        std::thread::sleep(WRONG);
        Ok((alarm.is_ok(), raised()?))
    };
    let (alarm, still) = meanwhile(|| set(short), look, || set(plenty))?;
    deployment.fault_ends();
    Proof::when(
        alarm && still,
        format!("RabbitMQ's alarm for its {of}: {}", if still { "raised" } else { "none" }),
    )
}

/// The queue of a shard is deleted, with the results that wait in it.
pub(crate) fn queue_deleted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    taken_away(deployment, "with the queue", &delete)
}

/// Deletes a queue, whatever waits in it.
pub(super) fn delete_queue(deployment: &CaseDeployment<'_>, queue: String) -> Result<()> {
    with_channel(deployment, async move |channel| delete(channel, queue).await.map(drop))
}

/// Deletes a queue, and says how many messages waited in it.
async fn delete(channel: &Channel, queue: String) -> Result<Option<u32>> {
    Ok(channel.queue_delete(QueueDeleteArguments::new(&queue)).await?)
}

/// Everything that waits in a shard's queue is thrown away by an operator.
pub(crate) fn purged(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    taken_away(deployment, "when the queue was purged", &async |channel, queue| {
        Ok(channel.queue_purge(QueuePurgeArguments::new(&queue)).await?)
    })
}

/// A shard hangs, so that results wait in its queue; then they are taken away.
fn taken_away(
    deployment: &CaseDeployment<'_>,
    how: &str,
    take: &impl AsyncFn(&Channel, String) -> Result<Option<u32>>,
) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    stack.pause(Server::Shard(shard.number()))?;
    let mut gone = Vec::new();
    for service in &deployment.services {
        let queue = service.names()?.queue(shard);
        // More than the consumer has been given already.
        until("results wait in the queue", RECOVERY, || Ok(waiting(deployment, &queue)? > 0))?;
        deployment.fault_begins();
        let taken = with_channel(deployment, async |channel| take(channel, queue).await)?;
        gone.push(usize::try_from(taken.unwrap_or(0))?);
    }
    std::thread::sleep(GOES_ON);
    stack.resume(Server::Shard(shard.number()))?;
    deployment.fault_ends();
    went(deployment, &gone, how)
}

/// A policy lets every queue keep one message, and throw away the oldest beyond it.
pub(crate) fn dropping_the_head(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dropped_by(deployment, &[("max-length", 1.into()), ("overflow", "drop-head".into())])
}

/// A policy lets messages live for a moment.
pub(crate) fn letting_messages_die(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    dropped_by(deployment, &[("message-ttl", 10.into())])
}

/// A policy throws away what waits in the queue of a shard that hangs. It applies to what comes later, and has RabbitMQ
/// put what it throws away into a queue beside the services' own, which counts it.
fn dropped_by(deployment: &CaseDeployment<'_>, drops: &[(&str, Value)]) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, todays_shard(deployment)?);
    let bin = |service: &TestedService| format!("dropped-{}", service.namespace);
    let set = || {
        deployment.services.iter().try_for_each(|service| {
            let (bin, queues) = (bin(service), format!("^{}\\.", service.namespace));
            let into = [("dead-letter-exchange", "".into()), ("dead-letter-routing-key", bin.clone().into())];
            let policy: Value =
                drops.iter().cloned().chain(into).map(|(key, value)| (key.to_owned(), value)).collect();
            let declared = QueueDeclareArguments::durable_client_named(&bin);
            with_channel(deployment, async move |channel| {
                Ok(channel.queue_declare(declared).await.map(drop)?)
            })?;
            stack
                .rabbitmqctl(&["set_policy", &bin, &queues, &policy.to_string(), "--apply-to", "queues"])
                .map(drop)
        })
    };
    let look = || {
        stack.pause(Server::Shard(shard.number()))?;
        let gone = || {
            deployment
                .services
                .iter()
                .map(|service| waiting(deployment, &bin(service)))
                .collect::<Result<Vec<_>>>()
        };
        // Without so many there is no proof of it.
        let _ = until("the policy throws messages away", RECOVERY, || {
            Ok(gone()?.iter().all(|gone| *gone >= MANY))
        });
        gone()
    };
    let right = || {
        deployment.services.iter().try_for_each(|service| {
            stack.rabbitmqctl(&["clear_policy", &bin(service)])?;
            delete_queue(deployment, bin(service))
        })
    };
    deployment.fault_begins();
    let gone = meanwhile(set, look, right)?;
    stack.resume(Server::Shard(shard.number()))?;
    deployment.fault_ends();
    went(deployment, &gone, "by the policy")
}

/// Every service lost something.
fn went(deployment: &CaseDeployment<'_>, gone: &[usize], how: &str) -> Result<Proof> {
    let each =
        deployment.services.iter().zip(gone).map(|(service, gone)| format!("{gone} of {}", service.name));
    let each = each.collect::<Vec<_>>().join(" and ");
    Proof::when(gone.iter().all(|gone| *gone > 0), format!("messages that went {how}: {each}"))
}

/// A message that no service sent goes into every shard's queue.
pub(crate) fn poisoned(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    deployment.fault_begins();
    let (mut sent, mut taken) = (0, 0);
    for service in &deployment.services {
        let names = service.names()?;
        let queues: Vec<String> = service.shards().map(|shard| names.queue(shard)).collect();
        sent += queues.len();
        taken += with_channel(deployment, async move |channel| poison(channel, &queues).await)?;
    }
    std::thread::sleep(AWAY);
    deployment.fault_ends();
    Proof::when(taken == sent, format!("{taken} of {sent} queues took such a message"))
}

/// Publishes a message that cannot be read to each queue. Returns how many of them RabbitMQ says that it has put into
/// one.
async fn poison(channel: &Channel, queues: &[String]) -> Result<usize> {
    let published = Published::of(queues.len());
    channel.register_callback(ConfirmCallback::of(&published)).await?;
    for queue in queues {
        let mut to = BasicPublishArguments::new("", queue);
        to.mandatory(true);
        let mut properties = BasicProperties::default();
        properties.with_persistence(true);
        channel.basic_publish(properties, b"\xffno message of ours".to_vec(), to).await?;
    }
    // Unconfirmed messages are not counted: without them there is no proof.
    let _ = tokio::time::timeout(THROUGH, published.all_answered()).await;
    Ok(published.accepted())
}

/// Each of them waits for a person, and nothing else does.
pub(crate) fn poison_is_parked(deployment: &CaseDeployment<'_>) -> Result<()> {
    for service in &deployment.services {
        let (queue, expected) = (service.names()?.parking(), service.shards().count());
        let parked = || waiting(deployment, &queue);
        let all = until("messages that nobody can read are parked", THROUGH, || Ok(parked()? >= expected));
        let parked = parked()?;
        deployment.record.expect(
            all.is_ok() && parked == expected,
            format!("{}: {parked} of {expected} messages that nobody can read are parked", service.name),
        );
    }
    Ok(())
}

/// The number of messages that wait in a queue.
fn waiting(deployment: &CaseDeployment<'_>, queue: &str) -> Result<usize> {
    let mut passive = QueueDeclareArguments::durable_client_named(queue);
    passive.passive(true);
    with_channel(deployment, async move |channel| {
        let declared = channel.queue_declare(passive).await?;
        let (_, messages, _) = declared.context("it does not say how many messages there are")?;
        Ok(usize::try_from(messages)?)
    })
}

/// Does something on a channel apart from those of the services.
fn with_channel<T>(
    deployment: &CaseDeployment<'_>,
    work: impl AsyncFnOnce(&Channel) -> Result<T>,
) -> Result<T> {
    let broker = Broker::new(&deployment.context.site.settings().rabbitmq)?;
    blocking(async move {
        let connection = broker.connection().await?;
        let channel = connection.open_channel(None).await?;
        channel.confirm_select(ConfirmSelectArguments::default()).await?;
        let done = work(&channel).await;
        let closed = channel.close().await;
        connection.close().await?;
        ensure!(closed.is_ok() || done.is_err(), "the channel was closed by RabbitMQ");
        done
    })
}
