//! Sends a body at its pace, to its end or to where it breaks.

use crate::dialect::Dialect;
use crate::fault::Breakage;
use crate::frames::Frames;
use crate::session::Ticket;
use axum::body::{Body, Bytes};
use futures::stream;
use std::fmt;
use std::future::pending;
use std::time::Duration;

/// What follows the last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The answer was complete.
    Whole,
    /// The body ends, but the answer was broken.
    Broken,
    /// The connection is cut.
    Cut,
    /// Nothing, on an open connection.
    Silence,
    /// The answer was complete, but the connection stays open.
    Open,
    /// Comments that keep the connection alive, for ever.
    Comments,
}

/// Time between two comments.
const COMMENT_EVERY: Duration = Duration::from_millis(50);

/// Breaks `frames`; returns how they end.
pub(crate) fn break_off<D: Dialect>(frames: &mut Frames, breakage: Breakage) -> Ending {
    match breakage {
        Breakage::Hang | Breakage::Stall => {
            frames.halve();
            Ending::Silence
        }
        Breakage::DropStream => {
            frames.halve();
            Ending::Cut
        }
        Breakage::EndEarly => {
            frames.halve();
            Ending::Broken
        }
        Breakage::ErrorMidStream => {
            frames.halve();
            D::overloaded(frames);
            Ending::Broken
        }
        Breakage::MalformedChunk => {
            frames.insert_in_middle(b"data: {\"type\": \"content_bl\n\n");
            Ending::Broken
        }
        Breakage::WrongModel => Ending::Whole,
    }
}

/// A body that sends `frames` with `gap` between them; the ticket is closed with the last one.
pub(crate) fn play(frames: Frames, gap: Duration, ending: Ending, ticket: Ticket) -> Body {
    let frames: Box<dyn Iterator<Item = Bytes> + Send> = match gap {
        Duration::ZERO => Box::new(std::iter::once(frames.into_bytes())),
        _ => Box::new(frames.into_iter()),
    };
    let player = Player {
        frames: frames.peekable(),
        wait: Duration::ZERO,
        gap,
        ending,
        ticket: Some(ticket),
    };
    Body::from_stream(stream::unfold(player, Player::step))
}

struct Player {
    frames: std::iter::Peekable<Box<dyn Iterator<Item = Bytes> + Send>>,
    /// The time before the next frame.
    wait: Duration,
    gap: Duration,
    ending: Ending,
    ticket: Option<Ticket>,
}

impl Player {
    async fn step(mut self) -> Option<(Result<Bytes, ConnectionCut>, Self)> {
        let Some(frame) = self.frames.next() else {
            return self.end().await;
        };
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        self.wait = self.gap;
        let is_last = self.frames.peek().is_none();
        if is_last && matches!(self.ending, Ending::Whole | Ending::Open) {
            // Counted before it is sent, so that a client that has the answer finds it counted.
            self.ticket.take().into_iter().for_each(Ticket::complete);
        }
        Some((Ok(frame), self))
    }

    async fn end(self) -> Option<(Result<Bytes, ConnectionCut>, Self)> {
        match self.ending {
            Ending::Whole | Ending::Broken => None,
            Ending::Cut => {
                // Lets the server flush its output before the error closes the connection.
                tokio::task::yield_now().await;
                Some((Err(ConnectionCut), self))
            }
            Ending::Silence | Ending::Open => pending().await,
            Ending::Comments => {
                tokio::time::sleep(COMMENT_EVERY).await;
                Some((Ok(Bytes::from_static(b": keep-alive\n\n")), self))
            }
        }
    }
}

/// Makes the server cut the connection.
#[derive(Debug)]
struct ConnectionCut;

impl fmt::Display for ConnectionCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection cut by a fault")
    }
}

impl std::error::Error for ConnectionCut {}
