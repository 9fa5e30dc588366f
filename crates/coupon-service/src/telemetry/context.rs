//! The request that the thread is at work on: its id, as W3C's Trace Context has it.
//!
//! A worker turns from one request to another whenever one of them waits, and says so here each time. Code that logs
//! or answers meanwhile can name the request without having been handed its id.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};

use coupon_core::random::SplitMix64;

/// A request, as part of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The whole trace's id, and so the request's.
    pub trace: TraceId,
    /// The id of the caller's own part of the trace, if the caller began it.
    pub caller: Option<u64>,
    /// The id of this request within the trace.
    pub span: u64,
    /// True if the caller records its part; `None` when there is no caller that says.
    pub sampled: Option<bool>,
    /// True if this service records its own part.
    pub recorded: bool,
}

/// An id of 128 bits, never 0; 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// Its digits.
    #[must_use]
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [b'0'; 32];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            let value = (rest & 15) as u8;
            *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
            rest >>= 4;
        }
        digits
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl TraceContext {
    /// A request that comes with these headers of the name `traceparent`. Unless there is exactly one, and it is what
    /// the standard says, the request begins a new trace.
    pub fn of<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut headers = headers.into_iter();
        let parent = match (headers.next(), headers.next()) {
            (Some(header), None) => Parent::read(header),
            _ => None,
        };
        let span = some_bits();
        match parent {
            Some(Parent { trace, span: caller, sampled }) => {
                Self { trace, caller: Some(caller), span, sampled: Some(sampled), recorded: false }
            }
            None => {
                let trace = TraceId(u128::from(some_bits()) << 64 | u128::from(some_bits()));
                Self { trace, caller: None, span, sampled: None, recorded: false }
            }
        }
    }
}

/// The content of a `traceparent`.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    trace: TraceId,
    span: u64,
    sampled: bool,
}

impl Parent {
    /// `00-<32 digits>-<16 digits>-<2 digits>`; later versions may go on after another dash.
    fn read(header: &[u8]) -> Option<Self> {
        let mut parts = header.split(|byte| *byte == b'-');
        let version = hexadecimal(parts.next()?, 2)?;
        let (trace, span) = (hexadecimal(parts.next()?, 32)?, hexadecimal(parts.next()?, 16)?);
        let flags = hexadecimal(parts.next()?, 2)?;
        let complete = version != 0 || parts.next().is_none();
        let (span, sampled) = (u64::try_from(span).ok()?, flags & 1 == 1);
        (complete && version != 255 && trace != 0 && span != 0).then_some(Self {
            trace: TraceId(trace),
            span,
            sampled,
        })
    }
}

/// Reads so many digits, none of them a capital.
fn hexadecimal(digits: &[u8], count: usize) -> Option<u128> {
    let value = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if digits.len() != count {
        return None;
    }
    digits.iter().try_fold(0, |sum: u128, digit| Some(sum << 4 | u128::from(value(digit)?)))
}

/// Unique bits, and never 0. They come of a random start: ids must differ, and need not be secret.
pub(super) fn some_bits() -> u64 {
    thread_local! {
        static BITS: RefCell<SplitMix64> =
            RefCell::new(SplitMix64::new(std::hash::RandomState::new().build_hasher().finish()));
    }
    BITS.with_borrow_mut(SplitMix64::next_u64).max(1)
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The request is what the thread works on until this is dropped.
pub(crate) struct Entered(Option<TraceContext>);

/// Says that the thread works on a request.
pub(crate) fn enter(context: TraceContext) -> Entered {
    Entered(CURRENT.replace(Some(context)))
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// The request that the thread works on, if it is at work on one.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// The id of what the thread works on, for a log line or an answer.
#[must_use]
pub fn request_id() -> Option<String> {
    current().map(|context| context.trace.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(header: &str) -> TraceContext {
        TraceContext::of([header.as_bytes()])
    }

    #[test]
    fn a_callers_trace_goes_on() {
        let context = of(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
        assert_eq!(context.trace.to_string(), TRACE);
        assert_eq!(context.trace.digits(), TRACE.as_bytes());
        assert_eq!((context.caller, context.sampled), (Some(0x00f0_67aa_0ba9_02b7), Some(true)));
        assert_eq!(of(&format!("00-{TRACE}-00f067aa0ba902b7-fe")).sampled, Some(false));
        let later = of(&format!("cc-{TRACE}-00f067aa0ba902b7-01-and more"));
        assert_eq!(later.trace.to_string(), TRACE);
    }

    #[test]
    fn a_header_that_is_not_what_the_standard_says_begins_a_trace_instead() {
        let span = "00f067aa0ba902b7";
        for header in [
            String::new(),
            format!("00-{TRACE}-{span}"),
            format!("00-{TRACE}-{span}-01-more"),
            format!("ff-{TRACE}-{span}-01"),
            format!("00-{}-{span}-01", TRACE.to_uppercase()),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}0-{span}-01"),
            format!("00-{TRACE}-{span}-1"),
            format!(" 00-{TRACE}-{span}-01"),
            format!("00-{TRACE}-{span}-é"),
        ] {
            let context = of(&header);
            assert_ne!(context.trace.to_string(), TRACE, "{header}");
            assert_eq!((context.caller, context.sampled), (None, None), "{header}");
            assert_ne!((context.trace.bits(), context.span), (0, 0));
        }
        let fine = format!("00-{TRACE}-{span}-01");
        assert_eq!(TraceContext::of([fine.as_bytes(), fine.as_bytes()]).caller, None, "which of the two?");
    }

    #[test]
    fn the_request_at_work_is_known_until_another_is_and_again_after_it() {
        let (one, other) = (of(""), of(""));
        assert_ne!(one.trace, other.trace);
        {
            let _one = enter(one);
            {
                let _other = enter(other);
                assert_eq!(current(), Some(other));
            }
            assert_eq!(request_id(), Some(one.trace.to_string()));
        }
        assert_eq!(current(), None);
    }
}
