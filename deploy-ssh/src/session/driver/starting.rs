//! Channels on their way to being open.

use ssh2::{Channel, Session};
use tokio::sync::oneshot;

use super::channel::{Ends, Pump};
use crate::session::dial::DialError;

/// What a session is asked to do. Each is a channel to open.
pub(super) enum Job {
    Exec { command: String, ends: Ends, reply: oneshot::Sender<Result<(), String>> },
    Dial { host: String, port: u16, ends: Ends, reply: oneshot::Sender<Result<(), DialError>> },
}

/// A channel on its way to being open.
pub(super) struct Starting {
    job: Job,
    channel: Option<Channel>,
}

impl Starting {
    pub(super) fn new(job: Job) -> Self {
        Self { job, channel: None }
    }

    /// Goes on as far as possible; "would block" is an error here.
    pub(super) fn advance(&mut self, session: &Session) -> Result<Channel, ssh2::Error> {
        let channel = match (self.channel.take(), &self.job) {
            (Some(channel), _) => channel,
            (None, Job::Exec { .. }) => session.channel_session()?,
            (None, Job::Dial { host, port, .. }) => {
                return session.channel_direct_tcpip(host, *port, None);
            }
        };
        let Job::Exec { command, .. } = &self.job else { return Ok(channel) };
        let mut channel = channel;
        match channel.exec(command) {
            Ok(()) => Ok(channel),
            Err(error) => {
                self.channel = Some(channel);
                Err(error)
            }
        }
    }

    pub(super) fn succeed(self, channel: Channel) -> Pump {
        match self.job {
            Job::Exec { ends, reply, .. } => {
                let _ = reply.send(Ok(()));
                Pump::new(channel, ends)
            }
            Job::Dial { ends, reply, .. } => {
                let _ = reply.send(Ok(()));
                Pump::new(channel, ends)
            }
        }
    }

    pub(super) fn fail(self, error: &ssh2::Error) {
        match self.job {
            Job::Exec { reply, .. } => {
                let _ = reply.send(Err(error.message().to_owned()));
            }
            Job::Dial { host, port, reply, .. } => {
                let _ = reply.send(Err(DialError::refused(&host, port, error.message())));
            }
        }
    }
}

/// Whether an error leaves the session itself whole: the server refused the channel or the command.
pub(super) fn is_channels_own(error: &ssh2::Error) -> bool {
    const REFUSED: [i32; 3] = [-21, -22, -23]; // CHANNEL_FAILURE, REQUEST_DENIED, CHANNEL_UNKNOWN
    matches!(error.code(), ssh2::ErrorCode::Session(code) if REFUSED.contains(&code))
}
