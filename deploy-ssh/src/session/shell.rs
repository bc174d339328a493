//! One long-lived `sh` on a target, which runs one framed step after the other.

use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use deploy_core::{
    backend::{Scope, Stream},
    model::Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout},
};

use super::{
    captured::{Captured, Output, evidence},
    frame::{Decoder, Frame, Piece},
    input::{Input, Unsent, send},
    link::{Link, ShellIo},
    mask::{Mask, MaskedStream},
    script::Script,
    wrapper,
};

/// How many signs of life may be missing before a link counts as lost.
pub(crate) const MISSED: u32 = 3;
/// How long a killed step may take to disappear.
const DYING: Duration = Duration::from_secs(3);
/// How long after a step's exit its output may stay open, before a sign of life ends the waiting.
const LINGER: Duration = Duration::from_secs(1);
/// How much is read of each output at a time: hundreds of steps run at once.
const OUT: usize = 8 * 1024;
const ERR: usize = 2 * 1024;
/// How much a login shell may say before the wrapper does.
const NOISE: usize = 2048;

/// Why a step gave no output.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not begun, and will not be.
    NotBegun(String),
    /// It was begun, and how it ended is unknown.
    Lost(String),
    /// Its deadline passed.
    TimedOut(Stopped),
    /// It was told to stop.
    Cancelled(Stopped),
    /// It cannot be sent as it is.
    Refused(String),
}

/// What became of a step that was stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// Whether its process group is known to be gone.
    pub gone: bool,
    /// Its last words.
    pub evidence: String,
}

/// A `sh` that waits for its next step. Dropped, it ends; a step that runs in it then is killed or
/// runs on, as its script says.
#[derive(Debug)]
pub(crate) struct Shell {
    link: Link,
    io: ShellIo,
    out: Decoder,
    err: Decoder,
    pgid: i32,
    feeds: bool,
    next: u64,
    silence: Duration,
}

impl Shell {
    /// Starts one. Nothing but the wrapper runs on the target then.
    ///
    /// # Errors
    /// What prevented it, with what the login shell said.
    pub(crate) async fn open(link: Link, heartbeat: Duration) -> Result<Self, String> {
        let silence = heartbeat * MISSED;
        let nonce = wrapper::nonce()?;
        let mut io = link.open_shell(&wrapper::COMMAND).await?;
        let hello = wrapper::hello(&nonce, heartbeat);
        // A login shell that ends at once closes the pipe: what it said tells more than that.
        let _ = io.stdin.write_all(hello.as_bytes()).await;
        let _ = io.stdin.flush().await;
        let mut shell = Self {
            link,
            io,
            out: Decoder::new(&nonce),
            err: Decoder::new(&nonce),
            pgid: 0,
            feeds: false,
            next: 1,
            silence,
        };
        let patience = silence.max(Duration::from_secs(10));
        match timeout(patience, shell.wait_for_hello()).await {
            Ok(greeted) => greeted.map(|()| shell),
            Err(_) => Err(format!("the login shell did not start sh within {patience:?}")),
        }
    }

