//! The body of a request in chunks, held until the request is answered.
//!
//! Such a body does not say how long it is. One that is dropped unread is read and thrown away by the HTTP library
//! for as long as it goes on, on a connection that nothing closes. One that is held counts as unread when the answer
//! goes: the answer says then that the connection is closed, as it does after a body that says itself that it is too
//! large. What is left of a body that is here already is read first, so that a connection is not lost over a few
//! bytes.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::{Stream, StreamExt as _};

/// Bytes of an unwanted body that are read to keep the connection.
const SPARED: usize = 64 * 1024;

/// A body that is held, by its reader and by the answer.
#[derive(Clone)]
pub(super) struct Held {
    body: Rc<RefCell<Body>>,
    /// Bytes that were read to keep the connection.
    spared: usize,
    /// Set once nothing more had come.
    waited: bool,
}

struct Body {
    payload: Payload,
    /// Set at its end, with whether that was a good one. The HTTP library must not be asked for more then.
    ended: Option<bool>,
}

impl Held {
    /// Takes hold of a request's body, if it is in chunks.
    pub(super) fn of(req: &mut ServiceRequest) -> Option<Self> {
        if !req.headers().contains_key(header::TRANSFER_ENCODING) {
            return None;
        }
        let body = Rc::new(RefCell::new(Body { payload: req.take_payload(), ended: None }));
        let held = Self { body, spared: 0, waited: false };
        req.set_payload(Payload::Stream { payload: Box::pin(held.clone()) });
        Some(held)
    }

    /// Reads what is here of a body that is answered already; true at its end. The connection is read once more
    /// before it counts as silent: what came together with the request's head is taken apart only then.
    pub(super) fn poll_end(&mut self, waker: &mut Context<'_>) -> Poll<bool> {
        loop {
            let ended = self.body.borrow().ended;
            if let Some(well) = ended {
                return Poll::Ready(well);
            }
            match self.poll_next_unpin(waker) {
                Poll::Ready(Some(Ok(bytes))) if self.spared + bytes.len() <= SPARED => {
                    self.spared += bytes.len();
                    self.waited = false;
                }
                Poll::Ready(Some(Ok(_))) => return Poll::Ready(false),
                Poll::Ready(_) => {}
                Poll::Pending if self.waited => return Poll::Ready(false),
                Poll::Pending => {
                    self.waited = true;
                    waker.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    /// The answer's body, which holds that of the request until it is sent.
    pub(super) fn until_sent(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Holding { body, _held: self })
    }
}

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, waker: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.body.borrow_mut();
        let next = ready!(body.payload.poll_next_unpin(waker));
        if !matches!(next, Some(Ok(_))) {
            body.ended = Some(next.is_none());
        }
        Poll::Ready(next)
    }
}

struct Holding {
    body: BoxBody,
    _held: Held,
}

impl MessageBody for Holding {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        waker: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(waker)
    }
}
