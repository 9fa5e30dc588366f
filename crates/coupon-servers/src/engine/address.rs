//! The names by which an engine is addressed: they stand where a connection names its database.

use coupon_core::LaneKey;
use coupon_store::settings::ServerUrl;

/// The keyspace that an address names: what is sent there is planned by the engine.
///
/// # Errors
/// When it names none, or one that could be read as more than a name.
pub fn keyspace_in(url: &ServerUrl) -> anyhow::Result<&str> {
    let name = url.name();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    anyhow::ensure!(
        !name.is_empty() && name.bytes().all(plain),
        "setting `servers.engine` must end with the name of a keyspace, in letters, digits and _: \
         mysql://user:password@host:3306/keyspace"
    );
    Ok(name)
}

/// The address of a lane: whichever shard has its lowest keyspace id now.
#[must_use]
pub fn lane_database(keyspace: &str, lane: LaneKey) -> String {
    format!("{keyspace}[{lane}]")
}

/// The address of a shard, by its name.
#[must_use]
pub fn shard_database(keyspace: &str, shard: &str) -> String {
    format!("{keyspace}:{shard}")
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use coupon_core::{Lanes, ShardId};

    use super::*;

    #[test]
    fn a_lane_is_addressed_by_its_lowest_id() {
        let lanes = Lanes::new(NonZeroU16::new(8).unwrap()).unwrap();
        let url = ServerUrl::new("mysql://u:p@h:1/results?require_ssl=true");
        let first = lanes.key(ShardId::new(1)).unwrap();
        assert_eq!(lane_database(keyspace_in(&url).unwrap(), first), "results[20]");
    }

    #[test]
    fn an_address_without_a_plain_keyspace_is_refused() {
        for url in ["mysql://u:s3cret@h:1", "mysql://u:s3cret@h:1/results:-80", "mysql://u:s3cret@h:1/a[20]"]
        {
            let error = keyspace_in(&ServerUrl::new(url)).unwrap_err().to_string();
            assert!(error.contains("servers.engine") && !error.contains("s3cret"), "{url}: {error}");
        }
    }
}