    async fn wait_for_hello(&mut self) -> Result<(), String> {
        let mut noise = Vec::new();
        let mut buffer = vec![0; 4096];
        let mut greeted = None;
        while greeted.is_none() {
            let read = self.io.stdout.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                let _ = self.io.stderr.read_buf(&mut noise).await;
                return Err(self.link.loss().unwrap_or_else(|| {
                    let said = String::from_utf8_lossy(&noise);
                    format!("the login shell ended without starting sh: {:?}", said.trim())
                }));
            }
            self.out.feed(&buffer[..read], |piece| match piece {
                Piece::Frame(Frame::Hello { pgid, feeds }) => greeted = Some((pgid, feeds)),
                Piece::Data(said) => noise.extend(said.iter().take(NOISE - noise.len().min(NOISE))),
                Piece::Frame(_) => {}
            });
        }
        (self.pgid, self.feeds) = greeted.unwrap_or_default();
        Ok(())
    }

    /// The link that it runs over.
    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    /// Runs `script`, and gives itself back when it can run another. What it says to people is
    /// masked.
    pub(crate) async fn execute(
        mut self,
        script: &Script,
        (target, mask): (&Target, &Mask),
        scope: &Scope,
    ) -> (Result<Output, Failure>, Option<Self>) {
        let id = self.next;
        self.next += 1;
        let input = match Input::open(script.input()) {
            Ok(input) => input,
            Err(error) => return (Err(Failure::Refused(error)), Some(self)),
        };
        if input.size().is_some() && !self.feeds {
            let missing = "the target's dd lacks iflag=fullblock,count_bytes \
                           (GNU coreutils 8.16 or busybox 1.34 have it)";
            return (Err(Failure::Refused(missing.to_owned())), Some(self));
        }
        let header = match script.encode(id, input.size()) {
            Ok(header) => header,
            Err(refused) => return (Err(Failure::Refused(refused.to_string())), Some(self)),
        };
        let mut step = Running::new(id, script, (target, mask), scope);
        let (ended, sent) = self.exchange(&mut step, header, input).await;
        step.take_rest();
        match ended {
            Ended::Exited(status, detached) => {
                let output = Output { status, stdout: step.stdout, stderr: step.stderr, detached };
                let ack = format!("ack {id}\n");
                let reusable = sent
                    && self.io.stdin.write_all(ack.as_bytes()).await.is_ok()
                    && self.io.stdin.flush().await.is_ok()
                    && !detached;
                (Ok(output), reusable.then_some(self))
            }
            Ended::Failed(failure) => (Err(failure), None),
            Ended::Stopped(why) => {
                let gone = self.stop(&mut step).await;
                step.take_rest();
                // An answer is for whoever asked, and may hold what nobody else is to see.
                let said = if script.is_for_sink(Stream::Stdout) {
                    evidence(&step.stdout, &step.stderr)
                } else {
                    step.stderr.last_lines(20)
                };
                let stopped = Stopped { gone, evidence: said };
                (Err(why(stopped)), None)
            }
        }
    }

    /// Sends the step and takes its output until it has ended, for better or worse. Also says
    /// whether all of it was sent.
    async fn exchange(
        &mut self,
        step: &mut Running<'_>,
        header: Vec<u8>,
        input: Input,
    ) -> (Ended, bool) {
        let header_sent = AtomicBool::new(false);
        let ShellIo { stdin, stdout, stderr } = &mut self.io;
        let mut sending = pin!(send(stdin, &header, input, step.id, &header_sent));
        let (mut sending_open, mut sent) = (true, false);
        let (mut out, mut err) = (vec![0; OUT], vec![0; ERR]);
        let mut err_open = true;
        let mut heard = Instant::now();
        let ended = loop {
            tokio::select! {
                read = stdout.read(&mut out) => match read {
                    Ok(read @ 1..) => {
                        heard = Instant::now();
                        self.out.feed(&out[..read], |piece| step.take(Stream::Stdout, piece));
                    }
                    Ok(0) | Err(_) => {
                        break Ended::Failed(step.cut_off(&self.link, &header_sent));
                    }
                },
                read = stderr.read(&mut err), if err_open => match read {
                    Ok(read @ 1..) => {
                        heard = Instant::now();
                        self.err.feed(&err[..read], |piece| step.take(Stream::Stderr, piece));
                    }
                    Ok(0) | Err(_) => err_open = false,
                },
                result = &mut sending, if sending_open => {
                    sending_open = false;
                    match result {
                    Ok(()) => sent = true,
                    Err(Unsent::Input(error)) => {
                        break Ended::Failed(Failure::Lost(format!("its input: {error}")));
                    }
                    // The other side has closed: what it wrote before that tells why.
                    Err(Unsent::Closed) => {}
                    }
                }
                () = sleep_until(heard + self.silence) => {
                    self.link.cut();
                    let silence = self.silence;
                    let reason = format!("no sign of life for {silence:?}");
                    break Ended::Failed(step.lost(reason, &header_sent));
                }
                () = sleep_until(step.scope.deadline) => break Ended::Stopped(Failure::TimedOut),
                () = step.scope.cancel.cancelled() => break Ended::Stopped(Failure::Cancelled),
            }
            if let Some((status, detached)) = step.ended() {
                break Ended::Exited(status, detached);
            }
        };
        (ended, sent)
    }

    /// Kills the step's process group and waits until it is gone; says whether it is.
    async fn stop(&mut self, step: &mut Running<'_>) -> bool {
        let until = Instant::now() + DYING;
        let (link, pgid) = (self.link.clone(), self.pgid);
        let killing = async {
            let killed = tokio::time::timeout_at(until, link.kill_group(pgid)).await;
            if !matches!(killed, Ok(Ok(()))) {
                link.cut();
            }
        };
        let mut buffer = vec![0; OUT];
        let draining = async {
            loop {
                match tokio::time::timeout_at(until, self.io.stdout.read(&mut buffer)).await {
                    Ok(Ok(read @ 1..)) => {
                        self.out.feed(&buffer[..read], |piece| step.take(Stream::Stdout, piece));
                    }
                    Ok(_) => break true,
                    Err(_) => break false,
                }
            }
        };
        let ((), closed) = tokio::join!(killing, draining);
        closed && self.link.loss().is_none()
    }
}

