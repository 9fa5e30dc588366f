//! One wide table, really made: a data folder's `coupons` takes the wide columns in, and `coupon_details` becomes a view of it.
//!
//! The service above it is the same, and so are its statements: a read of the narrow columns passes over the wide ones
//! of each row, and a read of all of them finds them where the row is. The wide columns come last, as in any table that
//! was made with care.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;

const MAKE: &str = "
    BEGIN IMMEDIATE;
    ALTER TABLE coupons ADD COLUMN description TEXT NOT NULL DEFAULT '';
    ALTER TABLE coupons ADD COLUMN usage_rules TEXT NOT NULL DEFAULT '';
    ALTER TABLE coupons ADD COLUMN product_range TEXT NOT NULL DEFAULT '[]';
    UPDATE coupons SET (description, usage_rules, product_range) =
        (SELECT description, usage_rules, product_range FROM coupon_details d WHERE d.coupon_id = coupons.coupon_id)
        WHERE coupon_id IN (SELECT coupon_id FROM coupon_details);
    DROP TABLE coupon_details;
    CREATE VIEW coupon_details AS SELECT coupon_id, description, usage_rules, product_range FROM coupons;
    COMMIT;
    -- Rows lie as they would if they had always been so wide.
    VACUUM;
";

/// Makes it, also while a service reads.
///
/// # Errors
/// When the folder has no main database, or its tables cannot be changed.
pub fn make(folder: &Path) -> Result<()> {
    let path = folder.join("main.sqlite");
    ensure!(path.is_file(), "{} is not there", path.display());
    let main = Connection::open(&path).context("cannot open the main database")?;
    main.busy_timeout(Duration::from_secs(30))?;
    main.execute_batch(MAKE).context("cannot make the tables one")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_table_holds_what_the_two_held() {
        let folder = tempfile::tempdir().unwrap();
        assert!(make(folder.path()).unwrap_err().to_string().contains("main.sqlite is not there"));
        let main = Connection::open(folder.path().join("main.sqlite")).unwrap();
        main.execute_batch(
            "CREATE TABLE coupons (coupon_id INTEGER PRIMARY KEY, coupon_name TEXT NOT NULL);
             CREATE TABLE coupon_details (coupon_id INTEGER PRIMARY KEY, description TEXT NOT NULL,
                 usage_rules TEXT NOT NULL, product_range TEXT NOT NULL);
             INSERT INTO coupons VALUES (1, 'one'), (2, 'without details');
             INSERT INTO coupon_details VALUES (1, 'long', 'rules', '[7]');",
        )
        .unwrap();
        make(folder.path()).unwrap();
        let read = |id: i64| -> (String, String) {
            let sql = "SELECT c.coupon_name, d.description || d.usage_rules || d.product_range \
                       FROM coupons c LEFT JOIN coupon_details d ON d.coupon_id = c.coupon_id WHERE c.coupon_id = ?1";
            main.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
        };
        assert_eq!(read(1), ("one".into(), "longrules[7]".into()));
        assert_eq!(read(2), ("without details".into(), "[]".into()));
    }
}
