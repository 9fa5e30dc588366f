//! RabbitMQ: killed, frozen, short of memory; queues that are deleted or hold what nobody can read.

use std::time::Duration;

use amqprs::BasicProperties;
use amqprs::channel::{
    BasicPublishArguments, Channel, ConfirmSelectArguments, QueueDeclareArguments, QueueDeleteArguments,
};
use anyhow::{Context, Result, ensure};
use coupon_service::backend::servers::broker::Broker;
use coupon_stack::Server;

use super::databases::todays_shard;
use super::killed;
use crate::faults::scene::Scene;
use crate::faults::wait::{blocking, until};

/// How long RabbitMQ stays away, beside the seconds that it takes to start.
const AWAY: Duration = Duration::from_secs(1);
/// How long something stays wrong while RabbitMQ runs.
const WRONG: Duration = Duration::from_secs(8);
/// How long a message may take through its queue.
const THROUGH: Duration = Duration::from_secs(20);

/// Killed, and started again.
pub(in crate::faults) fn killed_and_restarted(scene: &Scene<'_>) -> Result<()> {
    killed(scene, Server::RabbitMq, AWAY)
}

/// Frozen, and woken.
pub(in crate::faults) fn paused(scene: &Scene<'_>) -> Result<()> {
    let stack = scene.stack()?;
    scene.begins();
    stack.pause(Server::RabbitMq)?;
    std::thread::sleep(WRONG);
    stack.resume(Server::RabbitMq)?;
    scene.lifted();
    Ok(())
}

/// Short of memory, so that it takes nothing from anybody.
pub(in crate::faults) fn short_of_memory(scene: &Scene<'_>) -> Result<()> {
    let stack = scene.stack()?;
    scene.begins();
    stack.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1MB"])?;
    let alarms = stack.rabbitmqctl(&["eval", "rabbit_alarm:get_alarms()."])?;
    std::thread::sleep(WRONG);
    stack.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "2GB"])?;
    scene.lifted();
    ensure!(alarms.contains("memory"), "RabbitMQ raised no alarm: {alarms}");
    Ok(())
}

/// A shard hangs, so that results wait in its queue; then the queue is deleted.
pub(in crate::faults) fn queue_deleted(scene: &Scene<'_>) -> Result<()> {
    let (stack, shard) = (scene.stack()?, todays_shard(scene)?);
    stack.pause(Server::Shard(shard.number()))?;
    std::thread::sleep(WRONG / 2);
    scene.begins();
    for subject in &scene.subjects {
        let queue = subject.names()?.queue(shard);
        let deleted = with_channel(scene, async move |channel| {
            Ok(channel.queue_delete(QueueDeleteArguments::new(&queue)).await?)
        })?;
        let lost = deleted.map_or_else(|| "some".to_owned(), |messages| messages.to_string());
        scene.note(format!("{}: {lost} messages went with the queue", subject.name));
    }
    stack.resume(Server::Shard(shard.number()))?;
    scene.lifted();
    Ok(())
}

/// What nobody of ours sent, at the head of every shard's queue.
pub(in crate::faults) fn poisoned(scene: &Scene<'_>) -> Result<()> {
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
    Ok(())
}

/// Each of them waits for a person, and nothing else does.
pub(in crate::faults) fn poison_is_parked(scene: &Scene<'_>) -> Result<()> {
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