enum Ended {
    Exited(i32, bool),
    Failed(Failure),
    Stopped(fn(Stopped) -> Failure),
}

/// A step between its first and its last frame.
struct Running<'a> {
    id: u64,
    script: &'a Script,
    target: &'a Target,
    scope: &'a Scope,
    stdout: Captured,
    stderr: Captured,
    masked: [MaskedStream; 2],
    begun: bool,
    exited: Option<(i32, Instant)>,
    out_ended: bool,
    err_ended: bool,
    /// A sign of life came long after the exit, while an output was still open.
    lingers: bool,
}

impl<'a> Running<'a> {
    fn new(
        id: u64,
        script: &'a Script,
        (target, mask): (&'a Target, &Mask),
        scope: &'a Scope,
    ) -> Self {
        let keep = script.kept();
        Self {
            id,
            script,
            target,
            scope,
            stdout: Captured::new(keep),
            stderr: Captured::new(keep),
            masked: [mask.stream(), mask.stream()],
            begun: false,
            exited: None,
            out_ended: false,
            err_ended: false,
            lingers: false,
        }
    }

    fn take(&mut self, stream: Stream, piece: Piece<'_>) {
        match piece {
            // Standard error has no frame that begins a step: what comes is this step's.
            Piece::Data(bytes) if self.begun || stream == Stream::Stderr => {
                if self.script.is_for_sink(stream) {
                    let shown = self.masked[stream as usize].take(bytes);
                    self.keep(stream, &shown);
                } else {
                    self.keep(stream, bytes);
                }
            }
            Piece::Frame(Frame::Begun(id)) if id == self.id => self.begun = true,
            Piece::Frame(Frame::Exited(id, status)) if id == self.id => {
                self.exited = Some((status, Instant::now()));
            }
            Piece::Frame(Frame::Ended(id)) if id == self.id => match stream {
                Stream::Stdout => self.out_ended = true,
                Stream::Stderr => self.err_ended = true,
            },
            Piece::Frame(Frame::Tick) => {
                self.lingers = self.exited.is_some_and(|(_, at)| at.elapsed() > LINGER);
            }
            // What came before the step began is a login shell's or nobody's.
            Piece::Data(_) | Piece::Frame(_) => {}
        }
    }

    fn keep(&mut self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match stream {
            Stream::Stdout => self.stdout.push(bytes),
            Stream::Stderr => self.stderr.push(bytes),
        }
        if self.script.is_for_sink(stream) {
            self.scope.output.write(self.target, self.scope.stage, stream, bytes);
        }
    }

    /// Takes what waited for more, when no more comes.
    fn take_rest(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.masked[stream as usize].rest();
            self.keep(stream, &rest);
        }
    }

    /// The exit status, once all output has come or its rest is not waited for.
    fn ended(&self) -> Option<(i32, bool)> {
        let (status, _) = self.exited?;
        let complete = self.out_ended && self.err_ended;
        (complete || self.lingers).then_some((status, !complete))
    }

    /// The shell's output has ended before the step has.
    fn cut_off(&self, link: &Link, header_sent: &AtomicBool) -> Failure {
        match link.loss() {
            Some(reason) => self.lost(reason, header_sent),
            // All that the shell wrote has come: without its first frame the step was not begun.
            None if !self.begun => Failure::NotBegun("the remote shell has ended".to_owned()),
            None => Failure::Lost("the remote shell ended without its last frame".to_owned()),
        }
    }

    /// The link is lost: the step was begun unless it was not even sent.
    fn lost(&self, reason: String, header_sent: &AtomicBool) -> Failure {
        if self.begun || header_sent.load(Ordering::Relaxed) {
            Failure::Lost(reason)
        } else {
            Failure::NotBegun(reason)
        }
    }
}
