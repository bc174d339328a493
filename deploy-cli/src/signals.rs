//! Signals, and what they mean to a run (rule 20).

use deploy_core::{record::StopCause, run::Stop};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

/// Listens for signals until it is dropped.
#[derive(Debug)]
pub struct Signals(JoinHandle<()>);

impl Signals {
    /// Ctrl-C asks `stop` to stop, the second one to kill; SIGTERM asks it to stop without a
    /// question. SIGHUP stops nothing: a closed terminal must not leave a fleet half-switched. Nor
    /// does SIGXFSZ: a journal that may not grow is a write that fails, and stops the run in order.
    ///
    /// # Errors
    /// Where the system refuses handlers.
    pub fn listen(stop: Stop) -> std::io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut file_size = signal(SignalKind::from_raw(nix::libc::SIGXFSZ))?;
        Ok(Self(tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(()) = interrupt.recv() => stop.interrupt(),
                    Some(()) = terminate.recv() => stop.request(StopCause::Terminate),
                    Some(()) = hangup.recv() => {}
                    Some(()) = file_size.recv() => {}
                    else => return,
                }
            }
        })))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Completes at Ctrl-C or SIGTERM: for what has touched nothing yet and may simply end.
pub async fn ended() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
