//! Redis: killed, forgetful, replaced.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use coupon_lab::wait::until;
use coupon_loadgen::http::{get_ok, post_json};
use coupon_stack::{Server, Stack, Status};
use deadpool_redis::redis::{self, Connection};
use serde_json::{Value, json};

use super::databases::todays_shard;
use super::{RECOVERY, frozen, killed, meanwhile, state};
use crate::deployment::CaseDeployment;
use crate::proof::Proof;

/// The time that Redis stays away.
const AWAY: Duration = Duration::from_secs(1);
/// The time that something stays wrong while Redis answers.
const WRONG: Duration = Duration::from_secs(4);
/// The time that it hangs, or has no room.
pub(super) const FROZEN: Duration = Duration::from_secs(8);
const CONNECT: Duration = Duration::from_secs(3);
const IN_STEP: Duration = Duration::from_secs(20);
/// A port at which no server listens.
const NOWHERE: u16 = 1;

/// Killed, and started again on what it wrote.
pub(crate) fn restarted_with_its_file(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    killed(deployment, deployment.stack()?.primary_redis()?, AWAY)
}

/// Frozen, and woken.
pub(crate) fn paused(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    frozen(deployment, deployment.stack()?.primary_redis()?, FROZEN)
}

/// It runs on, and an operator empties it: keys and scripts.
pub(crate) fn emptied(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut redis = connect(&primary(deployment.stack()?)?)?;
    deployment.fault_begins();
    let left = empty(&mut redis)?;
    std::thread::sleep(AWAY);
    deployment.fault_ends();
    Proof::when(left == 0, format!("{left} keys were left"))
}

/// Empties a Redis of keys and scripts, and returns how many keys are left.
pub(super) fn empty(redis: &mut Connection) -> Result<u64> {
    let ((), (), left) =
        redis::pipe().atomic().cmd("SCRIPT").arg("FLUSH").cmd("FLUSHALL").cmd("DBSIZE").query(redis)?;
    Ok(left)
}

/// Redis has no memory for anything more, and may forget nothing.
pub(crate) fn full(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut redis = connect(&primary(deployment.stack()?)?)?;
    let before = out_of_memory(&mut redis)?;
    deployment.fault_begins();
    // Less than any load needs.
    let settings = [("maxmemory", "1")];
    let refused = with_settings(&mut redis, &settings, FROZEN, |redis| Ok(out_of_memory(redis)? - before))?;
    deployment.fault_ends();
    Proof::when(refused > 0, format!("Redis refused {refused} commands, being out of memory"))
}

/// The number of commands that it has refused because it is full.
fn out_of_memory(redis: &mut Connection) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("errorstats").query(redis)?;
    let count = info.lines().find_map(|line| line.strip_prefix("errorstat_OOM:count="));
    Ok(count.map_or(Ok(0), |count| count.trim().parse())?)
}

/// An id that differs from one life of a server's process to the next.
fn life(stack: &Stack, redis: Server) -> Result<String> {
    let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut connect(&stack.url(redis)?)?)?;
    info.get("run_id").context("Redis does not say its run_id")
}

/// Killed, and started again without the last second of what it wrote.
pub(crate) fn restarted_without_a_second(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let redis = stack.primary_redis()?;
    let log = newest_log(stack.data_dir(redis)?)?;
    let before = fs::metadata(&log)?.len();
    std::thread::sleep(Duration::from_secs(1));
    deployment.fault_begins();
    stack.kill(redis)?;
    let file = fs::OpenOptions::new().write(true).open(&log)?;
    let cut = file.metadata()?.len().saturating_sub(before);
    file.set_len(before)?;
    std::thread::sleep(AWAY);
    stack.restart(redis)?;
    deployment.fault_ends();
    Proof::when(cut > 0, format!("{cut} bytes were cut off its file"))
}

