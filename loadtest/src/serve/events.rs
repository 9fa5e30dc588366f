//! Server-sent events: what is shown, whenever it has changed.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch::Receiver;
use tokio::time::{sleep, timeout};

use super::shown::Board;

/// Bars that move more often are no easier to read.
const EVERY: Duration = Duration::from_millis(200);
/// A page that is gone is noticed when it is written to.
const STILL_HERE: Duration = Duration::from_secs(15);

/// Events for one viewer: first what is shown now, then each change, as long as the viewer is there.
pub(super) fn stream(board: Arc<Board>) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let mut changes = board.changes();
    changes.mark_changed();
    unfold((board, changes), |(board, mut changes)| async move {
        let event = next(&board, &mut changes).await?;
        Some((Ok(event), (board, changes)))
    })
}

async fn next(board: &Board, changes: &mut Receiver<()>) -> Option<Bytes> {
    match timeout(STILL_HERE, changes.changed()).await {
        Err(_) => Some(Bytes::from_static(b": still here\n\n")),
        Ok(Err(_)) => None,
        Ok(Ok(())) => {
            // What changes meanwhile is in the next event.
            sleep(EVERY).await;
            changes.mark_unchanged();
            Some(Bytes::from(format!("data: {}\n\n", board.json())))
        }
    }
}
