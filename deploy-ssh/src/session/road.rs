//! The road to a host: configuration, jump hosts, pacing, and the starts that are repeated.

use std::{
    collections::HashMap,
    future::Future,
    os::unix::net::UnixStream as StdUnixStream,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{io::copy_bidirectional_with_sizes, net::UnixStream, time::timeout};

use super::{
    config::SshConfig,
    connect::{Ground, Recipe, Route},
    destination::Destination,
    dial::DialError,
    driver::Connection,
    error::ConnectError,
    slot::Slot,
    ssh_config::{Asker, HostConfig},
    starts::{Starts, backoff},
};

/// How many jump hosts may stand behind one another.
const HOPS: usize = 8;
/// How much a jump host's pump moves at a time.
const PUMP: usize = 64 * 1024;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Knows the way to every host of a run.
#[derive(Debug)]
pub(crate) struct Roads {
    config: SshConfig,
    starts: Starts,
    asker: Asker,
    ground: Arc<Ground>,
    gateways: Mutex<HashMap<Vec<Destination>, Arc<Slot>>>,
}

impl Roads {
    pub(crate) fn new(config: SshConfig) -> Self {
        let starts = Starts::new(config.max_starts, config.max_starts_in_all);
        let asker = Asker::new(&config);
        Self { config, starts, asker, ground: Arc::default(), gateways: Mutex::default() }
    }

    pub(crate) fn config(&self) -> &SshConfig {
        &self.config
    }

    /// What ssh's configuration says of a target.
    pub(crate) async fn ask(&self, destination: &Destination) -> Result<HostConfig, ConnectError> {
        self.asker.ask(destination, self.config.user.as_deref()).await
    }

    /// Connects to a host as its configuration says.
    pub(crate) async fn connect(&self, host: Arc<HostConfig>) -> Result<Connection, ConnectError> {
        let hops = hops_of(&host)?;
        self.connect_over(host, hops, &[]).await
    }

    /// Lets go of all jump hosts.
    pub(crate) async fn close(&self) {
        let gateways: Vec<_> = {
            let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
            gateways.drain().map(|(_, slot)| slot).collect()
        };
        for gateway in gateways {
            gateway.clear().await;
        }
    }

    /// Connects over `hops`, and repeats a start that was dropped before the login. `trail` is what
    /// waits for this connection.
    async fn connect_over(
        &self,
        host: Arc<HostConfig>,
        hops: Vec<Destination>,
        trail: &[Vec<Destination>],
    ) -> Result<Connection, ConnectError> {
        let limit = host.connect_timeout.unwrap_or(self.config.connect_timeout);
        let way = match (hops.last(), &host.proxy_command) {
            (Some(hop), _) => format!("jump {hop:?}"),
            (None, Some(command)) => format!("command {command}"),
            (None, None) => host.address(),
        };
        let (begun, mut dropped) = (Instant::now(), 0);
        loop {
            let gateway = match hops.is_empty() {
                true => None,
                false => Some(self.gateway(&hops, trail).await?),
            };
            let pass = self.starts.enter(&way).await;
            let route = match (gateway, host.proxy_command_line()?) {
                (Some(gateway), _) => Route::Through(through(&gateway, &hops, &host, limit).await?),
                (None, Some(line)) => Route::Command(line),
                (None, None) => Route::Direct,
            };
            let ground = self.ground.clone();
            let recipe = Recipe { host: host.clone(), route, ground, timeout: limit };
            match Connection::open(recipe).await {
                Ok(connection) => {
                    pass.widen();
                    return Ok(connection);
                }
                Err(error) if dropped < error.repeats() && begun.elapsed() < limit * 2 => {
                    pass.narrow();
                    drop(pass);
                    tracing::debug!(host = %host.address(), %error, "repeating a start");
                    tokio::time::sleep(backoff(dropped)).await;
                    dropped += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The connection to the last of `hops`, shared by all who go over the same ones.
    fn gateway<'a>(
        &'a self,
        hops: &'a [Destination],
        trail: &'a [Vec<Destination>],
    ) -> BoxFuture<'a, Result<Arc<Connection>, ConnectError>> {
        Box::pin(async move {
            let Some((last, before)) = hops.split_last() else {
                return Err(ConnectError::Config("no jump host is named".to_owned()));
            };
            let mut trail = trail.to_vec();
            if trail.iter().any(|waiting| waiting == hops) || trail.len() + hops.len() > HOPS {
                let host = &last.host;
                return Err(ConnectError::Config(format!(
                    "the jump hosts go round in a circle, or are more than {HOPS}, at {host}"
                )));
            }
            trail.push(hops.to_vec());
            let slot = {
                let mut gateways = self.gateways.lock().unwrap_or_else(PoisonError::into_inner);
                gateways.entry(hops.to_vec()).or_default().clone()
            };
            let connect = async {
                let mut config = self.asker.ask(last, None).await?;
                let mut before = before.to_vec();
                if before.is_empty() {
                    before = hops_of(&config)?;
                }
                // The way there is what was said, as with ssh -J.
                config.proxy_jump = None;
                self.connect_over(Arc::new(config), before, &trail).await
            };
            let alive = |connection: &Connection| connection.loss().is_none();
            slot.get(alive, connect).await.map_err(|source| match source {
                // A jump host's own jump host is named already.
                source @ ConnectError::Jump { .. } => source,
                source => ConnectError::Jump { host: last.host.clone(), source: Arc::new(source) },
            })
        })
    }
}

/// Opens a stream from the last jump host to `host`.
async fn through(
    gateway: &Connection,
    hops: &[Destination],
    host: &HostConfig,
    limit: Duration,
) -> Result<StdUnixStream, ConnectError> {
    let jump = hops.last().map(|hop| hop.host.clone()).unwrap_or_default();
    let blame = |reason: String| ConnectError::Jump {
        host: jump.clone(),
        source: Arc::new(ConnectError::Protocol(reason)),
    };
    let dialed = match timeout(limit, gateway.dial(&host.hostname, host.port)).await {
        Ok(Ok(dialed)) => dialed,
        Ok(Err(DialError::Refused { address })) => {
            let reason = format!("connection failed, as seen from jump host {jump}");
            return Err(ConnectError::Tcp { address, reason });
        }
        Ok(Err(error)) => return Err(blame(error.to_string())),
        Err(_) => {
            let address = host.address();
            return Err(ConnectError::Silent {
                address,
                phase: "over its jump host",
                after: limit,
            });
        }
    };
    let local = |error: std::io::Error| ConnectError::Local(error.to_string());
    let (ours, theirs) = StdUnixStream::pair().map_err(local)?;
    ours.set_nonblocking(true).map_err(local)?;
    let mut ours = UnixStream::from_std(ours).map_err(local)?;
    let mut dialed = dialed;
    tokio::spawn(async move {
        // Its end, good or bad, is seen by the session on the other side of the pair.
        let _ = copy_bidirectional_with_sizes(&mut ours, &mut dialed, PUMP, PUMP).await;
    });
    Ok(theirs)
}

/// The jump hosts of a host, the first one first.
fn hops_of(host: &HostConfig) -> Result<Vec<Destination>, ConnectError> {
    let Some(jump) = &host.proxy_jump else { return Ok(Vec::new()) };
    jump.split(',').map(|hop| Destination::parse(hop.trim())).collect()
}
