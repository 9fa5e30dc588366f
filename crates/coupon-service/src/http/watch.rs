//! The work done for every request: it gets an id, its answer names it, and it is counted.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Waker, Poll, ready};
use std::time::Instant;

use actix_web::Error;
use actix_web::dev::{Service as Handler, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;

use super::held::Held;
use crate::route_metrics::RouteAnswers;
use crate::state::Service;
use crate::telemetry::context::{self, TraceContext};

/// The header in which callers say which trace a request is part of.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
/// The header in which answers say what the request is called: the id of its trace.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Watches over every request of a service.
pub(crate) struct Watch(pub(crate) Data<Service>);

impl<S> Transform<S, ServiceRequest> for Watch
where
    S: Handler<ServiceRequest, Response = ServiceResponse, Error = Error>,
    S::Future: Unpin,
{
    type Response = ServiceResponse;
    type Error = Error;
    type InitError = ();
    type Transform = Watching<S>;
    type Future = std::future::Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        std::future::ready(Ok(Watching { inner, service: Rc::new(Data::clone(&self.0)) }))
    }
}

/// One worker's handlers, and the service they belong to.
pub(crate) struct Watching<S> {
    inner: S,
    service: Rc<Data<Service>>,
}

impl<S> Handler<ServiceRequest> for Watching<S>
where
    S: Handler<ServiceRequest, Response = ServiceResponse, Error = Error>,
    S::Future: Unpin,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = Watched<S::Future>;

    forward_ready!(inner);

    fn call(&self, mut req: ServiceRequest) -> Self::Future {
        let mut context = TraceContext::of(req.headers().get_all(TRACE_PARENT).map(HeaderValue::as_bytes));
        context.recorded = self.service.traces.as_ref().is_some_and(|traces| traces.records(&context));
        let _at_work = context::enter(context);
        let (begun, held) = (Instant::now(), Held::of(&mut req));
        let (answer, service) = (self.inner.call(req), Rc::clone(&self.service));
        Watched { answer, service, context, begun, held, kept: None }
    }
}

/// A request under way. It allocates nothing, but for a body in chunks.
pub(crate) struct Watched<F> {
    answer: F,
    service: Rc<Data<Service>>,
    context: TraceContext,
    begun: Instant,
    held: Option<Held>,
    /// The answer to a request whose body is not read to its end.
    kept: Option<ServiceResponse>,
}

impl<F> Future for Watched<F>
where
    F: Future<Output = Result<ServiceResponse, Error>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<Self::Output> {
        let _at_work = context::enter(self.context);
        let mut answer = match self.kept.take() {
            Some(answer) => answer,
            None => {
                let mut answer = ready!(Pin::new(&mut self.answer).poll(waker))?;
                self.answered(&mut answer);
                answer
            }
        };
        if let Some(mut held) = self.held.take() {
            match held.poll_end(waker) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => answer = answer.map_body(|_, body| held.until_sent(body)),
                Poll::Pending => {
                    (self.held, self.kept) = (Some(held), Some(answer));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(answer))
    }
}

impl<F> Watched<F> {
    fn answered(&self, answer: &mut ServiceResponse) {
        let (status, took) = (answer.status(), self.begun.elapsed());
        let request = answer.request();
        let route = request.app_data::<Arc<RouteAnswers>>().unwrap_or(&self.service.route_metrics.elsewhere);
        route.count(status, took);
        if let (Some(traces), true) = (&self.service.traces, self.context.recorded) {
            let (context, method) = (&self.context, method(request.method()));
            traces.request(context, route.route, method, status.as_u16(), self.begun);
        }
        // Off unless asked for: at a service's top rate, writing the log would cost more than answering.
        tracing::debug!(
            target: "access",
            request_id = %self.context.trace,
            method = method(request.method()),
            route = route.route,
            status = status.as_u16(),
            duration_ms = took.as_secs_f64() * 1_000.0,
            "answered"
        );
        if let Ok(id) = HeaderValue::from_bytes(&self.context.trace.digits()) {
            answer.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

/// A method's name; one that is not of HTTP has none.
fn method(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE => method.as_str(),
        Method::OPTIONS | Method::PATCH | Method::CONNECT | Method::TRACE => method.as_str(),
        _ => "other",
    }
}
