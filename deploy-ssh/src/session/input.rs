//! The input of a step on its way to the wrapper.

use std::{
    fs::File,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::script::Stdin;

/// How much of a file is read at a time. It is there for as long as the file is sent, to hundreds of
/// targets at once.
const CHUNK: usize = 32 * 1024;

/// The input of a step, opened.
pub(crate) enum Input {
    Empty,
    Bytes(Arc<[u8]>),
    File(File, u64),
}

impl Input {
    pub(crate) fn open(stdin: &Stdin) -> Result<Self, String> {
        match stdin {
            Stdin::Empty => Ok(Self::Empty),
            Stdin::Bytes(bytes) => Ok(Self::Bytes(bytes.clone())),
            Stdin::File(path) => {
                let told = |error| format!("cannot read {}: {error}", path.display());
                let file = File::open(path.as_path()).map_err(told)?;
                let size = file.metadata().map_err(told)?.len();
                Ok(Self::File(file, size))
            }
        }
    }

    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::File(_, size) => Some(*size),
        }
    }
}

/// Why a step was not sent whole.
pub(crate) enum Unsent {
    /// The other side takes no more.
    Closed,
    /// The input could not be read.
    Input(String),
}

/// Writes a step: its header, its input, and the line that proves the input whole.
pub(crate) async fn send(
    stdin: &mut (dyn AsyncWrite + Send + Sync + Unpin),
    header: &[u8],
    input: Input,
    id: u64,
    header_sent: &AtomicBool,
) -> Result<(), Unsent> {
    let closed = |_| Unsent::Closed;
    stdin.write_all(header).await.map_err(closed)?;
    header_sent.store(true, Ordering::Relaxed);
    match input {
        Input::Empty => return stdin.flush().await.map_err(closed),
        Input::Bytes(bytes) => stdin.write_all(&bytes).await.map_err(closed)?,
        Input::File(file, size) => send_file(stdin, file, size).await?,
    }
    stdin.write_all(format!("end {id}\n").as_bytes()).await.map_err(closed)?;
    stdin.flush().await.map_err(closed)
}

/// Reads without a detour over other threads: the file was written a moment ago, and is in memory.
async fn send_file(
    stdin: &mut (dyn AsyncWrite + Send + Sync + Unpin),
    file: File,
    size: u64,
) -> Result<(), Unsent> {
    let mut file = file.take(size);
    let mut buffer = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let read = file.read(&mut buffer).map_err(|e| Unsent::Input(e.to_string()))?;
        if read == 0 {
            return Err(Unsent::Input("the file became shorter while it was sent".to_owned()));
        }
        left -= read as u64;
        stdin.write_all(&buffer[..read]).await.map_err(|_| Unsent::Closed)?;
    }
    Ok(())
}
