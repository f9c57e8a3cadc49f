//! A pipe that ends when a message on it is longer than any that is used.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Longest message of a server: a thousand times what a model is given of a result.
pub(super) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// A pipe with a limit on the length of its lines, each of which is a message.
///
/// A reader that only dropped a longer line would let its caller wait in vain for the answer.
pub(super) struct Lines<R> {
    pipe: R,
    /// Bytes of the current line so far.
    line: usize,
    /// Set when the limit is exceeded.
    flooded: Arc<AtomicBool>,
}

impl<R> Lines<R> {
    pub(super) fn new(pipe: R, flooded: Arc<AtomicBool>) -> Self {
        Self {
            pipe,
            line: 0,
            flooded,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.pipe).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        self.line = match new.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => new.len() - end - 1,
            None => self.line + new.len(),
        };
        if self.line > MESSAGE_BYTES_MAX {
            self.flooded.store(true, Ordering::Relaxed);
            // An error means that nothing was read.
            buffer.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_line_without_end_ends_the_pipe_and_many_lines_do_not() {
        let read = async |bytes: Vec<u8>| {
            let flooded = Arc::new(AtomicBool::new(false));
            let mut lines = Lines::new(&bytes[..], flooded.clone());
            let ended = lines.read_to_end(&mut vec![]).await;
            (ended.is_ok(), flooded.load(Ordering::Relaxed))
        };
        assert_eq!(
            read(b"message\n".repeat(MESSAGE_BYTES_MAX / 4)).await,
            (true, false)
        );
        assert_eq!(read(vec![b'x'; MESSAGE_BYTES_MAX]).await, (true, false));
        assert_eq!(read(vec![b'x'; MESSAGE_BYTES_MAX + 1]).await, (false, true));
    }
}
