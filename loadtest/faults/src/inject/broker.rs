//! RabbitMQ: killed, frozen, short of memory; queues that are deleted or hold what nobody can read.

use std::time::Duration;

use amqprs::BasicProperties;
use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, QueueDeclareArguments, QueueDeleteArguments,
    QueuePurgeArguments,
};
use anyhow::{Context, Result, ensure};
use coupon_lab::wait::{blocking, until};
use coupon_stack::Server;
use coupon_store::servers::broker::Broker;
use serde_json::Value;

use super::databases::todays_shard;
use super::{frozen, killed, meanwhile};
use crate::proof::Proof;
use crate::scene::Scene;
use crate::service::Subject;

/// How long RabbitMQ stays away, beside the seconds that it takes to start.
const AWAY: Duration = Duration::from_secs(1);
/// How long something stays wrong while RabbitMQ runs.
const WRONG: Duration = Duration::from_secs(8);
/// How long a message may take through its queue.
const THROUGH: Duration = Duration::from_secs(20);
/// How long it may take until results wait in the queue of a shard that hangs.
const FULL: Duration = Duration::from_secs(60);
/// So many messages are thrown away by a policy before it goes.
const MANY: usize = 20;

/// Killed, and started again.
pub(crate) fn killed_and_restarted(scene: &Scene<'_>) -> Result<Proof> {
    killed(scene, Server::RabbitMq, AWAY)
}

/// Frozen, and woken.
pub(crate) fn paused(scene: &Scene<'_>) -> Result<Proof> {
    frozen(scene, Server::RabbitMq, WRONG)
}

/// Short of memory, so that it takes nothing from anybody.
pub(crate) fn short_of_memory(scene: &Scene<'_>) -> Result<Proof> {
    let (short, plenty) = (["absolute", "1MB"], ["absolute", "2GB"]);
    alarmed(scene, "memory", "set_vm_memory_high_watermark", &short, &plenty)
}

/// Short of room on its disk, by its own measure, so that it takes nothing from anybody.
pub(crate) fn disk_full(scene: &Scene<'_>) -> Result<Proof> {
    alarmed(scene, "disk", "set_disk_free_limit", &["900000GB"], &["50MB"])
}

/// A limit is set so that RabbitMQ raises an alarm, and set back again.
fn alarmed(scene: &Scene<'_>, of: &str, limit: &str, short: &[&str], plenty: &[&str]) -> Result<Proof> {
    let stack = scene.stack()?;
    let set = |value: &[&str]| stack.rabbitmqctl(&[&[limit], value].concat()).map(drop);
    let raised = || Ok(stack.rabbitmqctl(&["eval", "rabbit_alarm:get_alarms()."])?.contains(of));
    scene.begins();
    let look = || {
        let alarm = until("RabbitMQ raises an alarm", WRONG, raised);
        std::thread::sleep(WRONG);
        Ok((alarm.is_ok(), raised()?))
    };
    let (alarm, still) = meanwhile(|| set(short), look, || set(plenty))?;
    scene.lifted();
    Proof::when(
        alarm && still,
        format!("RabbitMQ's alarm for its {of}: {}", if still { "raised" } else { "none" }),
    )
}

/// The queue of a shard is deleted, with the results that wait in it.
pub(crate) fn queue_deleted(scene: &Scene<'_>) -> Result<Proof> {
    taken_away(scene, "with the queue", &delete)
}

/// Deletes a queue, whatever waits in it.
pub(super) fn delete_queue(scene: &Scene<'_>, queue: String) -> Result<()> {
    with_channel(scene, async move |channel| delete(channel, queue).await.map(drop))
}

/// Deletes a queue, and says how many messages waited in it.
async fn delete(channel: &Channel, queue: String) -> Result<Option<u32>> {
    Ok(channel.queue_delete(QueueDeleteArguments::new(&queue)).await?)
}

/// Everything that waits in a shard's queue is thrown away by an operator.
pub(crate) fn purged(scene: &Scene<'_>) -> Result<Proof> {
    taken_away(scene, "when the queue was purged", &async |channel, queue| {
        Ok(channel.queue_purge(QueuePurgeArguments::new(&queue)).await?)
    })
}

/// A shard hangs, so that results wait in its queue; then they are taken away.
fn taken_away(
    scene: &Scene<'_>,
    how: &str,
    take: &impl AsyncFn(&Channel, String) -> Result<Option<u32>>,
) -> Result<Proof> {
    let (stack, shard) = (scene.stack()?, todays_shard(scene)?);
    stack.pause(Server::Shard(shard.number()))?;
    let mut gone = Vec::new();
    for subject in &scene.subjects {
        let queue = subject.names()?.queue(shard);
        // More than the consumer has been given already.
        until("results wait in the queue", FULL, || Ok(waiting(scene, &queue)? > 0))?;
        scene.begins();
        let taken = with_channel(scene, async |channel| take(channel, queue).await)?;
        gone.push(usize::try_from(taken.unwrap_or(0))?);
    }
    // So that it is seen whether grabs go on.
    std::thread::sleep(AWAY);
    stack.resume(Server::Shard(shard.number()))?;
    scene.lifted();
    went(scene, &gone, how)
}