/// The part of its log that it appends to.
fn newest_log(data: &Path) -> Result<PathBuf> {
    let folder = data.join("appendonlydir");
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let logs = files.filter_map(|file| Some(file.ok()?.path()));
    let logs = logs.filter(|path| path.to_string_lossy().ends_with(".incr.aof"));
    let newest = logs.max_by_key(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    newest.with_context(|| format!("{} holds no log", folder.display()))
}

/// Killed, and started again on nothing.
pub(crate) fn restarted_without_its_file(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    restarted_on_nothing(deployment, deployment.stack()?.primary_redis()?)
}

/// A Redis killed, and started again on nothing.
pub(super) fn restarted_on_nothing(deployment: &CaseDeployment<'_>, redis: Server) -> Result<Proof> {
    let stack = deployment.stack()?;
    let before = life(stack, redis)?;
    deployment.fault_begins();
    stack.kill(redis)?;
    fs::remove_dir_all(stack.data_dir(redis)?.join("appendonlydir"))?;
    std::thread::sleep(AWAY);
    stack.restart(redis)?;
    deployment.fault_ends();
    let after = life(stack, redis)?;
    Proof::when(before != after, format!("it was {before} with its file, and {after} without"))
}

/// A replica that has received nothing for a while takes the place of the primary, on its address.
pub(crate) fn stale_replica_promoted(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let stack = deployment.stack()?;
    let spare = stack.spare_redis()?;
    let primary = url::Url::parse(&stack.addresses().redis)?;
    let port = primary.port().context("Redis has no port")?;
    let mut replica = connect(&spare.url())?;
    set(&mut replica, "masterauth", primary.password().unwrap_or_default())?;
    follow(&mut replica, "127.0.0.1", &port.to_string())?;
    let in_step = || -> Result<bool> {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut connect(&spare.url())?)?;
        Ok(info.contains("master_link_status:up"))
    };
    until("the replica is in step", IN_STEP, in_step)?;
    // From here on it receives nothing.
    follow(&mut replica, "127.0.0.1", &NOWHERE.to_string())?;
    std::thread::sleep(AWAY);
    let written = offset(&mut connect(&stack.addresses().redis)?)?;
    let heard = offset(&mut replica)?;
    deployment.fault_begins();
    stack.kill(Server::Redis)?;
    follow(&mut replica, "NO", "ONE")?;
    set(&mut replica, "port", &port.to_string())?;
    deployment.fault_ends();
    // Until the case is over.
    deployment.keep(spare);
    Proof::when(written > heard, format!("the replica had heard {heard} of {written} bytes"))
}

/// The bytes of all that was ever written, as a server counts them.
pub(super) fn offset(redis: &mut Connection) -> Result<u64> {
    let info: redis::InfoDict = redis::cmd("INFO").arg("replication").query(redis)?;
    info.get("master_repl_offset").context("Redis does not say its offset")
}

fn follow(replica: &mut Connection, host: &str, port: &str) -> Result<()> {
    Ok(redis::cmd("REPLICAOF").arg(host).arg(port).exec(replica)?)
}

/// Redis may evict keys, and is short of memory.
pub(crate) fn evicting(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let mut redis = connect(&primary(deployment.stack()?)?)?;
    let info: String = redis::cmd("INFO").arg("memory").query(&mut redis)?;
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    let used: u64 = used.context("Redis does not say how much memory it uses")?.trim().parse()?;
    let before = evicted_keys(&mut redis)?;
    deployment.fault_begins();
    let memory = used.saturating_sub(EVICTED).to_string();
    let settings = [("maxmemory-policy", "allkeys-random"), ("maxmemory", &*memory)];
    let evicted = with_settings(&mut redis, &settings, WRONG, evicted_keys)?;
    deployment.fault_ends();
    Proof::when(evicted > before, format!("Redis evicted {} keys", evicted - before))
}

fn evicted_keys(redis: &mut Connection) -> Result<u64> {
    let info: String = redis::cmd("INFO").arg("stats").query(redis)?;
    let evicted = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap_or_default();
    evicted.trim().parse().context("Redis does not say how many keys it evicted")
}

