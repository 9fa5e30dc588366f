//! Sentinels, asked which Redis is the gate.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow};
use redis::{Connection, RedisResult};

/// An address of Sentinels, in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sentinels<'a> {
    scheme: &'a str,
    login: &'a str,
    hosts: Vec<&'a str>,
    service: &'a str,
    database: &'a str,
}

/// Reads `redis+sentinel://[user:password@]host:26379,host2:26379/service[/database]`; none where the address is another.
pub(super) fn read(url: &str) -> Result<Option<Sentinels<'_>>> {
    let Some((scheme, rest)) = url.split_once("+sentinel://") else { return Ok(None) };
    let (login, rest) = rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1));
    let (hosts, rest) = rest.split_once('/').context("the Sentinels' name for their Redis is missing")?;
    let (service, database) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(Some(Sentinels { scheme, login, hosts: hosts.split(',').map(str::trim).collect(), service, database }))
}

impl Sentinels<'_> {
    /// The address of the Redis that was elected last, of those that are named.
    pub(super) fn primary(&self, open: impl Fn(&str) -> RedisResult<Connection>) -> Result<String> {
        let answers: Vec<_> = self.hosts.iter().map(|host| self.ask(host, &open)).collect();
        let mut why = "no Sentinel knows where it is".to_owned();
        let mut elected: Option<(u64, String)> = None;
        for answer in answers {
            match answer {
                Ok(named) if elected.as_ref().is_none_or(|elected| named.0 > elected.0) => {
                    elected = Some(named);
                }
                Ok(_) => {}
                Err(error) => why = format!("{why}; {error:#}"),
            }
        }
        let (_, host) = elected.ok_or_else(|| anyhow!(why))?;
        Ok(format!("{}://{}{host}/{}", self.scheme, self.login, self.database))
    }

    /// The host that a Sentinel names, and the number of the fail-over by which it was elected.
    fn ask(&self, host: &str, open: &impl Fn(&str) -> RedisResult<Connection>) -> Result<(u64, String)> {
        let host = if host.ends_with(|last: char| last.is_ascii_digit()) && host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:26379")
        };
        let what = || format!("Sentinel at {host}");
        let ask = |login: &str| -> RedisResult<(HashMap<String, String>, (String, u16))> {
            let mut sentinel = open(&format!("{}://{login}{host}", self.scheme))?;
            let mut told = redis::cmd("SENTINEL");
            let told = told.arg("MASTER").arg(self.service).query(&mut sentinel)?;
            let mut place = redis::cmd("SENTINEL");
            let place = place.arg("GET-MASTER-ADDR-BY-NAME").arg(self.service).query(&mut sentinel)?;
            Ok((told, place))
        };
        // It may have a password, which is then that of Redis.
        let answer = match ask("") {
            Err(error) if error.code() == Some("NOAUTH") => ask(self.login),
            answer => answer,
        };
        let (told, (elected, port)) = answer.with_context(what)?;
        let failover = told.get("config-epoch").and_then(|number| number.parse().ok());
        let elected = if elected.contains(':') { format!("[{elected}]") } else { elected };
        Ok((failover.with_context(what)?, format!("{elected}:{port}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_sentinels_is_told_from_one_of_redis() {
        let read = read("rediss+sentinel://:p/@h:1,other/mymaster/3").unwrap().unwrap();
        let hosts = vec!["h:1", "other"];
        let (scheme, login) = ("rediss", ":p/@");
        assert_eq!(read, Sentinels { scheme, login, hosts, service: "mymaster", database: "3" });
        assert_eq!(super::read("redis://:p@h:1/2").unwrap(), None);
        assert!(super::read("redis+sentinel://h:1").unwrap_err().to_string().contains("name"));
    }
}
