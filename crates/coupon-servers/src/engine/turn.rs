//! A lane's turn: a transaction on the lane's address, whose beginning and end prove that it is one, and the lane's.

use std::time::Duration;

use async_trait::async_trait;

/// The times that the lane's row of state is looked for. In the instant of a switch of shards the first look may go elsewhere.
const LOOKS: usize = 3;
/// The time between two of them.
const PAUSE: Duration = Duration::from_millis(50);

/// What is sent on a lane's connection when a turn begins.
#[async_trait]
pub trait Begins: Send {
    /// What a lane's row of state says.
    type State: Send;
    /// An error of the connection's. After it nothing more is sent there.
    type Error: Send;

    /// Sends `START TRANSACTION`. Without it a statement on a lane's address is a transaction by itself, whatever `autocommit`
    /// says, and a lock is let go of at once.
    async fn start(&mut self) -> Result<(), Self::Error>;

    /// Reads the lane's row of state, and locks it. `None` where there is no such row.
    async fn lock_state(&mut self) -> Result<Option<Self::State>, Self::Error>;

    /// Gives up what was begun.
    async fn roll_back(&mut self) -> Result<(), Self::Error>;
}

/// What is sent on it when the turn ends.
#[async_trait]
pub trait Ends: Send {
    /// An error of the connection's. After it nothing more is sent there.
    type Error: Send;

    /// Sends what is to be noted, the row of state last. Says how many rows of that one were matched.
    async fn note(&mut self, statements: String) -> Result<u64, Self::Error>;

    /// Sends `COMMIT`.
    async fn commit(&mut self) -> Result<(), Self::Error>;
}

/// A turn that is over, and has changed nothing, unless it is the commit that failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnError<E> {
    /// The row of state that was locked was not there to be changed: the transaction is not what it was.
    #[error("the lane's row of state was locked and could not be changed: {0} rows, and not one")]
    Lost(u64),
    /// An error of the connection's.
    #[error(transparent)]
    Link(E),
}

/// Begins a turn. `None` where the lane has no row of state, which is concluded from several looks only, each in a transaction of
/// its own: a look that went to the wrong shard has begun the transaction there.
///
/// # Errors
/// When the connection fails; it must be dropped.
pub async fn begin<L: Begins + ?Sized>(link: &mut L) -> Result<Option<L::State>, L::Error> {
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        link.start().await?;
        if let Some(state) = link.lock_state().await? {
            return Ok(Some(state));
        }
        link.roll_back().await?;
    }
    Ok(None)
}

/// Notes what is to be noted, and ends the turn. What is noted ends with the row of state, which must be there: had the engine
/// rolled back on its own, or sent it elsewhere, a commit would still be answered well.
///
/// # Errors
/// When the connection fails, or the row of state was not there any more; the connection must be dropped.
pub async fn commit<L: Ends + ?Sized>(link: &mut L, statements: String) -> Result<(), TurnError<L::Error>> {
    match link.note(statements).await.map_err(TurnError::Link)? {
        1 => link.commit().await.map_err(TurnError::Link),
        rows => Err(TurnError::Lost(rows)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A connection whose answers are set beforehand, and which writes down what it is sent.
    #[derive(Default)]
    struct Told {
        looks: VecDeque<Option<u8>>,
        noted: u64,
        fails: Option<&'static str>,
        sent: Vec<&'static str>,
    }

    impl Told {
        fn takes(&mut self, what: &'static str) -> Result<(), &'static str> {
            self.sent.push(what);
            if self.fails == Some(what) { Err(what) } else { Ok(()) }
        }
    }

    #[async_trait]
    impl Begins for Told {
        type State = u8;
        type Error = &'static str;

        async fn start(&mut self) -> Result<(), &'static str> {
            self.takes("start")
        }
        async fn lock_state(&mut self) -> Result<Option<u8>, &'static str> {
            self.takes("look")?;
            Ok(self.looks.pop_front().flatten())
        }
        async fn roll_back(&mut self) -> Result<(), &'static str> {
            self.takes("roll back")
        }
    }

    #[async_trait]
    impl Ends for Told {
        type Error = &'static str;

        async fn note(&mut self, _statements: String) -> Result<u64, &'static str> {
            self.takes("note")?;
            Ok(self.noted)
        }
        async fn commit(&mut self) -> Result<(), &'static str> {
            self.takes("commit")
        }
    }

    fn looks(looks: &[Option<u8>]) -> Told {
        Told { looks: looks.iter().copied().collect(), noted: 1, ..Told::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn every_look_is_the_first_statement_of_a_transaction() {
        let mut link = looks(&[Some(7)]);
        assert_eq!(begin(&mut link).await, Ok(Some(7)));
        assert_eq!(link.sent, ["start", "look"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_empty_look_is_believed_no_more_than_two() {
        let mut link = looks(&[None, None, Some(7)]);
        assert_eq!(begin(&mut link).await, Ok(Some(7)));
        assert_eq!(link.sent, ["start", "look", "roll back", "start", "look", "roll back", "start", "look"]);
        let mut link = looks(&[None; 3]);
        assert_eq!(begin(&mut link).await, Ok(None));
        // Nothing is left begun.
        assert_eq!((link.sent.len(), link.sent.last()), (9, Some(&"roll back")));
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_error_nothing_more_is_sent() {
        for fails in ["start", "look", "roll back"] {
            let mut link = Told { fails: Some(fails), ..looks(&[None]) };
            assert_eq!(begin(&mut link).await, Err(fails));
            assert_eq!(link.sent.last(), Some(&fails));
        }
        for fails in ["note", "commit"] {
            let mut link = Told { fails: Some(fails), ..looks(&[]) };
            assert_eq!(commit(&mut link, String::new()).await, Err(TurnError::Link(fails)));
            assert_eq!(link.sent.last(), Some(&fails));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_of_state_that_is_not_there_any_more_is_not_committed() {
        let mut link = looks(&[]);
        commit(&mut link, String::new()).await.unwrap();
        assert_eq!(link.sent, ["note", "commit"]);
        for rows in [0, 2] {
            let mut link = Told { noted: rows, ..looks(&[]) };
            assert_eq!(commit(&mut link, String::new()).await, Err(TurnError::Lost(rows)));
            assert_eq!(link.sent, ["note"]);
        }
    }
}
