//! `mysql://user@host:3306/database.table`, and the password that goes with it, which is never shown.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use url::Url;

const FORM: &str = "it is mysql://USER@HOST:PORT/DATABASE.TABLE";

/// The address of a table in the user's database.
#[derive(Clone)]
pub struct Address {
    pub(super) url: Url,
    pub(super) database: String,
    pub(super) table: String,
    password: Option<String>,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none, or has a password, which every user of the machine could see on a command line.
    pub fn new(text: &str, password: Option<String>) -> Result<Self> {
        let mut url =
            Url::parse(text).ok().filter(|url| url.scheme() == "mysql" && url.has_host()).context(FORM)?;
        if url.password().is_some() {
            bail!(
                "leave the password out: whoever is on this machine sees it on a command line. It is taken from MYSQL_PWD, or asked for"
            );
        }
        ensure!(!url.username().is_empty(), "it lacks the user: {FORM}");
        let path = url.path().trim_start_matches('/').to_owned();
        let (database, table) =
            path.split_once('.').with_context(|| format!("it lacks the table: {FORM}"))?;
        let decoded = |part: &str| match part {
            "" => None,
            part => Some(percent(part)),
        };
        let (database, table) = (decoded(database).context(FORM)?, decoded(table).context(FORM)?);
        url.set_path("");
        Ok(Self { url, database, table, password })
    }

    /// True where a password is still to be asked for.
    #[must_use]
    pub const fn lacks_password(&self) -> bool {
        self.password.is_none()
    }

    /// Takes a password.
    pub fn give_password(&mut self, password: String) {
        self.password = Some(password);
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref().filter(|password| !password.is_empty())
    }
}

/// Without what a URL escapes.
fn percent(part: &str) -> String {
    url::form_urlencoded::parse(format!("x={}", part.replace('+', "%2B")).as_bytes())
        .next()
        .map_or_else(|| part.to_owned(), |(_, value)| value.into_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port().unwrap_or(3306));
        write!(f, "{}.{} at {host}:{port}", self.database, self.table)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_user_host_database_and_table() {
        let address =
            Address::new("mysql://app@db.example/shop.or%20ders", Some("s3cret".to_owned())).unwrap();
        assert_eq!(address.to_string(), "shop.or ders at db.example:3306");
        assert_eq!(address.url.as_str(), "mysql://app@db.example");
        assert!(!format!("{address:?}").contains("s3cret") && !address.lacks_password());
    }

    #[test]
    fn what_is_no_address_is_told_how_one_looks_and_a_password_is_refused_without_being_shown() {
        for wrong in [
            "shop.orders",
            "http://a@b/c.d",
            "mysql://a@b/c",
            "mysql://a@b",
            "mysql://b/c.d",
            "mysql://a@b/.d",
        ] {
            let error = Address::new(wrong, None).unwrap_err().to_string();
            assert!(error.contains("mysql://USER@HOST"), "{wrong}: {error}");
        }
        let error = Address::new("mysql://a:s3cret@b/c.d", None).unwrap_err().to_string();
        assert!(error.contains("MYSQL_PWD") && !error.contains("s3cret"), "{error}");
    }
}
