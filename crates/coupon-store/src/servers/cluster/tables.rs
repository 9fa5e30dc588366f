//! The tables of a data set: made, and brought up to date.

use anyhow::Context as _;
use coupon_core::schema::{self, Dialect, Migration};
use refinery::Runner;

use super::Cluster;
use crate::ids::random_name;
use crate::servers::columns;
use crate::servers::mysql::Database;

/// The table in which each database notes which changes it has seen.
const HISTORY: &str = "schema_history";

impl Cluster {
    /// Makes every database and table of a new data set, and writes into each shard which data set it belongs to.
    pub(in crate::servers) async fn make_tables(&self) -> anyhow::Result<String> {
        let dataset = random_name();
        self.main.create().await?;
        self.update_main_tables().await?;
        for (shard, database) in self.numbered() {
            self.make_shard(shard, database, &dataset, 0).await?;
        }
        Ok(dataset)
    }

    /// Brings main's tables up to date, for work that opens no more of the data set.
    ///
    /// # Errors
    /// When main cannot be changed.
    pub async fn update_main(&self) -> anyhow::Result<()> {
        let _lock = self.lock().await?;
        self.update_main_tables().await
    }

    /// Makes main's tables, and adds the columns that later versions have.
    pub(in crate::servers) async fn update_main_tables(&self) -> anyhow::Result<()> {
        let main = &self.main;
        self.migrate(main, &schema::main_migrations()).await?;
        let mut conn = main.connect().await?;
        Ok(columns::add(&mut conn, &[schema::main_columns(), schema::servers_columns()].concat())
            .await
            .map_err(|error| main.error(&error))?)
    }

    /// Makes a shard's tables but for those of results, which are brought up to date.
    pub(in crate::servers) async fn update_shard_tables(
        &self,
        database: &Database,
        of_before: bool,
    ) -> anyhow::Result<()> {
        self.migrate(database, &schema::shard_migrations()).await?;
        let mut conn = database.connect_alone().await?;
        let update = async {
            columns::add(&mut conn, &schema::shard_columns(Dialect::MySql)).await?;
            columns::update_results(&mut conn, of_before).await
        };
        Ok(update.await.map_err(|error| database.error(&error))?)
    }

    async fn migrate(&self, database: &Database, migrations: &[Migration]) -> anyhow::Result<()> {
        let migrations = migrations
            .iter()
            .map(|migration| refinery::Migration::unapplied(migration.name, &migration.sql))
            .collect::<Result<Vec<_>, _>>()?;
        let mut runner = Runner::new(&migrations);
        runner.set_migration_table_name(HISTORY);
        // Connecting first gives an error that names the setting.
        drop(database.connect().await?);
        let mut pool = database.pool().await?;
        runner
            .run_async(&mut pool)
            .await
            .with_context(|| format!("{database}: cannot bring its tables up to date"))?;
        Ok(())
    }
}
