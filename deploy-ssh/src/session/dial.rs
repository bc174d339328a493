//! Streams to an address as a target sees it.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use deploy_core::backend::BackendError;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::driver::Guarded;

/// A byte stream to an address as the target sees it, for HTTP and port checks.
pub struct Dialed(Way);

enum Way {
    Channel(Guarded),
    Tcp(TcpStream),
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialed")
    }
}

impl Dialed {
    pub(crate) fn channel(end: Guarded) -> Self {
        Self(Way::Channel(end))
    }

    pub(crate) fn tcp(stream: TcpStream) -> Self {
        Self(Way::Tcp(stream))
    }
}

/// Why an address could not be dialled from a target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The target tried, and nobody answers there: the port is closed, or the name unknown to it.
    #[error("nothing answers at {address} as seen from the target")]
    Refused {
        /// What was dialled.
        address: String,
    },
    /// The target's sshd does not forward (`AllowTcpForwarding no`, `PermitOpen`): could not ask.
    #[error("the target's sshd forbids forwarding to {address}")]
    Forbidden {
        /// What was dialled.
        address: String,
    },
    /// The link was lost, or never came to be.
    #[error("{0}")]
    Lost(String),
    /// The target could not be reached, or the time was up.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

impl DialError {
    /// Reads what libssh2 says of a channel that was not opened.
    pub(crate) fn refused(host: &str, port: u16, message: &str) -> Self {
        let address = format!("{host}:{port}");
        if message.contains("administratively prohibited")
            || message.contains("unknown channel type")
        {
            Self::Forbidden { address }
        } else if message.contains("connect failed") {
            Self::Refused { address }
        } else {
            Self::Lost(format!("{address}: {message}"))
        }
    }
}

impl AsyncRead for Dialed {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Way::Channel(end) => Pin::new(end).poll_read(cx, buf),
            Way::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Dialed {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().0 {
            Way::Channel(end) => Pin::new(end).poll_write(cx, bytes),
            Way::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Way::Channel(end) => Pin::new(end).poll_flush(cx),
            Way::Tcp(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            Way::Channel(end) => Pin::new(end).poll_shutdown(cx),
            Way::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_port_and_a_forbidden_one_are_told_apart() {
        let say = |m| DialError::refused("localhost", 80, m);
        let refused = say("Channel open failure (connect failed)");
        assert!(matches!(refused, DialError::Refused { address } if address == "localhost:80"));
        let forbidden = say("Channel open failure (administratively prohibited)");
        assert!(matches!(forbidden, DialError::Forbidden { .. }));
        assert!(matches!(say("Channel open failure"), DialError::Lost(_)));
    }
}
