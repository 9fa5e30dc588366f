//! One keep-alive connection: takes a job, sends it, reads the answer, takes the next.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::recorder::Failure;
use super::shared::{Job, Shared, Slot};
use crate::http::{RequestWriter, ResponseReader, Target};
use crate::workload::Endpoint;

/// A service that refuses connections is not asked again at once.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);

pub(super) async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

pub(super) struct Connection {
    shared: Rc<Shared>,
    index: usize,
    addr: SocketAddr,
    stream: Option<TcpStream>,
    writer: RequestWriter,
    request: Vec<u8>,
    reader: ResponseReader,
    /// The time of the last answer: saves a look at the clock.
    now: Instant,
}

impl Connection {
    pub(super) fn new(shared: Rc<Shared>, index: usize, target: &Target, stream: TcpStream) -> Self {
        Self {
            shared,
            index,
            addr: target.addr_of(index),
            stream: Some(stream),
            writer: RequestWriter::new(target),
            request: Vec::with_capacity(512),
            reader: ResponseReader::default(),
            now: Instant::now(),
        }
    }

    /// Serves jobs until no more will come.
    pub(super) async fn serve(mut self) {
        let shared = Rc::clone(&self.shared);
        let Some(slot) = shared.slot(self.index) else { return };
        while let Some(job) = poll_fn(|cx| self.poll_job(cx)).await {
            self.writer.write(&mut self.request, &job.request);
            let taken_at = Instant::now();
            slot.start(taken_at + shared.timeout);
            if !self.reconnect(slot, &job, taken_at).await {
                continue;
            }
            shared.record(|recorder| {
                recorder.sent += 1;
                if let Some(due) = job.due.filter(|_| !job.queued) {
                    recorder.late(taken_at.saturating_duration_since(due));
                }
            });
            let watch = shared.watch.as_ref().filter(|_| job.request.endpoint == Endpoint::Grab);
            watch.inspect(|watch| watch.sent());
            let exchanged = self.exchange(slot).await;
            watch.inspect(|watch| watch.ended());
            slot.finish();
            self.finish(&job, taken_at, exchanged);
        }
    }

    /// The next job; meanwhile notices when the service closes the idle connection, so that no request is sent into
    /// the void.
    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        if let Poll::Ready(job) = self.shared.poll_job(self.index, self.now, cx) {
            return Poll::Ready(job);
        }
        while let Some(stream) = &self.stream {
            // Not ready is the usual case: the service has nothing to say.
            if stream.poll_read_ready(cx).is_pending() {
                break;
            }
            match stream.try_read(&mut [0; 1]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                _ => self.stream = None,
            }
        }
        Poll::Pending
    }

    /// Opens the connection anew if need be. False: it failed, and so has the job.
    async fn reconnect(&mut self, slot: &Slot, job: &Job, taken_at: Instant) -> bool {
        if self.stream.is_some() {
            return true;
        }
        let failure = match slot.in_time(connect(self.addr)).await {
            Ok(Ok(stream)) => {
                self.stream = Some(stream);
                self.shared.record(|recorder| recorder.reconnects += 1);
                return true;
            }
            Ok(Err(_)) => Failure::NoConnection,
            Err(_) => Failure::NoConnectionInTime,
        };
        slot.finish();
        self.now = Instant::now();
        let waited = self.now.saturating_duration_since(job.due.unwrap_or(taken_at));
        self.shared.finish(job, |recorder| recorder.failed(&job.request, failure, waited));
        tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
        self.now = Instant::now();
        false
    }

    /// Sends the request and reads until the answer is complete.
    async fn exchange(&mut self, slot: &Slot) -> Result<(), Failure> {
        let Self { stream, request, reader, .. } = self;
        let stream = stream.as_mut().ok_or(Failure::NoConnection)?;
        reader.reset();
        slot.in_time(send(stream, request)).await?.map_err(|_| Failure::Cut)?;
        slot.in_time(poll_fn(|cx| poll_answer(stream, reader, cx))).await?
    }

    /// Closes a job's book, and has the job come that follows from its answer.
    fn finish(&mut self, job: &Job, taken_at: Instant, exchanged: Result<(), Failure>) {
        self.now = Instant::now();
        let latency = self.now.saturating_duration_since(job.due.unwrap_or(taken_at));
        let answer = self.reader.complete().ok().flatten().ok_or(Failure::Unreadable);
        let response = exchanged.and(answer);
        let keep = response.as_ref().is_ok_and(|response| response.keep_alive);
        let next = self.shared.finish(job, |recorder| match response {
            Ok(response) => recorder.answered(&job.request, response.status, response.body, latency),
            Err(failure) => {
                recorder.failed(&job.request, failure, latency);
                None
            }
        });
        if !keep {
            self.stream = None;
        }
        if let Some(request) = next {
            self.shared.follow(request, job, self.now);
        }
    }
}

/// A request fits the socket's buffer: as a rule this is one call, without waiting.
async fn send(stream: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    match stream.try_write(request) {
        Ok(sent) if sent == request.len() => Ok(()),
        Ok(sent) => stream.write_all(request.get(sent..).unwrap_or_default()).await,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.write_all(request).await,
        Err(error) => Err(error),
    }
}

fn poll_answer(
    stream: &mut TcpStream,
    reader: &mut ResponseReader,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Failure>> {
    loop {
        let mut buffer = ReadBuf::new(reader.space());
        let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
        let count = buffer.filled().len();
        if read.is_err() {
            return Poll::Ready(Err(Failure::Cut));
        }
        reader.fill(count);
        match reader.complete() {
            Ok(Some(_)) => return Poll::Ready(Ok(())),
            Ok(None) => {}
            Err(_) if count == 0 => return Poll::Ready(Err(Failure::Cut)),
            Err(_) => return Poll::Ready(Err(Failure::Unreadable)),
        }
    }
}