/// A policy lets every queue keep one message, and throw away the oldest beyond it.
pub(crate) fn dropping_the_head(scene: &Scene<'_>) -> Result<Proof> {
    dropped_by(scene, &[("max-length", 1.into()), ("overflow", "drop-head".into())])
}

/// A policy lets messages live for a moment.
pub(crate) fn letting_messages_die(scene: &Scene<'_>) -> Result<Proof> {
    dropped_by(scene, &[("message-ttl", 10.into())])
}

/// A policy throws away what waits in the queue of a shard that hangs. It applies to what comes later, and has RabbitMQ put
/// what it throws away into a queue of the harness's own, which counts it.
fn dropped_by(scene: &Scene<'_>, drops: &[(&str, Value)]) -> Result<Proof> {
    let (stack, shard) = (scene.stack()?, todays_shard(scene)?);
    let bin = |subject: &Subject| format!("dropped-{}", subject.namespace);
    let set = || {
        scene.subjects.iter().try_for_each(|subject| {
            let (bin, queues) = (bin(subject), format!("^{}\\.", subject.namespace));
            let into = [("dead-letter-exchange", "".into()), ("dead-letter-routing-key", bin.clone().into())];
            let policy: Value =
                drops.iter().cloned().chain(into).map(|(key, value)| (key.to_owned(), value)).collect();
            let declared = QueueDeclareArguments::durable_client_named(&bin);
            with_channel(scene, async move |channel| Ok(channel.queue_declare(declared).await.map(drop)?))?;
            stack
                .rabbitmqctl(&["set_policy", &bin, &queues, &policy.to_string(), "--apply-to", "queues"])
                .map(drop)
        })
    };
    let look = || {
        stack.pause(Server::Shard(shard.number()))?;
        let gone =
            || scene.subjects.iter().map(|subject| waiting(scene, &bin(subject))).collect::<Result<Vec<_>>>();
        // Without so many there is no proof of it.
        let _ =
            until("the policy throws messages away", FULL, || Ok(gone()?.iter().all(|gone| *gone >= MANY)));
        gone()
    };
    let right = || {
        scene.subjects.iter().try_for_each(|subject| {
            stack.rabbitmqctl(&["clear_policy", &bin(subject)])?;
            delete_queue(scene, bin(subject))
        })
    };
    scene.begins();
    let gone = meanwhile(set, look, right)?;
    stack.resume(Server::Shard(shard.number()))?;
    scene.lifted();
    went(scene, &gone, "by the policy")
}

/// Every service lost something.
fn went(scene: &Scene<'_>, gone: &[usize], how: &str) -> Result<Proof> {
    let each = scene.subjects.iter().zip(gone).map(|(subject, gone)| format!("{gone} of {}", subject.name));
    let each = each.collect::<Vec<_>>().join(" and ");
    Proof::when(gone.iter().all(|gone| *gone > 0), format!("messages that went {how}: {each}"))
}

/// What nobody of ours sent, at the head of every shard's queue.
pub(crate) fn poisoned(scene: &Scene<'_>) -> Result<Proof> {
    scene.begins();
    for subject in &scene.subjects {
        let names = subject.names()?;
        let queues: Vec<String> = subject.shards().map(|shard| names.queue(shard)).collect();
        with_channel(scene, async move |channel| {
            for queue in queues {
                let mut to = BasicPublishArguments::new("", &queue);
                to.mandatory(true);
                let mut properties = BasicProperties::default();
                properties.with_persistence(true);
                channel.basic_publish(properties, b"\xffno message of ours".to_vec(), to).await?;
            }
            Ok(())
        })?;
    }
    std::thread::sleep(AWAY);
    scene.lifted();
    let shards = scene.subjects.iter().map(|subject| subject.shards().count()).sum::<usize>();
    // The channel would have been closed otherwise.
    Proof::when(true, format!("{shards} queues took such a message each"))
}

/// Each of them waits for a person, and nothing else does.
pub(crate) fn poison_is_parked(scene: &Scene<'_>) -> Result<()> {
    for subject in &scene.subjects {
        let (queue, expected) = (subject.names()?.parking(), subject.shards().count());
        let parked = || waiting(scene, &queue);
        let all = until("what nobody can read is parked", THROUGH, || Ok(parked()? >= expected));
        let parked = parked()?;
        scene.expect(
            all.is_ok() && parked == expected,
            format!("{}: {parked} of {expected} messages that nobody can read are parked", subject.name),
        );
    }
    Ok(())
}

/// How many messages wait in a queue.
fn waiting(scene: &Scene<'_>, queue: &str) -> Result<usize> {
    let mut passive = QueueDeclareArguments::durable_client_named(queue);
    passive.passive(true);
    with_channel(scene, async move |channel| {
        let declared = channel.queue_declare(passive).await?;
        let (_, messages, _) = declared.context("it does not say how many messages there are")?;
        Ok(usize::try_from(messages)?)
    })
}

/// Does something on a channel of the harness's own.
fn with_channel<T>(scene: &Scene<'_>, work: impl AsyncFnOnce(&Channel) -> Result<T>) -> Result<T> {
    let broker = Broker::new(&scene.stage.site.settings().rabbitmq)?;
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