/// Lets Redis run with other settings for a while, looks at what they did, and puts back those that its users need.
fn with_settings<T>(
    redis: &mut Connection,
    settings: &[(&str, &str)],
    long: Duration,
    look: impl FnOnce(&mut Connection) -> Result<T>,
) -> Result<T> {
    let redis = RefCell::new(redis);
    let wrong = || settings.iter().try_for_each(|(name, value)| set(&mut redis.borrow_mut(), name, value));
    let look = || {
        std::thread::sleep(long);
        look(&mut redis.borrow_mut())
    };
    let right = || NEEDED.iter().try_for_each(|(name, value)| set(&mut redis.borrow_mut(), name, value));
    meanwhile(wrong, look, right)
}

/// The settings that services need.
const NEEDED: [(&str, &str); 2] = [("maxmemory", "0"), ("maxmemory-policy", "noeviction")];
/// The bytes that it may use less than it does: a few coupons' worth.
const EVICTED: u64 = 20_000;

/// Without the shard its holders are not known: no grab is granted until it is back.
pub(crate) fn lost_while_a_shard_is_down(deployment: &CaseDeployment<'_>) -> Result<Proof> {
    let (stack, shard) = (deployment.stack()?, Server::Shard(todays_shard(deployment)?.number()));
    let redis = stack.primary_redis()?;
    deployment.fault_begins();
    stack.kill(shard)?;
    stack.kill(redis)?;
    stack.restart(redis)?;
    std::thread::sleep(WRONG);
    let still = stack.status(shard)?;
    grabs_are_refused(deployment, "a grab without a gate and a shard")?;
    stack.restart(shard)?;
    deployment.fault_ends();
    Proof::when(still == Status::Down, format!("{shard} was {} while Redis began anew", state(still)))
}

/// Expects grabs to be answered with 503.
pub(super) fn grabs_are_refused(deployment: &CaseDeployment<'_>, what: &str) -> Result<()> {
    for service in &deployment.services {
        let body = json!({ "user_id": 1, "coupon_id": 1 });
        let grabbed = post_json::<Value>(&service.answering()?, "/api/coupon/grab", &body);
        let said = grabbed.map_or_else(|error| format!("{error:#}"), |answer| answer.to_string());
        let refused = said.contains("answered 503");
        deployment.record.expect(refused, format!("{}: {what} was answered {said}", service.name));
    }
    Ok(())
}

/// Waits until grabs are taken again: how long it takes to fill a gate depends on the machine.
pub(super) fn grabs_are_taken(deployment: &CaseDeployment<'_>) -> Result<()> {
    deployment.services.iter().try_for_each(|service| {
        until("grabs are taken again", RECOVERY, || Ok(get_ok(&service.answering()?, "/readyz").is_ok()))
    })
}

/// Deletes the pending marks of each service, and says of how many there were any.
pub(super) fn lose_marks(deployment: &CaseDeployment<'_>) -> Result<usize> {
    let mut redis = connect(&primary(deployment.stack()?)?)?;
    let mut lost = 0;
    for service in &deployment.services {
        let keys: Vec<String> = redis::cmd("KEYS").arg(service.names()?.every_key()).query(&mut redis)?;
        let marks: Vec<String> = keys.into_iter().filter(|key| key.ends_with(".pending")).collect();
        if !marks.is_empty() {
            lost += redis::cmd("DEL").arg(marks).query::<usize>(&mut redis)?.min(1);
        }
    }
    Ok(lost)
}

pub(super) fn set(redis: &mut Connection, name: &str, value: &str) -> Result<()> {
    redis::cmd("CONFIG")
        .arg("SET")
        .arg(name)
        .arg(value)
        .exec(redis)
        .with_context(|| format!("CONFIG SET {name}"))
}

/// The address of the Redis that takes reservations now.
fn primary(stack: &Stack) -> Result<String> {
    stack.url(stack.primary_redis()?)
}

pub(super) fn connect(url: &str) -> Result<Connection> {
    Ok(redis::Client::open(url)?.get_connection_with_timeout(CONNECT)?)
}
