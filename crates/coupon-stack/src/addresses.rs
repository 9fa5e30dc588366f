//! Addresses of a stack's servers, as services take them.

/// The address of each server: URLs with user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The main database, `mysql://…`.
    pub main: String,
    /// The shards' databases, in their order.
    pub shards: Vec<String>,
    /// Redis, `redis://…`; that of each gate, with commas between them, where there are several.
    pub redis: String,
    /// The nodes of RabbitMQ, `amqp://…`.
    pub rabbitmq: Vec<String>,
    /// The engine, `mysql://…/results`, if the stack has one.
    pub engine: Option<String>,
}

impl Addresses {
    /// Renders them as `KEY=VALUE`, for the services' `--set`.
    #[must_use]
    pub fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            "backend=servers".to_owned(),
            format!("servers.main={}", self.main),
            format!("servers.shards=[{}]", self.quoted_shards()),
            format!("servers.redis={}", self.redis),
            format!("servers.rabbitmq={}", self.rabbitmq.join(",")),
        ];
        settings.extend(self.engine.as_ref().map(|engine| format!("servers.engine={engine}")));
        settings
    }

    /// Renders them as a settings file, for the services' `--config`.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self { main, redis, .. } = self;
        let (shards, rabbitmq) = (self.quoted_shards(), self.rabbitmq.join(","));
        let engine =
            self.engine.as_ref().map(|engine| format!("engine = \"{engine}\"\n")).unwrap_or_default();
        format!(
            "backend = \"servers\"\n\n[servers]\nmain = \"{main}\"\nshards = [{shards}]\nredis = \"{redis}\"\n\
             rabbitmq = \"{rabbitmq}\"\n{engine}"
        )
    }

    /// Renders them as environment variables, which the services read as well.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("COUPON__BACKEND", "servers".to_owned()),
            ("COUPON__SERVERS__MAIN", self.main.clone()),
            ("COUPON__SERVERS__SHARDS", self.shards.join(",")),
            ("COUPON__SERVERS__REDIS", self.redis.clone()),
            ("COUPON__SERVERS__RABBITMQ", self.rabbitmq.join(",")),
        ];
        environment.extend(self.engine.clone().map(|engine| ("COUPON__SERVERS__ENGINE", engine)));
        environment
    }

    // The URLs are ours: letters, digits and `:/@%._-+,`, nothing that TOML would want escaped.
    fn quoted_shards(&self) -> String {
        self.shards.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let mysql = |port: u16| format!("mysql://coupon:0a1b@127.0.0.1:{port}");
        Addresses {
            main: mysql(1),
            shards: vec![mysql(2), mysql(3)],
            redis: "redis://:0a1b@127.0.0.1:4".to_owned(),
            rabbitmq: [5, 6].map(|port: u16| format!("amqp://coupon:0a1b@127.0.0.1:{port}/%2f")).to_vec(),
            engine: None,
        }
    }

    #[test]
    fn the_settings_file_says_what_the_addresses_are() {
        let addresses = addresses();
        let table: toml::Table = addresses.to_toml().parse().unwrap();
        assert_eq!(table["backend"].as_str(), Some("servers"));
        let servers = table["servers"].as_table().unwrap();
        assert_eq!(servers["main"].as_str(), Some(addresses.main.as_str()));
        let shards: Vec<_> =
            servers["shards"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
        assert_eq!(shards, addresses.shards);
        assert_eq!(servers["redis"].as_str(), Some(addresses.redis.as_str()));
        assert_eq!(servers["rabbitmq"].as_str(), Some(&*addresses.rabbitmq.join(",")));
        assert!(servers.get("engine").is_none());
    }

    #[test]
    fn an_engine_is_one_address_more() {
        let engine = "mysql://coupon:0a1b@127.0.0.1:6/results";
        let addresses = Addresses { engine: Some(engine.to_owned()), ..addresses() };
        let table: toml::Table = addresses.to_toml().parse().unwrap();
        assert_eq!(table["servers"]["engine"].as_str(), Some(engine));
        assert_eq!(addresses.settings()[5], format!("servers.engine={engine}"));
        assert_eq!(addresses.environment()[5], ("COUPON__SERVERS__ENGINE", engine.to_owned()));
    }

    #[test]
    fn settings_are_one_flag_each() {
        let settings = addresses().settings();
        assert_eq!(settings[0], "backend=servers");
        let shards = r#"["mysql://coupon:0a1b@127.0.0.1:2","mysql://coupon:0a1b@127.0.0.1:3"]"#;
        assert_eq!(settings[2], format!("servers.shards={shards}"));
        assert_eq!(settings.len(), 5);
    }
}
